//! The `tributary-apiserver` binary: a door into [`tributary_apiserver::run`].

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match tributary_apiserver::run(tributary_apiserver::args::Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tributary_runtime::exit::report(&error),
    }
}
