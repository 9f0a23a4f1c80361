//! Who waits to begin while more has come at once than can be done.
//!
//! Sessions have their turns one after the other, and within a session who came first begins first: nobody is passed by
//! for ever, and whoever sends much waits behind their own. That nobody waits for long is seen to elsewhere: what waits for
//! longer than [`LASTING`](super::LASTING) on average, and goes on to come, is refused, and nobody waits any more (newest
//! first, as in other gateways, would leave those that came first to wait until they are given up).

use crate::session::SessionId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// Those who wait to begin.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Those of each session, in the order in which they came, and of all who have not shown who they are.
    queues: HashMap<Option<SessionId>, VecDeque<Sender<()>>, foldhash::fast::RandomState>,
    /// The sessions, the one whose turn is next in front.
    turns: VecDeque<Option<SessionId>>,
    count: usize,
}

impl Line {
    /// Beyond so many nobody waits: each holds a connection and its head.
    const MOST: usize = 2048;

    /// Waits for a turn, if the line `is_open` still. Without one the line was closed, or another session needed the
    /// place: in a full line the last of the one that has most is sent away.
    pub(super) fn join(&self, whose: Option<&SessionId>, is_open: impl Fn() -> bool) -> Option<Receiver<()>> {
        let ((turn, wait), whose) = (channel(), whose.cloned());
        let mut line = self.lock();
        if !is_open() || (line.count >= Self::MOST && !line.makes_room_for(&whose)) {
            return None;
        }
        line.push(whose, turn);
        Some(wait)
    }

    /// Lets so many begin, and tells how many more could have.
    pub(super) fn let_in(&self, mut count: usize) -> usize {
        let mut line = self.lock();
        while count > 0
            && let Some(next) = line.pop()
        {
            count -= usize::from(next.send(()).is_ok());
        }
        count
    }

    /// Nobody gets a turn.
    pub(super) fn close(&self) {
        *self.lock() = Waiting::default();
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        let mut line = self.lock();
        line.forget_those_that_left();
        line.count
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No step of ours that could panic spans two changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, whose: Option<SessionId>, turn: Sender<()>) {
        self.count += 1;
        if let Some(queue) = self.queues.get_mut(&whose) {
            queue.push_back(turn);
        } else {
            self.queues.insert(whose.clone(), VecDeque::from([turn]));
            self.turns.push_back(whose);
        }
    }

    /// The first of the session whose turn it is.
    fn pop(&mut self) -> Option<Sender<()>> {
        let whose = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&whose)?;
        let next = queue.pop_front()?;
        self.count -= 1;
        if queue.is_empty() {
            self.queues.remove(&whose);
        } else {
            self.turns.push_back(whose);
        }
        Some(next)
    }

    /// Sends away the last of the session that has most, unless that is who asks.
    fn makes_room_for(&mut self, whose: &Option<SessionId>) -> bool {
        let own = self.queues.get(whose).map_or(0, VecDeque::len);
        let most = self.queues.values_mut().max_by_key(|queue| queue.len());
        let sent_away = most.filter(|queue| queue.len() > own + 1).and_then(VecDeque::pop_back);
        self.count -= usize::from(sent_away.is_some());
        sent_away.is_some()
    }

    fn forget_those_that_left(&mut self) {
        self.queues.retain(|_, queue| {
            queue.retain(|turn| !turn.is_closed());
            !queue.is_empty()
        });
        self.turns.retain(|whose| self.queues.contains_key(whose));
        self.count = self.queues.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(session: &str) -> SessionId {
        session.parse().unwrap()
    }

    fn join(line: &Line, session: &str) -> Receiver<()> {
        line.join(Some(&of(session)), || true).unwrap()
    }

    /// Which of them have had their turn.
    fn begun(waiting: &mut [Receiver<()>]) -> Vec<usize> {
        waiting.iter_mut().enumerate().filter_map(|(place, turn)| turn.try_recv().is_ok().then_some(place)).collect()
    }

    #[test]
    fn who_came_first_begins_first_and_who_has_gone_takes_no_turn() {
        let line = Line::default();
        let gone = join(&line, "a");
        let mut waiting = [join(&line, "a"), join(&line, "a")];
        drop(gone);
        assert_eq!(line.count(), 2);
        assert_eq!((line.let_in(1), begun(&mut waiting)), (0, vec![0]));
        assert_eq!((line.let_in(3), begun(&mut waiting)), (2, vec![1]));
    }

    #[test]
    fn clients_that_never_pause_wait_as_long_as_each_other() {
        const CLIENTS: usize = 100;
        let line = Line::default();
        let mut waiting: Vec<_> = (0..CLIENTS).map(|_| (join(&line, "a"), 0)).collect();
        let mut longest = 0;
        for now in 1..1000 {
            line.let_in(1);
            let next = waiting.iter_mut().find_map(|one| one.0.try_recv().is_ok().then_some(one)).unwrap();
            longest = longest.max(now - next.1);
            // It is done at once, and comes again.
            *next = (join(&line, "a"), now);
        }
        assert_eq!(longest, CLIENTS);
    }

    #[test]
    fn sessions_have_their_turns_one_after_the_other_however_much_one_sends() {
        let line = Line::default();
        let mut greedy: Vec<_> = (0..100).map(|_| join(&line, "greedy")).collect();
        let mut others = [join(&line, "b"), join(&line, "c"), join(&line, "b")];
        line.let_in(5);
        assert_eq!((begun(&mut greedy), begun(&mut others)), (vec![0, 1], vec![0, 1, 2]));
    }

    #[test]
    fn a_full_line_has_room_for_another_session_and_none_for_one_that_fills_it() {
        let line = Line::default();
        let mut greedy: Vec<_> = (0..Line::MOST).map(|_| join(&line, "greedy")).collect();
        assert!(line.join(Some(&of("greedy")), || true).is_none());
        let mut other = [join(&line, "b")];
        assert_eq!(line.count(), Line::MOST);
        assert!(greedy.pop().unwrap().blocking_recv().is_err(), "the last that came has no place any more");
        line.let_in(2);
        assert_eq!((begun(&mut greedy), begun(&mut other)), (vec![0], vec![0]));
    }

    #[test]
    fn a_line_that_is_closed_is_not_joined() {
        let line = Line::default();
        assert!(line.join(None, || false).is_none());
        let waiting = join(&line, "a");
        line.close();
        assert_eq!((line.count(), line.let_in(1)), (0, 1));
        assert!(waiting.blocking_recv().is_err());
    }
}
