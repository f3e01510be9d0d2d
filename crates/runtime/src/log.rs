//! The tracing subscriber.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};

use crate::{
    args::{LogArgs, LogFormat},
    exit::Misconfigured,
};

/// Sends log lines to stderr as the flags say. It must be called once, before anything is logged.
///
/// # Errors
///
/// `--log-level` is not a filter.
pub fn init(args: &LogArgs) -> Result<(), Misconfigured> {
    // kube-client logs every failed attempt as an error. We log every change of state once. An operator can name the
    // module to see the attempts.
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
    // If a test or the demo has set a subscriber, that one is used.
    drop(done);
    Ok(())
}

/// In klog, details begin at level 4.
const DETAILS: i32 = 4;

fn levels(args: &LogArgs) -> &str {
    match args.log_level.as_str() {
        "info" if args.verbosity >= DETAILS => {
            "info,tributary_apiserver=debug,tributary_scraper=debug,tributary_runtime=debug"
        }
        levels => levels,
    }
}
