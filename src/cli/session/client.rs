//! One request to the control API.

use crate::control::OperatorKey;
use crate::net::{Authority, Host};
use crate::telemetry::escape;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where a control API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint(pub(super) Authority);

/// Why there is no such endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a control API: write http://HOST:PORT")]
pub(super) struct EndpointError(String);

/// Talks to one control API as one operator.
pub(super) struct Client<'a> {
    endpoint: &'a Endpoint,
    key: &'a OperatorKey,
}

/// Why the control API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("can't connect")]
    Unreachable { source: io::Error },
    #[error("the gateway did not answer within {} seconds", ANSWER_IN.as_secs())]
    Silent,
    #[error("the connection to the gateway broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("this is no control API of exeat: the answer has status {0} and is not JSON")]
    Foreign(u16),
    #[error("{0}")]
    Refused(String),
}

const CONNECT_IN: Duration = Duration::from_secs(5);
const ANSWER_IN: Duration = Duration::from_secs(40);
/// A list of as many sessions as may live.
const ANSWER_MAX: usize = 128 << 20;

impl<'a> Client<'a> {
    pub(super) fn new(endpoint: &'a Endpoint, key: &'a OperatorKey) -> Self {
        Self { endpoint, key }
    }

    /// Sends one request; the JSON of its answer, or null where there is none.
    pub(super) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let stream = self.connect().await?;
        timeout(ANSWER_IN, self.exchange(stream, method, path, body)).await.map_err(|_| Failure::Silent)?
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let Authority { host, port } = &self.endpoint.0;
        let connecting = async {
            match host {
                Host::V4(address) => TcpStream::connect((*address, *port)).await,
                Host::V6(address) => TcpStream::connect((*address, *port)).await,
                Host::Name(_) => TcpStream::connect((host.as_name().unwrap_or_default(), *port)).await,
            }
        };
        timeout(CONNECT_IN, connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| Failure::Unreachable { source })
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let request = self.request(method, path, body)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(Failure::Broken)?;
            read(status, &body.to_bytes())
        };
        tokio::pin!(connection, exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = &mut connection => {
                ended.map_err(broken)?;
                exchange.await
            }
        }
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut key = HeaderValue::from_str(&format!("Bearer {}", self.key.expose())).map_err(broken)?;
        key.set_sensitive(true);
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(broken)?.into(),
            None => Bytes::new(),
        };
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.endpoint.0.to_string())
            .header(header::AUTHORIZATION, key)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(body))
            .map_err(broken)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| error())?;
        if uri.scheme_str() != Some("http") || uri.path() != "/" || uri.query().is_some() {
            return Err(error());
        }
        let authority = uri.authority().ok_or_else(error)?;
        Authority::parse_or(authority.as_str().as_bytes(), 80).map(Self).map_err(|_| error())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

fn read(status: u16, body: &[u8]) -> Result<Value, Failure> {
    if status == 204 {
        return Ok(Value::Null);
    }
    let answer: Value = serde_json::from_slice(body).map_err(|_| Failure::Foreign(status))?;
    match (status, answer["detail"].as_str()) {
        (200..=299, _) => Ok(answer),
        (401, Some(detail)) => Err(Failure::Refused(format!(
            "{} The key is the one that the gateway made at its first start, or `control.key` of its configuration.",
            escape(detail)
        ))),
        (_, Some(detail)) => Err(Failure::Refused(escape(detail).into_owned())),
        (_, None) => Err(Failure::Foreign(status)),
    }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Broken(Box::new(error))
}
