//! Opaque bytes, both ways, until both sides are done.

use super::error::Error;
use super::identify::Identity;
use super::interrupt::{Cause, Interrupt};
use super::leg::Leg;
use super::{Shared, gate};
use crate::flow::Recorder;
use crate::net::SshOpening;
use crate::reason::{Denial, Reason};
use crate::wire::{Stream, Wire};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// When nothing has moved in a tunnel for so long, the system is to watch whether its origin is still there. Most
/// tunnels are over before, and save the calls.
const SILENT: Duration = Duration::from_secs(30);

/// One direction of a tunnel.
#[derive(Default)]
struct Direction<'a> {
    state: State,
    bytes: u64,
    /// Whose budget the bytes come out of: nobody's on the way down.
    spends: Option<&'a Identity>,
    /// What must be shown before anything passes.
    opening: Option<SshOpening>,
}

/// Why a direction ends before its sender is done.
enum Stop {
    Broken(io::Error),
    Refused(Denial),
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender is done; the receiver is to be told.
    Closing,
    Done,
}

/// Relays until both directions are done, or one breaks, or nothing moves for the idle time. A side
/// that closes early is passed on as such (half-close), and the other may go on.
pub(super) async fn relay(
    shared: &Shared,
    leg: &mut Leg,
    identity: &Identity,
    origin: &mut Wire,
    opening: Option<SshOpening>,
    recorder: &mut Recorder,
) -> Result<(), Error> {
    let mut up = Direction { spends: Some(identity), opening, ..Direction::default() };
    let mut down = Direction { opening, ..Direction::default() };
    let mut silence = Silence::default();
    silence.begins(&mut leg.interrupt, shared.limits().idle_timeout);
    let ended = poll_fn(|cx| {
        let before = (up.bytes, down.bytes);
        let up_ended = up.poll(cx, &mut leg.wire, origin, down.state == State::Done);
        let down_ended = down.poll(cx, origin, &mut leg.wire, up.state == State::Done);
        if before != (up.bytes, down.bytes) {
            silence.begins(&mut leg.interrupt, shared.limits().idle_timeout);
        }
        match (up_ended, down_ended) {
            (Poll::Ready(Err(stop)), _) | (_, Poll::Ready(Err(stop))) => Poll::Ready(Ok(Some(stop))),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(None)),
            _ => silence.poll(cx, &mut leg.interrupt, shared.limits().idle_timeout, origin.stream()).map(Err),
        }
    })
    .await;
    recorder.add_up(up.bytes);
    recorder.add_down(down.bytes);
    match ended {
        // Peers end tunnels as they please, by resets too: that is no failure of the flow.
        Ok(None) => Ok(()),
        Ok(Some(Stop::Broken(error))) => {
            recorder.error(format_args!("ended by {error}"));
            Ok(())
        }
        Ok(Some(Stop::Refused(denial))) => Err(denial.into()),
        Err(Cause::Deadline) => {
            recorder.error("idle for too long");
            Ok(())
        }
        Err(cause) => Err(Error::Interrupted(cause)),
    }
}

/// The time in which nothing moves.
#[derive(Default)]
struct Silence {
    is_watched: bool,
}

impl Silence {
    fn begins(&self, interrupt: &mut Interrupt, idle_timeout: Duration) {
        interrupt.arm(if self.is_watched { idle_timeout } else { idle_timeout.min(SILENT) });
    }

    /// Ready with what ends the tunnel, when it has lasted for the idle time or from outside.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        interrupt: &mut Interrupt,
        idle_timeout: Duration,
        origin: &Stream,
    ) -> Poll<Cause> {
        match interrupt.poll(cx) {
            Poll::Ready(Cause::Deadline) if !self.is_watched && idle_timeout > SILENT => {
                origin.keep_alive();
                self.is_watched = true;
                interrupt.arm(idle_timeout - SILENT);
                interrupt.poll(cx)
            }
            ended => ended,
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Broken(error)
    }
}

impl Direction<'_> {
    /// How much of what is here may go on.
    fn passing(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let Some(opening) = self.opening.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(bytes.len()) };
        let passing = opening.passes(bytes);
        let denied = |error| Stop::Refused(Denial::new(Reason::TunnelNotSsh).because(error));
        passing.map_err(denied)
    }

    fn spend(&self, length: usize) -> Result<(), Stop> {
        let spent = self.spends.map_or(Ok(()), |identity| gate::spend_upload(identity, length as u64));
        spent.map_err(Stop::Refused)
    }

    /// `is_last`: the other direction is done.
    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Wire, to: &mut Wire, is_last: bool) -> Poll<Result<(), Stop>> {
        loop {
            let passing = self.passing(&from.input)?;
            if passing > 0 {
                self.spend(passing)?;
                self.bytes += passing as u64;
                to.queue(from.input.split_to(passing).freeze());
                continue;
            }
            ready!(to.poll_flush(cx))?;
            match self.state {
                State::Open if matches!(self.opening, None | Some(SshOpening::Shown)) => {
                    let before = to.written();
                    let passed = ready!(from.poll_pass(cx, to, |length| self.spend(length)));
                    // What a peer has taken before it ended the connection is on record too.
                    self.bytes += passed.as_ref().map_or_else(|_| to.written() - before, |passed| *passed as u64);
                    if passed? == 0 {
                        self.state = State::Closing;
                    }
                }
                // What is shown first is judged as a whole.
                State::Open => {
                    if ready!(from.poll_fill(cx))? == 0 {
                        self.state = State::Closing;
                    }
                }
                State::Closing => {
                    // Both are closed at once when the last direction is done, and nothing was left unread of either.
                    if !(is_last && to.stream().says_end_at_close()) {
                        ready!(to.poll_shutdown(cx))?;
                    }
                    self.state = State::Done;
                }
                State::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, sleep};
    use tokio_util::sync::CancellationToken;

    const IDLE: Duration = Duration::from_secs(600);

    struct Tunnel {
        silence: Silence,
        interrupt: Interrupt,
        origin: Stream,
    }

    impl Tunnel {
        async fn open(idle_timeout: Duration) -> (Self, TcpStream) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let origin = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let token = CancellationToken::new;
            let (silence, mut interrupt) = (Silence::default(), Interrupt::new(token(), token(), token()));
            silence.begins(&mut interrupt, idle_timeout);
            (Self { silence, interrupt, origin: origin.into() }, listener.accept().await.unwrap().0)
        }

        async fn ended(&mut self, idle_timeout: Duration) -> Cause {
            poll_fn(|cx| self.silence.poll(cx, &mut self.interrupt, idle_timeout, &self.origin)).await
        }

        fn is_watched(&self) -> bool {
            let Stream::Plain(crate::wire::Socket::Tcp(socket)) = &self.origin else { panic!() };
            let socket = SockRef::from(socket);
            let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
            socket.keepalive().unwrap() && times == (Duration::from_secs(60), Duration::from_secs(15))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_origin_of_a_silent_tunnel_is_watched_and_the_idle_time_is_none_the_longer() {
        let (mut tunnel, _origin) = Tunnel::open(IDLE).await;
        let begun = Instant::now();
        let soon = tokio::time::timeout(Duration::from_secs(29), tunnel.ended(IDLE));
        assert!(soon.await.is_err() && !tunnel.is_watched());
        let later = tokio::time::timeout(Duration::from_secs(2), tunnel.ended(IDLE));
        assert!(later.await.is_err() && tunnel.is_watched());
        assert_eq!(tunnel.ended(IDLE).await, Cause::Deadline);
        assert_eq!(begun.elapsed().as_secs(), 600);
        // It moves once more: what ended the silence has begun another, as long as any.
        tunnel.silence.begins(&mut tunnel.interrupt, IDLE);
        assert_eq!(tunnel.ended(IDLE).await, Cause::Deadline);
        assert_eq!(begun.elapsed().as_secs(), 1200);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_time_that_is_shorter_holds_as_it_is() {
        let (mut tunnel, _origin) = Tunnel::open(Duration::from_secs(5)).await;
        let begun = Instant::now();
        assert_eq!(tunnel.ended(Duration::from_secs(5)).await, Cause::Deadline);
        assert_eq!((begun.elapsed().as_secs(), tunnel.is_watched()), (5, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_in_which_something_moves_asks_for_no_watch() {
        let (mut tunnel, _origin) = Tunnel::open(IDLE).await;
        for _ in 0..60 {
            let moves = sleep(Duration::from_secs(20));
            tokio::select! {
                () = moves => tunnel.silence.begins(&mut tunnel.interrupt, IDLE),
                ended = tunnel.ended(IDLE) => panic!("{ended:?}"),
            }
        }
        assert!(!tunnel.is_watched());
    }
}
