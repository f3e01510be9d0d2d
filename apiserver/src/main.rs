//! The `tributary-apiserver` binary: a door into [`tributary_apiserver::run`].

use std::process::ExitCode;

use tributary_runtime::{args, exit};

#[tokio::main]
async fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match tributary_apiserver::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
