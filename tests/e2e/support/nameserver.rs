//! A nameserver on loopback, UDP and TCP on one port, whose answers are scripted and whose questions are kept.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Lower case, without the dot at the end.
    pub name: String,
    pub kind: Kind,
    pub tcp: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
    Other(u16),
}

/// What the nameserver says to a question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses (those of the asked family), with a TTL in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// A canonical name and its addresses.
    Alias(String, Vec<IpAddr>),
    /// A record about a name that was not asked for.
    Stranger(IpAddr),
    NxDomain,
    ServFail,
    /// Nothing at all.
    Silence,
    /// Over UDP: "ask over TCP", and there the addresses.
    Truncated(Vec<IpAddr>),
    /// These bytes after the question's id.
    Garbage(Vec<u8>),
    /// A name that is its own alias.
    Loop,
    /// These flags and counts, the question, and these bytes behind it.
    Bent {
        flags: [u8; 2],
        counts: [u16; 4],
        behind: Vec<u8>,
    },
}

impl Answer {
    pub fn of(addresses: &[&str]) -> Self {
        Answer::Addresses(addresses.iter().map(|text| text.parse().unwrap()).collect(), 0)
    }
}

type Script = Arc<dyn Fn(&Question) -> Answer + Send + Sync>;

pub struct Nameserver {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Nameserver {
    pub fn start(script: impl Fn(&Question) -> Answer + Send + Sync + 'static) -> Self {
        let (listener, socket) = bind();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let (log, said) = (asked.clone(), script.clone());
        thread::spawn(move || over_udp(&socket, &said, &log));
        let log = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, log) = (script.clone(), log.clone());
                thread::spawn(move || over_tcp(stream, &script, &log));
            }
        });
        Self { address, asked }
    }

    /// Gives these addresses for every name.
    pub fn always(addresses: &[&str]) -> Self {
        let answer = Answer::of(addresses);
        Self::start(move |_| answer.clone())
    }

    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

/// The same free port for both; another process may take one of the two in between, so it tries again.
fn bind() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (listener, socket);
        }
    }
}

fn over_udp(socket: &UdpSocket, script: &Script, log: &Mutex<Vec<Question>>) {
    let mut buffer = [0; 4096];
    while let Ok((count, from)) = socket.recv_from(&mut buffer) {
        if let Some(answer) = reply(&buffer[..count], false, script, log) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn over_tcp(mut stream: TcpStream, script: &Script, log: &Mutex<Vec<Question>>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        let Some(answer) = reply(&query, true, script, log) else { continue };
        let length = u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).is_err() {
            return;
        }
    }
}

fn reply(query: &[u8], tcp: bool, script: &Script, log: &Mutex<Vec<Question>>) -> Option<Vec<u8>> {
    let (question, end) = parse(query, tcp)?;
    log.lock().unwrap().push(question.clone());
    let section = &query[12..end];
    let head = |flags: [u8; 2], answers: u16| {
        let mut message = query[..2].to_vec();
        message.extend_from_slice(&flags);
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&answers.to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(section);
        message
    };
    let asked_for_it = [0xc0, 12];
    let found = |owner: &[u8], addresses: &[IpAddr], ttl: u32| {
        let of_family: Vec<_> = addresses.iter().filter(|address| family(address) == question.kind).collect();
        let mut message = head([0x85, 0x80], u16::try_from(of_family.len()).unwrap());
        of_family.iter().for_each(|address| record(&mut message, owner, address, ttl));
        message
    };
    match script(&question) {
        Answer::Addresses(addresses, ttl) => Some(found(&asked_for_it, &addresses, ttl)),
        Answer::Stranger(address) => Some(found(&wire_name("stranger.exeat.test"), &[address], 60)),
        Answer::Alias(name, addresses) => {
            let mut message = found(&wire_name(&name), &addresses, 0);
            let count = u16::from_be_bytes([message[6], message[7]]) + 1;
            message[6..8].copy_from_slice(&count.to_be_bytes());
            message.splice(end..end, alias(&name));
            Some(message)
        }
        Answer::Loop => {
            let mut message = head([0x85, 0x80], 1);
            message.extend(alias(&question.name));
            Some(message)
        }
        Answer::NxDomain => Some(head([0x85, 0x83], 0)),
        Answer::ServFail => Some(head([0x85, 0x82], 0)),
        Answer::Truncated(_) if !tcp => Some(head([0x87, 0x80], 0)),
        Answer::Truncated(addresses) => Some(found(&asked_for_it, &addresses, 0)),
        Answer::Bent { flags, counts, behind } => {
            let counts: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
            Some([&query[..2], &flags, &counts, section, &behind].concat())
        }
        Answer::Garbage(bytes) => Some([&query[..2], &bytes].concat()),
        Answer::Silence => None,
    }
}

fn parse(query: &[u8], tcp: bool) -> Option<(Question, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = match u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?) {
        1 => Kind::A,
        28 => Kind::Aaaa,
        other => Kind::Other(other),
    };
    Some((Question { name: labels.join("."), kind, tcp }, at + 4))
}

fn family(address: &IpAddr) -> Kind {
    if address.is_ipv4() { Kind::A } else { Kind::Aaaa }
}

fn record(message: &mut Vec<u8>, owner: &[u8], address: &IpAddr, ttl: u32) {
    let (kind, data) = match address {
        IpAddr::V4(address) => (1u8, address.octets().to_vec()),
        IpAddr::V6(address) => (28u8, address.octets().to_vec()),
    };
    message.extend_from_slice(owner);
    message.extend_from_slice(&[0, kind, 0, 1]);
    message.extend_from_slice(&ttl.to_be_bytes());
    message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&data);
}

/// A CNAME record of the asked name.
fn alias(name: &str) -> Vec<u8> {
    let name = wire_name(name);
    let mut record = vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0];
    record.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&name);
    record
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}
