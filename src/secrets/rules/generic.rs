//! Values without a shape of their own: a name that says secret right before one that looks random.

use super::assigned::{assigned_name, last_name};
use super::checksum::is_plain_json;
use super::filter::is_credential_scope;
use super::listed::{FEW_LINES, is_in_a_list};
use super::names::{Telling, is_constant, is_form_token, tells_secret};
use super::rule::fold_context;

/// What a generic rule asks for.
#[derive(Debug)]
pub(in crate::secrets) struct Assigned {
    /// One of these is in the name that the value is assigned to.
    pub(in crate::secrets) names: Box<[Box<[u8]>]>,
    /// The value is hex or a UUID, as digests and ids are, which no other value may be: the names must be plain.
    pub(in crate::secrets) digest: bool,
    /// The match begins with the name.
    pub(in crate::secrets) named: bool,
}

/// Whether a value is assigned to one of these names and isn't something ordinary.
pub(in crate::secrets) fn is_secret(before: &[u8], value: &[u8], after: &[u8], rule: &Assigned) -> bool {
    if rule.named {
        return is_password(before, value, after);
    }
    let looks_so = if rule.digest { is_random_digest(value) } else { is_random(value) };
    if !looks_so || is_code(value, after) || is_scoped(value) || is_address(value) || is_plain_json(value) {
        return false;
    }
    let Some(name) = assigned_name(before) else { return false };
    let telling = match tells_secret(name, &rule.names) {
        // Packages may have any name, in a list whose values no signs stand around.
        Some(Telling::Plainly) => {
            !rule.digest
                || is_constant(name)
                || !before.ends_with(b": ")
                || !is_in_a_list(before, value, &rule.names, FEW_LINES)
        }
        // Ids are UUIDs, or hex of 24 digits; and a package may be called so.
        Some(Telling::ByItsEnd) if rule.digest => {
            is_constant(name)
                || (value.len() >= 32 && !value.contains(&b'-') && !is_in_a_list(before, value, &rule.names, 1))
        }
        Some(Telling::ByItsEnd) => true,
        None => false,
    };
    telling && !(rule.digest && is_named_otherwise(before, &[]))
}

/// Whether a value is the id of a key with its scope (`…/20261123/fra1/s3/aws4_request`): open to everyone in a signature.
fn is_scoped(value: &[u8]) -> bool {
    let scope = memchr::memchr(b'/', value).and_then(|slash| value.get(slash..)).unwrap_or_default();
    is_credential_scope(scope) && value.ends_with(b"4_request")
}

/// Whether a value is the address of an account or a contract, which is public: `feeToken: "0x…"`.
fn is_address(value: &[u8]) -> bool {
    const DIGITS: usize = 40;
    let digits = value.strip_prefix(b"0x").unwrap_or_default();
    digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a match of name and value is a password that chance made, however short: of three kinds of characters.
fn is_password(before: &[u8], text: &[u8], after: &[u8]) -> bool {
    let sign = |byte: &u8| matches!(byte, b'=' | b':' | b'>' | b'"' | b'\'' | b'\\' | b' ');
    let name = text.iter().position(sign).unwrap_or(text.len());
    let value = text.get(name..).unwrap_or_default();
    let value = value.get(value.iter().position(|byte| !sign(byte)).unwrap_or(value.len())..).unwrap_or_default();
    let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
    let kinds = [
        has(u8::is_ascii_digit),
        has(u8::is_ascii_uppercase),
        has(u8::is_ascii_lowercase),
        has(u8::is_ascii_punctuation),
    ];
    let mut seen = [false; 256];
    value.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let distinct = seen.iter().filter(|seen| **seen).count();
    // The next field's tag may stand behind it, in protobuf.
    let ends = after.first().is_none_or(|byte| {
        byte.is_ascii_whitespace()
            || byte.is_ascii_control()
            || matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b';' | b',' | b'<' | b'&' | b'}' | b')')
    });
    let reference = || {
        matches!(value, [b'$' | b'%' | b'#' | b'@' | b'&' | b'*', ..]) || memchr::memmem::find(value, b"${").is_some()
    };
    let open_name = || {
        let says = fold_context(last_name(before));
        let open = [&b"hash"[..], b"reset", b"confirm", b"label", b"min", b"max"];
        open.iter().any(|word| memchr::memmem::find(&says, word).is_some())
    };
    kinds.iter().filter(|kind| **kind).count() >= 3
        && kinds[0]
        && distinct >= 8
        && ends
        && !reference()
        && !open_name()
        && !is_wordy(value)
}

/// Whether the value before which this stands is a form's token.
pub(in crate::secrets) fn is_named_form_token(before: &[u8]) -> bool {
    assigned_name(before).is_some_and(is_form_token)
}

/// Whether the value before which this stands is assigned to a name that says something else: an id, a digest.
pub(in crate::secrets) fn is_named_otherwise(before: &[u8], words: &[Box<[u8]>]) -> bool {
    const OTHERWISE: [&[u8]; 27] = [
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
        b"sha384",
        b"shasum",
        b"digest",
        b"checksum",
        b"commit",
        b"etag",
        b"rev",
        b"revision",
        b"ref",
        b"reference",
        b"tree",
        b"parent",
        b"integrity",
        b"version",
        b"resolved",
        b"user",
        b"identifier",
    ];
    let Some(name) = assigned_name(before) else { return false };
    let camel = [&b"Id"[..], b"Uuid", b"UUID", b"Hash", b"Sha"].iter().any(|end| name.ends_with(end));
    let name = fold_context(name);
    let last = name.rsplit(|byte| *byte == b'_').next().unwrap_or(&name);
    (OTHERWISE.contains(&last) || camel)
        && !words.iter().any(|word| memchr::memmem::find(&name, word.trim_ascii()).is_some())
}

/// Whether the value is a part of an expression.
fn is_code(value: &[u8], after: &[u8]) -> bool {
    match after {
        [b'(' | b'[' | b'{' | b'$', ..] | [b':', b':', ..] | [b'-', b'>', ..] | [b'.', b'.', b'.', ..] => true,
        // It goes on, which the unescaped text has.
        [b'%', b'2', b'B' | b'F' | b'D' | b'b' | b'f' | b'd', ..] | [b'%', b'3', b'D' | b'd', ..] => true,
        // A value of two random parts is none.
        [b'.', rest @ ..] => {
            let random = |part: &[u8]| part.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2 && !is_wordy(part);
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            let last = rest.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
            rest.first().is_some_and(u8::is_ascii_alphabetic)
                && !(rest.iter().all(is_part) && random(last) && random(value))
        }
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
    digit && letter && distinct >= 10 && !digest && !path && !is_mostly_words(value)
}

/// Pairs of letters that English and names in code are made of: two in five of all pairs.
const PAIRS: &[u8] = b"thheineranreonatenndtiesorteofedisitalarsttontngsehaasouiolevecomedehiriroicneearacelichllbemasiomurcaeltalansdifohopeecprnoctusacotiltrlyncetutsssorsunlowageiewheewiemadolrtpowenaulnitsmoowpaimmiaishirsuidosiviaamficivipligtuevldrympfeblabghtyopwosaayexkefrooavagifapgrodbosprddoucbueiovbyrmepttocfaefcurnscgidayocrcldugaquueffbaeylsvaumppuauplugohtruugdsltpircrregauckewmubrbiptakpuuirgibtlnykirkysobmmfuphogmsyeudmbipuboirlgudrhrcctwftwnnuafhunneovorvnfxpgnsmflizoknlmyglawjuoaeqsyslpsjolfnvjenkkngsdyhyzeksxtbsikddptrpskxioeoywslvdl";

/// For each letter those that often follow it, one bit each.
const FOLLOWERS: [u32; 32] = {
    let mut followers = [0; 32];
    let mut at = 0;
    while at < PAIRS.len() {
        followers[(PAIRS[at] & 31) as usize] |= 1 << (PAIRS[at + 1] & 31);
        at += 2;
    }
    followers
};

const SMALL: u8 = 0x20;
const CAPITAL: u8 = 0x40;

/// Each letter's number and case; nothing for other bytes.
const LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    let mut number = 1;
    while number <= 26 {
        letters[(b'a' - 1 + number) as usize] = number | SMALL;
        letters[(b'A' - 1 + number) as usize] = number | CAPITAL;
        number += 1;
    }
    letters
};

/// Whether much of a value is made of words.
pub(in crate::secrets) fn is_wordy(value: &[u8]) -> bool {
    let (words, letters) = words_in(value);
    words * 5 >= letters * 2
}

/// Whether most of a value is made of words: of twenty random letters and digits one in a hundred is.
fn is_mostly_words(value: &[u8]) -> bool {
    let (words, letters) = words_in(value);
    words * 20 >= letters * 11
}

/// Whether it is a name that is made of hardly anything but words: of twenty random letters one in a thousand is.
pub(in crate::secrets) fn is_name_of_words(value: &[u8]) -> bool {
    const LEAST: usize = 16;
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_name = value.len() >= LEAST
        && digits * 8 <= value.len()
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let (words, letters) = if is_name { words_in(value) } else { (0, 1) };
    words * 5 >= letters * 4
}

/// How many of a value's letters stand in words, and how many it has. Chance makes fewer that are words both where
/// several capitals begin one and where the last of them begins the next (`HTTPServer`).
fn words_in(value: &[u8]) -> (usize, usize) {
    let (words, letters) = words_between(value, false);
    (words.min(words_between(value, true).0), letters)
}

/// The same by one of the two ways in which capitals begin words.
fn words_between(value: &[u8], last_begins: bool) -> (usize, usize) {
    let (mut words, mut letters) = (0, 0);
    // The stretch that ends here: its letters, and how many pairs of them often stand together.
    let (mut length, mut common, mut pair, mut last) = (0, 0, 0, 0u8);
    for &byte in value {
        let letter = LETTERS[usize::from(byte)];
        if last_begins && letter & SMALL != 0 && last & CAPITAL != 0 && length > 1 {
            words += if is_word(length - 1, common - pair) { length - 1 } else { 0 };
            (length, common) = (1, 0);
        }
        if (letter & SMALL != 0 && last != 0) || letter & last & CAPITAL != 0 {
            pair = (FOLLOWERS[usize::from(last & 31)] >> (letter & 31) & 1) as usize;
            common += pair;
            length += 1;
        } else {
            words += if is_word(length, common) { length } else { 0 };
            (length, common) = (usize::from(letter != 0), 0);
        }
        letters += usize::from(letter != 0);
        last = letter;
    }
    words += if is_word(length, common) { length } else { 0 };
    (words, letters)
}

/// Whether so many letters in a row are a word, in either case.
const fn is_word(length: usize, common: usize) -> bool {
    length >= 3 && common * 4 >= (length - 1) * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> bool {
        let names = ["password", "secret", "token", "api_key"].map(|name| name.as_bytes().into()).into();
        let rule = Assigned { names, digest: false, named: false };
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
            "os.environ[\"API_KEY\"] = \"@q9Zt7LmX2pKv4RwB8nYs@\"",
            "let password: &str = \"@q9Zt7LmX2pKv4RwB8nYs@\";",
            "var apiToken string = \"@q9Zt7LmX2pKv4RwB8nYs@\"",
            "<add key=\"api_key\" value=\"@q9Zt7LmX2pKv4RwB8nYs@\"/>",
            r#"{"name":"DB_PASSWORD","value":"@q9Zt7LmX2pKv4RwB8nYs@"}"#,
            "- name: DB_PASSWORD\n  value: \"@q9Zt7LmX2pKv4RwB8nYs@\"",
            "#define API_KEY \"@q9Zt7LmX2pKv4RwB8nYs@\"",
            "ALTER USER app WITH PASSWORD '@q9Zt7LmX2pKv4RwB8nYs@'",
            "the password is @q9Zt7LmX2pKv4RwB8nYs@",
            r#"{"fullstory_api_key": "na1.@q9Zt7LmX2pKv4RwB8nYs@"}"#,
            "SALESFORCE_TOKEN=00XP3IrLIZZFFh3!@1q9gTWPgp68WMlGi3fBK@",
            "AIRTABLE_OAUTH_TOKEN=@61BANGBOAMFFCYFBKRWJAWRGTYEV8CI70WGWL@.v1.P.15066ac9b9",
            // Chance makes words too.
            "API_TOKEN=@MUssBoy7wNtrr47mWrn9YMLASxVZjn35@",
            "API_TOKEN=@FjSSkBF5I6pEGljuAYOu@",
        ] {
            assert!(found(text), "{text}");
        }
    }

    #[test]
    fn a_short_password_is_one_where_chance_made_it() {
        let password = |text: &str| is_password(b"DB_", text.as_bytes(), b"\n");
        for text in ["PASSWORD=k8Zq2m!Vx7", "password: \"q7Xm2Zt9Lw", "password = 'aZ4!fK2p#Q"] {
            assert!(password(text), "{text}");
        }
        for text in ["password: changeme123", "password=getPassword2", "password = $PASSWORD_1a", "password: string"] {
            assert!(!password(text), "{text}");
        }
        assert!(!is_password(b"", b"password = Foo1_bar", b"(x)"));
        assert!(is_password(b"DB_", b"PASSWORD=k8Zq2m!Vx7", b"\x1a\x03end"));
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
            "X-Amz-Secret-Credential=@DO00KNCBQ7XLZ8ZB7MF9/20261123/fra1/s3/aws4_request@&X-Amz-Date=1",
            r#"{"access_token": "eyJhbGciOiJub25lIn0.@q9Zt7LmX2pKv4RwB8nYs@"}"#,
            "token = client.@q9Zt7LmX2pKv4RwB8nYs@",
            r#"{"name":"password reset","value":"@q9Zt7LmX2pKv4RwB8nYs@"}"#,
            "expected_token = \"@eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9@.\\",
            r#"feeToken: "@0x20c00a57B3de1f9C02a4e6D8b1735fE09c4D2a86@""#,
        ] {
            assert!(!found(text), "{text}");
        }
    }
}
