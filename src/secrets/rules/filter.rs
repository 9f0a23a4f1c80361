//! What looks like a secret and is none: placeholders, documented examples, credential scopes.

use super::generic::{is_name_of_words, is_wordy};
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// Bits per character, by Shannon.
pub(in crate::secrets) fn entropy(bytes: &[u8]) -> f32 {
    if bytes.is_empty() {
        return 0.0;
    }
    let mut counts = [0u32; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let total = bytes.len() as f32;
    counts.iter().filter(|&&count| count > 0).map(|&count| count as f32 / total).map(|p| -p * p.log2()).sum()
}

/// Words that say so.
static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = [
        "example",
        "placeholder",
        "redacted",
        "yourtoken",
        "your_token",
        "your-token",
        "yourapikey",
        "your_api",
        "your-api",
        "changeme",
        "xxxxxxxx",
        "dummytoken",
        "insert_",
        "fake_token",
    ];
    AhoCorasick::new(words).ok()
});

/// Whether a value was made up to stand for a secret: one character over and over, a mask of x and 0,
/// a word that says so. `variable` is the value without its prefix.
pub(in crate::secrets) fn is_placeholder(variable: &[u8]) -> bool {
    if let Some(password) = password_of(variable) {
        return is_of_words(password) || is_common_password(password);
    }
    if let Some(password) = assigned_password(variable) {
        return is_common_password(password) || is_expression(password) || is_of_words(password);
    }
    if netrc_password(variable).is_some_and(is_template) {
        return true;
    }
    if variable.len() < 8 {
        return false;
    }
    let head = variable.get(..256).unwrap_or(variable);
    let mut seen = [0u64; 4];
    head.iter().map(u8::to_ascii_lowercase).for_each(|byte| seen[usize::from(byte >> 6)] |= 1 << (byte & 63));
    let distinct = seen.iter().map(|seen| seen.count_ones()).sum::<u32>();
    if distinct < 4 || longest_run(head) * 2 > head.len() {
        return true;
    }
    let lower = head.to_ascii_lowercase();
    // Structures hold host names, which may say anything.
    let token = !variable.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'@' | b'"'));
    (token && WORDS.as_ref().is_some_and(|words| words.is_match(&lower))) || is_sequence(&lower)
}

/// The password in an address (`://user:password@host`).
fn password_of(value: &[u8]) -> Option<&[u8]> {
    let front = value.get(..32).unwrap_or(value);
    let colon = memchr::memchr_iter(b':', front).find(|at| front.get(at + 1..at + 3) == Some(b"//"))?;
    let rest = value.get(colon + 3..)?;
    let user = rest.get(..memchr::memrchr(b'@', rest)?)?;
    user.get(memchr::memchr(b':', user)? + 1..)
}

/// The password at the end of a netrc entry.
fn netrc_password(value: &[u8]) -> Option<&[u8]> {
    let entry = value.starts_with(b"machine") || value.starts_with(b"default");
    value.rsplit(u8::is_ascii_whitespace).next().filter(|_| entry)
}

/// Whether a password is the place for one: `{password}`, `${GIT_PASSWORD}`, `<password>`.
fn is_template(password: &[u8]) -> bool {
    let name = match password.strip_prefix(b"$").unwrap_or(password) {
        [b'{', name @ .., b'}'] | [b'<', name @ .., b'>'] => name,
        _ => return false,
    };
    name.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'-')) && is_wordy(name)
}

/// The password in a pair (`Password=…`).
fn assigned_password(value: &[u8]) -> Option<&[u8]> {
    let equals = memchr::memchr(b'=', value.get(..16).unwrap_or(value))?;
    let (name, rest) = value.split_at(equals);
    let says = |word: &&[u8]| name.trim_ascii().eq_ignore_ascii_case(word);
    [&b"password"[..], b"passwd", b"pwd"].iter().any(says).then(|| rest.get(1..).unwrap_or_default().trim_ascii())
}

/// Whether a password is words, and only the escapes between them had a digit in them.
fn is_of_words(password: &[u8]) -> bool {
    let plain: Vec<u8> = percent_encoding::percent_decode(password).collect();
    plain.len() < password.len() && plain.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b' ')
}

/// Whether a password is no value but where one comes from: `self.db_password`, `this.readUInt8`, `getPassword`.
fn is_expression(password: &[u8]) -> bool {
    let of_itself = password.strip_prefix(b"this.").or_else(|| password.strip_prefix(b"self."));
    let is_member = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'?');
    of_itself.is_some_and(|member| member.iter().all(is_member) && is_wordy(member)) || is_name(password)
}

/// Whether a password is a name in code.
fn is_name(password: &[u8]) -> bool {
    password.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'?')) && is_wordy(password)
}

/// Passwords of documentation and of development databases.
fn is_common_password(password: &[u8]) -> bool {
    const COMMON: [&[u8]; 39] = [
        b"password1",
        b"password123",
        b"passw0rd",
        b"p@ssw0rd",
        b"p@ssword",
        b"pass123",
        b"secret123",
        b"admin123",
        b"test123",
        b"letmein",
        b"hunter2",
        b"qwerty",
        // RFC 6749.
        b"a3ddj3w",
        b"password",
        b"passwd",
        b"pass",
        b"pwd",
        b"secret",
        b"changeme",
        b"user",
        b"username",
        b"root",
        b"admin",
        b"postgres",
        b"mysql",
        b"guest",
        b"test",
        b"testing",
        b"example",
        b"token",
        b"mypassword",
        b"my_password",
        b"yourpassword",
        b"your_password",
        b"pw",
        b"1234",
        b"12345",
        b"123456",
        b"mysecretpassword",
    ];
    let lower = password.to_ascii_lowercase();
    let lower = lower.strip_suffix(b"!").unwrap_or(&lower);
    let bare: &[u8] = lower.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")).unwrap_or(lower);
    let reference =
        matches!(bare, [b'$' | b'{' | b'%', b'{' | b'(' | b'A'..=b'Z' | b'a'..=b'z', ..]) || bare.starts_with(b"$");
    let masked = bare.iter().all(|byte| matches!(byte, b'*' | b'x' | b'.' | b'-'));
    COMMON.contains(&bare) || reference || masked || longest_run(bare) == bare.len()
}

fn longest_run(bytes: &[u8]) -> usize {
    let (mut longest, mut length, mut last) = (0, 0, None);
    for byte in bytes.iter().map(u8::to_ascii_lowercase) {
        length = if last == Some(byte) { length + 1 } else { 1 };
        last = Some(byte);
        longest = longest.max(length);
    }
    longest
}

/// Most of it counts up: `0123456789`, `abcdefgh`.
fn is_sequence(lower: &[u8]) -> bool {
    let ups = lower.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1) || pair == b"90").count();
    ups * 4 > lower.len() * 3
}

/// Whether a value is a name in code: words between low lines, dashes or capitals, and hardly a digit.
pub(in crate::secrets) fn is_identifier(variable: &[u8]) -> bool {
    const LOOKED_AT: usize = 256;
    const MANY_WORDS: usize = 5;
    let variable = assigned(variable.get(..LOOKED_AT).unwrap_or(variable));
    let words = variable.split(|byte| matches!(byte, b'_' | b'-')).filter(|word| {
        word.len() >= 2 && word.iter().all(u8::is_ascii_alphanumeric) && word.iter().any(u8::is_ascii_alphabetic)
    });
    let digits = variable.iter().filter(|byte| byte.is_ascii_digit()).count();
    let words = words.count();
    // So many words are a name, though some have numbers in them (`hs256`).
    let few_digits = digits * if words >= MANY_WORDS { 5 } else { 8 } <= variable.len();
    (words >= 3 && few_digits && is_wordy(variable)) || is_name_of_words(variable)
}

/// What is assigned to a name (`password = container_registry_password`); all of a text in which nothing is.
fn assigned(text: &[u8]) -> &[u8] {
    let Some((name, value)) = memchr::memchr(b'=', text).map(|at| text.split_at(at)) else { return text };
    let is_name = name.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b' '));
    let start = value.iter().position(|byte| !matches!(byte, b'=' | b' ' | b'"' | b'\''));
    start.filter(|_| is_name).and_then(|start| value.get(start..)).unwrap_or(text)
}

/// Whether an AWS key id is followed by a credential scope (`/20261122/eu-west-1/`): then it stands in a
/// signature, open to everyone.
pub(in crate::secrets) fn is_credential_scope(after: &[u8]) -> bool {
    let rest = [&b"/"[..], b"%2F", b"%2f", b"%252F", b"\\/"].iter().find_map(|slash| after.strip_prefix(*slash));
    rest.and_then(|rest| rest.get(..8)).is_some_and(|date| date.iter().all(u8::is_ascii_digit))
}

/// Whether a long match is a stretch of a base64 text: its letters happen to stand behind a `+` or `/` in it.
pub(in crate::secrets) fn is_inside_base64(before: &[u8], value: &[u8], after: &[u8]) -> bool {
    const AROUND: usize = 16;
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let Some(near) = before.len().checked_sub(AROUND * 2).and_then(|at| before.get(at..)) else { return false };
    if value.len() < 40 || !matches!(near.last(), Some(b'+' | b'/')) || !near.iter().all(base64) {
        return false;
    }
    // Base64 has both cases and digits within so many characters, or capitals where it has none; a path seldom has.
    const MANY: usize = 8;
    let capitals = near.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let mixed = capitals >= MANY || (capitals > 0 && near.iter().any(u8::is_ascii_digit));
    let goes_on = after.len() >= AROUND && after.iter().all(base64) && matches!(after.first(), Some(b'+' | b'/'));
    mixed && value.iter().all(base64) && (value.len() >= 100 || goes_on)
}

/// Whether a value is nothing but hexadecimal digits, as many as a digest has at least.
pub(in crate::secrets) fn is_digest(value: &[u8]) -> bool {
    const SHORTEST: usize = 20;
    value.len() >= SHORTEST && value.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a digest stands in a list of files, as `sha256sum` writes it (the digest, two signs, a name), or behind the
/// address of what it belongs to (`…/a-1.2.tgz#…`).
pub(in crate::secrets) fn is_digest_by_place(before: &[u8], value: &[u8], after: &[u8]) -> bool {
    const LENGTHS: [usize; 6] = [32, 40, 56, 64, 96, 128];
    let begins_a_line = before.is_empty() || before.ends_with(b"\n") || before.ends_with(b"\\n");
    let is_named = |name: &u8| name.is_ascii_alphanumeric() || matches!(name, b'.' | b'/' | b'_');
    let is_line = begins_a_line && matches!(after, [b' ', b' ' | b'*', name, ..] if is_named(name));
    let is_fragment = || matches!(before, [.., last, b'#'] if last.is_ascii_alphanumeric());
    LENGTHS.contains(&value.len()) && is_digest(value) && (is_line || is_fragment())
}

/// Whether a match begins inside a digest in the alphabet of URLs, in which a dash is a letter like others: a list of a
/// wheel's files holds thousands (`sha256=…`), and keys that begin in three letters stand in some by chance.
pub(in crate::secrets) fn is_inside_digest(before: &[u8], value: &[u8], after: &[u8]) -> bool {
    const DIGESTS: [(&[u8], usize); 3] = [(b"sha256=", 43), (b"sha384=", 64), (b"sha512=", 86)];
    let letter = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let inside = before.iter().rev().take_while(letter).count();
    let (named, begun) = before.split_at(before.len() - inside);
    let rest = value.iter().chain(after).take_while(letter).count();
    let is_digest = |(name, length): &(&[u8], usize)| named.ends_with(name) && begun.len() + rest == *length;
    DIGESTS.iter().any(is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_within_a_digest_of_a_list_of_files_are_no_token() {
        let list = b"tax/_item.py,sha256=lo12Q4D2xWtk-";
        assert!(is_inside_digest(list, b"m0-qZcoTo5pHJQBV3I8jfPn0lsY8Fg", b",2108"));
        assert!(is_inside_digest(b"a.svg,sha256=", b"fk-eVwY_-ZclxO3IPPco07v3cVv9hvo_M-ZO8ZNpuvQ", b",1790"));
        assert!(!is_inside_digest(b"FACTORY_KEY=", b"fk-eVwY_-ZclxO3IPPco07v3cVv9hvo_M-ZO8ZNpuvQ", b"\n"));
        assert!(!is_inside_digest(list, b"m0-qZcoTo5pHJQBV3I8jfPn0lsY8Fg", b"k3"));
    }

    #[test]
    fn a_digest_in_a_list_of_files_or_behind_an_address_is_known_by_its_place() {
        let digest = b"0b59c9cfc314173c6eaeb5dc4d8048bb";
        assert!(is_digest_by_place(b"kafkajs-1.2.10.tar.gz\n", digest, b"  webpack-1.1.18.tar.gz"));
        assert!(is_digest_by_place(b"", digest, b" *keycloak.zip"));
        assert!(is_digest_by_place(b"/kafkajs/-/kafkajs-2.2.4.tgz#", digest, b"\""));
        assert!(!is_digest_by_place(b"TIKTOK_SECRET=", digest, b"  # of the shop"));
        assert!(!is_digest_by_place(b"tiktok\n", digest, b"\n"));
        assert!(!is_digest_by_place(b"tiktok #", digest, b"\n"));
        assert!(!is_digest_by_place(b"tiktok\n", b"0b59c9cfc314173c6eaeb5dc", b"  a"));
    }

    #[test]
    fn letters_within_base64_are_no_token() {
        let blob = "H4sIAAAAAAAAA9Q7aXfbRrL5dz0xZ8Kk+2mQp/";
        let long = "EwBYA8l6BAAUx7".repeat(9);
        assert!(is_inside_base64(blob.as_bytes(), long.as_bytes(), b""));
        assert!(is_inside_base64(b"lh/OZknMPFvOFZrNoDOHmkwxJGXHIhGW+", long.as_bytes(), b""));
        assert!(!is_inside_base64(b"/srv/www/Hooks/incoming/webhooks/", long.as_bytes(), b""));
        assert!(!is_inside_base64(b"GET /services/hooks/", long.as_bytes(), b""));
        assert!(!is_inside_base64(blob.as_bytes(), b"AKIAEWCGRBFAS73QNT3Y", b"/H4sIAAAAAAAAA9Q7"));
    }

    #[test]
    fn made_up_values_are_told_from_random_ones() {
        for text in [
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "XxXXXXx0XXxXx0XxxXxxx0_x0XxxXXxX0",
            "IOSFODNN7EXAMPLE",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0000000000000000000000000000abcd",
            "your_token_here_please",
        ] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        for text in ["c0nR53vbNwvZ57YiuPRr0fm01p4fCm2UdWaA", "EWCGRBFAS73QNT3Y", "242512fa9bbd0a3afff5f32cedf3463d"] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn names_in_code_are_told_from_random_values() {
        for text in [
            "async_eth_subscribe_process_pending_tx_true",
            "find-db-config-returns-first-config-for-env",
            "pauseProducingInConnectionMade",
            "generateSecretKeyForPKCS5Scheme2",
            "encode_with_alg_hs256_and_headers_alg_es256",
            "_password=container_registry_password",
        ] {
            assert!(is_identifier(text.as_bytes()), "{text}");
        }
        for text in [
            "vV-oR4Y1-rKXyUyjxuppSTqLfRH1oW7L4J1X5IU",
            "0OxQbwDU7pI9x1ysiwUNvesRYD6NINzV7vV-1GED40s",
            "_password=Zk83hd72KqWn5xTbY0mL",
        ] {
            assert!(!is_identifier(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn passwords_of_documentation_are_no_secrets() {
        for text in [
            "password=Password123!",
            "Pwd=changeme",
            "password=self.DB_PASS",
            "Password = e.getPassword",
            "password=this._list.readUInt8",
            "password=secure%20password",
            "://jo%40x.com:a%20secret@www.example.com",
            "machine urs.example.com login {username} password {password}",
            "machine git.acme.dev login bot password ${GIT_PASSWORD}",
        ] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        for text in [
            "password=k8Zq2mVx",
            "password=qXzW.kVbN",
            "://u:p%40q8Zx@db.example.com",
            "machine a.dev login b password {9kQ$m2Zx}",
        ] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_credential_scope_follows_a_key_id_in_a_signature() {
        assert!(is_credential_scope(b"/20261122/eu-west-1/s3/aws4_request"));
        assert!(is_credential_scope(b"%2F20261122%2Feu-west-1"));
        assert!(!is_credential_scope(b"/objects"));
    }
}
