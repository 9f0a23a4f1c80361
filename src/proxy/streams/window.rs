//! What a client may send on all streams of a connection before origins have taken it.

use super::{MOST_STREAMS, STREAM_WINDOW};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Streams whose windows every connection has room for.
const FEW: usize = 4;
/// Streams beyond those, of all connections together: 256 MiB.
const MORE: usize = 1024;

/// What connections may have room for beyond the streams of each.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Rooms(Arc<AtomicUsize>);

/// The streams that one connection has room for: all that are open, so that those whose origins do not read keep none of
/// the others waiting (RFC 9113 §5.2.2). It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    rooms: Rooms,
    streams: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MORE)))
    }
}

impl Rooms {
    fn take(&self, streams: usize) -> bool {
        let take = |left: usize| left.checked_sub(streams);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

impl Room {
    /// What every connection has.
    pub(super) const WINDOW: u32 = FEW as u32 * STREAM_WINDOW;

    pub(super) fn new(rooms: &Rooms) -> Self {
        Self { rooms: rooms.clone(), streams: FEW }
    }

    /// The connection's window from now on, if so many open streams need another. It grows by half at the least, so that
    /// it is seldom told. Where others have all there is it stays: then streams of this connection may wait for each other.
    pub(super) fn fit(&mut self, open: usize) -> Option<u32> {
        if open <= self.streams {
            return None;
        }
        let streams = open.next_power_of_two().min(MOST_STREAMS as usize);
        if streams <= self.streams || !self.rooms.take(streams - self.streams) {
            return None;
        }
        self.streams = streams;
        u32::try_from(streams).ok().map(|streams| streams * STREAM_WINDOW)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.0.fetch_add(self.streams - FEW, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_room_for_all_its_streams_and_tells_it_seldom() {
        let mut room = Room::new(&Rooms::default());
        let told: Vec<_> = (0..=MOST_STREAMS as usize * 2).filter_map(|open| room.fit(open)).collect();
        assert_eq!(told, [8, 16, 32, 64, 128].map(|streams| streams * STREAM_WINDOW));
    }

    #[test]
    fn all_connections_together_have_a_bound_and_give_back_what_they_had() {
        let rooms = Rooms::default();
        let mut held = Vec::new();
        for _ in 0..1000 {
            let mut room = Room::new(&rooms);
            room.fit(MOST_STREAMS as usize);
            held.push(room);
        }
        let beyond: usize = held.iter().map(|room| room.streams - FEW).sum();
        assert!((MORE - MOST_STREAMS as usize..=MORE).contains(&beyond), "{beyond}");
        drop(held);
        assert_eq!(rooms.0.load(Ordering::Relaxed), MORE);
    }
}
