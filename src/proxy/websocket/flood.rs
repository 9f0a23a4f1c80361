//! Frames that bring nothing, and how many of them may come.

use crate::websocket::Violation;
use std::time::{Duration, Instant};

/// Pings, pongs and empty fragments a second, and how many may come at once.
const RATE: u32 = 100;
const BURST: u32 = 1000;

/// The generic cell rate algorithm over one direction's frames without payload of their own.
#[derive(Default)]
pub(super) struct Flood {
    full_at: Option<Instant>,
}

impl Flood {
    pub(super) fn spend(&mut self, now: Instant) -> Result<(), Violation> {
        let each = Duration::from_secs(1) / RATE;
        let next = self.full_at.map_or(now, |full_at| full_at.max(now)) + each;
        if next.saturating_duration_since(now) > each * BURST {
            return Err(Violation::Flood);
        }
        self.full_at = Some(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_what_the_rate_lets_through() {
        let (mut flood, start) = (Flood::default(), Instant::now());
        assert!((0..1000).all(|_| flood.spend(start).is_ok()));
        assert_eq!(flood.spend(start), Err(Violation::Flood));
        let then = start + Duration::from_millis(10);
        assert!(flood.spend(then).is_ok() && flood.spend(then).is_err());
    }
}
