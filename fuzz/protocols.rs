//! What the fuzz targets of the protocols do, so that a plain test replays their seeds: each takes any bytes and panics
//! only where something is wrong.

use bytes::BytesMut;
use exeat::http1::{
    BodyReader, Field, Fields, Frame, Framing, HeadLimits, HeadScan, RequestHead, ResponseHead, encode,
    request_framing, response_framing,
};
use exeat::net::socks::{connect, offers_password, request, username_password};
use exeat::net::{
    Authority, ClientHello, Host, HostFields, HostPattern, Path, ProxyHeader, Scheme, SshOpening, Target,
};
use exeat::policy::Paths;
use exeat::session::{Credentials, CredentialsBuffer};
use exeat::websocket::{Decoder, Event, Handshake, Sender, Violation};
use http::Method;

/// What a fuzzer's bytes are given to; it panics where something is wrong.
pub type Fuzzed = fn(&[u8]);

/// A target's name and what it does.
pub const TARGETS: [(&str, Fuzzed); 13] = [
    ("destination", destination),
    ("patterns", patterns),
    ("policy", policy),
    ("hello", hello),
    ("request", request_head),
    ("response", response_head),
    ("chunked", chunked),
    ("frames", frames),
    ("upgrade", upgrade),
    ("socks", socks),
    ("balancer", balancer),
    ("credentials", credentials),
    ("ssh", ssh),
];

/// The lines of an input: each is a parameter.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == b'\n')
}

/// A target: the line of the request, then its `Host`. What is taken is canonical, and reads the same again.
pub fn destination(data: &[u8]) {
    let mut lines = lines(data);
    let (sent, host) = (lines.next().unwrap_or_default(), lines.next());
    let host = || host.map_or(HostFields::None, HostFields::One);
    if let Ok(target) = Target::absolute(Method::GET, sent, host()) {
        assert_eq!(target.scheme, Scheme::Http);
        assert_canonical(&target.authority);
        let again = format!("http://{}{}", target.authority, target.path.sent());
        let name = target.authority.to_string();
        let again = Target::absolute(Method::GET, again.as_bytes(), HostFields::One(name.as_bytes()));
        assert_eq!(again.map(|again| again.path.sent().to_owned()), Ok(target.path.sent().to_owned()));
    }
    if let Ok(authority) = Target::connect(sent, host(), || None) {
        assert_canonical(&authority);
        if let Ok(target) = Target::inside(Method::GET, b"/", host(), &authority) {
            assert_eq!(target.authority, authority, "the tunnel's authority is the ceiling");
        }
    }
}

fn assert_canonical(authority: &Authority) {
    let text = authority.to_string();
    let canonical = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-[]:".contains(byte);
    assert!(text.as_bytes().iter().all(canonical), "{text:?}");
    assert_eq!(Authority::parse(text.as_bytes()).as_ref(), Ok(authority), "{text:?}");
}

/// A host's pattern, a path's glob, a host and a path. A pattern matches what it allows and says so again.
pub fn patterns(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let (pattern, glob) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (host, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let host = Host::parse(host.as_bytes());
    if let (Ok(pattern), Ok(host)) = (pattern.parse::<HostPattern>(), &host) {
        let again: HostPattern = pattern.to_string().parse().expect("what is shown reads back");
        assert_eq!(again.matches(host), pattern.matches(host), "{pattern}");
        if let (HostPattern::Exact(exact), true) = (&pattern, pattern.matches(host)) {
            assert_eq!(exact, host);
        }
    }
    let Ok(path) = Path::parse(path.as_bytes()) else { return };
    for reading in path.readings().filter(|reading| *reading != "*") {
        let dots = reading.split('/').any(|part| part == "." || part == "..");
        assert!(reading.starts_with('/') && !dots, "{reading:?}");
    }
    if let Ok(paths) = Paths::only(&[glob]) {
        assert!(!paths.match_all_readings(&path) || paths.match_any_reading(&path));
    }
}

/// A policy's text: rules or mistakes, and mistakes have places.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Those are read from disk.
    if text.contains("catalogue") || text.contains("file:") {
        return;
    }
    match exeat::config::policy_from(text) {
        Ok(ruleset) => {
            let host = Host::parse(b"nobody.invalid").expect("a host");
            let denied = ruleset.policy.decide_tunnel(&Authority { host, port: 443 }).is_err();
            let wide = ruleset.policy.rules().allow.iter().any(|rule| rule.host.is_wide() || text.contains("invalid"));
            let observes = ruleset.policy.mode() == exeat::policy::Mode::Observe;
            assert!(denied || wide || observes, "what no rule lists is denied");
        }
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}

/// A ClientHello: every prefix of one that is whole asks for more or is refused, and never reads otherwise.
pub fn hello(data: &[u8]) {
    let whole = ClientHello::parse(data);
    let half = ClientHello::parse(data.get(..data.len() / 2).unwrap_or_default());
    if let Ok(Some(half)) = half {
        assert_eq!(whole.map(|hello| hello.map(|hello| (hello.sni, hello.ja4))), Ok(Some((half.sni, half.ja4))));
    }
}

/// A request's head: taken alike however it arrives; rebuilt, it reads the same.
pub fn request_head(data: &[u8]) {
    let limits = HeadLimits::default();
    let Some(length) = end_of_head(data) else { return };
    let Ok(head) = RequestHead::take(&mut BytesMut::from(data), length, &limits) else { return };
    let mut out = BytesMut::new();
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(head.target());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(&mut out, &head.fields);
    let length = end_of_head(&out).expect("what is written has an end");
    let again = RequestHead::take(&mut out, length, &limits).expect("what is written reads back");
    assert!(head.method == again.method && head.target() == again.target());
    assert_same(&head.fields, &again.fields);
    if let Ok(framing) = request_framing(&head) {
        assert_one_framing(&head.fields, framing);
    }
}

/// A response's head, as that of a request.
pub fn response_head(data: &[u8]) {
    let limits = HeadLimits::default();
    let Some(length) = end_of_head(data) else { return };
    let Ok(head) = ResponseHead::take(&mut BytesMut::from(data), length, &limits) else { return };
    let mut out = BytesMut::new();
    encode::status_line(&mut out, head.status, head.reason());
    write_fields(&mut out, &head.fields);
    let length = end_of_head(&out).expect("what is written has an end");
    let again = ResponseHead::take(&mut out, length, &limits).expect("what is written reads back");
    assert_eq!((head.status, head.reason()), (again.status, again.reason()));
    assert_same(&head.fields, &again.fields);
    if let Ok(framing) = response_framing(&head, &Method::GET) {
        assert_one_framing(&head.fields, framing);
    }
}

/// Where the head ends, found whole and byte by byte.
fn end_of_head(data: &[u8]) -> Option<usize> {
    let limits = HeadLimits::default();
    let whole = HeadScan::default().find_end(data, &limits);
    let mut scan = HeadScan::default();
    let mut pieces = Ok(None);
    for end in (0..data.len()).step_by(7).chain([data.len()]) {
        pieces = scan.find_end(&data[..end], &limits);
        if !matches!(pieces, Ok(None)) {
            break;
        }
    }
    if let (Ok(whole), Ok(pieces)) = (&whole, &pieces) {
        assert_eq!(whole, pieces, "the end depends on how the bytes came");
    }
    whole.ok().flatten()
}

fn write_fields(out: &mut BytesMut, fields: &Fields) {
    fields.iter().for_each(|field| encode::field(out, Field { name: field.name, value: field.value }));
    encode::end_of_head(out);
}

fn assert_same(before: &Fields, after: &Fields) {
    let list = |fields: &Fields| -> Vec<(Vec<u8>, Vec<u8>)> {
        fields.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect()
    };
    assert_eq!(list(before), list(after));
}

/// Two ways to tell the length are never both taken (request smuggling).
fn assert_one_framing(fields: &Fields, framing: Framing) {
    let lengths = fields.values("content-length").count();
    let codings = fields.values("transfer-encoding").count();
    match framing {
        Framing::Chunked => assert!(lengths == 0 && codings == 1),
        Framing::Length(_) => assert!(codings == 0),
        Framing::None | Framing::UntilClose => {}
    }
}

/// Chunks: what comes out doesn't depend on how they arrive.
pub fn chunked(data: &[u8]) {
    let [size, data @ ..] = data else { return };
    let (whole, ended, trailers) = decoded(data, data.len());
    let (cut, cut_ended, cut_trailers) = decoded(data, usize::from(*size));
    match (ended, cut_ended) {
        (Ok(ended), Ok(cut_ended)) => {
            assert!(whole == cut && ended == cut_ended && trailers == cut_trailers);
            assert!(whole.len() <= data.len());
        }
        // A fault is seen sooner or later, and never left out.
        (whole, cut) => assert!(whole.is_err() && cut.is_err(), "{whole:?} {cut:?}"),
    }
}

/// The body, whether it is whole (or in error), and how many trailers it has.
fn decoded(data: &[u8], size: usize) -> (Vec<u8>, Result<bool, ()>, usize) {
    let mut reader = BodyReader::new(Framing::Chunked);
    let (mut out, mut buffer) = (Vec::new(), BytesMut::new());
    for piece in data.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match reader.next(&mut buffer) {
                Ok(Some(Frame::Data(data))) => out.extend_from_slice(&data),
                Ok(Some(Frame::End(trailers))) => return (out, Ok(true), trailers.iter().count()),
                Ok(None) => break,
                Err(_) => return (out, Err(()), 0),
            }
        }
    }
    (out, Ok(false), 0)
}

/// WebSocket frames of either side: the payload doesn't depend on how they arrive.
pub fn frames(data: &[u8]) {
    let [kind, size, data @ ..] = data else { return };
    let sender = if kind & 1 == 0 { Sender::Client } else { Sender::Server };
    let compressed = kind & 2 == 2;
    let whole = events(data, sender, compressed, data.len());
    let cut = events(data, sender, compressed, usize::from(*size));
    match (whole, cut) {
        (Ok(whole), Ok(cut)) => assert!(whole == cut, "{whole:?} {cut:?}"),
        (whole, cut) => assert!(whole.is_err() && cut.is_err(), "{whole:?} {cut:?}"),
    }
}

/// Payload, and how many messages, frames and control frames there were.
fn events(data: &[u8], sender: Sender, compressed: bool, size: usize) -> Result<(Vec<u8>, [usize; 4]), Violation> {
    let mut decoder = Decoder::new(sender, compressed);
    let (mut out, mut counts, mut buffer) = (Vec::new(), [0; 4], BytesMut::new());
    for piece in data.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(event) = decoder.next(&mut buffer, 4096)? {
            match event {
                Event::Message(_) => counts[0] += 1,
                Event::Frame { .. } => counts[1] += 1,
                Event::Payload(bytes) => out.extend_from_slice(&bytes),
                Event::End(last) => counts[2] += usize::from(last),
                Event::Ping(bytes) | Event::Pong(bytes) | Event::Close(bytes) => {
                    assert!(bytes.len() <= 125);
                    counts[3] += 1;
                }
            }
        }
    }
    Ok((out, counts))
}

/// A WebSocket's handshake: the fields of the request, an empty line, the fields of the answer.
pub fn upgrade(data: &[u8]) {
    let Some(fields) = fields_of(data) else { return };
    let Ok(handshake) = Handshake::of_request(&fields) else { return };
    if let Some(offer) = handshake.extensions() {
        assert!(!offer.contains(['\r', '\n', '\0']), "{offer:?}");
    }
    let _ = handshake.check_answer(&fields);
}

fn fields_of(data: &[u8]) -> Option<Fields> {
    let bytes = [&b"GET / HTTP/1.1\r\n"[..], data, b"\r\n\r\n"].concat();
    let length = end_of_head(&bytes)?;
    Some(RequestHead::take(&mut BytesMut::from(&bytes[..]), length, &HeadLimits::default()).ok()?.fields)
}

/// The messages of SOCKS5: what is taken lies within the bytes, and a request that is written reads back.
pub fn socks(data: &[u8]) {
    if let Ok(Some((_, taken))) = offers_password(data) {
        assert!(taken <= data.len());
    }
    if let Ok(Some(((name, password), taken))) = username_password(data) {
        assert!(taken <= data.len() && name.len() <= 255 && password.len() <= 255);
        assert!(!name.is_empty() || Credentials::pair(name, password).is_err(), "nobody has a name");
    }
    if let Ok(Some((authority, taken))) = connect(data) {
        assert!(taken <= data.len());
        assert_canonical(&authority);
        let written = request(&authority);
        assert_eq!(connect(&written), Ok(Some((authority, written.len()))));
    }
}

/// The PROXY protocol's header: never more than there is, and never before it is whole.
pub fn balancer(data: &[u8]) {
    if let Ok(Some((header, taken))) = ProxyHeader::parse(data) {
        assert!(taken <= data.len());
        assert_eq!(ProxyHeader::parse(&data[..taken]), Ok(Some((header, taken))));
        assert!(!matches!(ProxyHeader::parse(&data[..taken - 1]), Ok(Some(_))));
    }
}

/// Proxy credentials, as any client may write them.
pub fn credentials(data: &[u8]) {
    let mut buffer = CredentialsBuffer::default();
    let _ = Credentials::parse(data, &mut buffer);
}

/// The opening of SSH: no more passes than there is, and a refusal stays one.
pub fn ssh(data: &[u8]) {
    let mut opening = SshOpening::default();
    let mut rest = data;
    while let Some(passing) = opening.passes(rest).ok().filter(|&passing| passing > 0) {
        assert!(passing <= rest.len());
        rest = &rest[passing..];
    }
}
