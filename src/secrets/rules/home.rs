//! Homes: the hosts where a credential belongs, and the place in a request where that provider reads it.

use super::names::{is_constant, is_login_name, is_of_another};
use crate::net::{Host, HostPattern};

/// A host pattern of the catalogue: a policy's, or one whose stars stand in the middle
/// (`bedrock.*.amazonaws.com`), each for one label.
#[derive(Clone, Debug)]
pub(in crate::secrets) enum Home {
    /// With what the pattern ends in.
    Pattern(HostPattern, Box<str>),
    Labels(Box<[Box<str>]>),
}

/// Not a host pattern.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no host")]
pub struct BadHome(String);

impl Home {
    pub(in crate::secrets) fn parse(text: &str) -> Result<Self, BadHome> {
        if let Ok(pattern) = text.parse() {
            return Ok(Home::Pattern(pattern, text.trim_start_matches("*.").trim_start_matches("**.").into()));
        }
        let label = |label: &str| {
            let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
            label == "*" || (!label.is_empty() && label.bytes().all(known))
        };
        let labels: Box<[Box<str>]> = text.split('.').map(Into::into).collect();
        let known =
            labels.len() >= 3 && labels.iter().all(|text| label(text)) && labels.last().is_some_and(|l| **l != *"*");
        known.then_some(Home::Labels(labels)).ok_or_else(|| BadHome(text.to_owned()))
    }

    /// The name that it ends in, if it is one pattern.
    pub(in crate::secrets) fn name(&self) -> Option<&str> {
        match self {
            Home::Pattern(_, name) => Some(name),
            Home::Labels(_) => None,
        }
    }

    /// Whether it is this name, without stars.
    pub(in crate::secrets) fn is_exactly(&self, host: &Host) -> bool {
        self.matches(host) && self.name() == host.as_name()
    }

    pub(in crate::secrets) fn matches(&self, host: &Host) -> bool {
        match self {
            Home::Pattern(pattern, _) => pattern.matches(host),
            Home::Labels(labels) => host.as_name().is_some_and(|name| {
                name.split('.').count() == labels.len()
                    && name.split('.').zip(labels).all(|(label, pattern)| **pattern == *"*" || **pattern == *label)
            }),
        }
    }

    /// The same, but for names below it that anyone may rent (`attacker.s3.amazonaws.com`): whoever rents one reads
    /// what is sent there.
    pub(in crate::secrets) fn owns(&self, host: &Host) -> bool {
        let rented = |base: &str| {
            let suffix = host.as_name().and_then(|name| psl::suffix(name.as_bytes()));
            suffix
                .is_some_and(|suffix| suffix.typ() == Some(psl::Type::Private) && suffix.as_bytes().len() > base.len())
        };
        self.matches(host) && !matches!(self, Home::Pattern(_, base) if rented(base))
    }
}

/// Where in a request a provider reads a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::secrets) enum Place {
    /// The Authorization field, under any scheme.
    Authorization,
    Header(Box<str>),
    Query(Box<str>),
    /// A field of a form, urlencoded or multipart.
    Form(Box<str>),
    /// A member of a JSON body.
    Json(Box<str>),
    Path,
    Cookie(Box<str>),
    AnyCookie,
    /// Never sent anywhere.
    Nowhere,
}

/// Not a place.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no place")]
pub struct BadPlace(String);

impl Place {
    pub(in crate::secrets) fn parse(text: &str) -> Result<Self, BadPlace> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let folded = || name.to_ascii_lowercase().into_boxed_str();
        Ok(match (kind, name.is_empty()) {
            ("bearer" | "basic" | "sigv4" | "digest", true) => Place::Authorization,
            ("header", false) if name.eq_ignore_ascii_case("authorization") => Place::Authorization,
            ("header", false) => Place::Header(folded()),
            ("query", false) => Place::Query(folded()),
            ("form", false) => Place::Form(folded()),
            ("json", false) => Place::Json(folded()),
            ("path" | "url", true) => Place::Path,
            ("cookie", false) => Place::Cookie(folded()),
            ("cookie", true) => Place::AnyCookie,
            ("none", true) => Place::Nowhere,
            _ => return Err(BadPlace(text.to_owned())),
        })
    }
}

/// Where in a request a match was found, as far as places tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets) enum Spot<'a> {
    /// A header field, by its name.
    Header(&'a str),
    /// A cookie, by its name.
    Cookie(&'a str),
    /// A query parameter, by its name.
    Query(&'a str),
    Path,
    /// A field of an urlencoded or multipart body.
    Form(&'a str),
    /// A member of a JSON body.
    Json(&'a str),
    /// Anywhere else: content.
    Content,
}

/// Names under which forms and JSON carry credentials to a service that takes them.
const CREDENTIAL_NAMES: [&str; 16] = [
    "access_token",
    "refresh_token",
    "client_secret",
    "client_assertion",
    "assertion",
    "token",
    "password",
    "passwd",
    "secret",
    "api_key",
    "apikey",
    "key",
    "code",
    "authorization",
    "auth",
    "private_token",
];

/// Whether one of the words of keys stands in a name: `key`, `token`, `secret`, `auth`, `password`.
fn says_key(name: &str) -> bool {
    let name = name.as_bytes();
    name.iter().enumerate().any(|(at, first)| {
        let word: &[u8] = match first.to_ascii_lowercase() {
            b'k' => b"key",
            b't' => b"token",
            b's' => b"secret",
            b'a' => b"auth",
            b'p' => b"password",
            _ => return false,
        };
        name.get(at..at + word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word))
    })
}

impl Spot<'_> {
    /// Whether a service whose ways aren't known may read a credential here: anywhere in the head, and in bodies
    /// under a name that says so.
    pub(in crate::secrets) fn is_credentials(self) -> bool {
        match self {
            Spot::Form(name) | Spot::Json(name) => {
                CREDENTIAL_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
            }
            spot => spot.is_one_of(&[]),
        }
    }

    /// Whether a field of the head has a name by which services take keys.
    pub(in crate::secrets) fn is_key_field(self) -> bool {
        matches!(self, Spot::Header(name) if says_key(name))
    }

    /// Whether this field stands for Authorization on any host: APIs read their logins in one of its name.
    pub(in crate::secrets) fn is_login_field(self, host: &Host) -> bool {
        matches!(self, Spot::Header(name) if is_login_name(name, host.as_name().unwrap_or_default()))
    }

    /// Whether a host may read a credential that has no shape of its own here: under a name that says key and
    /// does not say that it is another's. Environment variables are content: no service names its fields so.
    pub(in crate::secrets) fn is_key_of(self, host: &Host) -> bool {
        let is_variable = |name: &str| name.contains('_') && is_constant(name.as_bytes());
        let is_key = |name: &str| says_key(name) && host.as_name().is_some_and(|host| !is_of_another(name, host));
        match self {
            Spot::Header(name) => is_key(name),
            Spot::Query(name) | Spot::Form(name) | Spot::Json(name) => is_key(name) && !is_variable(name),
            Spot::Cookie(_) | Spot::Path | Spot::Content => false,
        }
    }

    /// Whether a provider that reads credentials at `places` reads one here. Without places: anywhere in the
    /// head, nowhere in a body.
    pub(in crate::secrets) fn is_one_of(self, places: &[Place]) -> bool {
        if places.is_empty() {
            return matches!(self, Spot::Header(_) | Spot::Cookie(_) | Spot::Query(_) | Spot::Path);
        }
        places.iter().any(|place| match (self, place) {
            (Spot::Header(name), Place::Authorization) => name.eq_ignore_ascii_case("authorization"),
            (Spot::Header(name), Place::Header(wanted))
            | (Spot::Cookie(name), Place::Cookie(wanted))
            | (Spot::Query(name), Place::Query(wanted))
            | (Spot::Form(name), Place::Form(wanted))
            | (Spot::Json(name), Place::Json(wanted)) => name.eq_ignore_ascii_case(wanted),
            // Token endpoints that take a form take the same names as JSON, and the other way round.
            (Spot::Json(name), Place::Form(wanted)) | (Spot::Form(name), Place::Json(wanted)) => {
                name.eq_ignore_ascii_case(wanted)
            }
            (Spot::Path, Place::Path) | (Spot::Cookie(_), Place::AnyCookie) => true,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(pattern: &str, host: &str) -> bool {
        Home::parse(pattern).unwrap().matches(&Host::parse(host.as_bytes()).unwrap())
    }

    #[test]
    fn a_home_is_matched_label_by_label() {
        assert!(home("bedrock.*.amazonaws.com", "bedrock.eu-west-1.amazonaws.com"));
        assert!(!home("bedrock.*.amazonaws.com", "bedrock.amazonaws.com"));
        assert!(!home("bedrock.*.amazonaws.com", "bedrock.x.amazonaws.com.evil.example"));
        assert!(!home("api.github.com", "api.github.com.evil.example"));
        assert!(home("**.amazonaws.com", "s3.eu-west-1.amazonaws.com"));
        let owned =
            |pattern: &str, host: &str| Home::parse(pattern).unwrap().owns(&Host::parse(host.as_bytes()).unwrap());
        assert!(owned("**.amazonaws.com", "sts.amazonaws.com"));
        assert!(owned("bedrock-runtime.*.amazonaws.com", "bedrock-runtime.us-east-1.amazonaws.com"));
        assert!(!owned("**.amazonaws.com", "attacker.s3.amazonaws.com"));
        assert!(!owned("**.amazonaws.com", "ec2-203-0-113-7.compute-1.amazonaws.com"));
        assert!(owned("**.azurewebsites.net", "acme.azurewebsites.net"));
        assert!(Home::parse("a.*").is_err());
        assert!(Home::parse("https://a.b").is_err());
    }

    #[test]
    fn a_place_is_where_the_provider_reads() {
        let places: Vec<_> = ["bearer", "query:key"].iter().map(|text| Place::parse(text).unwrap()).collect();
        assert!(Spot::Header("Authorization").is_one_of(&places));
        assert!(Spot::Query("key").is_one_of(&places));
        assert!(!Spot::Query("q").is_one_of(&places));
        assert!(!Spot::Content.is_one_of(&places));
        assert!(!Spot::Content.is_one_of(&[]));
        assert!(Place::parse("header").is_err());
    }
}
