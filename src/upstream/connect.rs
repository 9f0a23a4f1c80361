//! Dialling vetted addresses: happy eyeballs (RFC 8305).

use super::Error;
use super::error::Attempts;
use crate::dns::Vetted;
use crate::wire::Descriptors;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long an attempt has the field to itself (RFC 8305 §5, Connection Attempt Delay).
const STAGGER: Duration = Duration::from_millis(250);
/// How many addresses are tried: an answer of hundreds is no reason to knock at hundreds of doors.
const MOST: usize = 16;

/// Connects to the first address that answers, and tells which one it was. The deadline is for all
/// attempts together. Attempts that lose are dropped.
pub(super) async fn connect(
    vetted: &Vetted,
    deadline: Duration,
    descriptors: Descriptors,
) -> Result<(TcpStream, SocketAddr), Error> {
    let mut failed = Attempts::default();
    match timeout(deadline, race(interleave(vetted.addresses()), descriptors, &mut failed)).await {
        Ok(Some(connected)) => Ok(connected),
        Ok(None) => Err(Error::Connect(failed)),
        Err(_) => Err(Error::ConnectTimeout(failed)),
    }
}

/// Starts an attempt when the one before has failed or has had its time.
async fn race(
    addresses: Vec<SocketAddr>,
    descriptors: Descriptors,
    failed: &mut Attempts,
) -> Option<(TcpStream, SocketAddr)> {
    if let [only] = addresses[..] {
        // No race, and no task for it.
        return dial(only, descriptors).await.map_err(|failure| failed.0.push(failure)).ok();
    }
    let mut waiting = addresses.into_iter().take(MOST).peekable();
    // Dropping the set ends every attempt that is still under way.
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(dial(address, descriptors));
        }
        let ended = tokio::select! {
            ended = attempts.join_next() => ended?,
            () = sleep(STAGGER), if waiting.peek().is_some() => continue,
        };
        match ended {
            Ok(Ok(connected)) => return Some(connected),
            Ok(Err(failure)) => failed.0.push(failure),
            // A panic inside an attempt: there is nothing to tell of it but that it is over.
            Err(error) => tracing::error!(%error, "an attempt to connect has panicked"),
        }
    }
}

async fn dial(
    address: SocketAddr,
    descriptors: Descriptors,
) -> Result<(TcpStream, SocketAddr), (SocketAddr, io::Error)> {
    let stream = open(address, descriptors).await.map_err(|error| (address, error))?;
    // For speed only; without it the flow is still right.
    let _ = stream.set_nodelay(true);
    Ok((stream, address))
}

async fn open(address: SocketAddr, descriptors: Descriptors) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    descriptors.check_dial(&socket)?;
    socket.connect(address).await
}

/// One family after the other, IPv6 first, each in the order of the answer (RFC 8305 §4).
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut v6 = addresses.iter().filter(|address| address.is_ipv6());
    let mut v4 = addresses.iter().filter(|address| address.is_ipv4());
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(v6.next());
        ordered.extend(v4.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Authority;
    use crate::reason::Reason;
    use tokio::net::TcpListener;

    const DEADLINE: Duration = Duration::from_secs(5);

    fn vetted(addresses: &[SocketAddr]) -> Vetted {
        Vetted::for_tests(Authority::parse(b"origin.test:443").unwrap(), addresses.to_vec())
    }

    /// An address at which nobody listens.
    async fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    /// A listener whose queue is full: a connection attempt to it hangs, as to a host that drops packets.
    async fn hanging() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut held = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            held.push(stream);
        }
        (socket, held, address)
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let addresses: Vec<SocketAddr> = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "[2001:db8::1]:1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let shown: Vec<String> = interleave(&addresses).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let (stream, address) =
            connect(&vetted(&[refusing().await, good]), DEADLINE, Descriptors::of_process()).await.unwrap();
        assert_eq!(address, good);
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn an_address_that_hangs_holds_up_the_next_for_a_quarter_of_a_second_only() {
        let (_socket, _held, stuck) = hanging().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let begun = std::time::Instant::now();
        let (_, address) =
            connect(&vetted(&[stuck, listener.local_addr().unwrap()]), DEADLINE, Descriptors::of_process())
                .await
                .unwrap();
        assert_eq!(address, listener.local_addr().unwrap());
        assert!(begun.elapsed() >= STAGGER && begun.elapsed() < STAGGER * 4, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn when_all_refuse_the_error_tells_each() {
        let (first, second) = (refusing().await, refusing().await);
        let error = connect(&vetted(&[first, second]), DEADLINE, Descriptors::of_process()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ConnectFailed);
        let text = error.to_string();
        assert!(text.contains(&first.to_string()) && text.contains(&second.to_string()), "{text}");
    }

    #[tokio::test]
    async fn the_deadline_is_for_all_attempts_together() {
        let (_socket, _held, stuck) = hanging().await;
        let error = connect(&vetted(&[refusing().await, stuck]), Duration::from_millis(50), Descriptors::of_process())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::ConnectTimeout);
    }

    #[tokio::test]
    async fn an_answer_of_hundreds_knocks_at_a_few_doors() {
        let refused = refusing().await;
        let error = connect(&vetted(&vec![refused; 300]), DEADLINE, Descriptors::of_process()).await.unwrap_err();
        let Error::Connect(attempts) = error else { panic!("{error}") };
        assert_eq!(attempts.0.len(), MOST);
        assert!(attempts.to_string().ends_with("; and 12 more"), "{attempts}");
    }
}
