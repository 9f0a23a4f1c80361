//! Sessions that are known by something else than a token.

use super::entrances::ListenShape;
use super::node::At;
use super::placed::Placed;
use super::rules::Notes;
use super::shapes::{Range, SessionShape};
use super::units::Written;
use crate::net::Host;
use crate::proxy::Recognition;
use crate::session::SessionId;
use std::collections::HashMap;

/// Which listeners could recognise a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recognising {
    /// One asks for client certificates.
    pub(super) certificates: bool,
    /// One takes what the network leads there.
    pub(super) sources: bool,
}

/// Compiles what sessions are known by. Mistaken ids are told elsewhere.
pub(super) fn compile(shapes: &[Placed<SessionShape>], by: Recognising, notes: &mut Notes) -> Recognition {
    let mut recognition = Recognition::default();
    let mut taken: HashMap<String, usize> = HashMap::new();
    for (position, Placed { value: shape, .. }) in shapes.iter().enumerate() {
        let id = shape.id.value.parse::<SessionId>().ok();
        for name in shape.certificates.iter().flatten() {
            let Some(canonical) = certificate_name(name, notes) else { continue };
            note_twice(&canonical, &name.at, position, &mut taken, notes);
            recognition.certificates.extend(id.clone().map(|id| (canonical, id)));
        }
        for Placed { at, value: Written(Range(range)) } in shape.sources.iter().flatten() {
            note_twice(&range.to_string(), at, position, &mut taken, notes);
            recognition.sources.extend(id.clone().map(|id| (*range, id)));
        }
        let certificates = shape.certificates.iter().flatten().next().filter(|_| !by.certificates);
        if let Some(name) = certificates {
            let help = "name the roots of client certificates under `listen.tls.clients`";
            notes.warn(&name.at, "no listener asks for client certificates", help);
        }
        if let Some(range) = shape.sources.iter().flatten().next().filter(|_| !by.sources) {
            let help = "a source counts at `listen.transparent` only, where agents can't show a token";
            notes.warn(&range.at, "no listener knows sessions by their source", help);
        }
    }
    recognition
}

/// The session of the transparent listener must be one of the file's.
pub(super) fn note_unknown_session(listen: Option<&ListenShape>, sessions: &[Placed<SessionShape>], notes: &mut Notes) {
    let named = listen.and_then(|listen| listen.transparent.as_ref()).and_then(|shape| shape.session.as_ref());
    if let Some(named) = named.filter(|named| !sessions.iter().any(|session| session.value.id.value == named.value)) {
        notes.error(&named.at, "there is no such session in the file", "name one of `sessions`");
    }
}

fn note_twice(what: &str, at: &At, position: usize, taken: &mut HashMap<String, usize>, notes: &mut Notes) {
    if let Some(earlier) = taken.insert(what.to_owned(), position) {
        notes.error(at, format!("sessions[{earlier}] is known by this already"), "give each session its own");
    }
}

/// A URI as it stands, or a DNS name in its canonical spelling.
fn certificate_name(name: &Placed<String>, notes: &mut Notes) -> Option<String> {
    if name.value.contains("://") && name.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(name.value.clone());
    }
    if let Ok(Host::Name(host)) = Host::parse(name.value.as_bytes()) {
        return Some(host.to_string());
    }
    notes.error(&name.at, "expected a URI or a DNS name", "write spiffe://example.org/agent or agent.example.org");
    None
}
