//! The bytes of a body under its content codings.

use super::body::BodyContext;
use super::decode::inflate::{Coding, Inflate};
use super::joins;
use super::stream::{Scan, Stream};
use super::unpack::Unpack;
use crate::reason::Reason;
use zeroize::Zeroizing;

/// The bytes under the content codings.
pub(super) enum Content {
    Plain(Box<Stream>),
    Coded(Coding, Option<joins::Kind>, Option<Box<Unpack>>),
    /// A coding that can't be looked into.
    Unknown,
    /// What the policy lets pass although it can't be looked into any further.
    Passed,
}

impl Content {
    pub(super) fn of(context: &BodyContext<'_>) -> Self {
        let joins = joins_of(context.content_type.unwrap_or_default());
        let text = context.content_encoding.unwrap_or_default().to_ascii_lowercase();
        let mut codings = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|coding| {
            // Chunk signatures between pieces of the body itself (S3).
            !matches!(*coding, b"" | b"identity" | b"aws-chunked")
        });
        let Some(inner) = codings.next() else { return Content::Plain(Box::new(Stream::new(0).with_joins(joins))) };
        // The last is the outermost. The level below knows the others by their magic; brotli has none.
        let outer = codings.next_back();
        let seen = |coding: &[u8]| matches!(coding, b"gzip" | b"x-gzip" | b"zstd" | b"deflate");
        if outer.is_some() && !(seen(inner) && codings.all(seen)) {
            return Content::Unknown;
        }
        match outer.unwrap_or(inner) {
            b"gzip" | b"x-gzip" => Content::Coded(Coding::Gzip, joins, None),
            b"deflate" => Content::Coded(Coding::HttpDeflate, joins, None),
            b"zstd" => Content::Coded(Coding::Zstd, joins, None),
            b"br" => Content::Coded(Coding::Brotli, joins, None),
            _ => Content::Unknown,
        }
    }

    /// What all of a short body is under its coding; nothing if that is longer than `most`, or can't be told.
    pub(super) fn plain(&self, bytes: &[u8], most: usize) -> Option<Zeroizing<Vec<u8>>> {
        let coding = match self {
            Content::Plain(_) => return Some(Zeroizing::new(bytes.to_vec())),
            Content::Coded(coding, ..) => *coding,
            Content::Unknown | Content::Passed => return None,
        };
        let (mut rest, mut out) = (bytes, Zeroizing::new(Vec::new()));
        while !rest.is_empty() {
            let (mut inflate, left) = (Inflate::new(coding).ok()?, rest.len());
            loop {
                let step = inflate.step(rest, &mut out).ok()?;
                rest = rest.get(step.read..)?;
                if out.len() > most {
                    return None;
                }
                if step.ended || step.read == 0 {
                    break;
                }
            }
            if rest.len() == left {
                return None;
            }
        }
        Some(out)
    }

    /// Feeds the body's own bytes; gives the offset before which everything is decided.
    pub(super) fn feed(&mut self, scan: &mut Scan<'_>, bytes: &[u8], from: u64, ended: bool) -> Result<u64, Reason> {
        match self {
            Content::Plain(stream) => Ok(stream.feed(scan, &|at| at, bytes, ended)),
            Content::Unknown if bytes.is_empty() => Ok(from),
            Content::Unknown => Err(Reason::BodyNotInspectable),
            Content::Passed => Ok(scan.work.given),
            Content::Coded(coding, joins, unpack) => feed_coded(*coding, *joins, unpack, scan, bytes, ended),
        }
    }
}

/// How a body of this type is made up of values.
fn joins_of(content_type: &[u8]) -> Option<joins::Kind> {
    let lower = content_type.to_ascii_lowercase();
    if lower.starts_with(b"application/x-www-form-urlencoded") {
        Some(joins::Kind::Form)
    } else if lower.starts_with(b"multipart/") {
        Some(joins::Kind::Multipart)
    } else if lower.is_empty() || memchr::memmem::find(&lower, b"json").is_some() {
        Some(joins::Kind::Json)
    } else {
        None
    }
}

/// What stands behind the end can't be looked into.
fn feed_coded(
    coding: Coding,
    joins: Option<joins::Kind>,
    slot: &mut Option<Box<Unpack>>,
    scan: &mut Scan<'_>,
    bytes: &[u8],
    ended: bool,
) -> Result<u64, Reason> {
    let broken = |_| Reason::BodyNotInspectable;
    let unpack = match slot {
        Some(unpack) => unpack,
        None if bytes.is_empty() => return Ok(0),
        None => slot.insert(Box::new(Unpack::new(coding, Stream::new(0).with_joins(joins), 0).map_err(broken)?)),
    };
    let fed = unpack.feed(scan, &|at| at, bytes).map_err(broken)?;
    if scan.work.is_exhausted() {
        return Err(Reason::InflateLimit);
    }
    if (fed.ended && fed.read < bytes.len()) || (ended && !unpack.is_complete()) {
        return Err(Reason::BodyNotInspectable);
    }
    if ended {
        unpack.finish(scan, &|at| at);
    }
    Ok(unpack.cleared())
}
