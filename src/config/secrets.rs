//! What a policy says about credentials, from words to settings.

use super::catalogue::{self, OwnRules};
use super::known;
use super::node::At;
use super::placed::Placed;
use super::rules::Notes;
use super::shapes::{ActionWord, GroupsShape, PermitShape, SecretsHostShape, SecretsShape, SwitchWord};
use super::similar::did_you_mean;
use super::words::Named;
use crate::net::HostPattern;
use crate::secrets::{Action, Group, Permitted, Scope, Settings, Switch, is_named, special};
use std::path::Path;

/// Compiles the section `secrets` of a policy. What is mistaken is noted.
pub(super) fn compile(shape: Option<&SecretsShape>, base: &Path, notes: &mut Notes) -> (Settings, OwnRules) {
    let Some(shape) = shape else { return Default::default() };
    let own = catalogue::read(shape.catalogue.as_deref().unwrap_or_default(), base, notes);
    note_unknown_rules(shape, &own, notes);
    let permits = shape.permit.iter().flatten().map(|permit| Permitted {
        rule: permit.value.rule.value.as_str().into(),
        hosts: permit.value.hosts.iter().map(|host| host.0.clone()).collect(),
    });
    let settings = Settings {
        action: shape.action.map_or(Action::Block, action),
        general: scope(None, shape.groups, shape.rules.as_ref()),
        hosts: compile_hosts(shape.hosts.as_deref().unwrap_or_default(), notes),
        permits: permits.collect(),
        known: shape.known.iter().flatten().flat_map(|source| known::read(source, base, notes)).collect(),
    };
    (settings, own)
}

fn compile_hosts(shapes: &[Placed<SecretsHostShape>], notes: &mut Notes) -> Vec<(HostPattern, Scope)> {
    let mut hosts: Vec<(HostPattern, Scope)> = Vec::new();
    for Placed { at, value: shape } in shapes {
        let Some(pattern) = notes.host(&shape.host) else { continue };
        if hosts.iter().any(|(earlier, _)| *earlier == pattern) {
            notes.error(&shape.host.at, format!("{pattern} is listed twice"), "keep one of the two");
        }
        if shape.action.is_none() && shape.groups.is_none() && shape.rules.is_none() {
            notes.warn(at, "nothing is said about this host", "add `action`, `groups` or `rules`");
        }
        hosts.push((pattern, scope(shape.action, shape.groups, shape.rules.as_ref())));
    }
    hosts
}

fn scope(word: Option<ActionWord>, groups: Option<GroupsShape>, rules: Option<&Named<Placed<SwitchWord>>>) -> Scope {
    let GroupsShape { credentials, keys, financial, generic } = groups.unwrap_or_default();
    let groups = [
        (Group::Credentials, credentials),
        (Group::Keys, keys),
        (Group::Financial, financial),
        (Group::Generic, generic),
    ];
    let rules = rules.into_iter().flat_map(|rules| &rules.0);
    Scope {
        action: word.map(action),
        groups: groups.into_iter().filter_map(|(group, word)| Some((group, switch(word?)))).collect(),
        rules: rules.map(|(name, word)| (name.value.as_str().into(), switch(word.value))).collect(),
    }
}

const fn action(word: ActionWord) -> Action {
    match word {
        ActionWord::Block => Action::Block,
        ActionWord::Mask => Action::Mask,
        ActionWord::Observe => Action::Observe,
    }
}

const fn switch(word: SwitchWord) -> Switch {
    match word {
        SwitchWord::On => Switch::On,
        SwitchWord::Off => Switch::Off,
        SwitchWord::Block => Switch::Act(Action::Block),
        SwitchWord::Mask => Switch::Act(Action::Mask),
        SwitchWord::Observe => Switch::Act(Action::Observe),
    }
}

/// Permits and switches name one rule of the catalogue, or a whole family of them: `github-pat`.
fn note_unknown_rules(shape: &SecretsShape, own: &OwnRules, notes: &mut Notes) {
    let permits = shape.permit.iter().flatten().map(|Placed { value: PermitShape { rule, .. }, .. }| rule);
    let permits: Vec<&Placed<String>> = permits.collect();
    let of_hosts = shape.hosts.iter().flatten().filter_map(|host| host.value.rules.as_ref());
    let switches: Vec<_> = of_hosts.chain(&shape.rules).flat_map(|rules| &rules.0).collect();
    if permits.is_empty() && switches.is_empty() {
        return;
    }
    // A broken catalogue is told where it is compiled; here it only means that no name can be checked.
    let Ok(catalogue) = own.with_builtin() else { return };
    let ids: Vec<&str> = catalogue.rules().iter().map(|rule| rule.id.as_str()).collect();
    for rule in permits {
        if ![special::KNOWN, special::LOGIN_ELSEWHERE].iter().any(|id| is_named(&rule.value, id)) {
            note_unknown(rule, &ids, notes);
        }
    }
    for (rule, word) in switches {
        let of = |id: &str| is_named(&rule.value, id);
        if word.value == SwitchWord::Off && (of(special::KNOWN) || of(special::CANARY)) {
            let message = format!("{} can't be switched off", rule.value);
            notes.error(&word.at, message, "say `observe`, or leave the value out of `known`");
        } else if !special::ALL.into_iter().any(of) {
            note_unknown(rule, &ids, notes);
        }
    }
}

fn note_unknown(rule: &Placed<String>, ids: &[&str], notes: &mut Notes) {
    if ids.iter().any(|id| is_named(id, &rule.value)) {
        return;
    }
    let groups = ["credentials", "keys", "financial", "generic"];
    let mut names: Vec<&str> = ids.iter().flat_map(|id| id.match_indices('-').map(|(at, _)| &id[..at])).collect();
    names.sort_unstable();
    names.dedup();
    names.splice(0..0, ids.iter().copied());
    let help = match did_you_mean(&rule.value, &names) {
        _ if groups.contains(&&*rule.value) => "it is a group: write it under `groups`".to_owned(),
        Some(id) => format!("did you mean `{id}`?"),
        None => "exeat secrets rules lists them".to_owned(),
    };
    let at = At::clone(&rule.at);
    notes.error(&at, "there is no such rule for secrets", &help);
}
