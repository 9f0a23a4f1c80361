//! How near the process is to its last descriptor.

use nix::sys::resource::{Resource, getrlimit};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Descriptors that connections leave to the journal, to the operators and to name resolution.
const RESERVE: RawFd = 32;

/// Up to which descriptor connections are taken and made. The system gives out the lowest number that is free: a
/// socket with a number beyond the mark shows that all below it are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    accept_below: RawFd,
    dial_below: RawFd,
    /// Half of the reserve is nobody's but the journal's and name resolution's.
    serve_below: RawFd,
    for_operators: usize,
}

impl Descriptors {
    /// The marks under the process's limit of now.
    #[must_use]
    pub fn of_process() -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        Self::under(RawFd::try_from(limit).unwrap_or(RawFd::MAX))
    }

    fn under(limit: RawFd) -> Self {
        let reserve = RESERVE.min(limit / 4);
        let dial_below = limit - reserve;
        Self {
            // What has been let in must find descriptors for its way out.
            accept_below: dial_below / 4 * 3,
            dial_below,
            serve_below: limit - reserve / 2,
            for_operators: usize::try_from(limit / 16).unwrap_or(0),
        }
    }

    /// How many connections operators may hold at the most: whoever finds their door takes no more.
    #[must_use]
    pub fn for_operators(&self) -> usize {
        self.for_operators.max(1)
    }

    /// Whether an operator's connection may be kept.
    #[must_use]
    pub fn may_serve(&self, socket: &impl AsRawFd) -> bool {
        socket.as_raw_fd() < self.serve_below
    }

    /// Whether an accepted connection may be kept.
    #[must_use]
    pub fn may_keep(&self, socket: &impl AsRawFd) -> bool {
        socket.as_raw_fd() < self.accept_below
    }

    /// Whether a connection that is not kept may be told so: that holds its descriptor for a moment.
    #[must_use]
    pub fn may_linger(&self, socket: &impl AsRawFd) -> bool {
        socket.as_raw_fd() < self.accept_below + (self.dial_below - self.accept_below) / 2
    }

    /// Whether a socket may be connected to an origin.
    pub fn check_dial(&self, socket: &impl AsRawFd) -> io::Result<()> {
        if socket.as_raw_fd() < self.dial_below {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::QuotaExceeded, "the process is out of descriptors"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_in_finds_a_way_out_and_a_reserve_stays() {
        for limit in [16, 64, 256, 1024, 1 << 20] {
            let Descriptors { accept_below, dial_below, serve_below, for_operators } = Descriptors::under(limit);
            assert!(0 < accept_below && accept_below < dial_below && dial_below < serve_below, "{limit}");
            assert!(serve_below < limit && RawFd::try_from(for_operators).unwrap() < accept_below, "{limit}");
            assert!(limit < 1024 || limit - dial_below == RESERVE);
        }
    }
}
