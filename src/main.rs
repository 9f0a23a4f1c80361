//! The `exeat` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    exeat::cli::main()
}
