//! The tracing subscriber.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};

use crate::{
    args::{LogArgs, LogFormat},
    exit::Misconfigured,
};

/// Sends log lines to stderr as the flags say. To be called once, first.
///
/// # Errors
///
/// `--log-level` is not a filter.
pub fn init(args: &LogArgs) -> Result<(), Misconfigured> {
    // The client says every failed attempt as an error; we say every change of
    // state, once. Who wants the attempts can name it.
    let filter = EnvFilter::try_new(format!("kube_client=off,{}", levels(args)))
        .map_err(|error| Misconfigured::new(format!("--log-level: {error}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let done = match args.log_format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().finish().try_init(),
    };
    // Somebody else's subscriber (a test's, the demo's) is as good as ours.
    drop(done);
    Ok(())
}

/// What klog calls 4 is where its details begin.
const DETAILS: i32 = 4;

fn levels(args: &LogArgs) -> &str {
    match args.log_level.as_str() {
        "info" if args.verbosity >= DETAILS => {
            "info,tributary_apiserver=debug,tributary_scraper=debug,tributary_runtime=debug"
        }
        levels => levels,
    }
}
