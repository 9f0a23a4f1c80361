use super::*;

fn summary(lines: &[&str]) -> Summary {
    let mut summary = Summary::default();
    lines.iter().for_each(|line| summary.add(line));
    summary
}

const ALLOWED: &str = r#"{"verdict":"allowed","mode":"forward","target":{"scheme":"https","host":"a.example","port":443,"method":"GET","path":"/"},"bytes":{"up":10,"down":100}}"#;
const DENIED: &str = r#"{"verdict":"denied","reason":"dest_not_listed","target":{"host":"b.example","port":443,"method":"CONNECT"},"bytes":{"up":0,"down":0}}"#;

#[test]
fn flows_and_bytes_are_summed_and_hosts_counted() {
    let summary = summary(&[ALLOWED, ALLOWED]);
    assert_eq!((summary.flows, summary.bytes), (2, Bytes { up: 20, down: 200 }));
    assert_eq!(summary.reached, BTreeMap::from([("a.example".to_owned(), 2)]));
    assert!(!summary.has_refusals());
}

#[test]
fn an_opened_tunnel_counts_by_its_requests_and_a_refused_one_by_itself() {
    let inside = ALLOWED.replace("forward", "intercept");
    let tunnel = inside.replace("GET", "CONNECT");
    let summary = summary(&[&inside, &tunnel, &tunnel.replace("allowed", "failed")]);
    assert_eq!((summary.flows, summary.failed.len()), (2, 1));
}

#[test]
fn refusals_alike_are_one_with_a_count_and_the_argument_that_lifts_it() {
    let summary = summary(&[DENIED, DENIED]);
    let [refusal] = &summary.refused[..] else { panic!("{:?}", summary.refused) };
    assert_eq!((refusal.count, refusal.place.as_str()), (2, "b.example:443"));
    assert_eq!(refusal.allow.as_deref(), Some("b.example"));
}

#[test]
fn the_argument_names_the_port_where_a_rule_would_not_cover_it() {
    for (target, allow) in [
        (r#"{"scheme":"http","host":"b","port":80,"method":"GET","path":"/"}"#, "b"),
        (r#"{"scheme":"http","host":"b","port":8080,"method":"GET","path":"/"}"#, "b:8080"),
        (r#"{"host":"b","port":80,"method":"CONNECT"}"#, "b:80"),
        (r#"{"host":"b","port":22,"method":"CONNECT"}"#, "b:22"),
        (r#"{"host":"2001:db8::1","port":443,"method":"CONNECT"}"#, "[2001:db8::1]"),
        (r#"{"host":"2001:db8::1","port":8443,"method":"CONNECT"}"#, "[2001:db8::1]:8443"),
    ] {
        let line = format!(r#"{{"verdict":"denied","reason":"dest_not_listed","target":{target}}}"#);
        assert_eq!(summary(&[&line]).refused[0].allow.as_deref(), Some(allow), "{target}");
    }
}

#[test]
fn only_a_destination_that_is_not_listed_can_be_lifted_by_allow() {
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::DestinationNotListed) {
        let summary = summary(&[&DENIED.replace("dest_not_listed", reason.code())]);
        assert!(summary.refused.iter().all(|refusal| refusal.allow.is_none()), "{reason}");
    }
}

#[test]
fn a_request_that_is_not_listed_is_told_with_method_and_path() {
    let line = ALLOWED.replace("\"allowed\"", r#""denied","reason":"request_not_listed""#).replace("GET", "POST");
    let summary = summary(&[&line]);
    assert_eq!(summary.refused[0].request.as_deref(), Some("POST /"));
}

#[test]
fn a_client_that_waits_to_be_asked_for_credentials_was_not_refused() {
    let summary = summary(&[&DENIED.replace("dest_not_listed", "proxy_auth_required")]);
    assert_eq!((summary.flows, summary.unauthenticated, summary.has_refusals()), (0, 1, false));
}

#[test]
fn findings_are_told_unless_a_credential_went_home() {
    let findings = r#""findings":[{"rule":"github-pat","surface":"header","place":"authorization","disposition":"blocked"},
        {"rule":"github-pat","surface":"body","disposition":"credential_used"}],"bytes""#;
    let summary = summary(&[&ALLOWED.replace("\"bytes\"", findings)]);
    let [found] = &summary.findings[..] else { panic!("{:?}", summary.findings) };
    assert_eq!(
        (found.rule.as_str(), found.place.as_str(), found.host.as_str()),
        ("github-pat", "header authorization", "a.example")
    );
}

#[test]
fn a_flood_of_kinds_is_bounded_and_what_is_left_out_is_counted() {
    let mut summary = Summary::default();
    for index in 0..KINDS + 7 {
        summary.add(&DENIED.replace("b.example", &format!("h{index}")));
    }
    assert_eq!((summary.refused.len(), summary.missed, summary.flows), (KINDS, 7, KINDS as u64 + 7));
}

#[test]
fn what_is_no_record_does_not_count() {
    let summary = summary(&["", "{}", "nonsense", r#"{"note":"repaired"}"#, "{\"verdict\":7}"]);
    assert_eq!(summary.flows, 0);
}
