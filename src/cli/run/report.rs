//! The summary as a person reads it on stderr.

use super::summary::{Found, Refusal, Summary};
use crate::reason::Reason;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// Lines of one kind that are shown; the journal has them all.
const SHOWN: usize = 20;

/// A summary and where the rest is. Printable ASCII only, whatever the records hold (terminal escapes).
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) summary: &'a Summary,
    pub(super) journal: &'a Path,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        if summary.flows + summary.unauthenticated + summary.missed == 0 {
            return writeln!(f, "exeat: nothing went through the gateway");
        }
        let (flows, hosts) = (summary.flows, summary.reached.len());
        write!(f, "exeat: {} to {}", plural(flows, "flow"), plural(hosts as u64, "host"))?;
        write!(f, ", {} up, {} down", Size(summary.bytes.up), Size(summary.bytes.down))?;
        for (kinds, word) in
            [(&summary.refused, "refused"), (&summary.observed, "observed"), (&summary.failed, "failed")]
        {
            let count: u64 = kinds.iter().map(|kind| kind.count).sum();
            if count > 0 {
                write!(f, ", {count} {word}")?;
            }
        }
        writeln!(f)?;
        section(f, "refused", &summary.refused, write_refusal)?;
        section(f, "let through in observe mode, would be refused", &summary.observed, write_refusal)?;
        section(f, "failed", &summary.failed, write_refusal)?;
        section(f, "secrets", &summary.findings, write_finding)?;
        self.write_allow(f)?;
        if summary.unauthenticated > 0 {
            let requests = plural(summary.unauthenticated, "request");
            writeln!(
                f,
                "exeat: {requests} came without the session's token: from clients that wait to be asked, or have none"
            )?;
        }
        if summary.missed > 0 {
            writeln!(f, "exeat: {} not counted here, see the journal", plural(summary.missed, "record"))?;
        }
        let journal = self.journal.display().to_string();
        writeln!(f, "exeat: journal: exeat flows tail --journal {}", Plain(&journal))
    }
}

impl Report<'_> {
    /// One line to paste that lifts all refusals that a list of hosts can lift.
    fn write_allow(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let refused = self.summary.refused.iter().chain(&self.summary.observed);
        let mut allows: Vec<&str> = refused.filter_map(|refusal| refusal.allow.as_deref()).collect();
        allows.sort_unstable();
        allows.dedup();
        if allows.is_empty() {
            return Ok(());
        }
        write!(f, "exeat: to allow what is not listed, if it should be: exeat run")?;
        for allow in allows.iter().take(SHOWN) {
            write!(f, " --allow {}", Plain(allow))?;
        }
        writeln!(f, " -- ...")
    }
}

fn section<T>(
    f: &mut Formatter<'_>,
    title: &str,
    kinds: &[T],
    write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if kinds.is_empty() {
        return Ok(());
    }
    writeln!(f, "exeat: {title}:")?;
    for kind in kinds.iter().take(SHOWN) {
        write(f, kind)?;
    }
    match kinds.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more kinds"),
    }
}

fn write_refusal(f: &mut Formatter<'_>, refusal: &Refusal) -> fmt::Result {
    write!(f, "  {}x {}", refusal.count, Plain(&refusal.reason))?;
    if !refusal.place.is_empty() {
        write!(f, " {}", Plain(&refusal.place))?;
    }
    if let Some(request) = &refusal.request {
        write!(f, " {}", Plain(request))?;
    }
    if let Some(rule) = &refusal.rule {
        write!(f, " (rule {})", Plain(rule))?;
    }
    writeln!(f)?;
    let Some(reason) = Reason::ALL.iter().find(|reason| reason.code() == refusal.reason) else { return Ok(()) };
    match (&refusal.allow, reason) {
        (Some(allow), _) => writeln!(f, "     {} Allow it with --allow {}", reason.sentence(), Plain(allow)),
        (None, Reason::SecretInRequest) => writeln!(f, "     {} See below which.", reason.sentence()),
        _ => writeln!(f, "     {} {}", reason.sentence(), reason.hint()),
    }
}

fn write_finding(f: &mut Formatter<'_>, found: &Found) -> fmt::Result {
    write!(f, "  {}x {} in {}", found.count, Plain(&found.rule), Plain(&found.place))?;
    writeln!(f, " to {}: {}", Plain(&found.host), Plain(&found.disposition))?;
    if found.disposition != "blocked" {
        return Ok(());
    }
    if let Some(name) = found.rule.strip_prefix("known:") {
        return writeln!(f, "     If it belongs there, say so: --home {}={}", Plain(name), Plain(&found.host));
    }
    writeln!(
        f,
        "     If it belongs there, say so in the policy: secrets: {{permit: [{{rule: {}, hosts: [\"{}\"]}}]}}",
        Plain(&found.rule),
        Plain(&found.host)
    )
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// Text from outside, safe for a terminal: what is not printable ASCII is shown as `\u{…}`.
struct Plain<'a>(&'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            ' '..='~' => write!(f, "{char}"),
            _ => write!(f, "{}", char.escape_unicode()),
        })
    }
}

/// Bytes in the largest binary unit that leaves at least one.
struct Size(u64);

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut tenths = u128::from(self.0) * 10 / 1024;
        let mut unit = 0;
        while tenths >= 10_240 && unit + 1 < UNITS.len() {
            tenths /= 1024;
            unit += 1;
        }
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> String {
        let mut summary = Summary::default();
        lines.iter().for_each(|line| summary.add(line));
        summary.report(Path::new("/state/runs/1")).to_string()
    }

    #[test]
    fn a_run_without_refusals_is_told_in_two_lines() {
        let line = r#"{"verdict":"allowed","target":{"host":"a.example","port":443},"bytes":{"up":2048,"down":5}}"#;
        assert_eq!(
            report(&[line]),
            "exeat: 1 flow to 1 host, 2.0 KiB up, 5 B down\nexeat: journal: exeat flows tail --journal /state/runs/1\n"
        );
    }

    #[test]
    fn a_run_without_flows_is_told_in_one_line() {
        assert_eq!(report(&[]), "exeat: nothing went through the gateway\n");
    }

    #[test]
    fn requests_without_a_token_are_told_apart_from_refusals() {
        let report = report(&[r#"{"verdict":"denied","reason":"proxy_auth_required"}"#]);
        assert!(report.contains("exeat: 1 request came without the session's token"), "{report}");
    }

    #[test]
    fn each_refusal_is_told_with_what_would_lift_it() {
        let refused = |reason: &str, rest: &str| {
            format!(
                r#"{{"verdict":"denied","reason":"{reason}","target":{{"scheme":"https","host":"b.example","port":443,"method":"POST","path":"/x"}}{rest}}}"#
            )
        };
        let finding = r#","findings":[{"rule":"github-pat","surface":"body","disposition":"blocked"}]"#;
        let lines =
            [refused("dest_not_listed", ""), refused("request_not_listed", ""), refused("secret_in_request", finding)];
        let report = report(&lines.each_ref().map(String::as_str));
        assert_eq!(
            report,
            "exeat: 3 flows to 0 hosts, 0 B up, 0 B down, 3 refused\n\
             exeat: refused:\n\
             \x20 1x dest_not_listed b.example:443\n\
             \x20    The session's policy does not list this destination. Allow it with --allow b.example\n\
             \x20 1x request_not_listed b.example:443 POST /x\n\
             \x20    The policy lists this host, but not this method or path. A retry will not help. The operator can widen the \
             rule's methods or paths.\n\
             \x20 1x secret_in_request b.example:443\n\
             \x20    The request holds something that looks like a credential. See below which.\n\
             exeat: secrets:\n\
             \x20 1x github-pat in body to b.example: blocked\n\
             \x20    If it belongs there, say so in the policy: secrets: {permit: [{rule: github-pat, hosts: [\"b.example\"]}]}\n\
             exeat: to allow what is not listed, if it should be: exeat run --allow b.example -- ...\n\
             exeat: journal: exeat flows tail --journal /state/runs/1\n"
        );
    }

    #[test]
    fn nothing_from_a_record_reaches_the_terminal_as_an_escape() {
        let line = r#"{"verdict":"denied","reason":"\u001b[2J","rule":"\u202e","target":{"host":"\u001b]0;x\u0007","port":1}}"#;
        let report = report(&[line]);
        assert!(report.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{report}");
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let lines: Vec<_> = (0..25)
            .map(|n| format!(r#"{{"verdict":"denied","reason":"dest_denied","target":{{"host":"h{n}","port":1}}}}"#))
            .collect();
        let report = report(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(report.contains("  and 5 more kinds\n"), "{report}");
    }

    #[test]
    fn sizes_are_told_in_units_that_fit() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1 << 20, "1.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }
}
