//! The `exeat` command.

use std::cell::Cell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Every request allocates and frees a few dozen small pieces, often on different threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often a thread gives memory back, at the most.
const EVERY: Duration = Duration::from_secs(2);

#[expect(unsafe_code, reason = "the allocator has no other way in; it takes no pointer, and any thread may call it")]
unsafe extern "C" {
    safe fn mi_collect(force: bool);
}

/// Gives memory back that is not used any more. What one thread allocated and another freed stays with the first until
/// it allocates again, which a thread that has nothing to do never does.
fn give_back() {
    thread_local! {
        static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    // A thread that ends gives all of it back.
    let _ = LAST.try_with(|last| {
        let now = Instant::now();
        if last.get().is_none_or(|last| now - last >= EVERY) {
            last.set(Some(now));
            mi_collect(true);
        }
    });
}

fn main() -> ExitCode {
    exeat::cli::main(std::env::args_os(), give_back)
}
