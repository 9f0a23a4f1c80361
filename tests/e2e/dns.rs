//! Names and addresses: no lookup without permission, every address vetted, no second lookup before the dial.

use crate::support::nameserver::Kind;
use crate::support::*;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A world whose names under `exeat.test` are looked up, on the port of this origin.
fn world(nameserver: &Nameserver, port: u16, addresses: &str) -> World {
    let policy = format!("allow: [{{host: \"**.exeat.test\", ports: [{port}], addresses: {addresses}}}]");
    World::start(Setup::under(&policy).nameserver(nameserver))
}

const LOOPBACK: &str = "[\"127.0.0.0/8\", \"::1/128\"]";

#[test]
fn a_name_is_looked_up_and_its_address_dialled() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let port = origin.address.port();
    let world = world(&nameserver, port, LOOPBACK);
    assert_eq!(world.agent().get(&format!("http://name.exeat.test:{port}/")).status, 200);
    let asked = nameserver.asked();
    assert!(asked.iter().all(|question| question.name == "name.exeat.test"), "{asked:?}");
    assert!(asked.iter().any(|question| question.kind == Kind::A) && asked.len() <= 2, "{asked:?}");
    let records = world.into_records();
    assert_eq!(records[0].text("/upstream/address"), Some(origin.address.to_string().as_str()));
    assert!(records[0].0.pointer("/timing/dns").is_some(), "{records:#?}");
}

#[test]
fn a_denied_name_causes_no_query() {
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let world = world(&nameserver, 80, LOOPBACK);
    assert_refused(&world.agent().get("http://4142434445464748.evil.test/"), "dest_not_listed");
    assert_refused(&world.agent().refused("4142434445464748.evil.test:443"), "dest_not_listed");
    assert_refused(&world.agent().get("http://some.exeat.test:81/"), "dest_not_listed");
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn no_search_list_and_no_hosts_file_is_consulted() {
    let nameserver = Nameserver::start(|_| Answer::NxDomain);
    let policy = format!("allow: [{{host: \"**\", addresses: {LOOPBACK}}}]");
    let world = World::start(Setup::under(&policy).nameserver(&nameserver));
    assert_failed(&world.agent().get("http://single/"), "dns_failed");
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let hostname = hostname.trim();
    if !hostname.is_empty() && !hostname.contains('_') {
        assert_failed(&world.agent().get(&format!("http://{hostname}/")), "dns_failed");
    }
    assert!(nameserver.asked().iter().all(|question| question.name == "single" || question.name == hostname));
}

#[test]
fn a_name_that_is_not_there_is_told_as_such() {
    let nameserver = Nameserver::start(|_| Answer::NxDomain);
    let world = world(&nameserver, 80, LOOPBACK);
    assert_failed(&world.agent().get("http://none.exeat.test/"), "dns_failed");
    let records = world.into_records();
    assert_eq!((records[0].verdict(), records[0].host()), ("failed", "none.exeat.test"));
}

#[test]
fn one_forbidden_address_among_good_ones_refuses_the_name() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::always(&["127.0.0.1", "10.0.0.1"]);
    let port = origin.address.port();
    let world = world(&nameserver, port, LOOPBACK);
    let refusal =
        assert_refused(&world.agent().get(&format!("http://mixed.exeat.test:{port}/")), "dest_address_forbidden");
    assert!(!refusal.to_string().contains("10.0.0.1"), "the inner address is told: {refusal}");
    origin.assert_never_contacted();
    assert!(world.into_records()[0].0.to_string().contains("10.0.0.1"), "the record does not hold the address");
}

#[test]
fn a_forbidden_address_of_the_other_family_refuses_the_name() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::always(&["127.0.0.1", "::ffff:127.0.0.3"]);
    let port = origin.address.port();
    let world = world(&nameserver, port, "[\"127.0.0.0/8\"]");
    assert_refused(&world.agent().get(&format!("http://mixed.exeat.test:{port}/")), "dest_address_forbidden");
    origin.assert_never_contacted();
}

/// Names `a0`, `a1`, … lead to these addresses, one each.
fn one_each(addresses: &'static [&'static str]) -> Nameserver {
    Nameserver::start(move |question| {
        let number = question.name.trim_start_matches('a').split('.').next().and_then(|n| n.parse::<usize>().ok());
        number.and_then(|number| addresses.get(number)).map_or(Answer::NxDomain, |address| Answer::of(&[address]))
    })
}

const INNER: &[&str] = &[
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "0.0.0.0",
    "0.1.2.3",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001:0:1::80ff:fffe",
];

#[test]
fn names_that_lead_inside_are_refused_without_a_dial() {
    let nameserver = one_each(INNER);
    let world = World::start(Setup::under("allow: [{host: \"**.exeat.test\"}]").nameserver(&nameserver));
    for (number, address) in INNER.iter().enumerate() {
        let response = world.agent().get(&format!("http://a{number}.exeat.test/"));
        assert_eq!(response.status, 403, "{address}: {}", response.text());
        let refusal = assert_refused(&response, "dest_address_forbidden");
        assert!(!refusal.to_string().contains(address) || address.len() < 4, "{refusal}");
    }
}

#[test]
fn some_addresses_no_rule_can_open() {
    const NEVER: &[&str] = &[
        "169.254.169.254",
        "169.254.1.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1",
        "::",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
    ];
    let nameserver = one_each(NEVER);
    let world = world(&nameserver, 80, "[\"0.0.0.0/0\", \"::/0\"]");
    for (number, address) in NEVER.iter().enumerate() {
        let response = world.agent().get(&format!("http://a{number}.exeat.test/"));
        assert_eq!(response.status, 403, "{address}: {}", response.text());
        assert_refused(&response, "dest_address_forbidden");
    }
}

#[test]
fn a_name_that_is_rebound_is_never_dialled_at_its_second_address() {
    let origin =
        Origin::plain().at("127.0.0.2:0").answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let port = origin.address.port();
    let listener = TcpListener::bind(("127.0.0.3", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let asked = AtomicUsize::new(0);
    let nameserver = Nameserver::start(move |question| match question.kind {
        Kind::A if asked.fetch_add(1, Ordering::SeqCst) == 0 => Answer::of(&["127.0.0.2"]),
        Kind::A => Answer::of(&["127.0.0.3"]),
        _ => Answer::of(&[]),
    });
    let world = world(&nameserver, port, "[\"127.0.0.2/32\"]");
    for _ in 0..5 {
        let response = world.agent().get(&format!("http://rebound.exeat.test:{port}/"));
        assert!(response.status == 200 || response.status == 403, "{response:?}");
    }
    assert!(listener.accept().is_err(), "the rebound address was dialled");
    assert!(!origin.requests().is_empty());
}

#[test]
fn an_alias_that_leads_inside_is_refused() {
    let nameserver = Nameserver::start(|_| Answer::Alias("inner.evil.test".into(), vec!["10.1.2.3".parse().unwrap()]));
    let world = world(&nameserver, 80, LOOPBACK);
    assert_refused(&world.agent().get("http://alias.exeat.test/"), "dest_address_forbidden");
}

#[test]
fn an_alias_is_followed_to_its_addresses() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::start(|_| Answer::Alias("cdn.evil.test".into(), vec!["127.0.0.1".parse().unwrap()]));
    let port = origin.address.port();
    let world = world(&nameserver, port, LOOPBACK);
    assert_eq!(world.agent().get(&format!("http://alias.exeat.test:{port}/")).status, 200);
    assert_eq!(origin.only_request().field("host"), Some(format!("alias.exeat.test:{port}").as_str()));
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::start(|_| Answer::Truncated(vec!["127.0.0.1".parse().unwrap()]));
    let port = origin.address.port();
    let world = world(&nameserver, port, LOOPBACK);
    assert_eq!(world.agent().get(&format!("http://long.exeat.test:{port}/")).status, 200);
    assert!(nameserver.asked().iter().any(|question| question.tcp));
}

#[test]
fn the_failure_of_one_family_is_no_failure_of_the_other() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::start(|question| match question.kind {
        Kind::A => Answer::of(&["127.0.0.1"]),
        _ => Answer::ServFail,
    });
    let port = origin.address.port();
    let world = world(&nameserver, port, LOOPBACK);
    assert_eq!(world.agent().get(&format!("http://four.exeat.test:{port}/")).status, 200);
}

#[test]
fn a_name_with_an_ipv6_address_only_is_reached() {
    let origin = Origin::plain().at("[::1]:0").echo();
    let nameserver = Nameserver::always(&["::1"]);
    let port = origin.address.port();
    let world = world(&nameserver, port, LOOPBACK);
    assert_eq!(world.agent().get(&format!("http://six.exeat.test:{port}/")).status, 200);
}

#[test]
fn a_dead_address_is_passed_over_for_a_live_one() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::always(&["127.0.0.77", "127.0.0.78", "127.0.0.1"]);
    let port = origin.address.port();
    let world = world(&nameserver, port, LOOPBACK);
    for _ in 0..3 {
        assert_eq!(world.agent().get(&format!("http://some.exeat.test:{port}/")).status, 200);
    }
}

#[test]
fn a_nameserver_that_is_silent_is_given_up_in_time_and_holds_nobody_else() {
    let origin = Origin::plain().echo();
    let nameserver = Nameserver::start(|_| Answer::Silence);
    let setup = Setup::new().origin("plain.exeat.test", &origin).nameserver(&nameserver);
    let world = World::start(setup);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let began = Instant::now();
            let response = world.agent().get("http://silent.exeat.test/");
            (response, began.elapsed())
        });
        for _ in 0..5 {
            let began = Instant::now();
            assert_eq!(world.agent().get("http://plain.exeat.test/").status, 200);
            assert!(began.elapsed() < Duration::from_secs(2));
        }
        let (response, took) = waiting.join().unwrap();
        assert_failed(&response, "dns_timeout");
        assert!(took < Duration::from_secs(7), "{took:?}");
    });
}

#[test]
fn a_hostile_nameserver_gets_nowhere() {
    let answers = [
        Answer::Garbage(vec![0xff; 40]),
        Answer::Garbage(vec![0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0xc0, 12]),
        Answer::Garbage(Vec::new()),
        Answer::Loop,
        Answer::ServFail,
        Answer::of(&[]),
        Answer::Stranger("127.0.0.1".parse().unwrap()),
    ];
    let nameserver = Nameserver::start(move |question| {
        let number: usize = question.name[1..].split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        answers[number].clone()
    });
    let world = world(&nameserver, 80, LOOPBACK);
    std::thread::scope(|scope| {
        for number in 0..7 {
            let world = &world;
            scope.spawn(move || {
                let began = Instant::now();
                let response = world.agent().get(&format!("http://h{number}.exeat.test/"));
                assert!(matches!(response.status, 502 | 504), "answer {number}: {response:?}");
                assert_refused_with(&response, &["dns_failed", "dns_timeout"]);
                assert!(began.elapsed() < Duration::from_secs(8), "answer {number}: {:?}", began.elapsed());
            });
        }
    });
}

#[test]
fn localhost_is_denied_unless_listed_and_never_looked_up() {
    let origin = Origin::plain().echo();
    let port = origin.address.port();
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let closed = World::start(Setup::new().nameserver(&nameserver));
    for host in ["localhost", "foo.localhost", "LOCALHOST.", "a.b.localhost"] {
        assert_refused(&closed.agent().get(&format!("http://{host}/")), "dest_not_listed");
    }
    let rule = format!("host: localhost, ports: [{port}]");
    let open = World::start(Setup::allowing(&[&rule]).nameserver(&nameserver));
    assert_eq!(open.agent().get(&format!("http://localhost:{port}/")).status, 200);
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn addresses_have_one_spelling_and_must_be_listed() {
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let policy = "allow: [{host: \"**.exeat.test\", addresses: [\"127.0.0.0/8\"]}, {host: \"**.test\"}]";
    let world = World::start(Setup::under(policy).nameserver(&nameserver));
    for host in [
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "127.0.0.01",
        "0",
        "00.0.0.0",
        "256.0.0.1",
        "1.2.3.4.5",
        "example.1",
        "example.0x1f",
        "[::1%25lo]",
        "[::1%lo]",
        "[127.0.0.1]",
        "[::00001]",
    ] {
        let response = world.agent().get(&format!("http://{host}/"));
        assert_eq!(response.status, 400, "{host}: {}", response.text());
        assert_refused_with(&response, &["bad_authority", "bad_target"]);
        assert_eq!(world.agent().refused(&format!("{host}:443")).status, 400, "{host}");
    }
    for host in [
        "127.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
    ] {
        let response = world.agent().get(&format!("http://{host}/"));
        assert!(matches!(response.status, 400 | 403), "{host}: {}", response.text());
    }
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn a_listed_address_still_needs_its_range() {
    let origin = Origin::plain().echo();
    let port = origin.address.port();
    let world = World::start(Setup::under(&format!("allow: [{{host: 127.0.0.1, ports: [{port}]}}]")));
    assert_refused(&world.agent().get(&format!("http://127.0.0.1:{port}/")), "dest_address_forbidden");
    origin.assert_never_contacted();
}

#[test]
fn an_address_literal_is_reached_where_rule_and_range_say_so() {
    let origin = Origin::plain().at("[::1]:0").echo();
    let port = origin.address.port();
    let world = World::start(Setup::allowing(&[&format!("host: \"::1\", ports: [{port}]")]));
    assert_eq!(world.agent().get(&format!("http://[::1]:{port}/")).status, 200);
    assert_eq!(origin.only_request().field("host"), Some(format!("[::1]:{port}").as_str()));
}

fn two_free_ports() -> (u16, u16) {
    let one = TcpListener::bind("127.0.0.1:0").unwrap();
    let two = TcpListener::bind("127.0.0.1:0").unwrap();
    (one.local_addr().unwrap().port(), two.local_addr().unwrap().port())
}

#[test]
fn the_gateway_itself_is_no_destination() {
    let (proxy, control) = two_free_ports();
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let rules = [
        format!("host: \"**.exeat.test\", ports: [{proxy}, {control}]"),
        format!("host: 127.0.0.1, ports: [{proxy}, {control}]"),
        format!("host: localhost, ports: [{proxy}, {control}]"),
    ];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let setup = Setup::allowing(&rules).nameserver(&nameserver).listening(proxy, control);
    let world = World::start(setup.connect("over.exeat.test", &format!("127.0.0.1:{control}")));
    for port in [proxy, control] {
        for host in ["name.exeat.test", "127.0.0.1", "localhost", "over.exeat.test"] {
            assert_refused(&world.agent().get(&format!("http://{host}:{port}/v1/sessions")), "self_connection");
            assert_refused(&world.agent().refused(&format!("{host}:{port}")), "self_connection");
        }
    }
}

#[test]
fn the_gateway_listening_on_every_address_is_no_destination_at_any_of_them() {
    let (proxy, control) = two_free_ports();
    let rule = format!("host: \"**\", ports: [{proxy}]");
    let setup = Setup::allowing(&[&rule]).listening(proxy, control).on_every_address();
    let world = World::start(setup.connect("two.exeat.test", &format!("127.0.0.2:{proxy}")));
    assert_refused(&world.agent().get(&format!("http://two.exeat.test:{proxy}/")), "self_connection");
}

#[test]
fn an_answer_is_kept_for_its_time_and_asked_for_again_after_it() {
    let origin =
        Origin::plain().answer_and_close("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let port = origin.address.port();
    let nameserver = Nameserver::start(|question| match question.name.as_str() {
        "kept.exeat.test" => Answer::Addresses(vec!["127.0.0.1".parse().unwrap()], 50),
        _ => Answer::of(&["127.0.0.1"]),
    });
    let world = world(&nameserver, port, LOOPBACK);
    for _ in 0..3 {
        assert_eq!(world.agent().get(&format!("http://kept.exeat.test:{port}/")).status, 200);
        assert_eq!(world.agent().get(&format!("http://fresh.exeat.test:{port}/")).status, 200);
    }
    let count = |name: &str| nameserver.asked().iter().filter(|q| q.name == name && q.kind == Kind::A).count();
    assert_eq!((count("kept.exeat.test"), count("fresh.exeat.test")), (1, 3));
}
