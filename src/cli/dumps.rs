//! Nothing of this process in a core dump: tokens, known secrets and the CA's key are in its memory (T45).

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};
use std::sync::OnceLock;

/// What a command that we start gets back.
static BEFORE: OnceLock<rlim_t> = OnceLock::new();

/// Forbids core dumps, and debuggers of other processes of this user. A kernel that pipes dumps to a program asks
/// for the first alone, one that is told to dump all the same for the second.
pub(super) fn forbid() {
    // Linux forgets it with exec: a command that we start is as it would be without us.
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "core dumps can't be forbidden");
    }
    let limited = getrlimit(Resource::RLIMIT_CORE).and_then(|(soft, hard)| {
        let _ = BEFORE.set(soft);
        setrlimit(Resource::RLIMIT_CORE, 0, hard)
    });
    if let Err(error) = limited {
        tracing::warn!(%error, "core dumps can't be limited");
    }
}

/// The limit that was there before: limits are inherited, and this one is ours alone.
pub(super) fn limit_before() -> rlim_t {
    BEFORE.get().copied().unwrap_or(RLIM_INFINITY)
}
