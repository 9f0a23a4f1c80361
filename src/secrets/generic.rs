//! Values without a shape of their own: a name that says secret right before one that looks random.

use super::rule::fold_context;

/// What a generic rule asks for.
#[derive(Debug)]
pub(super) struct Assigned {
    /// One of these is in the name that the value is assigned to.
    pub(super) names: Box<[Box<[u8]>]>,
    /// The value is hex or a UUID, as digests and ids are, which no other value may be: the names must be plain.
    pub(super) digest: bool,
}

/// Whether a value is assigned to one of these names and isn't something ordinary.
pub(super) fn is_secret(before: &[u8], value: &[u8], after: &[u8], rule: &Assigned) -> bool {
    assigned_name(before).is_some_and(|name| names_secret(&fold_context(name), &rule.names))
        && !is_code(after)
        && if rule.digest { !is_named_otherwise(before, &[]) && is_random_digest(value) } else { is_random(value) }
}

/// Whether the value before which this stands is assigned to a name that says something else: an id, a digest.
pub(super) fn is_named_otherwise(before: &[u8], words: &[Box<[u8]>]) -> bool {
    const OTHERWISE: [&[u8]; 22] = [
        // Lines of go.sum, integrity values.
        b"h1",
        b"sha512",
        b"id",
        b"uuid",
        b"guid",
        b"hash",
        b"sha",
        b"sha1",
        b"md5",
        b"sha256",
        b"digest",
        b"checksum",
        b"commit",
        b"etag",
        b"rev",
        b"revision",
        b"ref",
        b"tree",
        b"parent",
        b"integrity",
        b"version",
        b"resolved",
    ];
    let Some(name) = assigned_name(before) else { return false };
    let camel = [&b"Id"[..], b"Uuid", b"UUID", b"Hash", b"Sha"].iter().any(|end| name.ends_with(end));
    let name = fold_context(name);
    let last = name.rsplit(|byte| *byte == b'_').next().unwrap_or(&name);
    (OTHERWISE.contains(&last) || camel)
        && !words.iter().any(|word| memchr::memmem::find(&name, word.trim_ascii()).is_some())
}

/// The name that what follows is assigned to: `name = "`, `"name": "`, `name=`, `<name>`, `--name `.
fn assigned_name(before: &[u8]) -> Option<&[u8]> {
    // An entry of a protobuf map: the name, then the tag of the value and its length.
    if let [rest @ .., 0x12, _] = before {
        let start = rest.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1);
        return rest.get(start..).filter(|name| !name.is_empty() && name.len() <= 64);
    }
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b' ' | b'\t' | b'[' | b'(');
    let trim = |text: &[u8]| text.iter().rposition(|byte| !quote(byte)).map_or(0, |at| at + 1);
    let rest = before.get(..trim(before))?;
    let rest = match rest {
        [rest @ .., b'=' | b':', b'>' | b'='] | [rest @ .., b'|', b'|'] | [rest @ .., b'?', b'?'] => rest,
        [rest @ .., b'=' | b':' | b'>'] => rest,
        // An argument behind the name: `setenv("API_KEY", "…")`.
        [rest @ .., b'"' | b'\'', b','] => rest,
        // An option of a command: `--token VALUE`.
        rest if before.len() > rest.len() => {
            let start = rest.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1);
            return rest.get(start..).filter(|name| name.starts_with(b"--"));
        }
        _ => return None,
    };
    let rest = rest.get(..trim(rest))?;
    let start = rest.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1);
    rest.get(start..).filter(|name| !name.is_empty() && name.len() <= 64)
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Names of things that are open, or that only hold the word.
fn names_secret(name: &[u8], names: &[Box<[u8]>]) -> bool {
    const OPEN: [&[u8]; 33] = [
        b"public",
        b"publishable",
        b"page",
        b"next",
        b"prev",
        b"continu",
        b"cursor",
        b"csrf",
        b"xsrf",
        b"sync",
        b"anon",
        b"cache",
        b"hash",
        b"digest",
        b"checksum",
        b"integrity",
        b"etag",
        b"path",
        b"file",
        b"url",
        b"uri",
        b"type",
        b"count",
        b"idempot",
        b"primary",
        b"sort",
        b"resume",
        b"tokeniz",
        b"keyid",
        b"size",
        b"length",
        b"buffer",
        b"key_id",
    ];
    let has = |word: &[u8]| memchr::memmem::find(name, word).is_some();
    names.iter().any(|word| has(word)) && !OPEN.iter().any(|word| has(word))
}

/// Whether the value is a part of an expression.
fn is_code(after: &[u8]) -> bool {
    match after {
        [b'(' | b'[' | b'{' | b'$', ..] | [b':', b':', ..] | [b'-', b'>', ..] => true,
        [b'.', next, ..] => next.is_ascii_alphabetic(),
        _ => false,
    }
}

/// Digits and letters as chance mixes them.
fn is_random_digest(value: &[u8]) -> bool {
    let mut seen = [false; 256];
    value.iter().for_each(|byte| seen[usize::from(byte.to_ascii_lowercase())] = true);
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    seen.iter().filter(|seen| **seen).count() >= 8 && digits * 4 >= value.len() && digits * 10 <= value.len() * 9
}

/// A digit, a letter, ten distinct characters; no UUID, no digest, no words.
fn is_random(value: &[u8]) -> bool {
    let value = value.get(..value.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1)).unwrap_or(value);
    let mut seen = [false; 256];
    value.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let distinct = seen.iter().filter(|seen| **seen).count();
    let digit = value.iter().any(u8::is_ascii_digit);
    let letter = value.iter().any(u8::is_ascii_alphabetic);
    let digest = value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let path = value.iter().filter(|byte| **byte == b'/').count() * 8 > value.len() || value.starts_with(b"/");
    digit && letter && distinct >= 10 && !digest && !path && !is_wordy(value)
}

/// Pairs of letters that English and names in code are made of: two in five of all pairs.
const PAIRS: &[u8] = b"thheineranreonatenndtiesorteofedisitalarsttontngsehaasouiolevecomedehiriroicneearacelichllbemasiomurcaeltalansdifohopeecprnoctusacotiltrlyncetutsssorsunlowageiewheewiemadolrtpowenaulnitsmoowpaimmiaishirsuidosiviaamficivipligtuevldrympfeblabghtyopwosaayexkefrooavagifapgrodbosprddoucbueiovbyrmepttocfaefcurnscgidayocrcldugaquueffbaeylsvaumppuauplugohtruugdsltpircrregauckewmubrbiptakpuuirgibtlnykirkysobmmfuphogmsyeudmbipuboirlgudrhrcctwftwnnuafhunneovorvnfxpgnsmflizoknlmyglawjuoaeqsyslpsjolfnvjenkkngsdyhyzeksxtbsikddptrpskxioeoywslvdl";

/// Whether much of a value is made of words.
fn is_wordy(value: &[u8]) -> bool {
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let mut words = 0;
    let joins = |a: &u8, b: &u8| {
        (a.is_ascii_alphabetic() && b.is_ascii_lowercase()) || (a.is_ascii_uppercase() && b.is_ascii_uppercase())
    };
    for segment in value.chunk_by(joins) {
        let pairs = segment.len().saturating_sub(1);
        if segment.len() < 3 || !segment.last().is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let lower = segment.to_ascii_lowercase();
        let common = lower.windows(2).filter(|pair| PAIRS.chunks_exact(2).any(|common| common == *pair)).count();
        if common * 4 >= pairs * 3 {
            words += segment.len();
        }
    }
    words * 5 >= letters * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> bool {
        let names = ["password", "secret", "token", "api_key"].map(|name| name.as_bytes().into()).into();
        let rule = Assigned { names, digest: false };
        let start = text.find('@').unwrap();
        let end = text.rfind('@').unwrap();
        is_secret(&text.as_bytes()[..start], &text.as_bytes()[start + 1..end], &text.as_bytes()[end + 1..], &rule)
    }

    #[test]
    fn a_random_value_under_a_telling_name_is_found() {
        for text in [
            "DB_PASSWORD=@x8Kq2mZp9LwR4tVb@",
            r#"{"api_key": "@q9Zt7LmX2pKv4RwB8nYs@"}"#,
            r#"\"secret\": \"@q9Zt7LmX2pKv4RwB8nYs@\""#,
            "x-api-key: @q9Zt7LmX2pKv4RwB8nYs@",
            "--token @q9Zt7LmX2pKv4RwB8nYs@ run",
            "<password>@q9Zt7LmX2pKv4RwB8nYs@</password>",
            "\n\x0bdb_password\x12\x14@q9Zt7LmX2pKv4RwB8nYs@\x1a",
        ] {
            assert!(found(text), "{text}");
        }
    }

    #[test]
    fn ordinary_values_are_not() {
        for text in [
            r#"{"nextPageToken": "@q9Zt7LmX2pKv4RwB8nYs@"}"#,
            "password = @getUserPasswordFromStore2@(",
            "token = @handleRequestTimeoutV2@",
            "token: @550e8400-e29b-41d4-a716-446655440000@",
            "secret: @9f86d081884c7d659a2feaa0c55ad015@",
            "the secret of @q9Zt7LmX2pKv4RwB8nYs@",
            "token_path=@/var/lib/x9Zt7LmX2pKv4RwB8@",
            "name = @q9Zt7LmX2pKv4RwB8nYs@",
        ] {
            assert!(!found(text), "{text}");
        }
    }
}
