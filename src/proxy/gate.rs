//! The one gate: every request of every way in is admitted here, in one order.

use super::Shared;
use super::error::Error;
use super::identify::Identity;
use super::in_force::Asked;
use super::interrupt::Interrupt;
use crate::flow::{Phase, Recorder};
use crate::http1::Fields;
use crate::net::{Authority, Host, Target};
use crate::policy::{Credentials, Permit, Resolve};
use crate::reason::{Denial, Reason};
use crate::secrets::{Disposition, Finding, Guard, HeadView, special};
use crate::upstream::{Beyond, Route};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// Steps 5 and 6 for a request: budget, decision, scan of the head. No name has been looked up yet.
pub(super) fn admit(
    identity: &Identity,
    target: &Arc<Target>,
    fields: &Fields,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
) -> Result<Permit, Error> {
    let mut is_clean = false;
    let now = Instant::now();
    let admitted = decide(identity, target, now, recorder).and_then(|permit| {
        // What a body is looked at as is not to be another thing than what the origin takes it for.
        if fields.values("content-type").nth(1).is_some() {
            return Err(Denial::new(Reason::BadRequest).because("there is more than one Content-Type field").into());
        }
        is_clean = scan(identity, target, fields, &permit, now, recorder)?;
        Ok(permit)
    });
    let guard = &identity.ruleset.guard;
    recorder.target(
        target,
        |before, text| {
            if is_clean { Cow::Borrowed(text) } else { guard.redact_after(before, text) }
        },
    );
    if admitted.is_ok() {
        recorder.mark(Phase::Decide);
        interrupt.watch_policy(identity.watch(Asked::Request(Arc::clone(target))));
    }
    admitted
}

fn decide(identity: &Identity, target: &Target, now: Instant, recorder: &mut Recorder) -> Result<Permit, Error> {
    spend_request(identity, now)?;
    let permit = identity.ruleset.policy.decide(target).map_err(|denial| redacted(identity, denial))?;
    note_permit(identity, &permit, recorder);
    Ok(permit)
}

/// Whether nothing in the head even looks like a secret.
fn scan(
    identity: &Identity,
    target: &Target,
    fields: &Fields,
    permit: &Permit,
    now: Instant,
    recorder: &mut Recorder,
) -> Result<bool, Error> {
    let fields = scannable(fields);
    let view = HeadView {
        host: &target.authority.host,
        method: target.method.as_str(),
        path: target.path.path(),
        query: target.path.query(),
        fields: &fields,
        trailers: false,
    };
    let screened = guard(identity, permit).screen_head(&view, &identity.live.memory, now);
    judge(screened.findings, recorder)?;
    Ok(screened.is_clean)
}

/// Steps 5 and 6 for a tunnel, which has a host and nothing else to go out, and may carry TLS or plain HTTP.
pub(super) fn admit_tunnel(
    identity: &Identity,
    authority: &Authority,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
) -> Result<Permit, Error> {
    recorder.tunnel(authority, |before, text| identity.ruleset.guard.redact_after(before, text));
    spend_request(identity, Instant::now())?;
    let permit = identity.ruleset.policy.decide_either(authority)?;
    interrupt.watch_policy(identity.watch(Asked::Tunnel(authority.clone(), permit.tls())));
    admit_host(identity, authority, permit, recorder)
}

/// The scan of a tunnel's host name, which is all that goes out for it.
fn admit_host(
    identity: &Identity,
    authority: &Authority,
    permit: Permit,
    recorder: &mut Recorder,
) -> Result<Permit, Error> {
    note_permit(identity, &permit, recorder);
    // An address has no letters to hide in.
    if authority.host.as_name().is_some() {
        let view =
            HeadView { host: &authority.host, method: "CONNECT", path: "", query: None, fields: &[], trailers: false };
        judge(identity.ruleset.guard.scan_head(&view), recorder)?;
    }
    recorder.mark(Phase::Decide);
    Ok(permit)
}

/// Step 7: every address of the answer vetted, and the way there. A parent gets a name only where the rule
/// says so, and an address that was vetted everywhere else.
pub(super) async fn resolve(shared: &Shared, permit: &Permit, recorder: &mut Recorder) -> Result<Route, Error> {
    let authority = permit.authority();
    let route = match shared.dialler.parent_for(&authority.host) {
        None => Route::Direct(shared.resolver.resolve(permit).await.map_err(Error::Dns)?),
        Some(parent) => {
            let is_name = authority.host.as_name().is_some_and(|_| !authority.host.is_localhost());
            let to = if permit.resolve() == Resolve::Parent && is_name {
                Beyond::Name(authority.clone())
            } else {
                Beyond::Vetted(shared.resolver.resolve(permit).await.map_err(Error::Dns)?)
            };
            let at = shared.resolver.resolve_parent(&parent.authority).await.map_err(Error::Dns)?;
            recorder.parent_proxy(parent);
            Route::Parent { parent: parent.clone(), at, to }
        }
    };
    recorder.mark(Phase::Dns);
    Ok(route)
}

/// The trailers of a request pass the same scanner as its head.
pub(super) fn scan_trailers(guard: &Guard, host: &Host, trailers: &Fields) -> Vec<Finding> {
    let fields = scannable(trailers);
    let view = HeadView { host, method: "", path: "", query: None, fields: &fields, trailers: true };
    guard.scan_head(&view)
}

/// The denial that blocking findings amount to.
pub(super) fn blocking(findings: &[Finding]) -> Option<Denial> {
    let finding = findings.iter().find(|finding| finding.disposition == Disposition::Blocked)?;
    let surface = format!("{:?}", finding.surface).to_ascii_lowercase();
    let place = finding.place.as_deref().map(|place| format!(" {place}")).unwrap_or_default();
    let detail = format!("rule {} in the {surface}{place}", finding.rule);
    let reason = if *finding.rule == *special::NOT_OWN { Reason::CredentialNotOwn } else { Reason::SecretInRequest };
    Some(Denial::new(reason).by_rule(finding.rule.clone()).because(detail))
}

/// The session's guard, as strict as the rule that allowed the request wants it.
pub(super) fn guard(identity: &Identity, permit: &Permit) -> Guard {
    let guard = &*identity.ruleset.guard;
    match permit.credentials() {
        Credentials::Any => guard.clone(),
        Credentials::Own => guard.own_only(),
    }
}

fn judge(findings: Vec<Finding>, recorder: &mut Recorder) -> Result<(), Error> {
    if findings.is_empty() {
        return Ok(());
    }
    let denial = blocking(&findings);
    recorder.findings(findings);
    denial.map_or(Ok(()), |denial| Err(denial.into()))
}

fn spend_request(identity: &Identity, now: Instant) -> Result<(), Error> {
    let spent = identity.live.budget.request(&identity.ruleset.limits, now);
    spent.map_err(|exceeded| Error::Refused(exceeded.into()))
}

/// Takes bytes that are about to go up out of the session's budget, whatever they are part of.
pub(super) fn spend_upload(identity: &Identity, bytes: u64) -> Result<(), Denial> {
    identity.live.budget.upload(&identity.ruleset.limits, bytes).map_err(Denial::from)
}

/// A denial may name a repository, which stands in a path that was not scanned yet.
pub(super) fn redacted(identity: &Identity, denial: Denial) -> Denial {
    let redact = |text: String| identity.ruleset.guard.redact(&text).into_owned();
    Denial { detail: denial.detail.map(redact), permitted_by: denial.permitted_by.map(redact), ..denial }
}

fn note_permit(identity: &Identity, permit: &Permit, recorder: &mut Recorder) {
    recorder.rule(permit.rule().clone());
    if let Some(denial) = permit.observed() {
        recorder.observed(&redacted(identity, denial.clone()));
    }
}

/// What of a head could carry a secret out: all but the credentials for the gateway itself, which go
/// nowhere.
fn scannable(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    fields.iter().filter(|field| !field.is("proxy-authorization")).map(|field| (field.name, field.value)).collect()
}
