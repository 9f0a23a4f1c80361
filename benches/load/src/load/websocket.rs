//! WebSocket messages: one sent, the same one back.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Shared, Tally, Work};
use crate::body::json_text;
use crate::http1::Fail;
use crate::target::Stream;

pub(super) struct Messages {
    message: Message,
    socket: Option<WebSocketStream<Stream>>,
}

impl Messages {
    pub fn new(bytes: u64, index: usize) -> Self {
        let text = String::from_utf8(json_text(bytes as usize, index as u64)).expect("text");
        Messages { message: Message::text(text), socket: None }
    }
}

fn broken(error: Error) -> Fail {
    match error {
        Error::Io(error) => error.into(),
        Error::Http(response) => Fail::Status(response.status().as_u16()),
        Error::ConnectionClosed | Error::AlreadyClosed => Fail::Closed,
        error => Fail::WebSocket(error.to_string()),
    }
}

impl Work for Messages {
    async fn once(&mut self, shared: &Shared, _: &mut Tally) -> Result<(), Fail> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let stream = shared.target.tunnel_stream(shared.next_serial()).await?;
                shared.saw(&stream);
                let scheme = if shared.target.is_tls() { "wss" } else { "ws" };
                let url = format!("{scheme}://{}/ws", shared.target.authority(0));
                client_async(url, stream).await.map_err(broken)?.0
            }
        };
        socket.send(self.message.clone()).await.map_err(broken)?;
        match socket.next().await {
            Some(Ok(message)) if message == self.message => {}
            Some(Ok(_)) => return Err(Fail::Content),
            Some(Err(error)) => return Err(broken(error)),
            None => return Err(Fail::Closed),
        }
        shared.moved(2 * self.message.len() as u64);
        self.socket = Some(socket);
        Ok(())
    }

    fn reset(&mut self) {
        self.socket = None;
    }
}
