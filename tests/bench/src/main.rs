//! Measures the cost and the speed of Tributary, compared with metrics-server.
//!
//! The programs under test ([`subject`]), the simulated cluster ([`cluster`]) and the clients ([`load`]) are separate
//! processes. This program starts them in turn ([`mod@bench`]) and reads their resources from the kernel ([`process`]).

mod args;
mod bench;
mod client;
mod cluster;
mod hot;
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

/// The allocator of the programs under test, for the code that runs in this process.
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
