//! From shapes to parts. Every mistake is found in one go.

use super::defaults::{self, Environment, Homeless};
use super::node::At;
use super::placed::Placed;
use super::rules::Notes;
use super::secret::SecretSource;
use super::shapes::{CaShape, DurabilityWord, FileShape, FlowsShape, LimitsShape, ResolverShape};
use super::units::{Span, Written};
use super::wire::Ruleset;
use super::words::{Named, NameserverWords};
use super::{Config, listen, parent, policies, recognition, sessions};
use crate::proxy::Limits;
use crate::{ca, dns, flow};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a file is compiled against.
pub(super) struct Surroundings<'e> {
    /// Where relative paths start.
    pub(super) base: &'e Path,
    pub(super) environment: Environment<'e>,
}

/// Why there is no configuration although every part of the file is right.
pub(super) enum Failed {
    /// The mistakes are in the notes.
    Noted,
    /// There is no folder for what the file leaves out.
    Homeless(Homeless),
}

impl From<Homeless> for Failed {
    fn from(homeless: Homeless) -> Self {
        Failed::Homeless(homeless)
    }
}

/// Compiles a whole file. `faulty` tells policies whose shape was wrong, so that nobody is told twice.
pub(super) fn compile(
    shape: &FileShape,
    rulesets: HashMap<Arc<str>, Arc<Ruleset>>,
    known_policies: &[&str],
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Result<Config, Failed> {
    let listen = listen::compile(shape.listen.as_ref(), surroundings.base, notes);
    let limits = compile_limits(shape.limits.as_ref(), notes);
    let written = shape.sessions.as_deref().unwrap_or_default();
    let sessions = sessions::compile(written, known_policies, surroundings.base, notes);
    recognition::note_unknown_session(shape.listen.as_ref(), written, notes);
    let recognition = recognition::compile(written, listen.recognising(), notes);
    let trust = compile_trust(shape, surroundings, notes);
    let parent = shape.upstream.as_ref().and_then(|upstream| upstream.parent.as_ref());
    let parent = parent.and_then(|shape| parent::compile(shape, surroundings.base, notes));
    let resolver = compile_resolver(shape.resolver.as_ref(), notes);
    let paths = Paths::new(shape, surroundings)?;
    if !notes.errors.is_empty() {
        return Err(Failed::Noted);
    }
    Ok(Config {
        file: None,
        listen,
        ca: paths.ca,
        control_key: paths.control_key,
        resolver,
        trust,
        parent,
        flows: paths.flows,
        state: paths.state,
        rulesets,
        sessions,
        recognition,
        drain: shape.drain.as_ref().map_or(defaults::DRAIN, |span| span.0.0),
        limits,
        warnings: super::Diagnostics::default(),
    })
}

/// The policies of a file, by name.
pub(super) fn compile_policies(
    named: Option<&Named<super::shapes::PolicyShape>>,
    base: &Path,
    notes: &mut Notes,
) -> HashMap<Arc<str>, Arc<Ruleset>> {
    let mut rulesets = HashMap::new();
    for (name, shape) in named.map_or(&[][..], |named| &named.0) {
        if !is_policy_name(&name.value) {
            let message =
                "a policy's name is 1 to 64 of letters, digits, `.`, `_`, `-`, and starts with a letter or digit";
            notes.error(&name.at, message, "the name stands in records and in rule names");
        }
        let key: Arc<str> = name.value.as_str().into();
        if let Some(ruleset) = policies::compile(&key, &name.at, shape, base, notes) {
            rulesets.insert(key, Arc::new(ruleset));
        }
    }
    rulesets
}

pub(super) fn is_policy_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= 64 && name.bytes().all(plain) && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn compile_limits(shape: Option<&LimitsShape>, notes: &mut Notes) -> Limits {
    let defaults = Limits::default();
    let Some(shape) = shape else { return defaults };
    let mut timeout = |written: &Option<Placed<Written<Span>>>, default: Duration| {
        let Some(Placed { at, value: Written(Span(span)) }) = written else { return default };
        if span.is_zero() {
            notes.error(at, "a timeout of nothing would end everything", "write how long, such as 10s");
        }
        *span
    };
    let count = |written: Option<NonZeroU32>, default: usize| {
        written.map_or(default, |most| usize::try_from(most.get()).unwrap_or(usize::MAX))
    };
    Limits {
        connections: count(shape.connections, defaults.connections),
        connections_per_source: count(shape.connections_per_source, defaults.connections_per_source),
        handshakes: count(shape.handshakes, defaults.handshakes),
        head: defaults.head,
        head_timeout: timeout(&shape.head_timeout, defaults.head_timeout),
        handshake_timeout: timeout(&shape.handshake_timeout, defaults.handshake_timeout),
        connect_timeout: timeout(&shape.connect_timeout, defaults.connect_timeout),
        response_timeout: timeout(&shape.response_timeout, defaults.response_timeout),
        idle_timeout: timeout(&shape.idle_timeout, defaults.idle_timeout),
        keep_alive_timeout: timeout(&shape.keep_alive_timeout, defaults.keep_alive_timeout),
    }
}

fn compile_resolver(shape: Option<&ResolverShape>, notes: &mut Notes) -> dns::Settings {
    let nameservers = match shape.and_then(|shape| shape.nameservers.as_ref()) {
        None | Some(NameserverWords::System) => dns::Nameservers::System,
        Some(NameserverWords::Fixed(fixed)) => {
            dns::Nameservers::Fixed(fixed.iter().map(|server| server.value).collect())
        }
    };
    let mut connect = Vec::new();
    for entry in shape.and_then(|shape| shape.connect.as_deref()).unwrap_or_default() {
        let host = notes.host(&entry.host);
        match entry.to.value.parse() {
            Ok(to) => connect.extend(host.map(|host| dns::ConnectOverride { host, to })),
            Err::<dns::ConnectTo, _>(error) => {
                notes.error(&entry.to.at, error.to_string(), "write ADDRESS, ADDRESS:PORT, NAME or NAME:PORT")
            }
        }
    }
    dns::Settings { nameservers, connect }
}

fn compile_trust(shape: &FileShape, surroundings: &Surroundings<'_>, notes: &mut Notes) -> ca::TrustSettings {
    let Some(trust) = shape.upstream.as_ref().and_then(|upstream| upstream.trust.as_deref()) else {
        return ca::TrustSettings::default();
    };
    if trust.is_empty() {
        let at = At { path: "upstream.trust".into(), span: 0..0, id: 0 };
        notes.warn(&at, "no certificate of any destination is trusted", "list `system`, or leave the key out");
    }
    let root = |word: &Placed<String>| match word.value.as_str() {
        "system" => ca::TrustRoot::System,
        path => ca::TrustRoot::File(surroundings.base.join(path)),
    };
    for word in trust.iter().filter(|word| word.value.is_empty()) {
        notes.error(&word.at, "the path is empty", "write `system` or the path of a PEM file");
    }
    for word in trust.iter().filter(|word| word.value != "system" && !word.value.is_empty()) {
        if let Err(error) = std::fs::File::open(surroundings.base.join(&word.value)) {
            notes.error(
                &word.at,
                format!("the file can't be read: {error}"),
                "name a PEM file of certificates, or `system`",
            );
        }
    }
    ca::TrustSettings { roots: trust.iter().map(root).collect() }
}

/// Where the gateway keeps its own files.
struct Paths {
    ca: ca::Settings,
    control_key: SecretSource,
    flows: flow::Settings,
    state: PathBuf,
}

impl Paths {
    fn new(shape: &FileShape, surroundings: &Surroundings<'_>) -> Result<Self, Homeless> {
        let data = || defaults::data(surroundings.environment);
        let state = || defaults::state(surroundings.environment);
        let from_file = |path: &String| surroundings.base.join(path);
        let journal = shape.flows.as_ref().and_then(|flows| flows.journal.as_ref()).map(from_file);
        let key = shape.control.as_ref().and_then(|control| control.key.clone());
        Ok(Self {
            ca: match &shape.ca {
                Some(CaShape { certificate, key }) => {
                    ca::Settings { certificate: from_file(certificate), key: from_file(key) }
                }
                None => ca::Settings::in_directory(&data()?),
            },
            control_key: match key {
                Some(Written(source)) => source.below(surroundings.base),
                None => SecretSource::File(data()?.join("control.key")),
            },
            // Two gateways with journals of their own must not share the file of the sessions, so it
            // stays by the journal where only that is given.
            state: match (&shape.state, &journal) {
                (Some(path), _) => from_file(path),
                (None, Some(journal)) => journal.clone(),
                (None, None) => state()?,
            },
            flows: flow::Settings {
                journal: match journal {
                    Some(journal) => journal,
                    None => state()?.join("flows"),
                },
                durability: durability(shape.flows.as_ref()),
            },
        })
    }
}

fn durability(shape: Option<&FlowsShape>) -> flow::Durability {
    match shape.and_then(|flows| flows.durability) {
        Some(DurabilityWord::Each) => flow::Durability::Each,
        Some(DurabilityWord::Batched) | None => flow::Durability::Batched,
    }
}
