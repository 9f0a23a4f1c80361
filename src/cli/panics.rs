//! A gateway that panics again and again is not to be trusted to go on.

use std::collections::VecDeque;
use std::panic;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// One panic ends one connection, and its flow is recorded. So many within this time end the gateway.
const MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(10);

/// Watches for panics of the whole process, beside whatever tells of them; cancelled when there were too many.
pub(super) fn watch() -> CancellationToken {
    let (tell, recent, broken) = (panic::take_hook(), Mutex::new(Recent::default()), CancellationToken::new());
    let ends = broken.clone();
    panic::set_hook(Box::new(move |info| {
        tell(info);
        if recent.lock().unwrap_or_else(PoisonError::into_inner).is_one_too_many(Instant::now()) {
            ends.cancel();
        }
    }));
    broken
}

/// When there were panics.
#[derive(Debug, Default)]
struct Recent(VecDeque<Instant>);

impl Recent {
    fn is_one_too_many(&mut self, now: Instant) -> bool {
        self.0.retain(|at| now.duration_since(*at) < WITHIN);
        self.0.push_back(now);
        self.0.len() >= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_panics_in_ten_seconds_are_too_many() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let told: Vec<bool> = [0, 5, 11, 14, 15].into_iter().map(|second| recent.is_one_too_many(at(second))).collect();
        assert_eq!(told, [false, false, false, true, true]);
    }

    #[tokio::test]
    async fn panics_of_tasks_are_heard_and_end_nothing_else() {
        let broken = watch();
        for _ in 0..MOST {
            let task: tokio::task::JoinHandle<()> = tokio::spawn(async { panic!("on purpose") });
            assert!(task.await.is_err());
        }
        broken.cancelled().await;
        let _ = panic::take_hook();
    }
}
