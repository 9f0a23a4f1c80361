//! SOCKS5: the session's name and token as username and password, then one tunnel.
//!
//! Judged by the gate that judges a CONNECT. What comes through the tunnel may be TLS or plain HTTP.

use super::error::Error;
use super::identify::Identity;
use super::interrupt::Cause;
use super::leg::Leg;
use super::tunnel::{self, Opened};
use super::{Limits, Shared, connection, gate};
use crate::flow::Recorder;
use crate::net::socks::{self, Parsed, Reply, SocksError};
use crate::reason::{Denial, Kind, Reason};
use crate::session::Credentials;
use bytes::Buf;
use std::sync::Arc;
use tokio::time::timeout;

/// [`Reply::Succeeded`] as it is sent.
const SUCCEEDED: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// Why there is no tunnel, and what the client is told.
struct Refused {
    error: Error,
    /// Nothing where the client would not understand it.
    answer: Answer,
}

/// In which step of the negotiation it ended.
#[derive(Clone, Copy)]
enum Answer {
    /// Nobody speaks SOCKS there.
    Silence,
    /// To the methods: none that is acceptable.
    Methods,
    /// To username and password.
    Password,
    /// To the request.
    Request,
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: &Arc<Shared>, mut leg: Leg) {
    if !leg.begins(shared.limits().keep_alive_timeout).await {
        return;
    }
    let recorder = Recorder::begin(&shared.journal, leg.peer).await;
    let Ok(mut recorder) = recorder else { return };
    leg.interrupt.arm(shared.limits().head_timeout);
    match negotiate(shared, &mut leg, &mut recorder).await {
        Ok(mut opened) => {
            opened.recorder = Some(recorder);
            if let Some(inner) = tunnel::enter(shared, leg, Box::new(opened)).await {
                connection::serve(shared, inner).await;
            }
        }
        Err(refused) => refuse(leg, recorder, refused).await,
    }
}

/// Steps 2 to 8: the tunnel is admitted, and dialled where it is relayed, before the client is told.
async fn negotiate(shared: &Shared, leg: &mut Leg, recorder: &mut Recorder) -> Result<Opened, Refused> {
    let at = |answer: Answer| move |error: Error| Refused { error, answer };
    let password = read(leg, socks::offers_password).await.map_err(at(Answer::Silence))?;
    if !password {
        let denial = Denial::new(Reason::AuthRequired).because("the client offers no username and password");
        return Err(Refused { error: denial.into(), answer: Answer::Methods });
    }
    say(leg, &socks::choose(true)).await.map_err(at(Answer::Silence))?;
    let identity = identify(shared, leg).await.map_err(at(Answer::Password))?;
    recorder.session(identity.info.clone());
    leg.interrupt.watch_session(&identity.live);
    say(leg, &socks::judged(true)).await.map_err(at(Answer::Silence))?;
    let authority = read(leg, socks::connect).await.map_err(at(Answer::Request))?;
    // What was waited for until here is the client.
    let work = shared.admission.work(identity.whose(), &mut leg.interrupt).await.map_err(at(Answer::Request))?;
    let permit =
        gate::admit_tunnel(&identity, &authority, &mut leg.interrupt, recorder).map_err(at(Answer::Request))?;
    leg.interrupt.arm(shared.limits().connect_timeout * 3);
    let dial = Box::pin(tunnel::prepare(shared, work, &permit, recorder));
    let dialled = leg.interrupt.during(dial).await.map_err(Error::Interrupted);
    let way = dialled.and_then(|dialled| dialled).map_err(at(Answer::Request))?;
    Ok(Opened { authority, permit, identity, way, recorder: None, answer: SUCCEEDED, plain: true })
}

/// Step 3: the session whose name and token these are.
async fn identify(shared: &Shared, leg: &mut Leg) -> Result<Identity, Error> {
    let (id, token) = read(leg, |bytes| {
        Ok(socks::username_password(bytes)?.map(|((id, token), n)| ((id.to_vec(), token.to_vec()), n)))
    })
    .await?;
    let credentials = Credentials::pair(&id, &token);
    let credentials = credentials.map_err(|error| Denial::new(Reason::AuthRequired).because(error))?;
    Ok(leg.remembered.enter(shared, &credentials)?)
}

/// Reads one message, however it is cut; what comes after it stays.
async fn read<T>(leg: &mut Leg, parse: impl Fn(&[u8]) -> Parsed<T>) -> Result<T, Error> {
    loop {
        let parsed = parse(&leg.wire.input).map_err(Error::Socks)?;
        if let Some((message, length)) = parsed {
            leg.wire.input.advance(length);
            return Ok(message);
        }
        match leg.interrupt.during(leg.wire.fill()).await {
            Ok(Ok(0)) => return Err(Error::Cut),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Error::ClientGone(Some(error))),
            Err(Cause::Deadline) => return Err(Error::ClientSlow),
            Err(cause) => return Err(Error::Interrupted(cause)),
        }
    }
}

async fn say(leg: &mut Leg, message: &[u8]) -> Result<(), Error> {
    leg.wire.head_buffer().extend_from_slice(message);
    match leg.interrupt.during(leg.wire.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::ClientGone(Some(error))),
        Err(Cause::Deadline) => Err(Error::ClientSlow),
        Err(cause) => Err(Error::Interrupted(cause)),
    }
}

/// Records and answers what ends short of a tunnel.
async fn refuse(mut leg: Leg, mut recorder: Recorder, refused: Refused) {
    let Refused { error, answer } = refused;
    let denial = error.denial();
    recorder.denied(&denial);
    if let Some(cause) = error.cause() {
        recorder.error(cause);
    }
    // Recorded before the client sees it; if the journal is broken the connection closes all the same.
    let _ = recorder.finish_durable().await;
    let out = leg.wire.head_buffer();
    match answer {
        Answer::Silence => return,
        Answer::Methods => out.extend_from_slice(&socks::choose(false)),
        Answer::Password => out.extend_from_slice(&socks::judged(false)),
        Answer::Request => out.extend_from_slice(&reply(&error, denial.reason).message()),
    }
    let goodbye = async {
        if leg.wire.flush().await.is_err() || leg.wire.shutdown().await.is_err() {
            return;
        }
        // Unread early data would turn the close into a reset that takes the answer with it.
        while matches!(leg.wire.fill().await, Ok(read) if read > 0) {
            leg.wire.input.clear();
        }
    };
    // Whoever does not read its answer has nothing else coming.
    let _ = timeout(Limits::LINGER, goodbye).await;
}

/// What of a reason SOCKS has a code for (RFC 1928 §6).
fn reply(error: &Error, reason: Reason) -> Reply {
    match (error, reason) {
        (Error::Socks(SocksError::Command), _) => Reply::CommandNotSupported,
        (Error::Socks(SocksError::AddressType), _) => Reply::AddressTypeNotSupported,
        (Error::Socks(_), _) => Reply::GeneralFailure,
        (_, Reason::ConnectFailed) => Reply::ConnectionRefused,
        (_, Reason::ConnectTimeout | Reason::DnsFailed | Reason::DnsTimeout) => Reply::HostUnreachable,
        (_, reason) if reason.kind() == Kind::Denied => Reply::NotAllowed,
        _ => Reply::GeneralFailure,
    }
}
