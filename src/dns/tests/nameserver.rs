//! A name server that answers as a script says, over UDP and TCP, and remembers what it was asked.

use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// One question that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) kind: RecordType,
    pub(super) over_tcp: bool,
    /// How often the same was asked before, over either transport.
    pub(super) before: usize,
}

/// What comes back.
pub(super) enum Reply {
    Records(Vec<Record>),
    Code(ResponseCode),
    /// No records, TC set.
    Truncated,
    Silence,
    /// A good answer under an id that nobody asked with.
    WrongId(Vec<Record>),
    /// The header's id, QR set, one question, and then these bytes.
    Junk(Vec<u8>),
    /// An answer to a question that was not asked.
    OtherQuestion(Vec<Record>),
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// Stops when dropped.
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl NameServer {
    pub(super) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let (udp, tcp) = bind().await;
        let address = udp.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, script.clone(), asked.clone()));
        tasks.spawn(serve_tcp(tcp, script, asked.clone()));
        Self { address, asked, _tasks: tasks }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many questions of a type came in.
    pub(super) fn count(&self, kind: RecordType) -> usize {
        self.asked().iter().filter(|asked| asked.kind == kind).count()
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// An A or AAAA record.
pub(super) fn address(owner: &str, address: &str, ttl: u32) -> Record {
    let data = match address.parse().unwrap() {
        IpAddr::V4(v4) => RData::A(v4.into()),
        IpAddr::V6(v6) => RData::AAAA(v6.into()),
    };
    Record::from_rdata(name(owner), ttl, data)
}

pub(super) fn alias(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
}

/// Both transports on one port.
async fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, script: Arc<Script>, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut packet = [0; 2048];
    while let Ok((length, peer)) = socket.recv_from(&mut packet).await {
        if let Some(reply) = reply(&packet[..length], false, &*script, &asked) {
            socket.send_to(&reply, peer).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, script: Arc<Script>, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (script, asked) = (script.clone(), asked.clone());
        connections.spawn(async move { while serve_message(&mut stream, &*script, &asked).await.is_ok() {} });
    }
}

async fn serve_message(stream: &mut TcpStream, script: &Script, asked: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let length = stream.read_u16().await?;
    let mut question = vec![0; length.into()];
    stream.read_exact(&mut question).await?;
    if let Some(reply) = reply(&question, true, script, asked) {
        stream.write_u16(reply.len().try_into().unwrap()).await?;
        stream.write_all(&reply).await?;
    }
    Ok(())
}

fn reply(packet: &[u8], over_tcp: bool, script: &Script, log: &Mutex<Vec<Asked>>) -> Option<Vec<u8>> {
    let question = Message::from_vec(packet).unwrap();
    let query = question.queries[0].clone();
    let (name, kind) = (query.name().to_string(), query.query_type());
    let asked = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|asked| asked.name == name && asked.kind == kind).count();
        log.push(Asked { name, kind, over_tcp, before });
        log.last().unwrap().clone()
    };
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    message.add_query(query.clone());
    match script(&asked) {
        Reply::Records(records) => _ = message.add_answers(records),
        Reply::Code(code) => message.metadata.response_code = code,
        Reply::Truncated => message.metadata.truncation = true,
        Reply::Silence => return None,
        Reply::WrongId(records) => {
            message.add_answers(records);
            message.metadata.id = message.metadata.id.wrapping_add(1);
        }
        Reply::OtherQuestion(records) => {
            message.queries = vec![Query::query(self::name("other.test."), query.query_type())];
            message.add_answers(records);
        }
        Reply::Junk(junk) => {
            let mut bytes = message.to_vec().unwrap();
            // One answer is promised: the junk.
            bytes[7] = 1;
            bytes.extend(junk);
            return Some(bytes);
        }
    }
    Some(message.to_vec().unwrap())
}
