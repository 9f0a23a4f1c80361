//! One opens a connection that many will share; the others wait for it.

use super::{Link, Upstream};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard};

/// The opening of connections to one origin that serve many requests each. A hundred requests that come at once open
/// one, and not a hundred.
#[derive(Debug, Default)]
pub struct Opening {
    turn: Mutex<()>,
    fruitless: AtomicUsize,
}

/// What whoever opens a connection holds while it does.
#[derive(Debug)]
#[must_use = "the next one's turn is when this is dropped"]
pub struct Turn<'a> {
    opening: &'a Opening,
    held: Option<MutexGuard<'a, ()>>,
}

impl Opening {
    /// Waits until nobody else opens one. Where those before found nothing to share, nobody waits for anybody any more:
    /// the origin does not answer, or speaks HTTP/1.1.
    pub async fn turn(&self) -> Turn<'_> {
        let before = self.fruitless.load(Ordering::Acquire);
        let held = self.turn.lock().await;
        let held = (self.fruitless.load(Ordering::Acquire) == before).then_some(held);
        Turn { opening: self, held }
    }
}

impl Turn<'_> {
    /// It was opened, or not.
    pub fn ended<E>(self, opened: &Result<Upstream, E>) {
        if !matches!(opened, Ok(Upstream { link: Link::Http2(_), .. })) {
            self.opening.fruitless.fetch_add(1, Ordering::Release);
        }
        drop(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn one_goes_first_and_where_that_was_for_nothing_all_others_go_at_once() {
        let opening = Opening::default();
        let first = opening.turn().await;
        let (mut second, mut third) = (Box::pin(opening.turn()), Box::pin(opening.turn()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        first.ended(&Err(()));
        let (_second, _third) = (second.await, third.await);
        // Whoever comes later is a first one again.
        let _fourth = opening.turn().await;
        assert!(opening.turn().now_or_never().is_none());
    }

    #[tokio::test]
    async fn one_that_gives_up_lets_the_next_one_go() {
        let opening = Opening::default();
        let first = opening.turn().await;
        let mut second = Box::pin(opening.turn());
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let _second = second.await;
        assert!(opening.turn().now_or_never().is_none(), "the second one holds its turn");
    }
}
