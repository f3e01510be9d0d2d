//! The `tributary-scraper` binary: a door into [`tributary_scraper::run`].

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match tributary_scraper::run(tributary_scraper::args::Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tributary_runtime::exit::report(&error),
    }
}
