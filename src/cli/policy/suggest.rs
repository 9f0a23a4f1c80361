//! `exeat policy suggest`: the smallest policy that lets what a journal saw go out again.

use crate::config::preset::{self, Preset};
use crate::flow::files;
use crate::net::{AddressClass, Authority, Path, Scheme, Target};
use crate::policy::{Access, Methods, Mode, On, Paths, Policy, Repos, Rules};
use anyhow::Context as _;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;

/// Paths of one host that are listed one by one; more are what they begin with.
const PATHS: usize = 6;
/// Repositories that are listed one by one.
const REPOS: usize = 12;

/// Make a policy of what a journal saw
///
/// It lets through what went out, and (with --refused) what was refused: presets where one covers all that a host was
/// asked for, rules by host, method and path for the rest. Read it before you use it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: crate::cli::flows::Place,
    /// Only flows of this session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Also what was refused because no rule listed it.
    #[arg(long)]
    refused: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Line {
    verdict: String,
    reason: Option<String>,
    mode: Option<String>,
    session: Option<Session>,
    target: Option<Shown>,
    upstream: Option<Upstream>,
}

#[derive(Deserialize)]
struct Session {
    id: String,
}

#[derive(Deserialize)]
struct Shown {
    scheme: Option<String>,
    host: String,
    port: u16,
    method: String,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Upstream {
    address: Option<SocketAddr>,
}

/// One place, and all that was asked of it.
#[derive(Default)]
struct Place {
    requests: Vec<Target>,
    is_relayed: bool,
    inner: BTreeSet<String>,
}

type Places = BTreeMap<(String, u16, bool), Place>;

pub(super) fn run(out: &mut Vec<u8>, args: &Args) -> anyhow::Result<()> {
    let suggestion = Suggestion::of(read(args)?)?;
    let text = if args.json { format!("{:#}\n", suggestion.as_json()) } else { suggestion.as_yaml() };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn read(args: &Args) -> anyhow::Result<Places> {
    let mut places = Places::new();
    for path in files(&args.place.locate()?)? {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        for line in BufReader::new(file).lines() {
            // What is no record, or only the half of one, asks for nothing.
            let Ok(line) = serde_json::from_str::<Line>(&line?) else { continue };
            let of_session = line.session.as_ref().map(|session| session.id.as_str());
            if args.session.as_deref().is_none_or(|wanted| of_session == Some(wanted)) {
                take(&mut places, &line, args.refused);
            }
        }
    }
    Ok(places)
}

fn take(places: &mut Places, line: &Line, refused: bool) {
    let not_listed = matches!(line.reason.as_deref(), Some("dest_not_listed" | "request_not_listed"));
    // What failed upstream was allowed.
    let counts = match line.verdict.as_str() {
        "allowed" | "observed" | "failed" => true,
        _ => refused && not_listed,
    };
    let Some(shown) = line.target.as_ref().filter(|_| counts) else { return };
    let is_relayed = line.mode.as_deref() == Some("relay");
    let is_tunnel = shown.method == "CONNECT";
    // A tunnel that was opened counts by its requests.
    if is_tunnel && !is_relayed && line.verdict != "denied" {
        return;
    }
    let scheme = if shown.scheme.as_deref() == Some("http") { Scheme::Http } else { Scheme::Https };
    let place = places.entry((shown.host.clone(), shown.port, scheme == Scheme::Http)).or_default();
    place.is_relayed |= is_relayed;
    let address = line.upstream.as_ref().and_then(|upstream| upstream.address).map(|address| address.ip());
    if let Some(address) = address.filter(|address| !AddressClass::of(*address).is_public()) {
        place.inner.insert(address.to_string());
    }
    if is_tunnel {
        return;
    }
    let path = shown.path.as_deref().unwrap_or("/").split('?').next().unwrap_or("/");
    let authority = Authority::parse_or(format!("{}:{}", bracketed(&shown.host), shown.port).as_bytes(), shown.port);
    let parsed = (authority, Path::parse(path.as_bytes()), Method::from_bytes(shown.method.as_bytes()));
    if let (Ok(authority), Ok(path), Ok(method)) = parsed {
        place.requests.push(Target { scheme, authority, method, path });
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A preset with the access that it takes, and the repositories that were touched at that access.
struct Chosen {
    name: &'static str,
    access: Access,
    repos: Option<BTreeSet<String>>,
}

/// A rule by host.
struct Own {
    host: String,
    ports: Option<u16>,
    methods: Vec<String>,
    paths: Vec<String>,
    is_relayed: bool,
    inner: BTreeSet<String>,
}

struct Suggestion {
    presets: Vec<Chosen>,
    rules: Vec<Own>,
}

impl Suggestion {
    fn of(mut places: Places) -> anyhow::Result<Self> {
        let mut presets = Vec::new();
        let mut known = Vec::new();
        for name in preset::names() {
            let preset = preset::load(name).context("a listed preset is gone")??;
            known.push((name, everything(&preset)?, preset));
        }
        // Each time the preset that covers most of what is left, and the smaller of two.
        loop {
            let covered = |policy: &Policy| places.iter().filter(|(_, place)| place.is_covered_by(policy)).count();
            let best = known
                .iter()
                .map(|(name, policy, preset)| (covered(policy), std::cmp::Reverse(preset.rules.len()), *name))
                .max_by_key(|(count, rules, _)| (*count, *rules));
            let Some((1.., _, name)) = best else { break };
            let Some((_, policy, preset)) = known.iter().find(|(known, ..)| *known == name) else { break };
            let (taken, left): (Places, Places) =
                std::mem::take(&mut places).into_iter().partition(|(_, place)| place.is_covered_by(policy));
            places = left;
            let taken: Vec<Place> = taken.into_values().collect();
            presets.extend(chosen(name, policy, preset, &taken));
        }
        Ok(Self { presets, rules: places.into_iter().map(|(place, asked)| own(place, asked)).collect() })
    }

    fn as_yaml(&self) -> String {
        let mut text = String::from("# What the journal saw. Read it before you use it.\n");
        if self.presets.is_empty() && self.rules.is_empty() {
            text.push_str("# Nothing went out.\n");
        }
        if !self.presets.is_empty() {
            text.push_str("presets:\n");
        }
        // Writing to a String can't fail.
        for chosen in &self.presets {
            _ = writeln!(text, "  - {}", chosen.as_yaml());
        }
        if !self.rules.is_empty() {
            text.push_str("allow:\n");
        }
        for rule in &self.rules {
            _ = writeln!(text, "  - {}", rule.as_yaml());
        }
        text
    }

    fn as_json(&self) -> Value {
        json!({
            "presets": self.presets.iter().map(|chosen| json!({
                "preset": chosen.name, "access": chosen.access.as_str(), "repos": chosen.repos,
            })).collect::<Vec<_>>(),
            "allow": self.rules.iter().map(|rule| json!({
                "host": rule.host, "ports": rule.ports, "methods": rule.methods, "paths": rule.paths,
                "tls": if rule.is_relayed { "tunnel" } else { "intercept" }, "addresses": rule.inner,
            })).collect::<Vec<_>>(),
        })
    }
}

impl Place {
    fn is_covered_by(&self, policy: &Policy) -> bool {
        let allowed = |target: &Target| policy.decide(target).is_ok();
        !self.is_relayed && self.inner.is_empty() && !self.requests.is_empty() && self.requests.iter().all(allowed)
    }
}

/// All that a preset can let through.
fn everything(preset: &Preset) -> anyhow::Result<Policy> {
    let allow = preset.clone().bounded(Access::Admin, |_| Repos::ALL);
    Ok(Policy::new("preset", Mode::Enforce, Rules { allow, deny: Vec::new() })?)
}

/// The entries of one preset: for each access that was used, with the repositories that it was used on.
fn chosen(name: &'static str, policy: &Policy, preset: &Preset, taken: &[Place]) -> Vec<Chosen> {
    if !preset.tells_access() {
        return vec![Chosen { name, access: Access::Read, repos: None }];
    }
    let mut used: BTreeMap<Access, Option<BTreeSet<String>>> = BTreeMap::new();
    for target in taken.iter().flat_map(|place| &place.requests) {
        let Some(action) = policy.explain(target).action else {
            used.entry(Access::Read).or_insert_with(|| Some(BTreeSet::new()));
            continue;
        };
        let repos = used.entry(action.access).or_insert_with(|| Some(BTreeSet::new()));
        match action.on {
            On::Name(repo) => _ = repos.as_mut().map(|repos| repos.insert(repo)),
            On::Nothing => {}
            On::Anything => *repos = None,
        }
    }
    let few = |repos: BTreeSet<String>| (!repos.is_empty() && repos.len() <= REPOS).then_some(repos);
    used.into_iter().map(|(access, repos)| Chosen { name, access, repos: repos.and_then(few) }).collect()
}

fn own((host, port, is_plain): (String, u16, bool), place: Place) -> Own {
    let methods: BTreeSet<&str> = place.requests.iter().map(|target| target.method.as_str()).collect();
    let reads = !methods.is_empty()
        && methods.iter().all(|method| Methods::READ_ONLY.iter().any(|read| read.as_str() == *method));
    let methods = if reads { vec!["read-only".to_owned()] } else { methods.iter().map(ToString::to_string).collect() };
    let paths: BTreeSet<String> =
        place.requests.iter().filter_map(|target| target.path.readings().next().map(str::to_owned)).collect();
    let default = if is_plain { 80 } else { 443 };
    let is_relayed = place.is_relayed;
    Own {
        host,
        ports: (port != default).then_some(port),
        methods: if is_relayed { Vec::new() } else { methods },
        paths: if is_relayed { Vec::new() } else { globs(&paths) },
        is_relayed,
        inner: place.inner,
    }
}

/// The paths themselves where they are few, else the folder that they have in common.
fn globs(paths: &BTreeSet<String>) -> Vec<String> {
    let literal =
        |path: &&String| !path.contains(['*', '?', '[', ']', '{', '}']) && Paths::only(&[path.as_str()]).is_ok();
    if paths.len() <= PATHS && paths.iter().all(|path| literal(&path)) {
        return paths.iter().cloned().collect();
    }
    let mut common: Option<Vec<&str>> = None;
    for path in paths {
        let mut folder: Vec<&str> = path.split('/').collect();
        folder.pop();
        let length = common
            .as_ref()
            .map_or(folder.len(), |common| common.iter().zip(&folder).take_while(|(a, b)| a == b).count());
        folder.truncate(length);
        common = Some(folder);
    }
    let glob = format!("{}/**", common.unwrap_or_default().join("/"));
    if glob == "/**" || Paths::only(&[glob.as_str()]).is_err() || glob.contains(['[', '{', '?']) {
        Vec::new()
    } else {
        vec![glob]
    }
}

impl Chosen {
    fn as_yaml(&self) -> String {
        let access = self.access.as_str();
        match (&self.repos, self.access) {
            (None, Access::Read) => self.name.to_owned(),
            (None, _) => format!("{}-{access}", self.name),
            (Some(repos), _) => {
                let repos: Vec<String> = repos.iter().map(|repo| format!("\"{repo}\"")).collect();
                format!("{{preset: {}, access: {access}, repos: [{}]}}", self.name, repos.join(", "))
            }
        }
    }
}

impl Own {
    fn as_yaml(&self) -> String {
        let quoted = |texts: &[String]| texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
        let mut text = format!("{{host: \"{}\"", self.host);
        // Writing to a String can't fail.
        if let Some(port) = self.ports {
            _ = write!(text, ", ports: [{port}]");
        }
        match &self.methods[..] {
            [] => {}
            [word] if word == "read-only" => text.push_str(", methods: read-only"),
            methods => _ = write!(text, ", methods: [{}]", methods.join(", ")),
        }
        if !self.paths.is_empty() {
            _ = write!(text, ", paths: [{}]", quoted(&self.paths));
        }
        if self.is_relayed {
            text.push_str(", tls: tunnel");
        }
        if !self.inner.is_empty() {
            let inner: Vec<String> = self.inner.iter().cloned().collect();
            _ = write!(text, ", addresses: [{}]", quoted(&inner));
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests;
