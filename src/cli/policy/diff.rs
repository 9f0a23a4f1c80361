//! `exeat policy diff`: what requests another policy would let through, and which no longer.

use crate::config::{Config, Diagnostics, RUN_POLICY, Ruleset, RunOptions};
use crate::net::{Authority, HostPattern, Path, Scheme, Target};
use crate::policy::{Methods, Mode, Policy, Ports, Rule, TlsMode};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Tell what one policy lets through and another does not
///
/// Both are asked about requests to every host, port, method and path that either names, and to places beside them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy of now: a file, or a policy of the configuration.
    #[arg(value_name = "FILE|NAME")]
    from: String,
    /// The policy that is to take its place.
    #[arg(value_name = "FILE|NAME")]
    to: String,
    /// The configuration; left out: the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What both policies say to the requests of one place and path.
struct Cell {
    place: String,
    path: String,
    gained: Vec<String>,
    lost: Vec<String>,
}

/// Exit code 2 for policies that can't be read.
pub(super) fn run(out: &mut Vec<u8>, args: &Args) -> anyhow::Result<ExitCode> {
    let (from, to) = match (load(args, &args.from), load(args, &args.to)) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(errors), _) | (_, Err(errors)) => {
            crate::cli::check::print(&errors)?;
            return Ok(ExitCode::from(2));
        }
    };
    let difference = Difference::between(&from.policy, &to.policy);
    if args.json {
        writeln!(out, "{:#}", difference.as_json())?;
    } else {
        difference.write(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(args: &Args, policy: &str) -> Result<Arc<Ruleset>, Diagnostics> {
    let options = RunOptions { config: args.config.as_deref(), policy: Some(policy), allow: &[] };
    let config = Config::for_run(options)?;
    // `for_run` always makes it.
    config.rulesets.get(RUN_POLICY).cloned().ok_or_else(Diagnostics::default)
}

struct Difference {
    mode: Option<(&'static str, &'static str)>,
    cells: Vec<Cell>,
    /// What one has and the other has not of rules that judge by what a host serves.
    gained: Vec<String>,
    lost: Vec<String>,
    /// Hosts whose tunnels were opened and are relayed now, or the other way round.
    tunnels: Vec<String>,
}

impl Difference {
    fn between(from: &Policy, to: &Policy) -> Self {
        let rules: Vec<&Rule> =
            [from, to].into_iter().flat_map(|policy| policy.rules().allow.iter().chain(&policy.rules().deny)).collect();
        let methods = methods(&rules);
        let mut cells = Vec::new();
        let mut tunnels = Vec::new();
        let hosts: BTreeSet<String> = rules.iter().map(|rule| rule.host.to_string()).collect();
        for host in &hosts {
            let near: Vec<&&Rule> = rules.iter().filter(|rule| rule.host.to_string() == *host).collect();
            let Some(sample) = near.first().map(|rule| sample(&rule.host)) else { continue };
            for (scheme, port) in ports(&near) {
                let default = port == scheme.default_port();
                let place = if default {
                    format!("{}://{host}", scheme.as_str())
                } else {
                    format!("{}://{host}:{port}", scheme.as_str())
                };
                let Ok(authority) = Authority::parse_or(format!("{sample}:{port}").as_bytes(), port) else { continue };
                if scheme == Scheme::Https
                    && let Some(told) = tunnel(from, to, &authority)
                {
                    tunnels.push(format!("{place}: {told}"));
                }
                cells.extend(
                    paths(&rules)
                        .into_iter()
                        .filter_map(|path| cell(from, to, scheme, &authority, &place, &path, &methods)),
                );
            }
        }
        let (before, after) = (bounds(from), bounds(to));
        Self {
            mode: (from.mode() != to.mode()).then(|| (word(from.mode()), word(to.mode()))),
            cells: without_repeats(cells),
            gained: after.difference(&before).cloned().collect(),
            lost: before.difference(&after).cloned().collect(),
            tunnels,
        }
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        if let Some((from, to)) = self.mode {
            writeln!(out, "~ mode: {from}, then {to}")?;
        }
        for told in &self.tunnels {
            writeln!(out, "~ {told}")?;
        }
        for (sign, bounds) in [('-', &self.lost), ('+', &self.gained)] {
            for bound in bounds {
                writeln!(out, "{sign} {bound}")?;
            }
        }
        for Cell { place, path, gained, lost } in &self.cells {
            for (sign, methods) in [('-', lost), ('+', gained)] {
                if !methods.is_empty() {
                    writeln!(out, "{sign} {} {place}{path}", methods.join(","))?;
                }
            }
        }
        let is_same = self.mode.is_none() && self.tunnels.is_empty() && self.cells.is_empty();
        if is_same && self.gained.is_empty() && self.lost.is_empty() {
            writeln!(out, "no difference in what may be reached")?;
        }
        Ok(())
    }

    fn as_json(&self) -> Value {
        let cells = self
            .cells
            .iter()
            .map(|cell| json!({ "place": cell.place, "path": cell.path, "gained": cell.gained, "lost": cell.lost }));
        json!({
            "mode": self.mode.map(|(from, to)| json!({ "from": from, "to": to })),
            "tunnels": self.tunnels,
            "services": { "gained": self.gained, "lost": self.lost },
            "requests": cells.collect::<Vec<_>>(),
        })
    }
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

/// A host that a pattern means, and that no narrower pattern is likely to.
fn sample(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::OneLabel(suffix) => format!("any{suffix}"),
        HostPattern::AnyDepth(suffix) => format!("any.name{suffix}"),
        HostPattern::AnyName => "any.name.example".to_owned(),
    }
}

fn ports(rules: &[&&Rule]) -> BTreeSet<(Scheme, u16)> {
    let mut ports = BTreeSet::new();
    for rule in rules {
        match &rule.ports {
            Ports::Unset => ports.extend([(Scheme::Https, 443), (Scheme::Http, 80)]),
            Ports::Only(ranges) => {
                let ends = ranges.iter().flat_map(|range| [*range.start(), *range.end()]);
                for port in ends {
                    ports.insert((if port == 80 { Scheme::Http } else { Scheme::Https }, port));
                }
            }
        }
    }
    ports
}

fn methods(rules: &[&Rule]) -> Vec<Method> {
    let mut methods =
        vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    for rule in rules {
        if let Methods::Only(named) = &rule.methods {
            methods.extend(named.iter().cloned());
        }
    }
    let mut seen = BTreeSet::new();
    methods.retain(|method| seen.insert(method.to_string()));
    methods
}

/// The globs that are written, and a path beside them all.
fn paths(rules: &[&Rule]) -> BTreeSet<String> {
    let written = rules.iter().filter_map(|rule| rule.paths.written()).flatten().map(ToString::to_string);
    written.chain(["/**".to_owned()]).collect()
}

/// A path that a glob means.
fn example(glob: &str) -> String {
    let mut out = String::new();
    let mut rest = glob.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' => out.push('x'),
            '{' => {
                let inside: String = rest.by_ref().take_while(|character| *character != '}').collect();
                out.push_str(inside.split(',').next().unwrap_or_default());
            }
            '[' => {
                let inside: String = rest.by_ref().take_while(|character| *character != ']').collect();
                out.extend(inside.chars().next());
            }
            other => out.push(other),
        }
    }
    out
}

fn cell(
    from: &Policy,
    to: &Policy,
    scheme: Scheme,
    authority: &Authority,
    place: &str,
    glob: &str,
    methods: &[Method],
) -> Option<Cell> {
    let path = Path::parse(example(glob).as_bytes()).ok()?;
    let (mut gained, mut lost) = (Vec::new(), Vec::new());
    for method in methods {
        let target = Target { scheme, authority: authority.clone(), method: method.clone(), path: path.clone() };
        match (lets(from, &target), lets(to, &target)) {
            (false, true) => gained.push(method.to_string()),
            (true, false) => lost.push(method.to_string()),
            _ => {}
        }
    }
    let is_new = !gained.is_empty() || !lost.is_empty();
    is_new.then(|| Cell { place: place.to_owned(), path: glob.to_owned(), gained, lost })
}

/// A policy that only observes lets everything through; its rules are what is compared.
fn lets(policy: &Policy, target: &Target) -> bool {
    policy.decide(target).is_ok_and(|permit| permit.observed().is_none())
}

/// One line for a place whose paths all say the same.
fn without_repeats(mut cells: Vec<Cell>) -> Vec<Cell> {
    let whole: Vec<(String, Vec<String>, Vec<String>)> = cells
        .iter()
        .filter(|cell| cell.path == "/**")
        .map(|cell| (cell.place.clone(), cell.gained.clone(), cell.lost.clone()))
        .collect();
    cells.retain(|cell| {
        let same = |(place, gained, lost): &(String, Vec<String>, Vec<String>)| {
            *place == cell.place && *gained == cell.gained && *lost == cell.lost
        };
        cell.path == "/**" || !whole.iter().any(same)
    });
    cells
}

fn tunnel(from: &Policy, to: &Policy, authority: &Authority) -> Option<&'static str> {
    let mode = |policy: &Policy| policy.decide_tunnel(authority).ok().map(|permit| permit.tls());
    match (mode(from), mode(to)) {
        (Some(TlsMode::Intercept), Some(TlsMode::Tunnel)) => Some("was opened, is relayed"),
        (Some(TlsMode::Tunnel), Some(TlsMode::Intercept)) => Some("was relayed, is opened"),
        _ => None,
    }
}

/// `github.com: github write of acme/*`.
fn bounds(policy: &Policy) -> BTreeSet<String> {
    let bound = |rule: &Rule| rule.scope.as_ref().map(|scope| format!("{}: {}", rule.host, scope.bound()));
    policy.rules().allow.iter().filter_map(bound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, to: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let policy = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            crate::config::load_policy(&path).unwrap().policy.clone()
        };
        let mut out = Vec::new();
        Difference::between(&policy("a.yaml", from), &policy("b.yaml", to)).write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_gained_and_lost_is_told_by_host_method_and_path() {
        let from = "allow:\n  - {host: a.example}\n  - {host: b.example, methods: read-only, paths: [\"/v1/**\"]}\n";
        let to = "allow:\n  - {host: b.example, paths: [\"/v1/**\"]}\n  - {host: c.example, ports: [8443], methods: [GET]}\n";
        let text = told(from, to);
        for expected in [
            "- GET,HEAD,OPTIONS,POST,PUT,PATCH,DELETE https://a.example/**\n",
            "+ POST,PUT,PATCH,DELETE https://b.example/v1/**\n",
            "+ GET https://c.example:8443/**\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(told(from, from), "no difference in what may be reached\n");
    }

    #[test]
    fn services_tunnels_and_denies_are_told_too() {
        let from = "presets: [github]\nallow: [{host: a.example, tls: tunnel}, {host: b.example}]\n";
        let to = "presets: [{preset: github, access: write, repos: [acme/site]}]\nallow: [{host: a.example}, {host: b.example}]\ndeny: [{host: b.example, methods: [PUT]}]\n";
        let text = told(from, to);
        for expected in [
            "- github.com: github read of everything\n",
            "+ github.com: github write of acme/site\n",
            "~ https://a.example: was relayed, is opened\n",
            "- PUT https://b.example/**\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
