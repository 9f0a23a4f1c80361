//! What the name that a value is assigned to says of it.

use super::rule::fold_context;
use std::collections::HashSet;
use std::sync::LazyLock;

/// How a name says that its value is a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::secrets) enum Telling {
    /// A word in it says nothing else: `db_password`, `acme_api_key`.
    Plainly,
    /// It ends like names of secrets do, behind whose it is: `ACME_KEY`, `acmeToken`.
    ByItsEnd,
}

/// The last words of names that say secret behind a name of somebody.
const ENDS: [&[u8]; 3] = [b"key", b"token", b"secret"];

/// Shorter words before an end that nothing parts from them make another word with it: `WHISKEY`.
const SHORTEST_OWNER: usize = 5;

/// Whether a keyword is such an end, and no more.
pub(in crate::secrets) fn is_end(keyword: &[u8]) -> bool {
    ENDS.contains(&keyword)
}

/// What a name says with one of these words in it, or by its end.
pub(in crate::secrets) fn tells_secret(name: &[u8], words: &[Box<[u8]>]) -> Option<Telling> {
    let folded = fold_context(name);
    // Most words have a letter that the name has not.
    let letters = folded.iter().fold(0u32, |letters, byte| letters | 1 << (byte & 31));
    let may_have = |word: &[u8]| word.len() <= folded.len() && word.iter().all(|byte| letters >> (byte & 31) & 1 == 1);
    let plain = words.iter().any(|word| may_have(word) && memchr::memmem::find(&folded, word).is_some());
    let parts = parts(name, &folded);
    let by_its_end = || match parts.as_slice() {
        [.., owner, end] => is_end(end) && owner.len() >= 3 && !is_one_of(owner, &OWNERLESS),
        // Nothing parts them: `TAXJARTOKEN`.
        [word] if is_constant(name) => ENDS
            .iter()
            .filter_map(|end| word.strip_suffix(*end))
            .any(|owner| owner.len() >= SHORTEST_OWNER && !is_one_of(owner, &OWNERLESS)),
        _ => false,
    };
    let telling = if plain {
        Telling::Plainly
    } else if by_its_end() {
        Telling::ByItsEnd
    } else {
        return None;
    };
    (!is_open(&folded, &parts)).then_some(telling)
}

/// Whether a name is written as those of environment variables.
pub(in crate::secrets) fn is_constant(name: &[u8]) -> bool {
    name.iter().any(u8::is_ascii_uppercase) && !name.iter().any(u8::is_ascii_lowercase)
}

/// The words that names of keys are made of, whosever key it is.
const COMMON: &str = "\
    access account admin amz api apim app application assertion auth authorization bearer bot build channel client \
    code collection confirm confirmation consumer credential csrf customer deploy dev developer device email goog \
    id installation integration invite key license login my new oauth oauth2 ocp old org organization otp page \
    partner pass passwd password personal primary private project push pwd read refresh registration repo \
    repository request reset s secret security server service session signature site subscription team tenant \
    token upload user username verification webhook workspace write x";
/// Longer words are nobody's.
const LONGEST_WORD: usize = 40;

/// Whether a name says whose key it names, and that it is not this host's: a word in it is neither one that names of
/// keys are made of nor a part of the host's name (`DATABASE_PASSWORD`, `acme_api_key`).
pub(super) fn is_of_another(name: &str, host: &str) -> bool {
    let folded = fold_context(name.as_bytes());
    let host: Vec<u8> = host.bytes().filter(u8::is_ascii_alphanumeric).collect();
    let is_its = |word: &[u8]| {
        (word.len() <= 2 && word != b"db")
            || word.iter().all(u8::is_ascii_digit)
            || is_common(word)
            || memchr::memmem::find(&host, word).is_some()
    };
    !parts(name.as_bytes(), &folded).into_iter().all(is_its)
}

/// The fields that APIs of all kinds read logins in, without their signs and without the `x` in front.
const LOGINS: [&str; 22] = [
    "accesskey",
    "accesstoken",
    "apiaccesstoken",
    "apikey",
    "apitoken",
    "appkey",
    "apptoken",
    "auth",
    "authenticationtoken",
    "authkey",
    "authorization",
    "authtoken",
    "deploytoken",
    "functionskey",
    "jobtoken",
    "ocpapimsubscriptionkey",
    "privatetoken",
    "servicetoken",
    "sessiontoken",
    "subscriptionkey",
    "token",
    "usertoken",
];

/// Whether a field has such a name, in front of which the host's own may stand (`x-wiki-token`).
pub(super) fn is_login_name(name: &str, host: &str) -> bool {
    const LEAST: usize = 3;
    // Most fields of a request don't even end so.
    let end = name.as_bytes().last_chunk::<3>().map(|end| end.map(|byte| byte.to_ascii_lowercase()));
    if !end.is_some_and(|end| matches!(&end, b"key" | b"ken" | b"uth" | b"ion")) {
        return false;
    }
    let folded = fold_context(name.as_bytes());
    let is_host = |word: &[u8]| word.len() >= LEAST && host.split('.').any(|label| label.as_bytes() == word);
    let is_login = |words: &[&[u8]]| {
        let name = words.concat();
        LOGINS.iter().any(|login| login.as_bytes() == name)
    };
    let mut words = parts(name.as_bytes(), &folded);
    words.retain(|word| *word != b"x");
    is_login(&words) || words.split_first().is_some_and(|(first, rest)| is_host(first) && is_login(rest))
}

/// Whether a word is one of them, or some of them in a row (`apikey`).
pub(super) fn is_common(word: &[u8]) -> bool {
    let rest = |known: &str| word.strip_prefix(known.as_bytes());
    word.is_empty() || (word.len() <= LONGEST_WORD && COMMON.split_ascii_whitespace().filter_map(rest).any(is_common))
}

/// The words of a name, which are parted by signs or by capitals.
fn parts<'a>(name: &[u8], folded: &'a [u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 0..=name.len() {
        let here = name.get(at);
        let sign = here.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let capital = here.is_some_and(u8::is_ascii_uppercase);
        let hump = capital && at.checked_sub(1).and_then(|last| name.get(last)).is_some_and(u8::is_ascii_lowercase);
        if sign || hump {
            parts.extend(folded.get(start..at).filter(|part| !part.is_empty()));
            start = at + usize::from(sign);
        }
    }
    parts
}

/// Whether a name is one of those that frameworks give to the token by which a form proves which page it is from: the
/// page has it from the host that it goes to.
pub(in crate::secrets) fn is_form_token(name: &[u8]) -> bool {
    let folded = fold_context(name);
    let says = [&b"csrf"[..], b"xsrf", b"authenticity_token", b"requestverificationtoken"];
    folded == b"_token" || says.iter().any(|word| memchr::memmem::find(&folded, word).is_some())
}

/// Whether it is a name of what is open, or of something else that only holds the word.
fn is_open(folded: &[u8], parts: &[&[u8]]) -> bool {
    const BEGINNINGS: [&[u8]; 5] = [b"continu", b"idempot", b"tokeniz", b"publi", b"anonym"];
    // What something is called by, not what opens it; but a Vault role's secret is an id.
    let id = folded.ends_with(b"_id") && !folded.ends_with(b"secret_id");
    let is_key_id =
        memchr::memmem::find(folded, b"key_id").is_some() || memchr::memmem::find(folded, b"keyid").is_some();
    let is_digest = [&b"sha1"[..], b"sha256", b"sha384", b"sha512", b"md5"].iter().any(|name| folded.ends_with(name));
    let open = |part: &&[u8]| {
        let core = || {
            let end = ENDS.iter().find_map(|end| part.strip_suffix(*end));
            end.or_else(|| ENDS.iter().find_map(|end| part.strip_prefix(*end))).unwrap_or(part)
        };
        BEGINNINGS.iter().any(|beginning| part.starts_with(beginning))
            || is_one_of(part, &OPEN)
            || is_one_of(core(), &OPEN)
    };
    id || is_key_id || is_digest || is_form_token(folded) || parts.iter().any(open)
}

fn is_one_of(part: &[u8], words: &Words) -> bool {
    std::str::from_utf8(part).is_ok_and(|part| words.contains(part))
}

type Words = LazyLock<HashSet<&'static str>>;

/// Words of names that say what is open.
static OPEN: Words = LazyLock::new(|| {
    "anon cache checksum count cursor digest etag file hash integrity length next nextpage page path prev \
    previous primary resume size sort sync type uri url"
        .split_ascii_whitespace()
        .collect()
});

/// Before `key` and `token` these words say nothing of somebody: things by which data is found.
static OWNERLESS: Words = LazyLock::new(|| {
    "agent answer artifact asset attr attribute avatar blob bloom bucket buffer build bundle category cell chart \
     child chunk client color column component composite config content context cookie correlation crew dashboard \
     data dataset dedup dedupe default device dict distinct doc document edge entity event feature field filter \
     flag flow fold folder font foreign frame glyph group header host hot icon idempotency image index install \
     issue item job label lang layer layout line list locale lock lookup map menu message meta metric model \
     module msg namespace node nonce object option order panel param parent part partition photo product project \
     prompt prop property query range react record ref region request resource root route routing row salt schema \
     search section setting shard sheet short shortcut sign signature site socket source span start state step \
     storage store style subscription tab table tag task template text theme thread tool trace track tracking \
     translation unique usage value variant version video visitor wasm websocket widget"
        .split_ascii_whitespace()
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(name: &str) -> Option<Telling> {
        let words = ["password", "secret", "api_key", "apikey", "account_key"].map(|word| word.as_bytes().into());
        tells_secret(name.as_bytes(), &words)
    }

    #[test]
    fn a_name_tells_by_a_word_in_it_or_by_its_end() {
        for name in
            ["DB_PASSWORD", "acmeApiKey", "x-acme-api-key", "ACCOUNT_KEY", "pagerduty_api_key", "urlscan-secret"]
        {
            assert_eq!(telling(name), Some(Telling::Plainly), "{name}");
        }
        for name in ["ACME_KEY", "acmeToken", "acme_key", "app.mapquest.key", "PAGERDUTY_TOKEN", "X-Filestack-Token"] {
            assert_eq!(telling(name), Some(Telling::ByItsEnd), "{name}");
        }
    }

    #[test]
    fn names_of_what_is_open_tell_nothing() {
        for name in [
            "key",
            "token",
            "cacheKey",
            "cache_api_key",
            "nextPageToken",
            "nextpagetoken",
            "csrf_token",
            "csrftoken",
            "secret_hash",
            "SecretService.pysha256",
            "password_file",
            "tokenUrl",
            "tokentype",
            "api_key_id",
            "partition_key",
            "Sec-WebSocket-Key",
            "e.key",
            "public_key",
            "idempotency-key",
            "monkey",
            "WHISKEY",
            "DEFAULTTOKEN",
            "defaultToken",
        ] {
            assert_eq!(telling(name), None, "{name}");
        }
        assert!(is_constant(b"ACME_KEY") && !is_constant(b"ACME_Key") && !is_constant(b"_1"));
    }
}
