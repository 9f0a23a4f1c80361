//! The whole room against a name server that may be hostile.

mod nameserver;

use super::*;
use crate::net::{Authority, Scheme};
use crate::policy::Permit;
use crate::reason::Reason;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Record, RecordType};
use nameserver::{Asked, NameServer, Reply, address, alias};
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const LOOPBACK: &[&str] = &["127.0.0.0/8"];

fn permit(authority: &str, ranges: &[&str]) -> Permit {
    Permit::for_tests(Scheme::Https, Authority::parse(authority.as_bytes()).unwrap(), ranges)
}

fn own() -> OwnListeners {
    OwnListeners::new(["127.0.0.1:3128".parse().unwrap()])
}

fn asking(server: &NameServer, connect: &[(&str, &str)]) -> Resolver {
    let connect = connect
        .iter()
        .map(|(host, to)| ConnectOverride { host: host.parse().unwrap(), to: to.parse().unwrap() })
        .collect();
    Resolver::new(Settings { nameservers: Nameservers::Fixed(vec![server.address]), connect }, own()).unwrap()
}

/// Resolves `name.test:443` against a script, with the loopback range named.
async fn resolved(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Result<Vetted, Error>, NameServer) {
    let server = NameServer::start(script).await;
    let result = asking(&server, &[]).resolve(&permit("name.test:443", LOOPBACK)).await;
    (result, server)
}

/// A script that answers A with these records and AAAA with none.
fn only_a(records: impl Fn() -> Vec<Record> + Send + Sync + 'static) -> impl Fn(&Asked) -> Reply + Send + Sync {
    move |asked| Reply::Records(if asked.kind == RecordType::A { records() } else { vec![] })
}

fn addresses(vetted: &Vetted) -> Vec<String> {
    vetted.addresses().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn both_families_are_asked_once_each_for_the_full_name() {
    let (result, server) = resolved(|asked| {
        Reply::Records(match asked.kind {
            RecordType::A => vec![address("name.test.", "203.0.113.1", 60)],
            _ => vec![address("name.test.", "2001:db8::1", 60)],
        })
    })
    .await;
    let found: HashSet<String> = addresses(&result.unwrap()).into_iter().collect();
    assert_eq!(found, ["203.0.113.1:443", "[2001:db8::1]:443"].map(String::from).into());
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.name == "name.test." && !asked.over_tcp), "{asked:?}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_failure_that_says_so() {
    let (result, _) = resolved(|_| Reply::Code(ResponseCode::NXDomain)).await;
    let error = result.unwrap_err();
    assert_eq!((error.clone(), error.reason()), (Error::NoSuchName, Reason::DnsFailed));
    let (result, _) = resolved(|_| Reply::Records(vec![])).await;
    assert_eq!(result.unwrap_err(), Error::NoAddress);
}

#[tokio::test]
async fn a_server_that_fails_is_a_failure_at_once() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr] {
        let (result, server) = resolved(move |_| Reply::Code(code)).await;
        assert_eq!(result.unwrap_err().reason(), Reason::DnsFailed, "{code}");
        assert!(server.asked().len() <= 4, "two attempts a family");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_a_timeout_within_five_seconds() {
    let begun = tokio::time::Instant::now();
    let (result, _) = resolved(|_| Reply::Silence).await;
    assert_eq!(result.unwrap_err().reason(), Reason::DnsTimeout);
    assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_gets_the_answer_that_the_first_has_lost() {
    let begun = tokio::time::Instant::now();
    // An attempt sends up to three packets.
    let (result, _) = resolved(|asked| match asked.before {
        0..3 => Reply::Silence,
        _ => Reply::Records(vec![address("name.test.", "203.0.113.1", 60)]),
    })
    .await;
    assert_eq!(addresses(&result.unwrap()), ["203.0.113.1:443"]);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_another_id_or_to_another_question_is_no_answer() {
    let records = || vec![address("name.test.", "203.0.113.66", 60)];
    let (result, _) = resolved(move |_| Reply::WrongId(records())).await;
    assert_eq!(result.unwrap_err(), Error::Timeout);
    let (result, _) = resolved(move |_| Reply::OtherQuestion(records())).await;
    assert_eq!(result.unwrap_err(), Error::Timeout);
}

#[tokio::test]
async fn garbage_ends_at_once_and_costs_nothing() {
    let pointer_loop = {
        // Right behind the header (12 bytes) and the question (15): a name that points at itself.
        let mut junk = vec![0xc0, 27];
        junk.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 1]);
        junk
    };
    for junk in [pointer_loop, vec![0xff; 400], vec![0xc0], vec![0, 0, 1, 0, 1, 0, 0, 0, 60, 0xff, 0xff, 1]] {
        let begun = Instant::now();
        let (result, _) = resolved(move |_| Reply::Junk(junk.clone())).await;
        assert_eq!(result.unwrap_err().reason(), Reason::DnsFailed);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_of_garbage_over_tcp_is_none() {
    let (result, server) = resolved(|asked| match asked.over_tcp {
        false => Reply::Truncated,
        true => Reply::Junk(vec![0xc0; 65_000]),
    })
    .await;
    assert_eq!(result.unwrap_err(), Error::Timeout);
    assert!(server.asked().iter().any(|asked| asked.over_tcp));
}

#[tokio::test]
async fn aliases_are_followed_within_an_answer_and_over_several() {
    let (result, _) = resolved(only_a(|| {
        vec![alias("name.test.", "a.test."), alias("a.test.", "b.test."), address("b.test.", "203.0.113.1", 60)]
    }))
    .await;
    assert_eq!(addresses(&result.unwrap()), ["203.0.113.1:443"]);

    let (result, _) = resolved(|asked| {
        Reply::Records(match (asked.name.as_str(), asked.kind) {
            ("name.test.", _) => vec![alias("name.test.", "a.test.")],
            ("a.test.", _) => vec![alias("a.test.", "b.test.")],
            ("b.test.", RecordType::A) => vec![address("b.test.", "203.0.113.1", 60)],
            _ => vec![],
        })
    })
    .await;
    assert_eq!(addresses(&result.unwrap()), ["203.0.113.1:443"]);
}

#[tokio::test]
async fn aliases_that_go_in_circles_or_on_for_ever_end() {
    let (result, server) =
        resolved(|_| Reply::Records(vec![alias("name.test.", "a.test."), alias("a.test.", "name.test.")])).await;
    assert_eq!(result.unwrap_err().reason(), Reason::DnsFailed);
    assert!(server.asked().len() <= 16, "{}", server.asked().len());

    let (result, server) = resolved(|asked| {
        let label: u32 = asked.name.strip_suffix(".test.").and_then(|n| n.strip_prefix('n')?.parse().ok()).unwrap_or(0);
        Reply::Records(vec![alias(&asked.name, &format!("n{}.test.", label + 1))])
    })
    .await;
    assert_eq!(result.unwrap_err().reason(), Reason::DnsFailed);
    assert!(server.asked().len() <= 32, "{}", server.asked().len());

    let (result, _) = resolved(|asked| match asked.over_tcp {
        false => Reply::Truncated,
        true => {
            let link = |n: u32| if n == 0 { "name.test.".to_owned() } else { format!("n{n}.test.") };
            let mut records: Vec<Record> = (0..1000).map(|n| alias(&link(n), &link(n + 1))).collect();
            records.push(address(&link(1000), "203.0.113.1", 60));
            Reply::Records(records)
        }
    })
    .await;
    assert_eq!(result.unwrap_err().reason(), Reason::DnsFailed);
}

#[tokio::test]
async fn records_of_another_owner_are_not_believed() {
    let (result, _) =
        resolved(only_a(|| vec![address("other.test.", "203.0.113.66", 60), address("name.test.", "203.0.113.1", 60)]))
            .await;
    assert_eq!(addresses(&result.unwrap()), ["203.0.113.1:443"]);
}

#[tokio::test]
async fn an_address_inside_is_refused_alone_and_among_public_ones() {
    for inside in ["127.0.0.3", "10.1.2.3", "0.0.0.0", "169.254.169.254", "192.168.0.1", "100.64.0.1"] {
        let server = NameServer::start(only_a(move || {
            vec![address("name.test.", "203.0.113.1", 60), address("name.test.", inside, 60)]
        }))
        .await;
        let error = asking(&server, &[]).resolve(&permit("name.test:443", &[])).await.unwrap_err();
        assert_eq!(error.reason(), Reason::AddressForbidden, "{inside}");
        assert!(error.to_string().contains(inside) && !error.detail().contains(inside), "{inside}");
    }
}

#[tokio::test]
async fn a_mapped_address_in_aaaa_is_refused_although_the_rule_names_the_inner_one() {
    let (result, _) = resolved(|asked| {
        Reply::Records(match asked.kind {
            RecordType::AAAA => vec![address("name.test.", "::ffff:127.0.0.3", 60)],
            _ => vec![address("name.test.", "127.0.0.2", 60)],
        })
    })
    .await;
    assert_eq!(result.unwrap_err().reason(), Reason::AddressForbidden);
}

#[tokio::test]
async fn a_second_answer_is_judged_like_the_first() {
    // Rebinding: public for the check, loopback for the dial.
    let server = NameServer::start(|asked| {
        Reply::Records(match (asked.kind, asked.before) {
            (RecordType::A, 0) => vec![address("name.test.", "203.0.113.1", 0)],
            (RecordType::A, _) => vec![address("name.test.", "127.0.0.3", 0)],
            _ => vec![],
        })
    })
    .await;
    let resolver = asking(&server, &[]);
    let permit = permit("name.test:443", &[]);
    assert_eq!(addresses(&resolver.resolve(&permit).await.unwrap()), ["203.0.113.1:443"]);
    assert_eq!(server.count(RecordType::A), 1, "what is dialled is what was judged");
    assert_eq!(resolver.resolve(&permit).await.unwrap_err().reason(), Reason::AddressForbidden);
    assert_eq!(server.count(RecordType::A), 2, "a TTL of 0 is kept for no second flow");
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp_and_every_address_of_it_is_judged() {
    let many = |last: &'static str| {
        move |asked: &Asked| match (asked.kind, asked.over_tcp) {
            (RecordType::AAAA, _) => Reply::Records(vec![]),
            (_, false) => Reply::Truncated,
            (_, true) => {
                let public = (0..299).map(|n| format!("203.0.{}.{}", 112 + n / 250, n % 250));
                let all = public.chain([last.to_owned()]);
                Reply::Records(all.map(|text| address("name.test.", &text, 60)).collect())
            }
        }
    };
    let (result, _) = resolved(many("203.0.113.250")).await;
    assert_eq!(result.unwrap().addresses().len(), 300);
    let (result, _) = resolved(many("10.0.0.1")).await;
    assert_eq!(result.unwrap_err().reason(), Reason::AddressForbidden);
}

#[tokio::test]
async fn one_family_that_fails_or_is_silent_does_not_hold_up_the_other() {
    for broken in [RecordType::AAAA, RecordType::A] {
        for silent in [true, false] {
            let begun = Instant::now();
            let (result, _) = resolved(move |asked| match (asked.kind == broken, silent) {
                (false, _) if broken == RecordType::A => Reply::Records(vec![address("name.test.", "2001:db8::1", 60)]),
                (false, _) => Reply::Records(vec![address("name.test.", "203.0.113.1", 60)]),
                (true, true) => Reply::Silence,
                (true, false) => Reply::Code(ResponseCode::ServFail),
            })
            .await;
            assert_eq!(result.unwrap().addresses().len(), 1);
            assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn many_flows_to_one_name_ask_once_and_later_ones_not_at_all() {
    let server = NameServer::start(only_a(|| vec![address("name.test.", "203.0.113.1", 60)])).await;
    let resolver = asking(&server, &[]);
    let flows: tokio::task::JoinSet<_> = (0..50)
        .map(|port| {
            let resolver = resolver.clone();
            async move { resolver.resolve(&permit(&format!("name.test:{}", port + 1), &[])).await.is_ok() }
        })
        .collect();
    assert!(flows.join_all().await.into_iter().all(|resolved| resolved));
    resolver.resolve(&permit("name.test:443", &[])).await.unwrap();
    assert_eq!((server.count(RecordType::A), server.count(RecordType::AAAA)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_256_lookups_are_under_way_and_the_rest_time_out() {
    let server = NameServer::start(|_| Reply::Silence).await;
    let resolver = asking(&server, &[]);
    let flows: tokio::task::JoinSet<_> = (0..300)
        .map(|n| {
            let resolver = resolver.clone();
            async move { resolver.resolve(&permit(&format!("n{n}.test:443"), &[])).await.unwrap_err() }
        })
        .collect();
    // Virtual time: the first attempts are out, none has ended.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(resolver.free_slots(), 0);
    assert!(flows.join_all().await.into_iter().all(|error| error == Error::Timeout));
    assert_eq!(resolver.free_slots(), 256);
}

#[tokio::test]
async fn a_silent_zone_does_not_hold_up_another_and_service_is_back_with_the_server() {
    let back = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let server = NameServer::start({
        let back = back.clone();
        move |asked| match asked.name.as_str() {
            "silent.test." if !back.load(std::sync::atomic::Ordering::SeqCst) => Reply::Silence,
            owner => Reply::Records(match asked.kind {
                RecordType::A => vec![address(owner, "203.0.113.1", 60)],
                _ => vec![],
            }),
        }
    })
    .await;
    let resolver = asking(&server, &[]);
    let waiting = tokio::spawn({
        let resolver = resolver.clone();
        async move { resolver.resolve(&permit("silent.test:443", &[])).await }
    });
    let begun = Instant::now();
    resolver.resolve(&permit("good.test:443", &[])).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());

    // The client leaves; whoever comes next starts afresh.
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    back.store(true, std::sync::atomic::Ordering::SeqCst);
    let begun = Instant::now();
    resolver.resolve(&permit("silent.test:443", &[])).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn literals_localhost_and_overrides_cause_no_query() {
    let server = NameServer::start(|_| Reply::Code(ResponseCode::ServFail)).await;
    let resolver = asking(&server, &[("*.mirror.test", "127.0.0.5:8443"), ("plain.test", "127.0.0.6")]);
    for (authority, ranges, expected) in [
        ("127.0.0.2:80", LOOPBACK, Ok(vec!["127.0.0.2:80"])),
        ("[::1]:80", &["::1/128"], Ok(vec!["[::1]:80"])),
        ("203.0.113.7:443", &[], Ok(vec!["203.0.113.7:443"])),
        ("127.0.0.2:80", &[], Err(Reason::AddressForbidden)),
        ("[::ffff:127.0.0.2]:80", LOOPBACK, Err(Reason::AddressForbidden)),
        ("169.254.169.254:80", &["169.254.0.0/16"], Err(Reason::AddressForbidden)),
        ("127.0.0.1:3128", LOOPBACK, Err(Reason::SelfConnection)),
        ("localhost:80", LOOPBACK, Ok(vec!["127.0.0.1:80"])),
        ("a.localhost:80", &["127.0.0.0/8", "::/0"], Ok(vec!["127.0.0.1:80", "[::1]:80"])),
        ("localhost:80", &[], Err(Reason::AddressForbidden)),
        ("localhost:3128", LOOPBACK, Err(Reason::SelfConnection)),
        ("a.mirror.test:443", LOOPBACK, Ok(vec!["127.0.0.5:8443"])),
        ("a.mirror.test:443", &[], Err(Reason::AddressForbidden)),
        ("plain.test:444", LOOPBACK, Ok(vec!["127.0.0.6:444"])),
    ] {
        let result = resolver.resolve(&permit(authority, ranges)).await;
        let shown = result.as_ref().map(addresses).map_err(Error::reason);
        assert_eq!(shown, expected.map(|all| all.into_iter().map(String::from).collect()), "{authority}");
        if let Ok(vetted) = result {
            assert_eq!(vetted.authority().to_string(), authority, "TLS is still checked against what was allowed");
        }
    }
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn an_override_to_a_name_is_resolved_and_vetted_like_any_other() {
    let server = NameServer::start(only_a(|| vec![address("inner.test.", "127.0.0.7", 60)])).await;
    let resolver = asking(&server, &[("outer.test", "inner.test:8443"), ("inner.test", "127.0.0.1:3128")]);
    let vetted = resolver.resolve(&permit("outer.test:443", LOOPBACK)).await.unwrap();
    assert_eq!(addresses(&vetted), ["127.0.0.7:8443"], "an override is not overridden again");
    let error = resolver.resolve(&permit("outer.test:443", &[])).await.unwrap_err();
    assert_eq!(
        error,
        Error::NotNamed { address: IpAddr::from([127, 0, 0, 7]), class: crate::net::AddressClass::Loopback }
    );
    assert!(server.asked().iter().all(|asked| asked.name == "inner.test."));
}

#[tokio::test]
async fn an_empty_list_of_name_servers_is_an_error_at_the_start() {
    let settings = Settings { nameservers: Nameservers::Fixed(vec![]), connect: vec![] };
    assert!(matches!(Resolver::new(settings, own()), Err(Error::Setup(_))));
    assert!(Resolver::new(Settings::default(), own()).is_ok());
}
