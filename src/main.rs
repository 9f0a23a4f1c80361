//! The `exeat` command.

use std::process::ExitCode;

/// Every request allocates and frees a few dozen small pieces, often on different threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exeat::cli::main()
}
