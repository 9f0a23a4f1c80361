//! The field or member of a body that a value stands in, told by what is before it.

use super::rules::home::Spot;
use super::rules::rule::{Candidate, is_word};

/// What a body's type says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Form,
    Json,
    Other,
}

impl Kind {
    pub(super) fn of(content_type: &[u8]) -> Self {
        let lower = content_type.to_ascii_lowercase();
        if lower.starts_with(b"application/x-www-form-urlencoded") || lower.starts_with(b"multipart/form-data") {
            Kind::Form
        } else if lower.starts_with(b"application/json") || memchr::memmem::find(&lower, b"+json").is_some() {
            Kind::Json
        } else {
            Kind::Other
        }
    }

    /// The field or member of a match that begins with its name.
    fn named_spot<'a>(self, candidate: &Candidate<'a>) -> Option<Spot<'a>> {
        let end = candidate.value.iter().position(|byte| !is_word(*byte))?;
        let (name, rest) = candidate.value.split_at_checked(end)?;
        let name = std::str::from_utf8(name).ok()?;
        match (candidate.before.last(), rest.first()) {
            (Some(b'"'), Some(b'"')) if rest.get(1..)?.trim_ascii_start().starts_with(b":") => Some(Spot::Json(name)),
            (None | Some(b'&' | b'\n'), Some(b'=')) if self == Kind::Form => Some(Spot::Form(name)),
            _ => None,
        }
    }

    /// The field or member that a value stands in, told by what is before it.
    pub(super) fn spot<'a>(self, candidate: &Candidate<'a>) -> Spot<'a> {
        let before = candidate.before;
        // A match that begins with its member's name.
        if let Some((name, rest)) = candidate.value.strip_prefix(b"\"").and_then(|value| {
            let end = memchr::memchr(b'"', value)?;
            Some((value.get(..end)?, value.get(end + 1..)?))
        }) && rest.trim_ascii_start().starts_with(b":")
            && self != Kind::Form
        {
            return std::str::from_utf8(name).map_or(Spot::Content, Spot::Json);
        }
        if let Some(spot) = self.named_spot(candidate) {
            return spot;
        }
        let found = match self {
            Kind::Form => form_field(before).or_else(|| policy_member(before)).map(Spot::Form),
            Kind::Json => json_member(before).map(Spot::Json),
            Kind::Other => form_field(before).map(Spot::Form).or_else(|| json_member(before).map(Spot::Json)),
        };
        found.or_else(|| policy_condition(before).map(Spot::Form)).unwrap_or(Spot::Content)
    }
}

/// `…&name=` before the value, or a multipart field's head.
fn form_field(before: &[u8]) -> Option<&str> {
    if let Some(name) = before.strip_suffix(b"=") {
        let name = name.get(memchr::memrchr(b'&', name).map_or(0, |at| at + 1)..)?;
        // A line of a file that is uploaded is no field.
        let is_name = |byte: &u8| is_word(*byte) || matches!(byte, b'-' | b'.' | b'[' | b']' | b'%' | b':' | b'$');
        return name.iter().all(is_name).then(|| std::str::from_utf8(name).ok()).flatten();
    }
    let head = before.strip_suffix(b"\r\n\r\n")?;
    let name = head.get(memchr::memmem::rfind(head, b"name=\"")? + 6..)?;
    std::str::from_utf8(name.get(..memchr::memchr(b'"', name)?)?).ok()
}

/// A field of an upload straight to a bucket, as the signed policy beside it repeats it.
fn policy_member(before: &[u8]) -> Option<&str> {
    json_member(before).filter(|name| name.starts_with("x-amz-"))
}

/// The same as a condition: `["eq", "$x-amz-security-token", "` before the value.
fn policy_condition(before: &[u8]) -> Option<&str> {
    let rest = before.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b",")?.trim_ascii_end().strip_suffix(b"\"")?;
    let name = std::str::from_utf8(rest.get(memchr::memrchr(b'"', rest)? + 1..)?).ok()?;
    name.strip_prefix('$').filter(|name| name.starts_with("x-amz-"))
}

/// `"name": "` before the value.
fn json_member(before: &[u8]) -> Option<&str> {
    let rest = before.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    std::str::from_utf8(rest.get(memchr::memrchr(b'"', rest)? + 1..)?).ok()
}
