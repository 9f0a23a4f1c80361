//! What the verbs print.

use crate::sandbox::REPLACES_ROOTS;
use crate::telemetry::escape;
use jiff::Timestamp;
use serde_json::Value;
use std::borrow::Cow;
use std::io::{self, Write};

/// JSON in one line.
pub(super) fn json(out: &mut impl Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value}")
}

/// Lines for a shell, to be pasted or evaluated.
pub(super) fn exports(out: &mut impl Write, made: &Value) -> io::Result<()> {
    let (id, policy) = (text(&made["id"]), text(&made["policy"]));
    writeln!(
        out,
        "# session {id}, policy {policy}, until {}; its token is shown this once",
        time(&made["expires_at"])
    )?;
    let ca_bundle = made["ca_bundle"].as_str();
    if ca_bundle.is_none() {
        writeln!(out, "# the gateway does not say where its CA certificates are: see `exeat ca env`")?;
    }
    for (name, value) in variables(made["proxy_url"].as_str().unwrap_or_default(), ca_bundle) {
        writeln!(out, "export {name}={}", quoted(value))?;
    }
    Ok(())
}

/// A table, a session a line.
pub(super) fn list(out: &mut impl Write, listed: &Value) -> io::Result<()> {
    let sessions = listed["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if sessions.is_empty() {
        return writeln!(out, "no live sessions");
    }
    let header = ["SESSION", "POLICY", "UNTIL", "OPEN", "LABELS", "TASK"].map(Cow::Borrowed);
    let rows = sessions.iter().map(|session| {
        let connections = session["connections"].to_string();
        [
            text(&session["id"]),
            text(&session["policy"]),
            time(&session["expires_at"]),
            connections.into(),
            labels(&session["labels"]),
            text(&session["task"]),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        line.push_str(&row[5]);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A property a line.
pub(super) fn show(out: &mut impl Write, session: &Value) -> io::Result<()> {
    for (name, value) in [
        ("session", text(&session["id"])),
        ("policy", text(&session["policy"])),
        ("task", text(&session["task"])),
        ("labels", labels(&session["labels"])),
        ("made", time(&session["created_at"])),
        ("until", time(&session["expires_at"])),
        ("origin", text(&session["origin"])),
        ("open", session["connections"].to_string().into()),
        ("sent up", format!("{} bytes", session["uploaded"]).into()),
        ("known", known(session).into()),
    ] {
        writeln!(out, "{}", format!("{name:8} {value}").trim_end())?;
    }
    Ok(())
}

/// How many secrets are registered, and what to do where they are gone.
fn known(session: &Value) -> String {
    match (session["known_lost"].as_bool(), session["known"].as_u64()) {
        (Some(true), _) => "lost at a restart, so that requests are refused: exeat session known".to_owned(),
        (_, count) => format!("{} secrets", count.unwrap_or(0)),
    }
}

/// The variables by which common clients find the gateway and trust its CA.
fn variables<'a>(proxy_url: &'a str, ca_bundle: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    // In both cases: curl reads http_proxy in lower case only, others the other way round.
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map(|name| (name, proxy_url));
    // Emptied: an exception would lead past the gateway.
    let exceptions = ["NO_PROXY", "no_proxy"].map(|name| (name, ""));
    let mut all: Vec<_> = proxies.into_iter().chain(exceptions).collect();
    all.push(("NODE_USE_ENV_PROXY", "1"));
    // Otherwise git asks without credentials first, and leaves a refusal in the journal each time.
    all.push(("GIT_HTTP_PROXY_AUTHMETHOD", "basic"));
    if let Some(bundle) = ca_bundle {
        all.extend(REPLACES_ROOTS.map(|name| (name, bundle)));
    }
    all
}

/// A word of a POSIX shell that means the text, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn text(value: &Value) -> Cow<'_, str> {
    escape(value.as_str().unwrap_or_default())
}

fn time(value: &Value) -> Cow<'_, str> {
    match value.as_str() {
        None => "it is revoked".into(),
        Some(text) => match text.parse::<Timestamp>() {
            Ok(time) => time.strftime("%Y-%m-%d %H:%M:%SZ").to_string().into(),
            Err(_) => escape(text),
        },
    }
}

fn labels(value: &Value) -> Cow<'_, str> {
    let pairs = value.as_object().into_iter().flatten();
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("{}={}", escape(key), text(value))).collect();
    pairs.join(",").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::process::Command;

    fn printed(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_lines_mean_to_a_shell_what_they_say() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = "/it's a \"folder\"/$HOME `id` \\ \n;touch marker;/bundle.pem";
        let made = json!({
            "id": "s-1", "policy": "agent\n touch marker", "expires_at": "2026-11-22T14:00:00.5Z",
            "proxy_url": "http://s-1:token@127.0.0.1:3128", "ca_bundle": bundle,
        });
        let script = printed(|out| exports(out, &made)) + "env -0";
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&script).env_clear().env("NO_PROXY", "evil.test").env("PATH", "/usr/bin:/bin");
        let output = shell.current_dir(folder.path()).output().unwrap();
        let environment = String::from_utf8(output.stdout).unwrap();
        let value = |name: &str| {
            let found = environment.split('\0').find_map(|line| line.strip_prefix(&format!("{name}=")));
            found.unwrap_or_else(|| panic!("{name} is not set")).to_owned()
        };
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            assert_eq!(value(name), "http://s-1:token@127.0.0.1:3128");
        }
        assert_eq!((value("NO_PROXY"), value("no_proxy")), (String::new(), String::new()));
        for name in REPLACES_ROOTS {
            assert_eq!(value(name), bundle);
        }
        assert!(!folder.path().join("marker").exists());
        assert!(script.starts_with("# session s-1, policy agent\\u000a touch marker, until 2026-11-22 14:00:00Z; "));
    }

    #[test]
    fn without_a_bundle_no_ca_variable_is_set() {
        let made = json!({"id": "s-1", "policy": "agent", "expires_at": null, "proxy_url": "http://x"});
        let text = printed(|out| exports(out, &made));
        assert!(text.contains("exeat ca env") && !text.contains("SSL_CERT_FILE"), "{text}");
        assert!(text.contains("until it is revoked"), "{text}");
    }

    #[test]
    fn a_list_is_a_table_without_escape_sequences() {
        let listed = json!({"sessions": [
            {"id": "dev", "policy": "agent", "expires_at": null, "connections": 0, "labels": {}, "task": null},
            {"id": "s-0ttemgvefz", "policy": "ro", "expires_at": "2026-11-22T14:00:00Z", "connections": 12,
             "labels": {"a": "1", "b": "2"}, "task": "x\u{1b}[2Jy"},
        ]});
        assert_eq!(
            printed(|out| list(out, &listed)),
            "SESSION       POLICY  UNTIL                 OPEN  LABELS   TASK\n\
             dev           agent   it is revoked         0\n\
             s-0ttemgvefz  ro      2026-11-22 14:00:00Z  12    a=1,b=2  x\\u001b[2Jy\n"
        );
        assert_eq!(printed(|out| list(out, &json!({"sessions": []}))), "no live sessions\n");
    }
}
