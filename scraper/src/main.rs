//! The `tributary-scraper` binary: a door into [`tributary_scraper::run`].

use std::process::ExitCode;

use tributary_runtime::{args, exit};

#[tokio::main]
async fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match tributary_scraper::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
