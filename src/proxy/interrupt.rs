//! What ends a wait from outside: a deadline, the session's end, the gateway's end.

use super::in_force::Watch;
use crate::store::Live;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How far away a deadline is that nobody has set.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a wait was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The deadline passed.
    Deadline,
    /// The session expired or was revoked.
    SessionEnded,
    /// The policies were changed and no longer allow the flow.
    PolicyChanged,
    /// Others of its source took the place of a connection that had not shown who it is.
    CrowdedOut,
    /// The journal can't be written any more.
    JournalBroken,
    /// The gateway drains: idle connections close.
    Draining,
    /// The drain's grace is over: everything closes.
    Killed,
}

/// One connection's interrupts. Made once a connection: its timer and its tokens are registered
/// once and from then on cost a comparison and a load a poll.
///
/// All polls must come from the connection's own task: wakers are registered at the first one.
pub(super) struct Interrupt {
    timer: Pin<Box<Sleep>>,
    /// Whether the timer wakes the task, or has done so.
    is_set: bool,
    /// The time that the work at hand may take, and when it will be over: known at the first poll that waits, for most
    /// work is done without any.
    patience: Duration,
    deadline: Option<Instant>,
    draining: Token,
    killed: Token,
    journal: Token,
    /// Whether a flow is under way that the journal's failure ends.
    has_flow: bool,
    /// What ends this connection alone, and why.
    own: Option<(Token, Cause)>,
    /// The session that `own` is of, if it is of one.
    session: Option<Arc<Live>>,
    policy: Option<Box<Watched>>,
}

/// The flow that the policies of now allow, until they are others.
struct Watched {
    watch: Watch,
    replaced: Token,
}

impl Interrupt {
    pub(super) fn new(draining: CancellationToken, killed: CancellationToken, journal: CancellationToken) -> Self {
        Self {
            timer: Box::pin(sleep_until(Instant::now() + NEVER)),
            is_set: false,
            patience: NEVER,
            deadline: None,
            draining: Token::new(draining),
            killed: Token::new(killed),
            journal: Token::new(journal),
            has_flow: true,
            own: None,
            session: None,
            policy: None,
        }
    }

    /// The session whose end interrupts from now on.
    pub(super) fn watch_session(&mut self, live: &Arc<Live>) {
        if !self.session.as_ref().is_some_and(|watched| Arc::ptr_eq(watched, live)) {
            self.watch(&live.ended, Cause::SessionEnded);
            self.session = Some(live.clone());
        }
    }

    /// What interrupts as long as no session is known.
    pub(super) fn watch_crowd(&mut self, crowded_out: &CancellationToken) {
        self.watch(crowded_out, Cause::CrowdedOut);
        self.session = None;
    }

    /// No session is known.
    pub(super) fn forget_session(&mut self) {
        (self.own, self.session) = (None, None);
    }

    fn watch(&mut self, token: &CancellationToken, cause: Cause) {
        self.own = Some((Token::new(token.clone()), cause));
    }

    /// The flow that policies must go on to allow, from now on.
    pub(super) fn watch_policy(&mut self, watch: Watch) {
        match &mut self.policy {
            Some(watched) if Arc::ptr_eq(watched.watch.generation(), watch.generation()) => watched.watch = watch,
            policy => {
                let replaced = Token::new(watch.generation().replaced().clone());
                *policy = Some(Box::new(Watched { watch, replaced }));
            }
        }
    }

    /// No flow is under way.
    pub(super) fn forget_policy(&mut self) {
        if let Some(watched) = &mut self.policy {
            watched.watch.rest();
        }
    }

    /// No flow is under way: a journal that fails ends nothing, and the next request is told.
    pub(super) fn flow_ended(&mut self) {
        self.has_flow = false;
    }

    /// A flow is under way: a journal that fails from now on ends it. `broken` is the token of now.
    pub(super) fn flow_begins(&mut self, broken: &CancellationToken) {
        if self.journal.token.is_cancelled() {
            self.journal = Token::new(broken.clone());
        }
        self.has_flow = true;
    }

    /// Sets the deadline `after` from now, or from when there is something to wait for, in place of the one before.
    pub(super) fn arm(&mut self, after: Duration) {
        (self.patience, self.deadline) = (after, None);
    }

    /// Whether the gateway takes no more requests.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.token.is_cancelled()
    }

    /// Whether the gateway takes no more requests; if not, the task is woken when it does.
    pub(super) fn poll_draining(&mut self, cx: &mut Context<'_>) -> bool {
        self.draining.poll(cx)
    }

    /// Ready with what ends the work at hand; a drain lets it go on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        if self.killed.poll(cx) {
            return Poll::Ready(Cause::Killed);
        }
        if let Some((token, cause)) = &mut self.own
            && token.poll(cx)
        {
            return Poll::Ready(*cause);
        }
        if self.has_flow && self.journal.poll(cx) {
            return Poll::Ready(Cause::JournalBroken);
        }
        if self.policy.as_mut().is_some_and(|watched| watched.poll(cx)) {
            return Poll::Ready(Cause::PolicyChanged);
        }
        self.poll_timer(cx).map(|()| Cause::Deadline)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.patience);
        // A timer that fires too early is set anew when it does; only one too late must move now.
        if deadline < self.timer.deadline() {
            self.set_timer(deadline);
        }
        loop {
            // Unconstrained, like the tokens.
            if !self.is_set && pin!(unconstrained(self.timer.as_mut())).poll(cx).is_pending() {
                self.is_set = true;
            }
            if !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.set_timer(deadline);
        }
    }

    fn set_timer(&mut self, deadline: Instant) {
        self.timer.as_mut().reset(deadline);
        self.is_set = false;
    }

    /// Like [`poll`](Interrupt::poll) for what a drain ends too.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        if self.draining.poll(cx) { Poll::Ready(Cause::Draining) } else { self.poll(cx) }
    }

    /// Waits for `work`, which nothing but the deadline ends.
    pub(super) async fn within<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_timer(cx).map(|()| None),
        })
        .await
    }

    /// Waits for `work`, or for what ends it.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Cause> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }

    /// Like [`during`](Interrupt::during) between two requests: a drain ends it too.
    pub(super) async fn while_idle<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Cause> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_idle(cx).map(Err),
        })
        .await
    }
}

impl Watched {
    /// Whether the flow must end.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        while self.replaced.poll(cx) {
            if !self.watch.is_still_allowed() {
                return true;
            }
            self.replaced = Token::new(self.watch.generation().replaced().clone());
        }
        false
    }
}

struct Token {
    token: CancellationToken,
    registered: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Token {
    fn new(token: CancellationToken) -> Self {
        Self { token, registered: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.token.is_cancelled() {
            return true;
        }
        if self.registered.is_some() {
            return false;
        }
        // Unconstrained: a poll that the task's budget turns away would register nothing.
        let wait = self.registered.insert(Box::pin(self.token.clone().cancelled_owned()));
        pin!(unconstrained(wait)).poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn interrupt() -> (Interrupt, CancellationToken) {
        let token = CancellationToken::new();
        (Interrupt::new(token.clone(), CancellationToken::new(), CancellationToken::new()), token)
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_a_wait_when_it_was_last_set_to() {
        let (mut interrupt, _) = interrupt();
        let start = Instant::now();
        interrupt.arm(Duration::from_secs(5));
        interrupt.arm(Duration::from_secs(9));
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::Deadline));
        assert_eq!(start.elapsed().as_secs(), 9);
        interrupt.arm(Duration::from_secs(60));
        interrupt.arm(Duration::from_secs(1));
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::Deadline));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_idle_waits_only_and_a_session_s_end_ends_all() {
        let (mut interrupt, draining) = interrupt();
        let ended = CancellationToken::new();
        interrupt.watch(&ended, Cause::SessionEnded);
        interrupt.arm(Duration::from_secs(1));
        draining.cancel();
        assert_eq!(interrupt.while_idle(pending::<()>()).await, Err(Cause::Draining));
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::Deadline));
        ended.cancel();
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::SessionEnded));
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_a_deadline_ends_goes_on_when_all_ends() {
        let (mut interrupt, ended) = (interrupt().0, CancellationToken::new());
        interrupt.watch(&ended, Cause::SessionEnded);
        ended.cancel();
        interrupt.arm(Duration::from_secs(2));
        assert_eq!(interrupt.within(std::future::ready(7)).await, Some(7));
        let start = Instant::now();
        assert_eq!(interrupt.within(pending::<()>()).await, None);
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_that_fails_ends_the_flow_under_way_and_not_the_wait_for_the_next() {
        let broken = CancellationToken::new();
        let mut interrupt = Interrupt::new(CancellationToken::new(), CancellationToken::new(), broken.clone());
        broken.cancel();
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::JournalBroken));
        interrupt.flow_ended();
        interrupt.arm(Duration::from_secs(1));
        assert_eq!(interrupt.while_idle(pending::<()>()).await, Err(Cause::Deadline));
        let mended = CancellationToken::new();
        interrupt.flow_begins(&mended);
        interrupt.arm(Duration::from_secs(1));
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::Deadline));
        mended.cancel();
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::JournalBroken));
    }

    #[tokio::test]
    async fn a_token_cancelled_during_a_wait_wakes_it() {
        let (mut interrupt, _) = interrupt();
        let ended = CancellationToken::new();
        interrupt.watch(&ended, Cause::SessionEnded);
        let canceller = tokio::spawn(async move { ended.cancel() });
        assert_eq!(interrupt.during(pending::<()>()).await, Err(Cause::SessionEnded));
        canceller.await.unwrap();
    }
}
