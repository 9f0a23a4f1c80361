//! The name that a value is assigned to, read backwards from where the value stands.

/// The name that what follows is assigned to: `name = "`, `"name": "`, `name=`, `<name>`, `--name `.
pub(in crate::secrets) fn assigned_name(before: &[u8]) -> Option<&[u8]> {
    // An entry of a protobuf map: the name, then the tag of the value and its length.
    if let [rest @ .., 0x12, _] = before {
        return Some(last_name(rest)).filter(|name| !name.is_empty() && name.len() <= 64);
    }
    let before = before_parts(before);
    let rest = trim(before);
    let rest = match rest {
        [rest @ .., b'=' | b':', b'>' | b'='] | [rest @ .., b'|', b'|'] | [rest @ .., b'?', b'?'] => rest,
        [rest @ .., b'=' | b':' | b'>'] => rest,
        // An argument behind the name: `setenv("API_KEY", "…")`.
        [rest @ .., b'"' | b'\'', b','] => rest,
        rest if before.len() > rest.len() => return spoken_name(rest),
        _ => return None,
    };
    // An index: `environ["API_KEY"] = "…"`.
    let rest = trim(rest);
    let rest = rest.strip_suffix(b"]").map_or(rest, trim);
    let name = typed_name(rest).unwrap_or_else(|| last_name(rest));
    let pair = [&b"value"[..], b"content"].iter().any(|second| name.eq_ignore_ascii_case(second));
    let name = if pair { named_before(rest, name.len()).unwrap_or(name) } else { name };
    (!name.is_empty() && name.len() <= 64).then_some(name)
}

/// What stands before the first part of a value that this is a later one of: `TOKEN="na1.` before the second.
pub(in crate::secrets) fn before_parts(before: &[u8]) -> &[u8] {
    /// Longer ones aren't looked over.
    const LONGEST: usize = 32;
    let Some(first) = before.strip_suffix(b".").or_else(|| before.strip_suffix(b"!")) else { return before };
    let near = first.get(first.len().saturating_sub(LONGEST)..).unwrap_or(first);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let Some(edge) = near.iter().rposition(|byte| !is_part(byte)) else { return before };
    let part = near.get(edge + 1..).unwrap_or_default();
    let is_value = matches!(near.get(edge), Some(b'"' | b'\'' | b'=')) && !part.is_empty();
    // A JWT is judged as one.
    if is_value && !part.starts_with(b"eyJ") {
        return before.get(..before.len() - 1 - part.len()).unwrap_or(before);
    }
    before
}

/// Without the quotes, brackets and spaces at its end.
fn trim(text: &[u8]) -> &[u8] {
    let gap = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b' ' | b'\t' | b'[' | b'(');
    text.get(..text.iter().rposition(|byte| !gap(byte)).map_or(0, |at| at + 1)).unwrap_or_default()
}

pub(in crate::secrets) fn last_name(text: &[u8]) -> &[u8] {
    text.get(text.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1)..).unwrap_or_default()
}

/// The name before a type: `password: &str`, `apiToken string`.
fn typed_name(text: &[u8]) -> Option<&[u8]> {
    let rest =
        text.strip_suffix(b"string").or_else(|| text.strip_suffix(b"str")).or_else(|| text.strip_suffix(b"String"))?;
    let rest = rest.strip_suffix(b"&'static ").or_else(|| rest.strip_suffix(b"&")).unwrap_or(rest);
    let bare = trim(rest);
    let bare = bare.strip_suffix(b":").map_or(bare, trim);
    (bare.len() < rest.len()).then(|| last_name(bare))
}

/// The name in a pair of name and value, whose own name is so long: `"name": "API_KEY", "value": "…"`,
/// `<add key="ApiKey" value="…"`, `<meta name="csrf-token" content="…"`.
fn named_before(text: &[u8], length: usize) -> Option<&[u8]> {
    let between = |byte: &u8| is_name(*byte) || matches!(byte, b'=' | b':' | b'<' | b'>');
    let rest = text.get(..text.len().checked_sub(length)?)?;
    let rest = rest.get(..rest.iter().rposition(between).map_or(0, |at| at + 1))?;
    let name = last_name(rest);
    let rest = trim(rest.get(..rest.len() - name.len())?);
    let rest = trim(rest.strip_suffix(b":").or_else(|| rest.strip_suffix(b"="))?);
    [&b"name"[..], b"key"].iter().any(|word| last_name(rest).eq_ignore_ascii_case(word)).then_some(name)
}

/// A name and its value with nothing between: an option of a command, a definition, words.
fn spoken_name(text: &[u8]) -> Option<&[u8]> {
    const SPOKEN: [&[u8]; 12] = [
        b"password",
        b"passwd",
        b"requirepass",
        b"masterauth",
        b"passphrase",
        b"secret",
        b"pwd",
        b"api_key",
        b"apikey",
        b"api-key",
        b"secret_key",
        b"access_token",
    ];
    if text.len() >= 13 && text.get(text.len() - 13..).is_some_and(|end| end.eq_ignore_ascii_case(b"identified by")) {
        return text.get(text.len() - 13..);
    }
    let spoken = text.strip_suffix(b" is").unwrap_or(text);
    let name = last_name(spoken);
    let line = spoken.get(..spoken.len() - name.len()).unwrap_or_default();
    let told = SPOKEN.iter().any(|word| name.eq_ignore_ascii_case(word)) || line.ends_with(b"#define ");
    (told || name.starts_with(b"--")).then_some(name)
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}
