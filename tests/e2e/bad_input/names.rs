//! Answers of name servers that are none, or that lead where nobody may go.

use super::*;
use crate::support::nameserver::{Kind, Question};

const GOOD: [u8; 4] = [127, 0, 0, 1];
/// A pointer to the name that was asked for.
const ASKED: &[u8] = &[0xc0, 12];
const A: u16 = 1;
const CNAME: u16 = 5;

/// One record: its owner as it is, its type, its data.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    claiming(owner, kind, u16::try_from(data.len()).unwrap(), data)
}

/// One whose data is said to be so long.
fn claiming(owner: &[u8], kind: u16, length: u16, data: &[u8]) -> Vec<u8> {
    [owner, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length.to_be_bytes(), data].concat()
}

/// A well-formed answer but for what is behind the question.
fn answering(count: u16, records: &[&[u8]]) -> Answer {
    bent([0x85, 0x80], [1, count, 0, 0], &records.concat())
}

fn bent(flags: [u8; 2], counts: [u16; 4], behind: &[u8]) -> Answer {
    Answer::Bent { flags, counts, behind: behind.to_vec() }
}

/// With this response code and nothing else.
fn code(code: u8) -> Answer {
    bent([0x85, 0x80 | code], [1, 0, 0, 0], &[])
}

/// What the name is told to be, and the reasons that its request may end with. Who answers another question, or none,
/// has not answered: that takes as long as silence does (R10).
fn rows() -> Vec<(&'static str, Answer, &'static [&'static str])> {
    const NONE: &[&str] = &["dns_failed"];
    const EITHER: &[&str] = &["dns_failed", "dns_timeout"];
    const INSIDE: &[&str] = &["dest_address_forbidden"];
    let good = record(ASKED, A, &GOOD);
    let alias = |to: &[u8]| record(ASKED, CNAME, to);
    let long: Vec<u8> = (0..30u8)
        .flat_map(|n| {
            let owner = if n == 0 { ASKED.to_vec() } else { vec![1, b'a' + n - 1, 0] };
            record(&owner, CNAME, &[1, b'a' + n, 0])
        })
        .collect();
    vec![
        ("nothing behind the id", Answer::Garbage(Vec::new()), EITHER),
        ("half a head", Answer::Garbage(vec![0x85, 0x80, 0, 1]), EITHER),
        ("no head", Answer::Garbage(vec![0xff; 40]), EITHER),
        (
            "a name that points at itself",
            Answer::Garbage(vec![0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0xc0, 12]),
            EITHER,
        ),
        ("a question", bent([0x01, 0x00], [1, 1, 0, 0], &good), EITHER),
        ("another operation", bent([0x91, 0x80], [1, 1, 0, 0], &good), EITHER),
        ("FORMERR", code(1), NONE),
        ("SERVFAIL", code(2), NONE),
        ("NXDOMAIN", code(3), NONE),
        ("NOTIMP", code(4), NONE),
        ("REFUSED", code(5), NONE),
        ("YXDOMAIN", code(6), NONE),
        ("NOTAUTH", code(9), NONE),
        ("a code that is none", code(15), NONE),
        ("SERVFAIL with an address", bent([0x85, 0x82], [1, 1, 0, 0], &good), NONE),
        ("NXDOMAIN with an address", bent([0x85, 0x83], [1, 1, 0, 0], &good), NONE),
        ("no records", answering(0, &[]), NONE),
        ("fewer records than are counted", answering(5, &[&good]), EITHER),
        ("an address of three bytes", answering(1, &[&record(ASKED, A, &GOOD[..3])]), EITHER),
        ("an address of five bytes", answering(1, &[&record(ASKED, A, &[127, 0, 0, 1, 9])]), EITHER),
        ("an address of no bytes", answering(1, &[&record(ASKED, A, &[])]), EITHER),
        ("an address that ends behind the message", answering(1, &[&claiming(ASKED, A, 0xffff, &GOOD)]), EITHER),
        ("half a record", answering(1, &[&good[..7]]), EITHER),
        ("a record without its owner's end", answering(1, &[&[63, b'a', b'b']]), EITHER),
        ("a label of 64 bytes", answering(1, &[&[0x40; 70], &good[2..]]), EITHER),
        ("a label of the kind 10", answering(1, &[&[0x80, 0], &good[2..]]), EITHER),
        ("a name of 300 bytes", answering(1, &[&[9; 300], &[0], &good[2..]]), EITHER),
        ("an owner that points ahead", answering(1, &[&[0xc0, 0xff], &good[2..]]), EITHER),
        ("an owner that points at itself", answering(1, &[&[0xc0, 40], &good[2..]]), EITHER),
        ("an address of somebody else", answering(1, &[&record(b"\x08stranger\0", A, &GOOD)]), NONE),
        ("an address of the root", answering(1, &[&record(&[0], A, &GOOD)]), NONE),
        ("an address of the zone above", answering(1, &[&record(&[0xc0, 12 + 4], A, &GOOD)]), NONE),
        (
            "an address of another class",
            answering(1, &[&[ASKED, &[0, 1, 0, 3, 0, 0, 0, 60, 0, 4], &GOOD].concat()]),
            EITHER,
        ),
        ("a text", answering(1, &[&record(ASKED, 16, b"\x09127.0.0.1")]), NONE),
        ("a service", answering(1, &[&record(ASKED, 33, b"\0\0\0\0\0\x50\x01a\0")]), NONE),
        ("an alias of itself", answering(1, &[&alias(ASKED)]), NONE),
        ("an alias without an address", answering(1, &[&alias(b"\x01b\0")]), NONE),
        ("an alias of the root", answering(1, &[&alias(&[0])]), EITHER),
        ("an alias without an end", answering(1, &[&alias(&[0xc0, 12, 0xc0])]), EITHER),
        ("thirty aliases", answering(30, &[&long]), NONE),
        (
            "no question",
            Answer::Garbage([&[0x85, 0x80, 0, 0, 0, 1, 0, 0, 0, 0][..], b"\x01a\0", &good[2..]].concat()),
            EITHER,
        ),
        ("two questions", bent([0x85, 0x80], [2, 1, 0, 0], &good), EITHER),
        ("cut, and no better over TCP", bent([0x87, 0x80], [1, 0, 0, 0], &[]), EITHER),
        ("this network", answering(1, &[&record(ASKED, A, &[0, 0, 0, 0])]), INSIDE),
        ("the metadata of a cloud", answering(1, &[&record(ASKED, A, &[169, 254, 169, 254])]), INSIDE),
        ("a private address", answering(1, &[&record(ASKED, A, &[10, 0, 0, 1])]), INSIDE),
        ("a good one and a private one", answering(2, &[&good, &record(ASKED, A, &[10, 0, 0, 1])]), INSIDE),
        (
            "an alias of a private one",
            answering(2, &[&alias(b"\x01b\0"), &record(b"\x01b\0", A, &[10, 0, 0, 1])]),
            INSIDE,
        ),
        ("everybody", answering(1, &[&record(ASKED, A, &[255, 255, 255, 255])]), INSIDE),
        ("a group", answering(1, &[&record(ASKED, A, &[224, 0, 0, 1])]), INSIDE),
    ]
}

#[test]
fn answers_about_names_that_are_none_or_lead_inside_are_refused_each_with_its_reason_and_its_record() {
    let rows = rows();
    assert!(rows.len() >= 40, "{}", rows.len());
    let answers: Vec<Answer> = rows.iter().map(|(_, answer, _)| answer.clone()).collect();
    let nameserver = Nameserver::start(move |Question { name, kind, .. }| {
        let number = name.get(1..3).and_then(|number| number.parse::<usize>().ok());
        // The other family has nothing, so that the one answer is all there is.
        if *kind == Kind::A {
            number.and_then(|number| answers.get(number).cloned()).unwrap_or(Answer::NxDomain)
        } else {
            Answer::of(&[])
        }
    });
    let origin = Origin::plain().echo();
    let port = origin.address.port();
    let rule = format!("allow: [{{host: \"**.exeat.test\", ports: [{port}], addresses: [\"127.0.0.0/8\"]}}]");
    let world = World::start(Setup::under(&rule).nameserver(&nameserver));
    let ask = &|number: usize| {
        let began = Instant::now();
        (world.agent().get(&format!("http://h{number:02}.exeat.test:{port}/")), began.elapsed())
    };
    let answered: Vec<(Response, Duration)> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..rows.len()).map(|number| scope.spawn(move || ask(number))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let mut wrong = Wrong::default();
    for ((what, _, reasons), (response, took)) in rows.iter().zip(&answered) {
        if response.status < 400 {
            wrong.unless(false, || format!("{what} is believed"));
            continue;
        }
        let told = problem(response)["reason"].as_str().unwrap_or_default().to_owned();
        wrong.unless(reasons.contains(&told.as_str()), || format!("{what}: {told}"));
        // A second for what is an answer; what is none may be followed by one, which is waited for.
        let is_an_answer = !reasons.contains(&"dns_timeout");
        let time = if is_an_answer { soon() } else { promised(Duration::from_millis(5_200)) };
        wrong.unless(*took < time, || format!("{what}: {told} after {took:?}"));
    }
    let records = world.into_records();
    assert_eq!(records.len(), rows.len());
    for (number, (what, _, reasons)) in rows.iter().enumerate() {
        let host = format!("h{number:02}.exeat.test");
        let record = records.iter().find(|record| record.host() == host).unwrap();
        wrong.unless(reasons.contains(&record.reason()), || format!("{what} is recorded as {record:?}"));
    }
    wrong.none();
    origin.assert_never_contacted();
}
