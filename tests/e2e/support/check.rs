//! What every refusal must look like (design.md §5), checked in one place.

use super::message::Response;
use exeat::reason::Reason;
use serde_json::Value;

/// The problem document of a refusal, with everything checked that holds for all of them.
#[track_caller]
pub fn problem(response: &Response) -> Value {
    assert_eq!(response.field("content-type"), Some("application/problem+json"), "{response:?}");
    let problem: Value = serde_json::from_slice(&response.body).unwrap_or_else(|e| panic!("{e}: {}", response.text()));
    let code = problem["reason"].as_str().unwrap_or_else(|| panic!("no reason: {problem}"));
    let reason = reason(code);
    assert_eq!(response.status, reason.status(), "{problem}");
    assert_eq!(problem["status"], reason.status(), "{problem}");
    for key in ["type", "title", "detail"] {
        assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "no {key}: {problem}");
    }
    // What can't be recorded has no flow.
    let recorded = problem["flow"].as_str().is_some_and(|flow| flow.len() == 36);
    assert!(recorded || code == "log_unavailable", "no flow: {problem}");
    let proxy_status = response.all("proxy-status");
    assert_eq!(proxy_status.len(), 1, "{response:?}");
    let start = format!("exeat; error={}", reason.proxy_error());
    assert!(proxy_status[0].starts_with(&start), "{proxy_status:?} does not start with {start}");
    if response.status == 407 {
        assert!(response.field("proxy-authenticate").is_some_and(|scheme| scheme.contains("Basic")), "{response:?}");
    }
    problem
}

/// The reason behind a stable code.
#[track_caller]
pub fn reason(code: &str) -> Reason {
    *Reason::ALL.iter().find(|reason| reason.code() == code).unwrap_or_else(|| panic!("no such reason: {code}"))
}

/// A refusal with this reason; gives its problem document.
#[track_caller]
pub fn assert_refused(response: &Response, code: &str) -> Value {
    assert!(response.status >= 400, "not refused: {} {}", response.status, response.text());
    let problem = problem(response);
    assert_eq!(problem["reason"], code, "{problem}");
    problem
}

/// A refusal with one of these reasons.
#[track_caller]
pub fn assert_refused_with(response: &Response, codes: &[&str]) -> Value {
    let problem = problem(response);
    assert!(codes.contains(&problem["reason"].as_str().unwrap_or_default()), "none of {codes:?}: {problem}");
    problem
}

/// The same for failures of the way: the word reads better in tests of faults.
#[track_caller]
pub fn assert_failed(response: &Response, code: &str) -> Value {
    assert_refused(response, code)
}
