//! A record as one line for a person.

use serde_json::Value;
use std::fmt::Write as _;

/// The text with everything but printable ASCII escaped: what a terminal obeys or shows in another order than
/// it stands (controls, bidi overrides) never reaches it, and a look-alike letter shows.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// One record: time, verdict, session, method, destination, status, bytes, why.
pub(super) fn line(line: &str, colour: bool) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(record) if record["kind"] == "note" => note(&record),
        Ok(record) if record["verdict"].is_string() => flow(&record, colour),
        _ => format!("(no record) {}", printable(&line.chars().take(200).collect::<String>())),
    }
}

fn flow(record: &Value, colour: bool) -> String {
    let mut out = time(record);
    let verdict = text(&record["verdict"]);
    let (on, off) = if colour { (colour_of(&verdict), "\x1b[0m") } else { ("", "") };
    let _ = write!(out, "  {on}{verdict:<8}{off}  {}", or_dash(&record["session"]["id"]));
    let _ = write!(out, "  {}  {}", or_dash(&record["target"]["method"]), destination(&record["target"]));
    let _ = write!(out, "  {}  {}", or_dash(&record["status"]), bytes(&record["bytes"]));
    for key in ["reason", "rule"] {
        if !record[key].is_null() {
            let _ = write!(out, "  {}", text(&record[key]));
        }
    }
    for finding in record["findings"].as_array().into_iter().flatten() {
        let _ = write!(out, "  [{} in {}", text(&finding["rule"]), text(&finding["surface"]));
        if !finding["place"].is_null() {
            let _ = write!(out, " {}", text(&finding["place"]));
        }
        let _ = write!(out, ", {}]", text(&finding["disposition"]));
    }
    if !record["error"].is_null() {
        let _ = write!(out, "  ({})", text(&record["error"]));
    }
    out
}

fn note(record: &Value) -> String {
    let mut out = time(record);
    let _ = write!(out, "  note      {}: {} bytes", text(&record["note"]), text(&record["dropped_bytes"]));
    out
}

/// `2026-11-22 13:28:00Z` of `2026-11-22T13:28:00.123456Z`.
fn time(record: &Value) -> String {
    let ts = text(&record["ts"]);
    match (ts.get(..10), ts.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time}Z"),
        _ => ts,
    }
}

fn destination(target: &Value) -> String {
    if target["host"].is_null() {
        return "-".into();
    }
    let host = text(&target["host"]);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let path = if target["path"].is_null() { String::new() } else { text(&target["path"]) };
    format!("{host}:{}{path}", text(&target["port"]))
}

fn bytes(bytes: &Value) -> String {
    let size = |key: &str| size(bytes[key].as_u64().unwrap_or(0));
    format!("{} up  {} down", size("up"), size("down"))
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{}{name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes}B"),
    }
}

fn or_dash(value: &Value) -> String {
    if value.is_null() { "-".into() } else { text(value) }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        value => printable(&value.to_string()),
    }
}

fn colour_of(verdict: &str) -> &'static str {
    match verdict {
        "allowed" => "\x1b[32m",
        "observed" => "\x1b[33m",
        "denied" => "\x1b[1;31m",
        _ => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn denied() -> Value {
        json!({
            "schema": 1, "seq": 7, "ts": "2026-11-22T13:28:00.123456Z", "session": {"id": "s1"},
            "target": {"scheme": "https", "host": "evil.test", "port": 443, "method": "GET", "path": "/x?token=*"},
            "verdict": "denied", "reason": "secret_in_request", "rule": "agent.secrets", "status": 403,
            "findings": [{"rule": "github-pat", "surface": "header", "place": "authorization", "disposition": "blocked"}],
            "bytes": {"up": 10, "down": 1_300_000}, "error": "a token",
        })
    }

    #[test]
    fn a_record_is_one_line() {
        assert_eq!(
            line(&denied().to_string(), false),
            "2026-11-22 13:28:00Z  denied    s1  GET  evil.test:443/x?token=*  403  10B up  1.2MiB down  \
             secret_in_request  agent.secrets  [github-pat in header authorization, blocked]  (a token)"
        );
        let sparse = json!({"ts": "2026-11-22T13:28:00.123456Z", "verdict": "failed", "reason": "client_closed"});
        assert_eq!(
            line(&sparse.to_string(), false),
            "2026-11-22 13:28:00Z  failed    -  -  -  -  0B up  0B down  client_closed"
        );
    }

    #[test]
    fn colour_is_the_verdicts_only() {
        let shown = line(&denied().to_string(), true);
        assert!(shown.contains("\x1b[1;31mdenied  \x1b[0m"), "{shown:?}");
        assert_eq!(shown.matches('\x1b').count(), 2);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let hostile = "\u{1b}[2J\u{202e}\u{7f}\u{9b}\u{200b}\r\n";
        let mut record = denied();
        record["session"]["id"] = hostile.into();
        record["target"]["path"] = hostile.into();
        record["target"]["port"] = json!([hostile]);
        record["verdict"] = hostile.into();
        record["ts"] = "2026-11-22T13:28:0\u{1b}é".into();
        record["findings"][0]["place"] = hostile.into();
        record["error"] = hostile.into();
        let note = json!({"kind": "note", "ts": hostile, "note": hostile, "dropped_bytes": {hostile: 1}});
        for text in [record.to_string(), note.to_string(), hostile.to_owned(), format!("\"{hostile}")] {
            let shown = line(&text, false);
            assert!(shown.bytes().all(|byte| matches!(byte, 0x20..=0x7e)), "{shown:?}");
        }
    }

    #[test]
    fn a_note_says_what_was_cut() {
        let note = json!({"ts": "2026-11-22T13:28:00.123456Z", "kind": "note", "note": "cut_line", "dropped_bytes": 9});
        assert_eq!(line(&note.to_string(), false), "2026-11-22 13:28:00Z  note      cut_line: 9 bytes");
    }
}
