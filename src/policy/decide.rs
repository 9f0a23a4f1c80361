//! The decision: one target, or one tunnel, against a policy.

use super::conflict::{Conflict, conflicts};
use super::index::Index;
use super::permit::Proviso;
use super::service::Allowed;
use super::{Action, Credentials, Document, Hidden, Permit, Protocol, Protocols, Resolve, Rule, Scope, TlsMode};
use crate::net::{Authority, Scheme, Target};
use crate::reason::{Denial, Reason};
use ipnet::IpNet;
use std::fmt::Write as _;
use std::sync::Arc;

/// A named policy, compiled: what its sessions may reach. Nothing is allowed that no rule allows.
#[derive(Debug)]
pub struct Policy {
    name: Arc<str>,
    hash: Arc<str>,
    mode: Mode,
    pub(super) rules: Rules,
    pub(super) allow_index: Index,
    pub(super) deny_index: Index,
    nothing: Arc<[IpNet]>,
    observed_rule: Arc<str>,
}

/// Whether denials stop anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Denials stop the request.
    #[default]
    Enforce,
    /// Denials are logged; only the address guard stops anything.
    Observe,
}

/// The rules of a policy, in the order of the file. A deny wins over every allow.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What may be reached: the policy's own rules and those of its presets.
    pub allow: Vec<Rule>,
    /// What may not.
    pub deny: Vec<Rule>,
}

/// The rules contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy has rules that can't be enforced together")]
pub struct PolicyError(pub Vec<Conflict>);

/// What the allow rules say to one question.
struct Weighed<'p> {
    /// The most specific rule that allows, before all that allow under a proviso.
    allowed_by: Option<&'p Rule>,
    /// What the body must be read as, where no rule allows without that.
    provided: Option<Document>,
    /// The most specific rule for the host and port, whatever it says of method and path.
    listed_by: Option<&'p Rule>,
    addresses: Arc<[IpNet]>,
    /// Own, if any rule that allows says so.
    credentials: Credentials,
}

impl Policy {
    /// Compiles rules; refuses those that could not be enforced.
    pub fn new(name: impl Into<Arc<str>>, mode: Mode, rules: Rules) -> Result<Self, PolicyError> {
        let fatal: Vec<_> = conflicts(&rules.allow, &rules.deny).into_iter().filter(|c| c.is_fatal()).collect();
        if !fatal.is_empty() {
            return Err(PolicyError(fatal));
        }
        let name = name.into();
        Ok(Self {
            hash: hash(mode, &rules),
            mode,
            allow_index: Index::new(&rules.allow),
            deny_index: Index::new(&rules.deny),
            nothing: Arc::new([]),
            observed_rule: format!("{name}.mode").into(),
            name,
            rules,
        })
    }

    /// The name in the file.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The first 16 hex digits of SHA-256 over mode and rules: two policies that decide alike by the
    /// same rules have the same, whatever they are called.
    #[must_use]
    pub fn hash(&self) -> &Arc<str> {
        &self.hash
    }

    /// Whether denials stop anything.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Its rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Judges one request. In observe mode a denial comes back as a permit that tells it.
    ///
    /// # Errors
    /// `dest_denied`, `dest_not_listed` or `request_not_listed`. What is told of the target is host, port and
    /// the name of a repository: path, query and fields have not been scanned for secrets yet.
    pub fn decide(&self, target: &Target) -> Result<Permit, Denial> {
        let authority = &target.authority;
        let weighed = self.weigh(target.scheme, authority, |rule| rule.allows_inside(target));
        match (self.denied_by(authority, |rule| rule.denies_inside(target)), weighed.allowed_by) {
            (None, Some(rule)) => Ok(self.permit_provided(target, rule, &weighed)),
            (Some(deny), _) => self.refuse(target.scheme, authority, &weighed, denied(deny, authority)),
            (None, None) => self.refuse(target.scheme, authority, &weighed, self.not_listed(&weighed, target)),
        }
    }

    /// Judges a tunnel by host and port: is there any request that a rule could allow? What comes
    /// through it is judged by [`decide`](Self::decide) unless the permit says to relay it.
    ///
    /// # Errors
    /// `dest_denied` or `dest_not_listed`.
    pub fn decide_tunnel(&self, authority: &Authority) -> Result<Permit, Denial> {
        let weighed = self.weigh(Scheme::Https, authority, |_| Allowed::Yes);
        // A deny that looks inside waits for the requests. Where none will be seen it denies the tunnel;
        // `conflicts` refuses such policies, so this is the second lock.
        let relayed = weighed.allowed_by.is_some_and(|rule| rule.tls == TlsMode::Tunnel);
        match (self.denied_by(authority, |rule| relayed || !rule.looks_inside()), weighed.allowed_by) {
            (None, Some(rule)) => Ok(permit(Scheme::Https, authority, rule, &weighed)),
            (Some(deny), _) => self.refuse(Scheme::Https, authority, &weighed, denied(deny, authority)),
            (None, None) => {
                self.refuse(Scheme::Https, authority, &weighed, self.host_not_listed(Scheme::Https, authority))
            }
        }
    }

    /// Judges a tunnel that may carry TLS or plain HTTP, as its first bytes will tell. A permit for `http` is for a
    /// place that is listed for plain HTTP only; whatever its rule says of TLS, the requests inside are judged one by
    /// one.
    ///
    /// # Errors
    /// As [`decide_tunnel`](Self::decide_tunnel).
    pub fn decide_either(&self, authority: &Authority) -> Result<Permit, Denial> {
        let tls = self.decide_tunnel(authority);
        if matches!(&tls, Ok(permit) if permit.observed.is_none()) {
            return tls;
        }
        let weighed = self.weigh(Scheme::Http, authority, |_| Allowed::Yes);
        match (self.denied_by(authority, |rule| !rule.looks_inside()), weighed.allowed_by) {
            (None, Some(rule)) => {
                let permit = permit(Scheme::Http, authority, rule, &weighed);
                Ok(Permit { tls: TlsMode::Intercept, ..permit })
            }
            _ => tls,
        }
    }

    /// Whether any rule allows plain HTTP there: what comes in a tunnel may be a request of it, which is judged
    /// by [`decide`](Self::decide) then.
    #[must_use]
    pub fn lists_plain(&self, authority: &Authority) -> bool {
        self.weigh(Scheme::Http, authority, |_| Allowed::Yes).allowed_by.is_some()
    }

    fn denied_by(&self, authority: &Authority, inside: impl Fn(&Rule) -> bool) -> Option<&Rule> {
        self.deny_index
            .matching(&authority.host)
            .map(|position| &self.rules.deny[position])
            .find(|rule| rule.denies_port(authority) && inside(rule))
    }

    fn weigh(&self, scheme: Scheme, authority: &Authority, inside: impl Fn(&Rule) -> Allowed) -> Weighed<'_> {
        let addresses = Arc::clone(&self.nothing);
        let mut weighed =
            Weighed { allowed_by: None, provided: None, listed_by: None, addresses, credentials: Credentials::Any };
        for position in self.allow_index.matching(&authority.host) {
            let rule = &self.rules.allow[position];
            if !rule.allows_port(scheme, authority) {
                continue;
            }
            weighed.listed_by.get_or_insert(rule);
            let allowed = inside(rule);
            match allowed {
                Allowed::Yes if weighed.provided.take().is_some() => weighed.allowed_by = Some(rule),
                Allowed::Yes => _ = weighed.allowed_by.get_or_insert(rule),
                Allowed::IfBodyReads(document) if weighed.allowed_by.is_none() => {
                    (weighed.allowed_by, weighed.provided) = (Some(rule), Some(document));
                }
                Allowed::IfBodyReads(_) | Allowed::No => {}
            }
            if allowed != Allowed::No {
                unite(&mut weighed.addresses, &rule.addresses);
                if rule.credentials == Credentials::Own {
                    weighed.credentials = Credentials::Own;
                }
            }
        }
        weighed
    }

    /// The permit of a rule, and what its body must be if that is what it depends on.
    fn permit_provided(&self, target: &Target, rule: &Rule, weighed: &Weighed<'_>) -> Permit {
        let permit = permit(target.scheme, &target.authority, rule, weighed);
        let (Some(document), Some(scope)) = (weighed.provided, &rule.scope) else { return permit };
        let action = Action { on: scope.action(target).on, ..document.writing() };
        let denial = beyond(rule, scope, &action);
        let proviso = Proviso { document, denial };
        Permit { provided: Some(proviso), ..permit }
    }

    fn refuse(
        &self,
        scheme: Scheme,
        authority: &Authority,
        weighed: &Weighed<'_>,
        denial: Denial,
    ) -> Result<Permit, Denial> {
        if self.mode == Mode::Enforce {
            return Err(denial);
        }
        let mut permit = match weighed.listed_by {
            Some(rule) => permit(scheme, authority, rule, weighed),
            // Nobody has said what it may carry, and observing stops nothing.
            None => Permit {
                scheme,
                authority: authority.clone(),
                rule: Arc::clone(&self.observed_rule),
                tls: TlsMode::Intercept,
                protocols: Protocols::NONE.with(Protocol::Any),
                resolve: Resolve::Gateway,
                client_certificate: None,
                hidden: Hidden::default(),
                addresses: Arc::clone(&self.nothing),
                credentials: Credentials::Any,
                minds_methods: false,
                is_by_service: false,
                provided: None,
                observed: None,
            },
        };
        permit.observed = Some(denial);
        Ok(permit)
    }

    fn not_listed(&self, weighed: &Weighed<'_>, target: &Target) -> Denial {
        let authority = &target.authority;
        let Some(rule) = weighed.listed_by else { return self.host_not_listed(target.scheme, authority) };
        let listed = self.allow_index.matching(&authority.host).map(|position| &self.rules.allow[position]);
        let listed: Vec<&Rule> = listed.filter(|rule| rule.allows_port(target.scheme, authority)).collect();
        if let Some((rule, scope)) = widest(&listed, target) {
            return beyond(rule, scope, &scope.action(target));
        }
        let method_is_listed = listed.iter().any(|rule| rule.methods.contain(&target.method));
        let what = if method_is_listed { "this path for this method" } else { "this method" };
        Denial::new(Reason::RequestNotListed)
            .by_rule(Arc::clone(&rule.name))
            .because(format_args!("The policy {} lists {authority}, but not {what}.", self.name))
    }

    fn host_not_listed(&self, scheme: Scheme, authority: &Authority) -> Denial {
        let denial = Denial::new(Reason::DestinationNotListed);
        let other_port = self.allow_index.matching(&authority.host).next().map(|position| &self.rules.allow[position]);
        let scheme = scheme.as_str();
        match other_port {
            Some(rule) => denial.because(format_args!(
                "The policy {} lists the host of {authority} ({}), but not this port for {scheme}.",
                self.name, rule.name
            )),
            None => denial.because(format_args!("The policy {} does not list {authority}.", self.name)),
        }
    }
}

/// Of the rules that judge this place by what it serves, the one that goes furthest: it is nearest to what
/// was asked for.
fn widest<'r>(listed: &[&'r Rule], target: &Target) -> Option<(&'r Rule, &'r Scope)> {
    let seen = |rule: &&&Rule| rule.methods.contain(&target.method) && rule.paths.match_all_readings(&target.path);
    let scoped = listed.iter().filter(seen).filter_map(|rule| rule.scope.as_ref().map(|scope| (*rule, scope)));
    scoped.reduce(|best, other| if other.1.access > best.1.access { other } else { best })
}

/// An action that the rule for its place does not let through.
fn beyond(rule: &Rule, scope: &Scope, action: &Action) -> Denial {
    let denial = Denial::new(Reason::RequestNotListed).by_rule(Arc::clone(&rule.name));
    denial.because(scope.refusal(&rule.name, action)).permitted_by(scope.allow_argument(action))
}

fn denied(rule: &Rule, authority: &Authority) -> Denial {
    Denial::new(Reason::DestinationDenied)
        .by_rule(Arc::clone(&rule.name))
        .because(format_args!("The rule {} denies this request to {authority}.", rule.name))
}

fn permit(scheme: Scheme, authority: &Authority, rule: &Rule, weighed: &Weighed<'_>) -> Permit {
    Permit {
        scheme,
        authority: authority.clone(),
        rule: Arc::clone(&rule.name),
        tls: rule.tls,
        protocols: rule.protocols,
        resolve: rule.resolve,
        client_certificate: rule.client_certificate.clone(),
        hidden: rule.hidden,
        addresses: Arc::clone(&weighed.addresses),
        credentials: weighed.credentials,
        minds_methods: rule.minds_methods(),
        is_by_service: rule.scope.is_some(),
        provided: None,
        observed: None,
    }
}

/// Allocates only where two rules with ranges match one request.
fn unite(addresses: &mut Arc<[IpNet]>, more: &Arc<[IpNet]>) {
    if addresses.is_empty() {
        addresses.clone_from(more);
    } else if !more.is_empty() {
        *addresses = addresses.iter().chain(more.iter()).copied().collect();
    }
}

/// Written out rather than serialised, so that a library's change of format changes no hash.
fn hash(mode: Mode, rules: &Rules) -> Arc<str> {
    let mut text = format!("{mode:?}\n");
    for (kind, rules) in [("allow", &rules.allow), ("deny", &rules.deny)] {
        for rule in rules {
            let Rule { name: _, host, ports, methods, paths, tls, protocols, addresses, .. } = rule;
            let Rule { resolve, client_certificate, hidden, credentials, scope, .. } = rule;
            let paths = paths.written();
            // Writing to a String can't fail.
            let _ = write!(text, "{kind} {host} {ports:?} {methods:?} {paths:?} {tls:?} {protocols:?} {addresses:?}");
            if *resolve != Resolve::default() || *hidden != Hidden::default() {
                let _ = write!(text, " {resolve:?} {hidden:?}");
            }
            if let Some(client) = client_certificate {
                let _ = write!(text, " {client:?}");
            }
            if let Some(scope) = scope {
                let (service, access) = (scope.service.as_str(), scope.access.as_str());
                let _ = write!(text, " {service} {access} {:?}", scope.repos.written());
            }
            let _ = writeln!(text, "{}", if *credentials == Credentials::Own { " own" } else { "" });
        }
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    data_encoding::HEXLOWER.encode(&digest.as_ref()[..8]).into()
}

#[cfg(test)]
mod tests;
