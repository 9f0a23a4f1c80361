//! Steps 7 and 8: a connection to the permitted destination, one of the session's or a new one.

use super::error::Error;
use super::forward::Admitted;
use super::interrupt::Interrupt;
use super::{Shared, gate};
use crate::flow::{Phase, Recorder};
use crate::http1::Version;
use crate::net::Scheme;
use crate::policy::Permit;
use crate::session::SessionId;
use crate::upstream::{self, ByName, Upstream};

/// Which connection a request goes out on that is sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Any whose streams are alive.
    Pooled,
    /// A new one: the others of the pool may be as stale as the first.
    Dialled,
}

/// A connection to the permitted destination.
pub(super) struct Reached {
    pub(super) upstream: Upstream,
    pub(super) is_reused: bool,
}

/// A connection to the permitted destination: one of this session's, or a new one. `version` is the client's: the
/// origin's is the same where it speaks it.
pub(super) async fn reach(
    shared: &Shared,
    version: Version,
    again: Option<Again>,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
    admitted: &Admitted,
) -> Result<Reached, Error> {
    let session = &admitted.identity.live.session.id;
    let permit = &admitted.permit;
    let upgrades = admitted.handshake.is_some();
    // A parent that takes requests one by one upgrades none of them.
    let serves = |upstream: &Upstream| !upgrades || !matches!(upstream.by_name, Some(ByName::Requests(_)));
    if again != Some(Again::Dialled)
        && let Some(upstream) = shared.pool.take(session, permit, version).filter(serves)
    {
        note_upstream(&upstream, recorder);
        return Ok(Reached { upstream, is_reused: true });
    }
    interrupt.arm(shared.limits().connect_timeout * 3);
    // On the heap, and only while it runs: a connection's task would carry its size all its life.
    let dial = Box::pin(Wanted { session, permit, version, upgrades }.reach(shared, again, recorder));
    let reached = interrupt.during(admitted.work.part(dial)).await.map_err(Error::Interrupted)??;
    note_upstream(&reached.upstream, recorder);
    Ok(reached)
}

/// What a connection is for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) session: &'a SessionId,
    pub(super) permit: &'a Permit,
    /// The client's.
    pub(super) version: Version,
    /// Whether it is to be upgraded.
    pub(super) upgrades: bool,
}

impl Wanted<'_> {
    /// A connection to the permitted destination: a new one, or one that another request has opened meanwhile for many.
    pub(super) async fn dial(self, shared: &Shared, recorder: &mut Recorder) -> Result<Upstream, Error> {
        Ok(self.reach(shared, None, recorder).await?.upstream)
    }

    async fn reach(self, shared: &Shared, again: Option<Again>, recorder: &mut Recorder) -> Result<Reached, Error> {
        let Self { session, permit, version, upgrades } = self;
        let is_shared = !upgrades && again != Some(Again::Dialled);
        let Some(opening) = is_shared.then(|| shared.pool.opening(session, permit, version)).flatten() else {
            return Ok(Reached { upstream: self.dial_new(shared, recorder).await?, is_reused: false });
        };
        let turn = opening.turn().await;
        if let Some(upstream) = shared.pool.take(session, permit, version) {
            return Ok(Reached { upstream, is_reused: true });
        }
        let dialled = self.dial_new(shared, recorder).await;
        turn.ended(&dialled);
        Ok(Reached { upstream: dialled?, is_reused: false })
    }

    /// Steps 7 and 8: resolves, vets and connects. An origin that speaks HTTP/2 only is called again for a client that
    /// does not.
    async fn dial_new(self, shared: &Shared, recorder: &mut Recorder) -> Result<Upstream, Error> {
        match self.dial_once(shared, recorder).await {
            Err(Error::Connect(upstream::Error::NoCommonProtocol)) if self.version != Version::Http2 => {
                self.dial_once(shared, recorder).await
            }
            ended => ended,
        }
    }

    async fn dial_once(self, shared: &Shared, recorder: &mut Recorder) -> Result<Upstream, Error> {
        let Self { session, permit, version, upgrades } = self;
        let route = gate::resolve(shared, permit, recorder).await?;
        let patience = shared.limits().connect_timeout;
        let requests = permit.scheme() == Scheme::Http && !upgrades;
        let dialled = shared.dialler.connect(&route, requests, patience).await.map_err(Error::Connect)?;
        recorder.upstream(dialled.address);
        recorder.mark(Phase::Connect);
        let secured = shared.pool.secure(session, permit, version, dialled, patience).await;
        let upstream = secured.map_err(Error::Connect)?;
        if permit.scheme() == Scheme::Https {
            recorder.mark(Phase::Tls);
        }
        Ok(upstream)
    }
}

fn note_upstream(upstream: &Upstream, recorder: &mut Recorder) {
    recorder.upstream(upstream.address);
    if let Some(tls) = &upstream.tls {
        recorder.upstream_tls(tls.clone());
    }
}
