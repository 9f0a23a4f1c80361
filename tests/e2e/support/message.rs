//! HTTP/1.1 messages read strictly: whatever has two readings is a fault, never a guess.

use std::fmt;
use std::io::{self, Read, Write};

/// Field names as sent, and values without the white space around them.
pub type Fields = Vec<(String, String)>;

/// Why a message could not be read.
#[derive(Debug)]
pub enum Fault {
    /// The stream ended inside a message.
    Cut,
    /// The bytes are not HTTP/1.1 with one reading.
    Malformed(String),
    /// The socket failed: a reset, or the deadline.
    Io(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Cut => f.write_str("cut"),
            Fault::Malformed(what) => write!(f, "malformed: {what}"),
            Fault::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // rustls says so when TCP ends without close_notify.
            io::ErrorKind::UnexpectedEof => Fault::Cut,
            _ => Fault::Io(error),
        }
    }
}

/// A request as an origin got it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub version: String,
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

/// A response as an agent got it.
#[derive(Clone, Debug)]
pub struct Response {
    pub version: String,
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
    /// How the body's end was told.
    pub framing: Framing,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// The values of all fields of that name.
pub fn all<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&str> {
        all(&self.fields, name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        all(&self.fields, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        all(&self.fields, name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        all(&self.fields, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A byte stream with what was read too far kept for the next reader.
pub struct Wire<S> {
    pub stream: S,
    ahead: Vec<u8>,
}

const HEAD_LIMIT: usize = 4 << 20;

impl<S: Read> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    fn fill(&mut self) -> Result<usize, Fault> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(count) => {
                    self.ahead.extend_from_slice(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One line without its CRLF; none when the stream ends before its first byte.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.ahead[searched..].iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.ahead.drain(..=searched + at).collect();
                line.pop();
                if line.pop() != Some(b'\r') || line.contains(&b'\r') {
                    return Err(Fault::Malformed("a line does not end in CRLF".into()));
                }
                return Ok(Some(line));
            }
            searched = self.ahead.len();
            if searched > HEAD_LIMIT {
                return Err(Fault::Malformed("a line without an end".into()));
            }
            if self.fill()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(Fault::Cut) };
            }
        }
    }

    pub fn exact(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        while self.ahead.len() < count {
            if self.fill()? == 0 {
                return Err(Fault::Cut);
            }
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Everything up to the end of the stream.
    pub fn rest(&mut self) -> Result<Vec<u8>, Fault> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Whether the peer has ended the stream, cleanly or not, with nothing more to read.
    pub fn is_ended(&mut self) -> bool {
        self.ahead.is_empty() && matches!(self.fill(), Ok(0) | Err(Fault::Cut)) || self.is_reset()
    }

    fn is_reset(&mut self) -> bool {
        self.ahead.is_empty() && matches!(self.fill(), Err(Fault::Io(error)) if is_gone(&error))
    }

    fn fields(&mut self) -> Result<Fields, Fault> {
        let mut fields = Fields::new();
        loop {
            let line = self.line()?.ok_or(Fault::Cut)?;
            if line.is_empty() {
                return Ok(fields);
            }
            fields.push(field(&line)?);
        }
    }

    /// A request, or none where the stream ends between two.
    pub fn request(&mut self) -> Result<Option<Request>, Fault> {
        let Some(mut request) = self.request_head()? else { return Ok(None) };
        (request.body, request.trailers) = self.body(request_framing(&request)?)?;
        Ok(Some(request))
    }

    /// The head of a request only: the caller reads the body.
    pub fn request_head(&mut self) -> Result<Option<Request>, Fault> {
        let Some(line) = self.line()? else { return Ok(None) };
        let text = std::str::from_utf8(&line).map_err(|_| malformed("request line", &line))?;
        let parts: Vec<&str> = text.split(' ').collect();
        let [method, target, version] = parts[..] else { return Err(malformed("request line", &line)) };
        if method.is_empty() || !method.bytes().all(is_token) || target.is_empty() || !version.starts_with("HTTP/1.") {
            return Err(malformed("request line", &line));
        }
        let fields = self.fields()?;
        if all(&fields, "host").len() > 1 || (version == "HTTP/1.1" && all(&fields, "host").is_empty()) {
            return Err(Fault::Malformed("not exactly one Host".into()));
        }
        let (method, target, version) = (method.to_owned(), target.to_owned(), version.to_owned());
        Ok(Some(Request { method, target, version, fields, body: Vec::new(), trailers: Vec::new() }))
    }

    /// A whole response to a request with this method; interim ones are left out.
    pub fn response_to(&mut self, method: &str) -> Result<Response, Fault> {
        loop {
            let mut response = self.response_head(method)?;
            if response.status == 101 || response.status >= 200 {
                (response.body, response.trailers) = self.body(response.framing)?;
                return Ok(response);
            }
        }
    }

    /// A response's head, interim ones included.
    pub fn response_head(&mut self, method: &str) -> Result<Response, Fault> {
        let line = self.line()?.ok_or(Fault::Cut)?;
        let text = std::str::from_utf8(&line).map_err(|_| malformed("status line", &line))?;
        let mut parts = text.splitn(3, ' ');
        let version = parts.next().filter(|version| matches!(*version, "HTTP/1.1" | "HTTP/1.0"));
        let version = version.ok_or_else(|| malformed("status line", &line))?.to_owned();
        let status =
            parts.next().and_then(|status| status.parse().ok()).ok_or_else(|| malformed("status line", &line))?;
        let fields = self.fields()?;
        let framing = match status {
            100..=199 | 204 | 304 => Framing::None,
            _ if method == "HEAD" || (method == "CONNECT" && status == 200) => Framing::None,
            _ => framing(&fields)?.unwrap_or(Framing::UntilClose),
        };
        Ok(Response { version, status, fields, framing, body: Vec::new(), trailers: Vec::new() })
    }

    pub fn body(&mut self, framing: Framing) -> Result<(Vec<u8>, Fields), Fault> {
        match framing {
            Framing::None => Ok((Vec::new(), Fields::new())),
            Framing::Length(length) => Ok((self.exact(usize::try_from(length).unwrap())?, Fields::new())),
            Framing::UntilClose => Ok((self.rest()?, Fields::new())),
            Framing::Chunked => self.chunks(),
        }
    }

    fn chunks(&mut self) -> Result<(Vec<u8>, Fields), Fault> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            body.extend_from_slice(&chunk);
        }
        Ok((body, self.fields()?))
    }

    /// One chunk; none at the last one, before its trailers.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let line = self.line()?.ok_or(Fault::Cut)?;
        let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
        if size.is_empty() || size.len() > 15 || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(malformed("chunk size", &line));
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap();
        if size == 0 {
            return Ok(None);
        }
        let data = self.exact(size)?;
        if self.exact(2)? != b"\r\n" {
            return Err(Fault::Malformed("chunk data without CRLF".into()));
        }
        Ok(Some(data))
    }
}

impl<S: Read> Read for Wire<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return self.stream.read(buffer);
        }
        let count = self.ahead.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Ok(count)
    }
}

impl<S: Write> Write for Wire<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The framing of a request's body by RFC 9112 §6, or a fault where there are two.
pub fn request_framing(request: &Request) -> Result<Framing, Fault> {
    Ok(framing(&request.fields)?.unwrap_or(Framing::None))
}

fn framing(fields: &Fields) -> Result<Option<Framing>, Fault> {
    let (lengths, codings) = (all(fields, "content-length"), all(fields, "transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(None),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(|length| Some(Framing::Length(length))).map_err(|_| Fault::Malformed("length".into()))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
        _ => Err(Fault::Malformed(format!("ambiguous length: {lengths:?} {codings:?}"))),
    }
}

fn field(line: &[u8]) -> Result<(String, String), Fault> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(|| malformed("field", line))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(malformed("field name", line));
    }
    if value.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(malformed("field value", line));
    }
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(name), text(value).trim_matches([' ', '\t']).to_owned()))
}

pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the peer went away without a word.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
    )
}

fn malformed(what: &str, line: &[u8]) -> Fault {
    Fault::Malformed(format!("bad {what}: {:?}", String::from_utf8_lossy(line)))
}
