//! The whole product on one machine, to watch and to break: a simulated
//! cluster, scrapers and frontends as processes of their own, `kubectl` in
//! front.
//!
//! [`demo::run`] reads top to bottom in the order in which things start. The
//! processes are this same binary, started with a hidden subcommand
//! ([`roles`]).

mod args;
mod credentials;
mod demo;
mod directory;
mod http_client;
mod output;
mod plan;
mod processes;
mod roles;
mod screen;
mod status;
mod tries;
mod watch;

use std::process::ExitCode;

use tributary_runtime::exit;

use crate::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Args = match tributary_runtime::args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let outcome = match args.role {
        Some(role) => roles::run(role).await,
        None => demo::run(args.demo).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
