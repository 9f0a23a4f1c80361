//! An answer on its way down: its head judged, its body passed on as it comes.

use super::client::Client;
use super::error::Error;
use super::origin::{Origin, Part};
use crate::http1::Frame;
use crate::websocket::Deflate;
use std::task::{Context, Poll, ready};

/// Bytes queued for the client beyond which the origin is not read.
const QUEUED_MAX: usize = 256 * 1024;
/// Interim answers (1xx) to one request.
const INTERIM_MAX: usize = 50;

/// The answer to one request.
#[derive(Default)]
pub(super) struct Download {
    interim: usize,
    /// The status of the final answer, once its head is here.
    pub(super) status: Option<u16>,
    /// Bytes of the answer's body.
    pub(super) received: u64,
    /// The connection is a WebSocket now; what was agreed on.
    pub(super) switched: Option<Option<Deflate>>,
    is_ended: bool,
}

impl Download {
    /// Whether nothing of an answer has come, not even an interim one.
    pub(super) fn is_untouched(&self) -> bool {
        self.interim == 0 && self.status.is_none()
    }

    /// Moves the answer from the origin to the client as far as both go. Ready once all of it is
    /// *queued*: the last bytes are flushed by the caller, when the record is in hand.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        origin: &mut Origin,
        client: &mut Client<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            let wants_more = self.take_part(origin, client)?;
            if self.is_ended {
                return Poll::Ready(Ok(()));
            }
            if !wants_more && client.queued() < QUEUED_MAX {
                continue;
            }
            let Poll::Ready(flushed) = client.poll_flush(cx) else {
                origin.gather(cx);
                return Poll::Pending;
            };
            if let Err(error) = flushed {
                return Poll::Ready(Err(Error::ClientGone(Some(error))));
            }
            if wants_more {
                ready!(origin.poll_read(cx))?;
            }
        }
    }

    /// True: more must be read first.
    fn take_part(&mut self, origin: &mut Origin, client: &mut Client<'_>) -> Result<bool, Error> {
        match origin.next_part()? {
            None => return Ok(true),
            Some(Part::Interim(head)) => {
                self.interim += 1;
                if self.interim > INTERIM_MAX {
                    return Err(Error::BadResponse("too many interim answers".to_owned()));
                }
                client.interim(&head);
            }
            Some(Part::Head(head, framing)) => {
                self.status = Some(head.status);
                client.answer(&head, framing);
            }
            Some(Part::Switched(head, deflate)) => {
                self.status = Some(head.status);
                self.switched = Some(deflate);
                client.switch(&head);
                self.is_ended = true;
            }
            Some(Part::Body(Frame::Data(data))) => {
                self.received += data.len() as u64;
                client.queue(data);
            }
            Some(Part::Body(Frame::End(trailers))) => {
                client.end(&trailers);
                self.is_ended = true;
            }
        }
        Ok(false)
    }
}
