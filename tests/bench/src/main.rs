//! What Tributary costs and how fast it answers, beside metrics-server.
//!
//! Everything that is measured is a process of its own, and so is what asks it:
//! the simulated cluster ([`cluster`]), the clients ([`load`]), the programs
//! under test ([`subject`]). This program starts them in turn ([`mod@bench`]) and
//! reads what the kernel knows of them ([`process`]).

mod args;
mod bench;
mod client;
mod cluster;
mod load;
mod machine;
mod measure;
mod process;
mod report;
mod results;
mod soak;
mod subject;
mod throughput;

use std::process::ExitCode;

use tributary_runtime::{exit, tls};

use crate::args::{Args, Role};

/// As in the programs under test, for what runs in this process.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Args = match tributary_runtime::args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    tls::install_provider();
    let outcome = match args.role {
        Some(Role::Cluster(args)) => cluster::run(args).await,
        Some(Role::Load) => load::run().await,
        None => bench::run(args.bench).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
