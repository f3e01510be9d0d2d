//! Error to exit code: the only place.
//!
//! 0: asked to stop. 1: a restart may help. 2: the configuration is wrong, which
//! is also clap's own code.

use std::{error::Error, io::Write as _, process::ExitCode};

/// The configuration is wrong: starting again would not help. Whatever says so
/// is wrapped in this, and leads to exit code 2 with one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub Box<dyn Error + Send + Sync>);

impl Misconfigured {
    /// Wraps what is wrong with the configuration.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// Says what went wrong on stderr, because logging may be what is broken, and
/// returns the exit code for it.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // Nothing is left to tell when stderr is closed.
    drop(writeln!(std::io::stderr(), "error: {error:#}"));
    code(error)
}

fn code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Misconfigured>() {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_bad_configuration_is_two_and_the_rest_is_one() {
        let wrong = anyhow::Error::new(Misconfigured::new("no such flag"));
        assert_eq!(wrong.to_string(), "no such flag");
        let code_of = |error: &anyhow::Error| format!("{:?}", code(error));
        assert_eq!(code_of(&wrong), format!("{:?}", ExitCode::from(2)));
        let deeper = Err::<(), _>(wrong).context("start").unwrap_err();
        assert_eq!(code_of(&deeper), format!("{:?}", ExitCode::from(2)));
        let other = anyhow::anyhow!("port taken");
        assert_eq!(code_of(&other), format!("{:?}", ExitCode::from(1)));
    }
}
