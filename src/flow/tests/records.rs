use super::*;
use crate::net::{Authority, Target};
use crate::net::{Path as TargetPath, Scheme};
use crate::reason::{Denial, Reason};
use crate::secrets::{Disposition, Finding, Fingerprint, Severity, Surface};
use http::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn target(path: &str) -> Target {
    Target {
        scheme: Scheme::Https,
        authority: Authority::parse(b"api.example.com:443").unwrap(),
        method: Method::GET,
        path: TargetPath::parse(path.as_bytes()).unwrap(),
    }
}

fn finding(rule: &str) -> Finding {
    Finding {
        rule: rule.into(),
        severity: Severity::High,
        surface: Surface::Header,
        place: Some("authorization".into()),
        offset: 7,
        length: 40,
        decoded: Vec::new(),
        fingerprint: Fingerprint([1; 8]),
        disposition: Disposition::Blocked,
    }
}

/// The one record that `record` leaves.
async fn only_record(record: impl AsyncFnOnce(&Journal)) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    record(&journal).await;
    journal.close().await.unwrap();
    verified(directory.path());
    let mut found = records(directory.path());
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn a_record_holds_everything_that_is_known() {
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        flow.parent(FlowId::at(jiff::Timestamp::now()));
        flow.session(Arc::new(SessionInfo::new(
            "s1".into(),
            "agent".into(),
            "0123456789abcdef".into(),
            Some("fix the build".into()),
            [("team".into(), "core".into())].into(),
        )));
        flow.target(&target("/repos/x?token=abc"), as_is);
        flow.rule("agent.allow[0]".into());
        flow.mark(Phase::Decide);
        flow.mark(Phase::Dns);
        flow.took(Phase::Connect, Duration::from_millis(3));
        flow.upstream("192.0.2.1:443".parse().unwrap());
        flow.upstream_tls(UpstreamTls {
            version: Some("TLSv1.3".into()),
            alpn: Some("http/1.1".into()),
            sni: Some("api.example.com".into()),
        });
        flow.mode(Mode::Forward);
        flow.status(200);
        flow.add_up(10);
        flow.add_down(20);
        flow.findings(vec![finding("github-pat")]);
        flow.finish();
    })
    .await;
    assert_eq!(record["schema"], 1);
    assert_eq!(record["seq"], 1);
    assert_eq!(record["verdict"], "allowed");
    assert_eq!(record["flow"].as_str().unwrap().len(), 36);
    assert_eq!(record["parent"].as_str().unwrap().len(), 36);
    assert_eq!(record["session"]["labels"]["team"], "core");
    assert_eq!(
        record["target"],
        json!({"scheme": "https", "host": "api.example.com", "port": 443, "method": "GET", "path": "/repos/x?token=*"})
    );
    assert_eq!(record["upstream"]["address"], "192.0.2.1:443");
    assert_eq!(record["upstream"]["tls"]["version"], "TLSv1.3");
    assert_eq!(record["mode"], "forward");
    assert_eq!(record["rule"], "agent.allow[0]");
    assert_eq!(record["bytes"], json!({"up": 10, "down": 20}));
    assert_eq!(record["timing"]["connect"], 3_000);
    assert!(record["timing"]["total"].as_u64().is_some());
    assert_eq!(record["findings"][0]["fingerprint"], "0101010101010101");
    assert_eq!(record["downstream"]["address"], "127.0.0.1:50000");
    let ts = record["ts"].as_str().unwrap();
    assert!(ts.ends_with('Z') && ts.len() == "2026-11-22T13:28:00.123456Z".len(), "{ts}");
    assert!(record["mono"].as_u64().is_some());
}

#[tokio::test]
async fn what_is_not_known_is_left_out() {
    let record = only_record(async |journal| recorder(journal).finish()).await;
    let mut names: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["bytes", "downstream", "flow", "hash", "mono", "prev", "schema", "seq", "timing", "ts", "verdict"]
    );
}

#[tokio::test]
async fn a_refusal_has_its_reason_rule_and_sentence() {
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        flow.tunnel(&Authority::parse(b"evil.test:443").unwrap(), as_is);
        flow.denied(&Denial::new(Reason::DestinationDenied).by_rule("agent.deny[0]").because("evil.test is denied"));
        flow.status(403);
        flow.finish_durable().await.unwrap();
    })
    .await;
    assert_eq!(record["verdict"], "denied");
    assert_eq!(record["reason"], "dest_denied");
    assert_eq!(record["rule"], "agent.deny[0]");
    assert_eq!(record["error"], "evil.test is denied");
    assert_eq!(record["target"], json!({"host": "evil.test", "port": 443, "method": "CONNECT"}));
}

#[tokio::test]
async fn a_failure_of_the_way_is_no_denial() {
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        flow.observed(&Denial::new(Reason::DestinationNotListed));
        flow.denied(&Denial::new(Reason::DnsTimeout));
        flow.finish();
    })
    .await;
    assert_eq!((&record["verdict"], &record["reason"]), (&json!("failed"), &json!("dns_timeout")));
}

#[tokio::test]
async fn an_observed_denial_is_told_and_never_hides_a_real_one() {
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        flow.rule("agent.allow[0]".into());
        flow.observed(&Denial::new(Reason::DestinationNotListed));
        flow.finish();
    })
    .await;
    assert_eq!((&record["verdict"], &record["reason"]), (&json!("observed"), &json!("dest_not_listed")));
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        flow.denied(&Denial::new(Reason::AddressForbidden));
        flow.observed(&Denial::new(Reason::DestinationNotListed));
        flow.finish();
    })
    .await;
    assert_eq!((&record["verdict"], &record["reason"]), (&json!("denied"), &json!("dest_address_forbidden")));
}

#[tokio::test]
async fn a_cancelled_flow_is_recorded_as_left_by_the_client() {
    let record = only_record(async |journal| {
        let journal = journal.clone();
        let (began, begins) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut flow = recorder(&journal);
            flow.observed(&Denial::new(Reason::DestinationNotListed));
            began.send(()).unwrap();
            std::future::pending::<()>().await;
            flow.finish();
        });
        begins.await.unwrap();
        task.abort();
        task.await.unwrap_err();
    })
    .await;
    assert_eq!((&record["verdict"], &record["reason"]), (&json!("failed"), &json!("client_closed")));
}

#[tokio::test]
async fn a_flow_that_panics_is_recorded_as_an_internal_error() {
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        let task = tokio::spawn(async move {
            flow.denied(&Denial::new(Reason::DestinationDenied));
            panic!("injected");
        });
        assert!(task.await.unwrap_err().is_panic());
    })
    .await;
    assert_eq!((&record["verdict"], &record["reason"]), (&json!("failed"), &json!("internal_error")));
}

#[tokio::test]
async fn a_verdict_given_before_the_task_was_cancelled_stays() {
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        flow.denied(&Denial::new(Reason::SecretInRequest));
        drop(flow);
    })
    .await;
    assert_eq!((&record["verdict"], &record["reason"]), (&json!("denied"), &json!("secret_in_request")));
}

#[tokio::test]
async fn a_cancelled_wait_leaves_one_record() {
    only_record(async |journal| {
        let mut waiting = Box::pin(recorder(journal).finish_durable());
        tokio::select! {
            biased;
            _ = &mut waiting => {}
            () = std::future::ready(()) => {}
        }
    })
    .await;
}

#[tokio::test]
async fn long_fields_are_cut_and_the_record_stays() {
    let long = "x".repeat(60_000);
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        flow.target(&target(&format!("/{long}")), as_is);
        flow.error(&long);
        flow.findings((0..100).map(|_| finding(&long)).collect());
        flow.session(Arc::new(SessionInfo::new(
            "s".into(),
            "p".into(),
            "h".into(),
            Some(long.as_str().into()),
            (0..100).map(|n| (Arc::from(n.to_string()), Arc::from(long.as_str()))).collect(),
        )));
        flow.finish();
    })
    .await;
    assert_eq!(record["truncated"], true);
    assert_eq!(record["target"]["path"].as_str().unwrap().len(), 8 << 10);
    assert_eq!(record["error"].as_str().unwrap().len(), 8 << 10);
    assert_eq!(record["session"]["task"].as_str().unwrap().len(), 8 << 10);
    assert_eq!(record["session"]["labels"].as_object().unwrap().len(), 64);
    assert_eq!(record["findings"].as_array().unwrap().len(), 64);
    assert_eq!(record["findings"][0]["rule"].as_str().unwrap().len(), 256);
}

#[tokio::test]
async fn the_redaction_reaches_host_method_path_and_query() {
    let record = only_record(async |journal| {
        let mut flow = recorder(journal);
        let mut target = target("/a/sekret/b?sekret=1&x=sekret&sekret");
        target.authority = Authority::parse(b"sekret.example.com:443").unwrap();
        target.method = Method::from_bytes(b"sekret").unwrap();
        flow.target(&target, |_, text| Cow::Owned(text.replace("sekret", "[gone]")));
        flow.finish();
    })
    .await;
    assert!(!record.to_string().contains("sekret"), "{record}");
    assert_eq!(record["target"]["path"], "/a/[gone]/b?[gone]=*&x=*&*");
}

#[tokio::test]
async fn records_are_numbered_in_the_order_of_their_end_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let journal = open(directory.path());
        write_records(&journal, 5).await;
        journal.close().await.unwrap();
    }
    let seqs: Vec<_> = records(directory.path()).iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=15).collect::<Vec<_>>());
    assert_eq!(verified(directory.path()).records, 15);
}

#[tokio::test]
async fn a_feed_tells_the_lines_of_the_file_and_ends_with_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut feed = journal.feed();
    write_records(&journal, 3).await;
    journal.close().await.unwrap();
    let mut told = String::new();
    while let Some(News::Record(line)) = feed.next().await {
        told.push_str(&line);
        told.push('\n');
    }
    assert_eq!(told, fs::read_to_string(directory.path().join(LIVE_FILE)).unwrap());
}

#[tokio::test]
async fn a_feed_that_falls_behind_is_told_how_many_it_missed() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut feed = journal.feed();
    for _ in 0..feed::BACKLOG + 10 {
        journal.ready().await.unwrap();
        recorder(&journal).finish();
    }
    journal.close().await.unwrap();
    assert_eq!(feed.next().await, Some(News::Missed(10)));
    let Some(News::Record(line)) = feed.next().await else { panic!("no record") };
    assert!(line.starts_with(r#"{"schema":1,"seq":11,"#), "{line}");
}

#[tokio::test]
async fn a_closed_journal_opens_no_recorder() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let late = recorder(&journal);
    journal.close().await.unwrap();
    assert_eq!(Recorder::open(&journal, downstream()).unwrap_err(), Unavailable::Closed);
    assert_eq!(late.finish_durable().await, Err(Unavailable::Closed));
    journal.broken().await;
    assert_eq!(verified(directory.path()).records, 0);
}

#[tokio::test]
async fn durability_each_writes_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(Settings { durability: Durability::Each, ..settings(directory.path()) }).unwrap();
    write_records(&journal, 3).await;
    assert_eq!(records(directory.path()).len(), 3, "written before the answer");
    journal.close().await.unwrap();
    assert_eq!(verified(directory.path()).records, 3);
}
