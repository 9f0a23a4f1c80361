//! Findings as text, JSON lines and SARIF.

use super::Found;
use crate::secrets::{Disposition, Finding, Severity};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Whether a finding is more than a credential on its way home.
pub(super) fn is_harmful(finding: &Finding) -> bool {
    finding.disposition != Disposition::CredentialUsed
}

pub(super) fn text(out: &mut dyn Write, found: &[Found]) -> io::Result<()> {
    for Found { path, line, finding } in found {
        let path: String = path.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let decoded =
            if finding.decoded.is_empty() { String::new() } else { format!(", in {}", finding.decoded.join(" in ")) };
        let home = if is_harmful(finding) { "" } else { ", at home" };
        let Finding { rule, severity, offset, length, fingerprint, .. } = finding;
        let severity = severity_name(*severity);
        writeln!(out, "{path}:{line}: {rule} ({severity}), {length} bytes at {offset}{decoded}{home} [{fingerprint}]")?;
    }
    Ok(())
}

pub(super) fn json(out: &mut dyn Write, found: &[Found]) -> anyhow::Result<()> {
    for Found { path, line, finding } in found {
        let mut value = serde_json::to_value(finding)?;
        if let Value::Object(members) = &mut value {
            members.insert("path".into(), path.as_str().into());
            members.insert("line".into(), (*line).into());
        }
        writeln!(out, "{value}")?;
    }
    Ok(())
}

pub(super) fn sarif(out: &mut dyn Write, found: &[Found]) -> anyhow::Result<()> {
    let harmful = || found.iter().filter(|found| is_harmful(&found.finding));
    let mut rules: Vec<&str> = harmful().map(|found| &*found.finding.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let result = |Found { path, line, finding }: &Found| {
        json!({
            "ruleId": finding.rule,
            "level": match finding.severity { Severity::Low => "note", Severity::Medium => "warning", _ => "error" },
            "message": {"text": format!("This looks like a credential ({}).", finding.rule)},
            "partialFingerprints": {"exeat/v1": finding.fingerprint.to_string()},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": path},
                "region": {"startLine": line, "byteOffset": finding.offset, "byteLength": finding.length},
            }}],
        })
    };
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "exeat",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|id| json!({"id": id})).collect::<Vec<_>>(),
            }},
            "results": harmful().map(result).collect::<Vec<_>>(),
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)?;
    Ok(())
}

const fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
