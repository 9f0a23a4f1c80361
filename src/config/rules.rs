//! From rules as typed to rules compiled.

use super::diagnostic::{Diagnostic, Mistake};
use super::node::At;
use super::placed::Placed;
use super::shapes::{
    AccessWord, AllowShape, CredentialsWord, DenyShape, HiddenWord, ProtocolWord, ResolveWord, TlsWord,
};
use super::units::Written;
use super::words::{MethodWords, PortWord, ServiceWord};
use crate::net::{AddressClass, Host, HostPattern, PatternError};
use crate::policy::{
    Access, ClientCertificate, Credentials, Hidden, MethodError, Methods, Paths, Ports, Protocol, Protocols, Repos,
    Resolve, Rule, Scope, Service, TlsMode,
};
use http::Method;
use ipnet::IpNet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

/// What was found while rules were compiled.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) errors: Vec<Mistake>,
    pub(super) warnings: Vec<Mistake>,
    /// What is wrong with files that this one names.
    pub(super) elsewhere: Vec<Diagnostic>,
}

impl Notes {
    pub(super) fn error(&mut self, at: &At, message: impl Into<String>, help: &str) {
        self.errors.push(Mistake::new(at.clone(), message).with_help(Some(help.to_owned())));
    }

    /// An error whose text tells behind a line end what to do.
    pub(super) fn mistake(&mut self, at: &At, text: &str) {
        let (message, help) = text.split_once('\n').unwrap_or((text, ""));
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.errors.push(Mistake::new(at.clone(), message).with_help(help));
    }

    /// A host pattern; nothing where it is none, which is noted.
    pub(super) fn host(&mut self, written: &Placed<String>) -> Option<HostPattern> {
        let error = match written.value.parse() {
            Ok(host) => return Some(host),
            Err(error) => error,
        };
        let help = match error {
            PatternError::NotAHost => "write the host alone; ports stand under `ports`, paths under `paths`",
            PatternError::Address => "write the address, or a range under `addresses`",
            _ => "write example.com, \"*.example.com\", \"**.example.com\" or an address",
        };
        self.error(&written.at, error.to_string(), help);
        None
    }

    pub(super) fn warn(&mut self, at: &At, message: impl Into<String>, help: &str) {
        self.warnings.push(Mistake::new(at.clone(), message).with_help(Some(help.to_owned())));
    }
}

/// Where a mistaken host would have stood, so that the rule's other mistakes are found too; a policy with
/// mistakes is never used.
pub(super) const NO_HOST: HostPattern = HostPattern::Exact(Host::V4(Ipv4Addr::UNSPECIFIED));

/// Compiles an allow of the policy or preset `owner`. What is mistaken is noted.
pub(super) fn allow(owner: &str, placed: &Placed<AllowShape>, base: &Path, notes: &mut Notes) -> Rule {
    let AllowShape { host, ports, methods, paths, tls, protocols, addresses, credentials, .. } = &placed.value;
    let pattern = notes.host(host);
    let rule = Rule {
        ports: compile_ports(ports.as_deref()),
        methods: compile_methods(methods.as_ref(), notes),
        paths: compile_paths(paths.as_ref(), notes),
        tls: match tls {
            Some(TlsWord::Tunnel) => TlsMode::Tunnel,
            Some(TlsWord::Intercept) | None => TlsMode::Intercept,
        },
        protocols: protocols.as_deref().map_or_else(Protocols::default, compile_protocols),
        resolve: match placed.value.resolve {
            Some(ResolveWord::Parent) => Resolve::Parent,
            Some(ResolveWord::Gateway) | None => Resolve::Gateway,
        },
        client_certificate: compile_client(placed, base, notes),
        hidden: compile_hidden(placed, notes),
        addresses: compile_addresses(addresses.as_deref().unwrap_or_default(), notes),
        credentials: match credentials.as_ref().map(|word| word.value) {
            Some(CredentialsWord::Own) => Credentials::Own,
            Some(CredentialsWord::Any) | None => Credentials::Any,
        },
        scope: compile_scope(&placed.value, notes),
        ..Rule::new(name_of(owner, &placed.at), pattern.clone().unwrap_or(NO_HOST))
    };
    if rule.host.is_wide() {
        let help = "name the hosts, or a domain of one owner";
        notes.warn(&host.at, format!("`{}` is wide: it matches names of any owner", rule.host), help);
    }
    if pattern.is_some() {
        note_inner_address(&rule, &host.at, notes);
    }
    note_void(&rule, &placed.at, notes);
    rule
}

/// Compiles a deny of the policy `owner`.
pub(super) fn deny(owner: &str, placed: &Placed<DenyShape>, notes: &mut Notes) -> Rule {
    let DenyShape { host, ports, methods, paths } = &placed.value;
    let rule = Rule {
        ports: compile_ports(ports.as_deref()),
        methods: compile_methods(methods.as_ref(), notes),
        paths: compile_paths(paths.as_ref(), notes),
        ..Rule::new(name_of(owner, &placed.at), notes.host(host).unwrap_or(NO_HOST))
    };
    note_void(&rule, &placed.at, notes);
    rule
}

/// `agent.allow[2]`: by the place in the file, not among the rules that could be read.
fn name_of(owner: &str, at: &At) -> String {
    let place = at.path.rsplit('.').next().unwrap_or_default();
    format!("{owner}.{place}")
}

fn note_void(rule: &Rule, at: &At, notes: &mut Notes) {
    if rule.is_void() {
        notes.warn(at, "the rule matches nothing: one of its lists is empty", "fill the list, or leave the key out");
    }
}

fn note_inner_address(rule: &Rule, at: &At, notes: &mut Notes) {
    let HostPattern::Exact(Host::V4(_) | Host::V6(_)) = &rule.host else { return };
    let HostPattern::Exact(host) = &rule.host else { return };
    let Some(address) = host.as_ip() else { return };
    let class = AddressClass::of(address);
    if AddressClass::is_never_dialled(address) {
        notes.error(at, format!("no rule can open {address}: it is a {class} address"), "remove the rule");
    } else if !class.is_public() && !rule.addresses.iter().any(|range| range.contains(&address)) {
        let help = format!("add `addresses: [\"{}\"]`", IpNet::from(address));
        notes.warn(at, format!("{address} is a {class} address, which the rule does not name to be dialled"), &help);
    }
}

fn compile_ports(words: Option<&[PortWord]>) -> Ports {
    words.map_or(Ports::Unset, |words| Ports::Only(words.iter().map(|PortWord(range)| range.clone()).collect()))
}

fn compile_methods(words: Option<&Placed<MethodWords>>, notes: &mut Notes) -> Methods {
    let Some(Placed { value: MethodWords(words), .. }) = words else { return Methods::All };
    let mut methods: Vec<Method> = Vec::new();
    let mut add = |method: Method| {
        if !methods.contains(&method) {
            methods.push(method);
        }
    };
    for word in words {
        if word.value == "read-only" {
            Methods::READ_ONLY.into_iter().for_each(&mut add);
            continue;
        }
        match Methods::parse_one(&word.value) {
            Ok(method) => add(method),
            Err(error) => {
                let help = match error {
                    MethodError::LowerCase => format!("write {}", word.value.to_ascii_uppercase()),
                    MethodError::NotAToken => "write [GET, HEAD] or read-only".to_owned(),
                    MethodError::Connect => "leave CONNECT out".to_owned(),
                };
                notes.error(&word.at, error.to_string(), &help);
            }
        }
    }
    Methods::Only(methods.into())
}

fn compile_paths(globs: Option<&Placed<Vec<Placed<String>>>>, notes: &mut Notes) -> Paths {
    let Some(Placed { value: globs, .. }) = globs else { return Paths::ALL };
    let mut good = Vec::new();
    for glob in globs {
        match Paths::only(std::slice::from_ref(&glob.value)) {
            Ok(_) => good.push(glob.value.as_str()),
            Err((_, error)) => notes.error(&glob.at, error.to_string(), "see `paths` in config/exeat.yaml"),
        }
    }
    // Each was taken alone, so that all are together; no path at all would be the safe side.
    Paths::only(&good).or_else(|_| Paths::only::<&str>(&[])).unwrap_or(Paths::ALL)
}

fn compile_client(placed: &Placed<AllowShape>, base: &Path, notes: &mut Notes) -> Option<Arc<ClientCertificate>> {
    let Placed { at, value: shape } = placed.value.client_certificate.as_ref()?;
    if placed.value.tls == Some(TlsWord::Tunnel) {
        let help = "leave out `tls: tunnel`: in a relayed tunnel the agent's own TLS goes up";
        notes.error(at, "`client_certificate` means nothing where TLS is relayed", help);
    }
    let [certificate, key] = [&shape.certificate, &shape.key].map(|file| super::listen::file_of(file, base, notes));
    Some(Arc::new(ClientCertificate { certificate, key }))
}

fn compile_scope(shape: &AllowShape, notes: &mut Notes) -> Option<Scope> {
    let Some(ServiceWord(service)) = shape.service.as_ref().map(|word| word.value) else {
        let access = shape.access.as_ref().map(|word| &word.at);
        if let Some(at) = access.or(shape.repos.as_ref().map(|repos| &repos.at)) {
            notes.error(at, "only with `service` is reading told from writing", "add `service`, or write `methods`");
        }
        return None;
    };
    let access = access_of(shape.access.as_ref());
    Some(Scope { service, access, repos: compile_repos(service, shape.repos.as_ref(), notes), preset: None })
}

pub(super) fn access_of(word: Option<&Placed<AccessWord>>) -> Access {
    match word.map(|word| word.value) {
        Some(AccessWord::Admin) => Access::Admin,
        Some(AccessWord::Write) => Access::Write,
        Some(AccessWord::Read) | None => Access::Read,
    }
}

/// Patterns of names; mistaken ones mean nothing.
pub(super) fn compile_repos(
    service: Service,
    patterns: Option<&Placed<Vec<Placed<String>>>>,
    notes: &mut Notes,
) -> Repos {
    let Some(Placed { value: patterns, .. }) = patterns else { return Repos::ALL };
    let mut good = Vec::new();
    for pattern in patterns {
        match Repos::only(service, std::slice::from_ref(&pattern.value)) {
            Ok(_) => good.push(pattern.value.as_str()),
            Err((_, error)) => notes.error(&pattern.at, error.to_string(), "write `acme/site` or `acme/*`"),
        }
    }
    Repos::only(service, &good).unwrap_or_else(|_| Repos::none())
}

fn compile_hidden(placed: &Placed<AllowShape>, notes: &mut Notes) -> Hidden {
    let words = placed.value.dangerously_allow.as_deref().unwrap_or_default();
    if !words.is_empty() && placed.value.tls != Some(TlsWord::Tunnel) {
        let help = "add `tls: tunnel`, or leave it out: where TLS is opened, its name is known";
        notes.error(&placed.at, "`dangerously_allow` means nothing where TLS is opened", help);
    }
    Hidden { ech: words.contains(&HiddenWord::Ech), sni: words.contains(&HiddenWord::MissingSni) }
}

fn compile_protocols(words: &[ProtocolWord]) -> Protocols {
    words.iter().fold(Protocols::NONE, |protocols, word| {
        protocols.with(match word {
            ProtocolWord::Tls => Protocol::Tls,
            ProtocolWord::Http => Protocol::Http,
            ProtocolWord::Ssh => Protocol::Ssh,
            ProtocolWord::Any => Protocol::Any,
        })
    })
}

fn compile_addresses(ranges: &[Placed<Written<super::shapes::Range>>], notes: &mut Notes) -> Arc<[IpNet]> {
    for Placed { at, value: Written(super::shapes::Range(range)) } in ranges {
        let ends = [range.network(), range.broadcast()];
        let [first, last] = ends.map(AddressClass::of);
        if first == last && ends.into_iter().all(AddressClass::is_never_dialled) {
            notes.error(
                at,
                format!("no rule can open {range}: {first} addresses are never dialled"),
                "remove the range",
            );
        }
    }
    ranges.iter().map(|range| range.value.0.0).collect()
}
