//! The way through a parent proxy: a tunnel that it opens, by CONNECT or by SOCKS5.

use crate::http1::{HeadLimits, HeadScan, ResponseHead};
use crate::net::{Authority, Host, HostPattern, socks};
use crate::wire::Stream;
use bytes::BytesMut;
use data_encoding::BASE64;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

/// A parent's answer to CONNECT: a status line and a few fields.
const HEAD: HeadLimits = HeadLimits { bytes: 16 * 1024, fields: 100, target: 0 };
/// How a parent names itself to another that is like it (RFC 9110 §7.6.3).
const VIA: &str = "Via: 1.1 ";

/// `upstream.parent`.
#[derive(Clone, Debug)]
pub struct Parent {
    /// What it speaks.
    pub kind: ParentKind,
    /// Where it is.
    pub authority: Authority,
    /// What it wants to be shown.
    pub credentials: Option<ParentCredentials>,
    /// Hosts that are dialled without it.
    pub bypass: Vec<HostPattern>,
}

/// What a parent proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentKind {
    /// CONNECT.
    Http,
    /// CONNECT, over TLS.
    Https,
    /// SOCKS5.
    Socks5,
}

/// Name and password for a parent proxy.
#[derive(Clone)]
pub struct ParentCredentials {
    /// The name; without a colon.
    pub name: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Why a parent opened no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// It answered CONNECT with another status than 2xx.
    #[error("the parent proxy answered {0}")]
    Status(u16),
    /// It answered with a SOCKS5 code.
    #[error("the parent proxy answered: {}", socks::Reply::meaning(*.0))]
    Code(u8),
    /// It wants credentials that there are none of, or refused those that there are.
    #[error("the parent proxy wants other credentials")]
    Credentials,
    /// What it sent is no answer.
    #[error("the parent proxy's answer is not well-formed")]
    Malformed,
    /// It closed or broke the connection.
    #[error("the parent proxy closed the connection")]
    Closed(#[source] io::Error),
}

/// How a destination is reached whose name a parent was given: the address is the parent's then.
#[derive(Clone, Debug)]
pub enum ByName {
    /// Through a tunnel that the parent opened.
    Tunnel,
    /// By the parent itself, which takes requests in absolute form; each shows it this.
    Requests(Arc<ParentFields>),
}

/// The lines that every request in absolute form has for its parent.
pub struct ParentFields(Zeroizing<String>);

impl ParentFields {
    /// Whole lines of a head.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Nothing of it: there is a password in it.
impl fmt::Debug for ParentFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentFields").finish_non_exhaustive()
    }
}

impl Parent {
    /// What it is shown with each request, where it takes requests in absolute form.
    pub(super) fn fields(&self, own: &str) -> Option<ParentFields> {
        let mut lines = Zeroizing::new(format!("{VIA}{own}\r\n"));
        self.write_credentials(&mut lines);
        (self.kind != ParentKind::Socks5).then_some(ParentFields(lines))
    }

    fn write_credentials(&self, head: &mut Zeroizing<String>) {
        if let Some(ParentCredentials { name, password }) = &self.credentials {
            let pair = Zeroizing::new(format!("{name}:{}", password.as_str()));
            head.push_str("Proxy-Authorization: Basic ");
            head.push_str(&Zeroizing::new(BASE64.encode(pair.as_bytes())));
            head.push_str("\r\n");
        }
    }

    /// Whether a destination is reached through it.
    #[must_use]
    pub fn is_for(&self, host: &Host) -> bool {
        !self.bypass.iter().any(|pattern| pattern.matches(host))
    }

    /// Has it open a tunnel to `to`. `own` names this process, so that a loop shows.
    pub(super) async fn open(&self, stream: &mut Stream, to: &Authority, own: &str) -> Result<(), ParentError> {
        match self.kind {
            ParentKind::Http | ParentKind::Https => self.connect(stream, to, own).await,
            ParentKind::Socks5 => self.socks(stream, to).await,
        }
    }

    async fn connect(&self, stream: &mut Stream, to: &Authority, own: &str) -> Result<(), ParentError> {
        let mut head = Zeroizing::new(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{VIA}{own}\r\n"));
        self.write_credentials(&mut head);
        head.push_str("\r\n");
        send(stream, head.as_bytes()).await?;
        match read_status(stream).await? {
            200..=299 => Ok(()),
            407 => Err(ParentError::Credentials),
            status => Err(ParentError::Status(status)),
        }
    }

    /// RFC 1928 and 1929.
    async fn socks(&self, stream: &mut Stream, to: &Authority) -> Result<(), ParentError> {
        let method = if self.credentials.is_some() { 2 } else { 0 };
        send(stream, &[5, 1, method]).await?;
        match receive::<2>(stream).await? {
            [5, chosen] if chosen == method => {}
            [5, _] => return Err(ParentError::Credentials),
            _ => return Err(ParentError::Malformed),
        }
        if let Some(ParentCredentials { name, password }) = &self.credentials {
            let mut message = Zeroizing::new(vec![1]);
            for text in [name.as_str(), password.as_str()] {
                message.push(u8::try_from(text.len()).map_err(|_| ParentError::Credentials)?);
                message.extend_from_slice(text.as_bytes());
            }
            send(stream, &message).await?;
            if receive::<2>(stream).await? != [1, 0] {
                return Err(ParentError::Credentials);
            }
        }
        send(stream, &socks::request(to)).await?;
        let [version, code, _, kind] = receive::<4>(stream).await?;
        if version != 5 {
            return Err(ParentError::Malformed);
        }
        if code != 0 {
            return Err(ParentError::Code(code));
        }
        // Where the parent dials from: read, for the tunnel begins behind it.
        let length = match kind {
            1 => 4,
            4 => 16,
            3 => usize::from(receive::<1>(stream).await?[0]),
            _ => return Err(ParentError::Malformed),
        };
        let mut rest = vec![0; length + 2];
        stream.read_exact(&mut rest).await.map_err(ParentError::Closed)?;
        Ok(())
    }
}

/// `http://proxy.example:3128`, without the credentials.
impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ParentKind::Http => "http",
            ParentKind::Https => "https",
            ParentKind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// The name only.
impl fmt::Debug for ParentCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentCredentials").field("name", &self.name).finish_non_exhaustive()
    }
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), ParentError> {
    stream.write_all(bytes).await.map_err(ParentError::Closed)?;
    stream.flush().await.map_err(ParentError::Closed)
}

async fn receive<const N: usize>(stream: &mut Stream) -> Result<[u8; N], ParentError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(ParentError::Closed)?;
    Ok(bytes)
}

/// The status of an answer to CONNECT. Byte by byte: what comes behind its head is the tunnel's, whose
/// server may speak first.
async fn read_status(stream: &mut Stream) -> Result<u16, ParentError> {
    loop {
        let (mut head, mut scan) = (BytesMut::new(), HeadScan::default());
        let length = loop {
            let [byte] = receive::<1>(stream).await?;
            head.extend_from_slice(&[byte]);
            match scan.find_end(&head, &HEAD) {
                Ok(Some(length)) => break length,
                Ok(None) => {}
                Err(_) => return Err(ParentError::Malformed),
            }
        };
        let head = ResponseHead::take(&mut head, length, &HEAD).map_err(|_| ParentError::Malformed)?;
        // 1xx come before the answer.
        if head.status >= 200 {
            return Ok(head.status);
        }
    }
}
