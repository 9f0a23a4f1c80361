//! Who is let in: the name that was asked for, and the operator's key.

use super::backoff::Backoff;
use super::problem::Problem;
use super::{OperatorKey, State};
use crate::net::{Authority, Host};
use crate::session::{Credentials, CredentialsBuffer, TokenDigest};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is checked on the way in.
#[derive(Debug)]
pub(super) struct Access {
    key: TokenDigest,
    backoff: Backoff,
    listen: IpAddr,
}

/// The host by which the gateway was asked for.
#[derive(Clone, Debug)]
pub(super) struct AskedFor(pub(super) Host);

/// From the head of a request to the head of its answer.
const ANSWER_IN: Duration = Duration::from_secs(30);

impl Access {
    pub(super) fn new(key: &OperatorKey, listen: SocketAddr) -> Self {
        Self { key: key.digest(), backoff: Backoff::default(), listen: listen.ip() }
    }

    /// Against DNS rebinding (T28, CVE-2025-23217): a page of another site may reach this listener
    /// under that site's name, so no foreign name is taken. Ports are not compared: they may be forwarded.
    fn host(&self, request: &Request) -> Result<Host, Problem> {
        let mut fields = request.headers().get_all(header::HOST).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return Err(bad_host("There must be exactly one Host field."));
        };
        let host = Authority::parse_or(field.as_bytes(), 80).map_err(|error| bad_host(error.to_string()))?.host;
        if let Some(target) = request.uri().authority() {
            let same = Authority::parse_or(target.as_str().as_bytes(), 80).is_ok_and(|target| target.host == host);
            if !same {
                return Err(bad_host("The Host field disagrees with the request target."));
            }
        }
        if self.is_ours(&host) { Ok(host) } else { Err(foreign_host()) }
    }

    fn is_ours(&self, host: &Host) -> bool {
        let address = match host {
            Host::Name(_) => return host.as_name() == Some("localhost"),
            Host::V4(address) => IpAddr::V4(*address),
            Host::V6(address) => IpAddr::V6(*address),
        };
        // A browser that names an address was not misled by DNS.
        address.is_loopback() || address == self.listen || self.listen.is_unspecified()
    }

    fn key(&self, headers: &HeaderMap, source: IpAddr) -> Result<(), Problem> {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return Err(unauthorized("Send the operator's key once: `Authorization: Bearer KEY`."));
        };
        let mut buffer = CredentialsBuffer::default();
        match Credentials::parse(field.as_bytes(), &mut buffer) {
            Ok(Credentials::Bearer(shown)) if TokenDigest::of(shown) == self.key => Ok(()),
            _ => Err(self.wrong_key(source)),
        }
    }

    fn wrong_key(&self, source: IpAddr) -> Problem {
        let Some(wait) = self.backoff.failed(source, Instant::now()) else {
            return unauthorized("This is not the operator's key.");
        };
        tracing::warn!(downstream.address = %source, "wrong operator keys keep coming from one source");
        let detail = "Wrong keys keep coming from here. The right key is taken at any time.";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_keys", detail).retry_after(Some(wait))
    }
}

/// Every answer comes in time, is not cached and is what it says it is.
pub(super) async fn bound(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_IN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "The request did not arrive in time, or the answer took too long.";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Lets requests through that ask for the gateway by a name of its own.
pub(super) async fn require_host(Shared(state): Shared<Arc<State>>, mut request: Request, next: Next) -> Response {
    match state.access.host(&request) {
        Ok(host) => {
            request.extensions_mut().insert(AskedFor(host));
            next.run(request).await
        }
        Err(problem) => closing(problem),
    }
}

/// Lets operators through.
pub(super) async fn require_key(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let source = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(source)| source.ip());
    // Without a connection behind it nobody is told apart: one source for all.
    match state.access.key(request.headers(), source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))) {
        Ok(()) => next.run(request).await,
        Err(problem) => closing(problem),
    }
}

/// The host to name in a proxy URL: the proxy's own address, or where that is every address, the one
/// by which the operator came.
pub(super) fn reachable_host(proxy: SocketAddr, asked_for: &Host) -> String {
    match (proxy.ip(), asked_for) {
        (ip, Host::V4(v4)) if ip.is_unspecified() => v4.to_string(),
        (ip, Host::V6(v6)) if ip.is_unspecified() => format!("[{v6}]"),
        (IpAddr::V4(ip), _) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        (IpAddr::V6(ip), _) if ip.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        (IpAddr::V4(ip), _) => ip.to_string(),
        (IpAddr::V6(ip), _) => format!("[{ip}]"),
    }
}

/// A guess costs a connection.
fn closing(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn bad_host(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_host", detail)
}

fn foreign_host() -> Problem {
    let detail = "The control API answers to localhost and to the address it listens on, to no other name.";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", detail)
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}
