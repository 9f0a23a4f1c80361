//! For whom a JWT was issued: its claims say more about its home than its kind does.

use super::checksum;
use super::home::Spot;
use crate::net::Host;

/// Whether a JWT belongs here: in fields and cookies unless it is for someone else; under the names that token
/// endpoints take assertions by if it names the host.
pub(in crate::secrets) fn is_home(value: &[u8], host: &Host, spot: Spot<'_>) -> bool {
    match spot {
        Spot::Cookie(_) => is_for(value, host).unwrap_or(true),
        Spot::Header(name) => is_for(value, host).unwrap_or_else(|| is_login(name)),
        Spot::Form(name) | Spot::Json(name) | Spot::Query(name) => {
            const ASSERTIONS: [&str; 9] = [
                "assertion",
                "clientassertion",
                "subjecttoken",
                "actortoken",
                "idtoken",
                "idtokenhint",
                "accesstoken",
                "token",
                "jwt",
            ];
            // Some write `subject_token`, some `subjectToken`.
            let name = name.replace('_', "");
            let assertion = ASSERTIONS.iter().any(|known| name.eq_ignore_ascii_case(known));
            assertion && is_for(value, host) == Some(true)
        }
        Spot::Path | Spot::Content => false,
    }
}

/// Whether a field's name says that a login stands in it.
fn is_login(name: &str) -> bool {
    const WORDS: [&str; 16] = [
        "auth",
        "token",
        "jwt",
        "key",
        "assertion",
        "bearer",
        "session",
        "identity",
        "credential",
        "access",
        "user",
        "secret",
        "cookie",
        "dpop",
        "oidc",
        "appcheck",
    ];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Identity services that issue tokens for other people's hosts.
const BROKERS: [&str; 12] = [
    "amazonaws.com",
    "google.com",
    "microsoftonline.com",
    "windows.net",
    "auth0.com",
    "okta.com",
    "clerk.dev",
    "clerk.accounts.dev",
    "supabase.co",
    "onelogin.com",
    "b2clogin.com",
    "workos.com",
];

/// The name that tells whose a host is: nobody else has one below `googleapis.com`, which is listed as if they could.
pub(in crate::secrets) fn owner(name: &str) -> Option<&str> {
    if name.ends_with(".googleapis.com") { Some("googleapis.com") } else { psl::domain_str(name) }
}

/// Whether a JWT names this host, or one of the same owner, as issuer or audience; nothing if it names no host.
fn is_for(value: &[u8], host: &Host) -> Option<bool> {
    let claims = checksum::jwt_claims(value)?;
    let (name, mut named) = (host.as_name()?, false);
    for claim in ["iss", "aud", "azp", "api"] {
        let texts: Vec<&str> = match claims.get(claim) {
            Some(serde_json::Value::String(text)) => vec![text],
            Some(serde_json::Value::Array(texts)) => texts.iter().filter_map(|text| text.as_str()).collect(),
            _ => continue,
        };
        for text in texts {
            let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
            let authority = authority.split(['/', ':', '?']).next().unwrap_or(authority);
            let Some(theirs) = owner(authority) else { continue };
            if owner(name) == Some(theirs) {
                return Some(true);
            }
            let known = psl::suffix(authority.as_bytes()).is_some_and(|suffix| suffix.is_known());
            let brokered = claim == "iss"
                && BROKERS.iter().any(|broker| {
                    authority.strip_suffix(broker).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                });
            let client = authority.ends_with(".apps.googleusercontent.com");
            named |= known && !brokered && !client;
        }
    }
    named.then_some(false)
}
