//! `upstream.parent`.

use super::placed::Placed;
use super::rules::Notes;
use super::shapes::ParentShape;
use crate::net::Authority;
use crate::upstream::{Parent, ParentCredentials, ParentKind};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest that SOCKS5 carries (RFC 1929 §2).
const LONGEST: usize = 255;

pub(super) fn compile(shape: &ParentShape, base: &Path, notes: &mut Notes) -> Option<Parent> {
    let place = url(&shape.url, notes);
    let credentials = shape.credentials.as_ref().and_then(|source| {
        let text = match source.value.0.clone().below(base).read() {
            Ok(text) => text,
            Err(error) => {
                notes.error(&source.at, error.to_string(), "provide it, or leave `credentials` out");
                return None;
            }
        };
        let parsed = parse_credentials(&text);
        if parsed.is_none() {
            let message = format!("{} does not hold NAME:PASSWORD in one line", source.value.0);
            notes.error(&source.at, message, "each at most 255 bytes, without control characters");
        }
        parsed
    });
    let bypass = shape.bypass.iter().flatten().filter_map(|host| notes.host(host)).collect();
    let (kind, authority) = place?;
    if kind != ParentKind::Https && credentials.is_some() && !is_near(&authority) {
        let source = shape.credentials.as_ref().map_or(&shape.url.at, |source| &source.at);
        notes.warn(source, "the parent's credentials go over the network in the clear", "prefer https://");
    }
    Some(Parent { kind, authority, credentials, bypass })
}

fn is_near(parent: &Authority) -> bool {
    parent.host.is_localhost() || parent.host.as_ip().is_some_and(|address| address.is_loopback())
}

fn url(url: &Placed<String>, notes: &mut Notes) -> Option<(ParentKind, Authority)> {
    let forms = "write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT";
    let Some((scheme, rest)) = url.value.split_once("://") else {
        notes.error(&url.at, "expected the URL of a proxy", forms);
        return None;
    };
    let kind = match scheme {
        "http" => ParentKind::Http,
        "https" => ParentKind::Https,
        "socks5" => ParentKind::Socks5,
        _ => {
            notes.error(&url.at, "a parent proxy speaks http, https or socks5", forms);
            return None;
        }
    };
    // A value that may hold a password is not repeated.
    if rest.contains('@') {
        notes.error(&url.at, "credentials are not written here but named", "name them under `credentials`");
        return None;
    }
    match Authority::parse(rest.strip_suffix('/').unwrap_or(rest).as_bytes()) {
        Ok(authority) => Some((kind, authority)),
        Err(error) => {
            notes.error(&url.at, error.to_string(), forms);
            None
        }
    }
}

fn parse_credentials(text: &str) -> Option<ParentCredentials> {
    let (name, password) = text.split_once(':')?;
    let fits = |part: &str| !part.is_empty() && part.len() <= LONGEST && !part.chars().any(char::is_control);
    (fits(name) && fits(password))
        .then(|| ParentCredentials { name: name.to_owned(), password: Zeroizing::new(password.to_owned()) })
}
