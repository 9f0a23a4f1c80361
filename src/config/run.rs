//! The configuration of `exeat run`: one command, one policy, a few hosts more.

use super::compile::is_policy_name;
use super::defaults::{Environment, process_environment};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::load::{DEFAULT_NAME, Wanted, load_with, policy_from_text, read_text};
use super::wire::Ruleset;
use super::{Config, preset};
use crate::net::{HostPattern, parse_port};
use crate::policy::{Access, Conflict, Policy, Ports, Repos, Rule, Rules, conflicts};
use ipnet::IpNet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

/// The name of the policy that `exeat run` makes: what `--policy` names, with what `--allow` adds.
pub const RUN_POLICY: &str = "run";

/// What the command line says.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions<'o> {
    /// `--config`.
    pub config: Option<&'o Path>,
    /// `--policy`: a policy file, or the name of a policy of the configuration.
    pub policy: Option<&'o str>,
    /// `--allow`: host patterns, each with or without a port.
    pub allow: &'o [String],
}

impl Config {
    /// The configuration of one run: listens on free loopback ports, has none of the file's sessions, and
    /// one policy more, [`RUN_POLICY`], for the run's own session.
    ///
    /// # Errors
    /// All mistakes of the files and of the arguments.
    pub fn for_run(options: RunOptions<'_>) -> Result<Config, Diagnostics> {
        for_run_in(options, &process_environment)
    }
}

pub(super) fn for_run_in(options: RunOptions<'_>, environment: Environment<'_>) -> Result<Config, Diagnostics> {
    let mut config = load_with(options.config, environment, Wanted::Policies)?;
    config.listen = super::Listen::on_free_ports();
    let base = chosen(&config, options)?;
    let ruleset = widened(&base, options.allow)?;
    config.rulesets.insert(RUN_POLICY.into(), Arc::new(ruleset));
    Ok(config)
}

/// The policy that `--policy` means. What looks like a path is one, so that a file next to a policy of the
/// same name never takes its place.
fn chosen(config: &Config, options: RunOptions<'_>) -> Result<Arc<Ruleset>, Diagnostics> {
    let name = options.policy.unwrap_or(DEFAULT_NAME);
    let is_file = name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml");
    if is_file {
        let (file, text, base) = read_text(Path::new(name))?;
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_policy_name(stem));
        return policy_from_text(stem.unwrap_or(RUN_POLICY), file, &text, &base).map(|(ruleset, _)| ruleset);
    }
    if let Some(ruleset) = config.rulesets.get(name) {
        return Ok(Arc::clone(ruleset));
    }
    let mut names: Vec<&str> = config.rulesets.keys().map(|name| &**name).collect();
    names.sort_unstable();
    // A file of one policy needs no name for it.
    if let (None, [only]) = (options.policy, &names[..]) {
        return Ok(Arc::clone(&config.rulesets[*only]));
    }
    let help = match (preset::named(name), super::similar::did_you_mean(name, &names)) {
        (Some(_), _) => format!("{name} is a preset: list it under `presets` of a policy"),
        (None, Some(similar)) => format!("did you mean `{similar}`?"),
        (None, None) if names.is_empty() => "the configuration has no policies".to_owned(),
        (None, None) => format!("there are: {}; a file is written with its path: ./{name}.yaml", names.join(", ")),
    };
    Err(Diagnostic::bare("command line", "--policy", format!("there is no policy {name}")).with_help(help).into())
}

fn widened(base: &Ruleset, allow: &[String]) -> Result<Ruleset, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut rules = base.policy.rules().clone();
    let written = rules.allow.len();
    for text in allow {
        match arguments(text) {
            Ok(more) => more.into_iter().for_each(|rule| rules.allow.push(like_its_kin(rule, &rules))),
            Err(message) => errors.push(
                Diagnostic::bare("command line", "--allow", message)
                    .with_help("write HOST or HOST:PORT (api.example.com, \"*.example.com\", localhost:8080), or PRESET or PRESET:REPO (npm, github-write:acme/site)"),
            ),
        }
    }
    for conflict in conflicts(&rules.allow, &rules.deny) {
        if let Conflict::Unreachable { allow: position, deny } = conflict
            && let Some(rule) = rules.allow.get(position).filter(|_| position >= written)
            && let Some(text) = rule.name.strip_prefix("--allow ")
        {
            let message = format!("{text} is denied by {}", rules.deny[deny].name);
            errors.push(Diagnostic::bare("command line", "--allow", message).with_help("deny wins over every allow"));
        }
    }
    let policy = Policy::new(RUN_POLICY, base.policy.mode(), rules);
    match policy {
        Ok(policy) if errors.is_empty() => Ok(Ruleset {
            policy: Arc::new(policy),
            secrets: base.secrets.clone(),
            own_rules: base.own_rules.clone(),
            limits: base.limits,
        }),
        Ok(_) => Err(errors),
        Err(_) => {
            let message =
                "the hosts contradict rules of the policy: one has `tls: tunnel` where the other looks inside";
            errors.push(Diagnostic::bare("command line", "--allow", message));
            Err(errors)
        }
    }
}

/// The rules of one `--allow`: a host's, or a preset's (`npm`, `github-write`, `github-write:acme/site`).
fn arguments(text: &str) -> Result<Vec<Rule>, String> {
    let (word, repo) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
    let is_port = repo.is_some_and(|repo| repo.bytes().all(|byte| byte.is_ascii_digit()));
    let Some((name, access)) = preset::named(word).filter(|_| !is_port) else {
        return argument(text).map(|rule| vec![rule]);
    };
    let Some(Ok(preset)) = preset::load(name) else { return Err(format!("the preset {name} is broken: report it")) };
    if !preset.tells_access() && (access != Access::Read || repo.is_some()) {
        return Err(format!("`{text}`: the preset {name} is for reading only, of everything"));
    }
    let mut mistake = None;
    let rules = preset.bounded(access, |service| {
        let compiled = repo.map_or(Ok(Repos::ALL), |repo| Repos::only(service, &[repo]));
        compiled.unwrap_or_else(|(_, error)| {
            mistake = Some(format!("`{text}`: {error}"));
            Repos::none()
        })
    });
    mistake.map_or(Ok(rules), Err)
}

/// The rule of one `--allow` of a host. Who names an address on the command line means to reach it, so that its own
/// range is named with it.
fn argument(text: &str) -> Result<Rule, String> {
    let (host, port) = split_port(text);
    let host: HostPattern = host.parse().map_err(|error| format!("`{text}`: {error}"))?;
    let ports = match port {
        None => Ports::Unset,
        Some(port) => {
            let port = parse_port(port.as_bytes()).map_err(|error| format!("`{text}`: {error}"))?;
            Ports::Only([port..=port].into())
        }
    };
    let addresses: Vec<IpNet> = match &host {
        HostPattern::Exact(host) if host.is_localhost() => {
            vec![
                IpNet::from(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST)),
                IpNet::from(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ]
        }
        HostPattern::Exact(host) => host.as_ip().map(IpNet::from).into_iter().collect(),
        _ => Vec::new(),
    };
    Ok(Rule { ports, addresses: addresses.into(), ..Rule::new(format!("--allow {text}"), host) })
}

/// A rule for a host that the policy relays stays a relay: one host and port has one way.
fn like_its_kin(rule: Rule, rules: &Rules) -> Rule {
    let kin = rules.allow.iter().find(|other| other.host == rule.host && other.ports.overlap(&rule.ports));
    match kin {
        Some(kin) => Rule { tls: kin.tls, protocols: kin.protocols, ..rule },
        None => rule,
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some(inside) = text.strip_prefix('[')
        && let Some((_, port)) = inside.split_once("]:")
    {
        return (&text[..text.len() - port.len() - 1], Some(port));
    }
    match text.split_once(':') {
        // More than one colon without brackets is an IPv6 address; `https://` is for the host's parser to refuse.
        Some((host, port)) if !port.contains([':', '/']) && !text.starts_with('[') => (host, Some(port)),
        _ => (text, None),
    }
}
