//! The tracing subscriber.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, filter::LevelFilter, util::SubscriberInitExt as _};

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
    let levels = levels(args);
    check(levels)?;
    let filter = EnvFilter::try_new(format!("kube_client=off,{levels}"))
        .map_err(|error| Misconfigured::new(format!("--log-level: {error}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // It would report a line that cannot be written on stderr, where that fails again and panics.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    let done = match args.log_format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().finish().try_init(),
    };
    // If a test or the demo has set a subscriber, that one is used.
    drop(done);
    Ok(())
}

/// `EnvFilter` takes a word that is no level for the name of a module, and logs nothing else.
fn check(levels: &str) -> Result<(), Misconfigured> {
    let word = levels
        .split(',')
        .map(str::trim)
        .find(|part| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err());
    match word {
        Some(word) => Err(Misconfigured::new(format!(
            "--log-level: {word:?} is neither a level (error, warn, info, debug, trace, off) nor MODULE=LEVEL"
        ))),
        None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for levels in [
            "info",
            "WARN",
            "off",
            "info,tributary_scraper=debug",
            "tower[request{id=1,of=2}]=trace",
        ] {
            assert!(check(levels).is_ok(), "{levels}");
        }
        for levels in ["loud", "inof,tributary_scraper=debug"] {
            assert!(check(levels).is_err(), "{levels}");
        }
        let error = check("loud").unwrap_err();
        assert_eq!(
            error.to_string(),
            "--log-level: \"loud\" is neither a level (error, warn, info, debug, trace, off) nor MODULE=LEVEL"
        );
    }
}
