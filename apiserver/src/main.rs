//! The `tributary-apiserver` binary: calls [`tributary_apiserver::run`].

use std::process::ExitCode;

use tributary_runtime::{args, exit};

/// Of the allocators that were measured the one that holds the least
/// (docs/decisions/0014-allocator.md).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match args::parse() {
        Ok(args) => exit::run(tributary_apiserver::run(args)),
        Err(code) => code,
    }
}
