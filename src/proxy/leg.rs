//! One end of a flow towards the agent.

use super::identify::{Identity, Remembered};
use super::in_force::{Asked, Watch};
use super::interrupt::Interrupt;
use super::work::Rest;
use crate::flow::{Downstream, FlowId, Recorder};
use crate::net::{Authority, Scheme};
use crate::policy::TlsMode;
use crate::session::ConnectionSlot;
use crate::wire::Wire;
use std::time::Duration;

/// One end of a flow towards the agent: a connection to the proxy, or the inside of a tunnel.
pub(super) struct Leg {
    pub(super) wire: Wire,
    pub(super) peer: Downstream,
    pub(super) interrupt: Interrupt,
    /// Where in what is written the present request's final answer begins, once its head is queued.
    pub(super) answer_from: Option<u64>,
    /// What is queued is the last that the client is to get, whatever else went wrong: a close frame.
    pub(super) goodbye: Option<Goodbye>,
    pub(super) remembered: Remembered,
    /// What the first request is part of: a tunnel's opening is worth nothing without it.
    pub(super) work: Option<Rest>,
    pub(super) inside: Option<Inside>,
}

/// What a leg inside a tunnel inherits: its requests are this session's and for this authority.
pub(super) struct Inside {
    pub(super) identity: Identity,
    pub(super) authority: Authority,
    /// `https` where TLS was opened, `http` where the tunnel carries plain HTTP.
    pub(super) scheme: Scheme,
    pub(super) flow: FlowId,
    /// The tunnel's own flow ends with the leg.
    pub(super) recorder: Recorder,
    /// Given back when the leg ends.
    pub(super) _slot: Option<ConnectionSlot>,
}

impl Inside {
    /// What asks about the tunnel again when the policies change.
    pub(super) fn watch(&self) -> Watch {
        self.identity.watch(Asked::Tunnel(self.authority.clone(), TlsMode::Intercept))
    }
}

/// How a WebSocket is closed that the gateway ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// The client broke the protocol: it is told, and that is all (RFC 6455 §7.1.7).
    Told,
    /// The client's close frame is waited for (§7.1.1).
    Answered,
}

impl Leg {
    pub(super) fn new(wire: Wire, peer: Downstream, interrupt: Interrupt) -> Self {
        Self {
            wire,
            peer,
            interrupt,
            answer_from: None,
            goodbye: None,
            remembered: Remembered::default(),
            work: None,
            inside: None,
        }
    }

    /// The inside of a tunnel.
    pub(super) fn inside(wire: Wire, peer: Downstream, interrupt: Interrupt, inside: Inside) -> Self {
        Self { inside: Some(inside), ..Self::new(wire, peer, interrupt) }
    }

    /// Waits for the first byte. False: none came, and a connection that never says anything is no flow.
    pub(super) async fn begins(&mut self, within: Duration) -> bool {
        self.interrupt.arm(within);
        !self.wire.input.is_empty()
            || matches!(self.interrupt.while_idle(self.wire.fill()).await, Ok(Ok(read)) if read > 0)
    }

    /// Takes back what is queued of the present request's answer, so that a refusal can stand in its
    /// place. False: a part of it has left, or something before it has not.
    pub(super) fn take_back_answer(&mut self) -> bool {
        match self.answer_from {
            None => true,
            Some(from) if from == self.wire.written() => {
                self.wire.discard_queued();
                true
            }
            Some(_) => false,
        }
    }

    /// Whether HTTP/2 was agreed on, with the gateway or inside the tunnel.
    pub(super) fn speaks_http2(&self) -> bool {
        self.wire.stream().alpn() == Some(b"h2")
    }

    pub(super) fn take_slot(&mut self) -> Option<ConnectionSlot> {
        self.remembered.take_slot()
    }
}
