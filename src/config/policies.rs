//! From a policy as typed to a ruleset: own rules, presets, and what they say to each other.

use super::diagnostic::Mistake;
use super::node::At;
use super::placed::Placed;
use super::preset;
use super::rules::{self, Notes};
use super::secrets;
use super::shapes::{AllowShape, DenyShape, ModeWord, PolicyShape, SessionLimitsShape};
use super::similar::did_you_mean;
use super::wire::Ruleset;
use super::words::PresetWord;
use crate::policy::{Access, Conflict, Mode, Policy, Rule, Rules, conflicts};
use crate::session;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

/// Connections that a session may hold where its policy does not say: none can take all that the gateway holds.
const CONNECTIONS: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// Compiles one policy. Nothing comes out where its rules can't be enforced together.
pub(super) fn compile(
    name: &Arc<str>,
    at: &At,
    shape: &PolicyShape,
    base: &Path,
    notes: &mut Notes,
) -> Option<Ruleset> {
    let origins = Origins::new(name, at, shape, base, notes);
    origins.note_conflicts(notes);
    if origins.rules.allow.is_empty() {
        let help = "add `allow` or `presets`";
        notes.warn(at, format!("the policy {name} permits nothing"), help);
    }
    let mode = match shape.mode {
        Some(ModeWord::Observe) => Mode::Observe,
        Some(ModeWord::Enforce) | None => Mode::Enforce,
    };
    let (secrets, own_rules) = secrets::compile(shape.secrets.as_ref(), base, notes);
    let policy = Policy::new(Arc::clone(name), mode, origins.rules).ok()?;
    Some(Ruleset { policy: Arc::new(policy), secrets, own_rules, limits: compile_limits(shape.limits.as_ref()) })
}

/// The rules of a policy, and where each was written.
struct Origins<'s> {
    rules: Rules,
    /// The allow rules of the file, which come first.
    allows: &'s [Placed<AllowShape>],
    denies: &'s [Placed<DenyShape>],
    /// For each allow rule behind those, the preset's place in the file.
    presets: Vec<&'s At>,
    policy: At,
}

impl<'s> Origins<'s> {
    fn new(name: &Arc<str>, at: &At, shape: &'s PolicyShape, base: &Path, notes: &mut Notes) -> Self {
        let allows = shape.allow.as_deref().unwrap_or_default();
        let denies = shape.deny.as_deref().unwrap_or_default();
        let mut allow: Vec<Rule> = allows.iter().map(|rule| rules::allow(name, rule, base, notes)).collect();
        let deny = denies.iter().map(|rule| rules::deny(name, rule, notes)).collect();
        let mut presets = Vec::new();
        let words = shape.presets.as_deref().unwrap_or_default();
        let mut earlier: Vec<Chosen> = Vec::new();
        for word in words {
            let Some(chosen) = Chosen::of(word, notes) else { continue };
            if earlier.contains(&chosen) {
                notes.error(&word.at, format!("the preset {} is listed twice", chosen.name), "keep one of the two");
                continue;
            }
            let rules = chosen.rules(word, notes);
            earlier.push(chosen);
            presets.extend(std::iter::repeat_n(&word.at, rules.len()));
            allow.extend(rules);
        }
        Self { rules: Rules { allow, deny }, allows, denies, presets, policy: at.clone() }
    }

    fn note_conflicts(&self, notes: &mut Notes) {
        for conflict in conflicts(&self.rules.allow, &self.rules.deny) {
            // Rules without a host of their own are all alike, which is nobody's mistake.
            if self.between(conflict).iter().any(|rule| rule.host == rules::NO_HOST) {
                continue;
            }
            if let Some(mistake) = self.mistake(conflict) {
                notes.errors.push(mistake);
            }
        }
    }

    /// Nothing where the conflict is harmless and not of the file's own making.
    fn mistake(&self, conflict: Conflict) -> Option<Mistake> {
        let allow_name = |position: usize| &self.rules.allow[position].name;
        let deny_name = |position: usize| &self.rules.deny[position].name;
        let (at, message, help) = match conflict {
            Conflict::InsideTunnel { allow } => (
                self.allow_inside(allow),
                "methods, paths and credentials can't be seen under `tls: tunnel`".to_owned(),
                "leave `tls: tunnel` out, or `methods`, `paths` and `credentials`",
            ),
            Conflict::DenyInsideTunnel { allow, deny } => (
                self.deny_inside(deny),
                format!(
                    "{} leaves tunnels to this host closed, so that methods and paths can't be seen",
                    allow_name(allow)
                ),
                "deny the whole host, or allow it without `tls: tunnel`",
            ),
            Conflict::Ambiguous { allow, earlier } => (
                self.allow_host(allow),
                format!("{} has the same host and port with another `tls` or `protocols`", allow_name(earlier)),
                "give both the same, or different ports",
            ),
            Conflict::Unreachable { allow, deny } => (
                &self.allows.get(allow)?.at,
                format!("the rule never matches: {} denies all that it allows", deny_name(deny)),
                "remove one of the two: deny wins",
            ),
            Conflict::RepeatedAllow { allow, earlier } => (
                &self.allows.get(allow)?.at,
                format!("the rule is the same as {}", allow_name(earlier)),
                "remove one of the two",
            ),
            Conflict::RepeatedDeny { deny, earlier } => (
                &self.denies.get(deny)?.at,
                format!("the rule is the same as {}", deny_name(earlier)),
                "remove one of the two",
            ),
        };
        Some(Mistake::new(at.clone(), message).with_help(Some(help.to_owned())))
    }

    /// The rules that a conflict is between.
    fn between(&self, conflict: Conflict) -> Vec<&Rule> {
        let Rules { allow: allows, deny: denies } = &self.rules;
        match conflict {
            Conflict::InsideTunnel { .. } => Vec::new(),
            Conflict::DenyInsideTunnel { allow, deny } | Conflict::Unreachable { allow, deny } => {
                vec![&allows[allow], &denies[deny]]
            }
            Conflict::Ambiguous { allow, earlier } | Conflict::RepeatedAllow { allow, earlier } => {
                vec![&allows[allow], &allows[earlier]]
            }
            Conflict::RepeatedDeny { deny, earlier } => vec![&denies[deny], &denies[earlier]],
        }
    }

    fn allow_host(&self, position: usize) -> &At {
        let own = self.allows.get(position).map(|rule| &rule.value.host.at);
        own.or_else(|| self.presets.get(position - self.allows.len()).copied()).unwrap_or(&self.policy)
    }

    fn allow_inside(&self, position: usize) -> &At {
        let Some(rule) = self.allows.get(position).map(|rule| &rule.value) else { return self.allow_host(position) };
        let paths = rule.paths.as_ref().map(|paths| &paths.at);
        let methods = rule.methods.as_ref().map(|methods| &methods.at);
        paths.or(methods).or(rule.credentials.as_ref().map(|word| &word.at)).unwrap_or(&rule.host.at)
    }

    fn deny_inside(&self, position: usize) -> &At {
        let Some(rule) = self.denies.get(position).map(|rule| &rule.value) else { return &self.policy };
        let paths = rule.paths.as_ref().map(|paths| &paths.at);
        paths.or(rule.methods.as_ref().map(|methods| &methods.at)).unwrap_or(&rule.host.at)
    }
}

/// A preset as a policy lists it.
#[derive(PartialEq)]
struct Chosen {
    name: &'static str,
    access: Access,
    repos: Option<Vec<String>>,
}

impl Chosen {
    /// Nothing where there is no such preset, which is noted.
    fn of(word: &Placed<PresetWord>, notes: &mut Notes) -> Option<Self> {
        let (text, at) = match &word.value {
            PresetWord::Name(name) => (name.as_str(), &word.at),
            PresetWord::Entry(entry) => (entry.preset.value.as_str(), &entry.preset.at),
        };
        let Some((name, mut access)) = preset::named(text) else {
            let names: Vec<_> = preset::names().collect();
            let help = match did_you_mean(text, &names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "exeat policy presets lists them".to_owned(),
            };
            notes.error(at, "there is no such preset", &help);
            return None;
        };
        let mut repos = None;
        if let PresetWord::Entry(entry) = &word.value {
            if let Some(written) = &entry.access {
                if text != name {
                    notes.error(&written.at, format!("{text} names its access already"), &format!("write {name}"));
                }
                access = rules::access_of(Some(written));
            }
            let patterns = entry.repos.as_ref().map(|repos| &repos.value);
            repos = patterns.map(|patterns| patterns.iter().map(|pattern| pattern.value.clone()).collect());
        }
        Some(Self { name, access, repos })
    }

    fn rules(&self, word: &Placed<PresetWord>, notes: &mut Notes) -> Vec<Rule> {
        let Some(Ok(preset)) = preset::load(self.name) else {
            notes.error(&word.at, format!("the preset {} of this build is broken", self.name), "report it");
            return Vec::new();
        };
        if !preset.tells_access() && (self.access != Access::Read || self.repos.is_some()) {
            let help = "leave `access` and `repos` out, or write rules under `allow`";
            notes.error(&word.at, format!("the preset {} is for reading only, of everything", self.name), help);
            return Vec::new();
        }
        let patterns = match &word.value {
            PresetWord::Entry(entry) => entry.repos.as_ref(),
            PresetWord::Name(_) => None,
        };
        if let Some(patterns) = patterns.filter(|patterns| patterns.value.is_empty()) {
            notes.warn(&patterns.at, "the preset is for nothing: its list is empty", "fill the list, or leave it out");
        }
        // One mistake is told once, however many services read the pattern.
        let mut told = Vec::new();
        preset.bounded(self.access, |service| {
            let mut found = Notes::default();
            let repos = rules::compile_repos(service, patterns, &mut found);
            for mistake in found.errors {
                if !told.contains(&mistake.at.id) {
                    told.push(mistake.at.id);
                    notes.errors.push(mistake);
                }
            }
            repos
        })
    }
}

fn compile_limits(shape: Option<&SessionLimitsShape>) -> session::Limits {
    let defaults = session::Limits { connections: Some(CONNECTIONS), ..session::Limits::default() };
    shape.map_or(defaults, |shape| session::Limits {
        requests_per_minute: shape.requests_per_minute,
        upload: shape.upload.as_ref().map(|size| size.0.0),
        connections: shape.connections.or(defaults.connections),
    })
}
