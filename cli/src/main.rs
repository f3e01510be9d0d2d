//! The `kubectl-tributary` binary: calls [`tributary_cli::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tributary_cli::run(std::env::args_os())
}
