//! The `tributary-scraper` binary: a door into [`tributary_scraper::run`].

use std::process::ExitCode;

use tributary_runtime::{args, exit};

/// Of the allocators that were measured the one that holds the least
/// (docs/decisions/0014-allocator.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
