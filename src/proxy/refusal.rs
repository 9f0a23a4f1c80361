//! Turns a denial into the answer that an agent reads.

use super::Shared;
use super::error::Error;
use crate::flow::{FlowId, Recorder, Unavailable};
use crate::http1::{Field, encode};
use crate::net::Authority;
use crate::reason::{Denial, Reason};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Instant;

/// What of its flow a refusal tells.
pub(super) struct Context<'a> {
    /// The flow's id; none where not even a recorder opened.
    pub(super) flow: Option<FlowId>,
    /// The session's id, once known.
    pub(super) session: Option<&'a str>,
    /// The destination, once known: the hint names it.
    pub(super) authority: Option<&'a Authority>,
    /// Whether the answer has no body, as one to HEAD.
    pub(super) headless: bool,
    /// Whether the connection is closed after it.
    pub(super) close: bool,
}

/// RFC 9457, with what an agent needs to stop trying.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: String,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    hint: String,
}

/// The answer to a refused or failed request.
pub(super) struct Answer {
    pub(super) status: u16,
    fields: Vec<(&'static str, Cow<'static, str>)>,
    /// Nothing where the request was a HEAD.
    pub(super) body: Bytes,
}

impl Answer {
    /// Status, `Proxy-Status` (RFC 9209) and `application/problem+json` (RFC 9457).
    pub(super) fn new(denial: &Denial, context: &Context<'_>) -> Self {
        let reason = denial.reason;
        let problem = Problem {
            r#type: format!("urn:exeat:reason:{}", reason.code()),
            title: reason.sentence().trim_end_matches('.'),
            status: reason.status(),
            detail: detail(denial),
            reason: reason.code(),
            rule: denial.rule.as_deref(),
            flow: context.flow.map(|flow| flow.to_string()),
            session: context.session,
            hint: hint(denial, context.authority),
        };
        // Strings and numbers only: there is nothing that could fail to serialise.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut fields: Vec<(&str, Cow<'_, str>)> = vec![
            ("content-type", "application/problem+json".into()),
            ("content-length", body.len().to_string().into()),
            ("proxy-status", proxy_status(denial).into()),
            ("cache-control", "no-store".into()),
        ];
        match reason.status() {
            407 => fields.push(("proxy-authenticate", "Basic realm=\"exeat\", charset=\"UTF-8\"".into())),
            // A budget that never fills again has no time to come back at.
            429 => fields.extend(denial.retry_after.map(|seconds| ("retry-after", seconds.to_string().into()))),
            503 => fields.push(("retry-after", "1".into())),
            405 => fields.push(("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into())),
            _ => {}
        }
        if context.close {
            fields.push(("connection", "close".into()));
        }
        let body = if context.headless { Bytes::new() } else { body.into() };
        Self { status: reason.status(), fields, body }
    }

    /// The answer for when no flow can even be opened.
    pub(super) fn unrecorded(reason: Reason) -> Self {
        let context = Context { flow: None, session: None, authority: None, headless: false, close: false };
        Self::new(&Denial::new(reason), &context)
    }

    /// The header fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
    }

    fn write(&self, out: &mut BytesMut) {
        encode::status_line(out, self.status, phrase(self.status).as_bytes());
        self.fields().for_each(|field| encode::field(out, field));
        encode::end_of_head(out);
        out.extend_from_slice(&self.body);
    }
}

/// Writes the answer to a refused or failed request in HTTP/1.
pub(super) fn write(out: &mut BytesMut, denial: &Denial, context: &Context<'_>) {
    Answer::new(denial, context).write(out);
}

/// Writes the answer for when no flow can even be opened, in HTTP/1.
pub(super) fn write_unrecorded(out: &mut BytesMut, reason: Reason) {
    let context = Context { flow: None, session: None, authority: None, headless: false, close: true };
    write(out, &Denial::new(reason), &context);
}

/// Writes down what a request ends with short of its answer, or counts it where it is one of a flood.
/// `is_silent`: nobody is told.
pub(super) async fn record(
    shared: &Shared,
    mut recorder: Recorder,
    error: &Error,
    is_silent: bool,
) -> Result<(), Unavailable> {
    let denial = error.denial();
    if shared.floods.swallow(denial.reason, recorder.downstream(), Instant::now()) {
        recorder.denied(&denial);
        recorder.swallow();
        return Ok(());
    }
    recorder.denied(&denial);
    if let Some(cause) = error.cause() {
        recorder.error(cause);
    }
    if !is_silent {
        recorder.status(denial.reason.status());
    }
    recorder.finish_durable().await
}

fn detail(denial: &Denial) -> String {
    let sentence = denial.reason.sentence();
    match &denial.detail {
        Some(detail) => format!("{} ({}).", sentence.trim_end_matches('.'), detail.trim_end_matches('.')),
        None => sentence.to_owned(),
    }
}

fn hint(denial: &Denial, authority: Option<&Authority>) -> String {
    if let Some(argument) = &denial.permitted_by {
        return format!(
            "A retry will not help. The operator can allow it: exeat run --allow {argument} -- …, or {} under the policy's presets.",
            Shared::preset_entry(argument)
        );
    }
    match (denial.reason, authority) {
        (Reason::DestinationNotListed, Some(authority)) => {
            let host = Shared::allow_argument(authority);
            format!(
                "A retry will not help. The operator can allow it: exeat run --allow {host} -- …, or a rule in the policy."
            )
        }
        _ => denial.reason.hint().to_owned(),
    }
}

/// `exeat; error=…; details="…"` (RFC 9209 §2.1.1, §2.1.3; strings by RFC 8941 §3.3.3).
fn proxy_status(denial: &Denial) -> String {
    let mut text = format!("exeat; error={}; details=\"{}", denial.reason.proxy_error(), denial.reason.code());
    if let Some(detail) = &denial.detail {
        text.push_str(": ");
        for character in detail.chars().take(200) {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                ' '..='~' => text.push(character),
                _ => text.push('?'),
            }
        }
    }
    text.push('"');
    text
}

fn phrase(status: u16) -> &'static str {
    let known = http::StatusCode::from_u16(status).ok();
    known.and_then(|status| status.canonical_reason()).unwrap_or("Refused")
}
