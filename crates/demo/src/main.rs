//! The whole product on one machine, for experiments: a simulated cluster, scrapers and frontends as processes, and a
//! kubeconfig for `kubectl`.
//!
//! [`demo::run`] starts things in the order of its source. The processes run this same binary with a hidden subcommand
//! ([`roles`]).

mod args;
mod autoscaler;
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
