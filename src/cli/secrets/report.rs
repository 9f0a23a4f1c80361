//! Findings as text, JSON lines and SARIF. None of them holds a secret or anything that could be tried against one.

use super::scan::Found;
use crate::secrets::{Disposition, Finding, Severity};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

/// What a path in a URI reference keeps (RFC 3986 §3.3).
const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether a finding is more than a credential on its way home.
pub(super) fn is_harmful(finding: &Finding) -> bool {
    finding.disposition != Disposition::CredentialUsed
}

pub(super) fn text(out: &mut dyn Write, found: &[Found]) -> io::Result<()> {
    for Found { path, place, finding } in found {
        let path: String = path.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let place = place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        let decoded =
            if finding.decoded.is_empty() { String::new() } else { format!(", in {}", finding.decoded.join(" in ")) };
        let home = if is_harmful(finding) { "" } else { ", at home" };
        let Finding { rule, severity, offset, length, fingerprint, .. } = finding;
        let severity = severity_name(*severity);
        writeln!(out, "{path}{place}: {rule} ({severity}), {length} bytes at {offset}{decoded}{home} [{fingerprint}]")?;
    }
    Ok(())
}

pub(super) fn json(out: &mut dyn Write, found: &[Found]) -> anyhow::Result<()> {
    for Found { path, place, finding } in found {
        let mut value = serde_json::to_value(finding)?;
        if let Value::Object(members) = &mut value {
            members.insert("path".into(), path.as_str().into());
            members.insert("line".into(), json!(place.map(|(line, _)| line)));
            members.insert("column".into(), json!(place.map(|(_, column)| column)));
        }
        writeln!(out, "{value}")?;
    }
    Ok(())
}

pub(super) fn sarif(out: &mut dyn Write, found: &[Found]) -> anyhow::Result<()> {
    let harmful: Vec<&Found> = found.iter().filter(|found| is_harmful(&found.finding)).collect();
    let mut rules: BTreeMap<&str, Severity> = BTreeMap::new();
    for Found { finding, .. } in &harmful {
        rules.insert(&finding.rule, finding.severity);
    }
    let order: HashMap<&str, usize> = rules.keys().copied().zip(0..).collect();
    let mut seen: HashMap<(&str, &str), u32> = HashMap::new();
    let results: Vec<Value> = harmful
        .iter()
        .map(|found| {
            let number = seen.entry((&found.path, &found.finding.rule)).or_default();
            *number += 1;
            result(found, order.get(&*found.finding.rule).copied().unwrap_or_default(), *number)
        })
        .collect();
    let descriptor = |(id, severity): (&&str, &Severity)| {
        json!({
            "id": id,
            "shortDescription": {"text": format!("Something that looks like a credential: {id}")},
            "defaultConfiguration": {"level": level(*severity)},
            "properties": {"security-severity": score(*severity), "tags": ["security", "secret"]},
        })
    };
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "exeat",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(descriptor).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)?;
    Ok(())
}

fn result(Found { path, place, finding }: &Found, rule: usize, number: u32) -> Value {
    let mut region = json!({"byteOffset": finding.offset});
    // What was decoded has a length of its own, not the file's.
    if finding.decoded.is_empty() {
        region["byteLength"] = finding.length.into();
    }
    if let Some((line, column)) = place {
        region["startLine"] = (*line).into();
        region["startColumn"] = (*column).into();
    }
    let decoded =
        if finding.decoded.is_empty() { String::new() } else { format!(", in {}", finding.decoded.join(" in ")) };
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": level(finding.severity),
        "message": {"text": format!("This looks like a credential ({}{decoded}).", finding.rule)},
        "partialFingerprints": {"exeat/v1": place_fingerprint(path, &finding.rule, number)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri(path)}, "region": region}}],
    })
}

/// The same for the same finding in every run, and nothing that a guess at the secret could be checked by: the rule,
/// the file, and which one of that rule in it.
fn place_fingerprint(path: &str, rule: &str, number: u32) -> String {
    let hash = digest(&SHA256, format!("{rule}\0{path}\0{number}").as_bytes());
    data_encoding::HEXLOWER.encode(hash.as_ref().get(..16).unwrap_or_default())
}

fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let encoded = percent_encoding::utf8_percent_encode(path, PATH);
    if Path::new(path).is_absolute() { format!("file://{encoded}") } else { encoded.to_string() }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// As code hosts rank them.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "3.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

const fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
