//! The only mapping of errors to exit codes.
//!
//! 0: the process was asked to stop. 1: a restart may help. 2: the configuration is wrong. clap uses the same code.

use std::{error::Error, future::Future, io::Write as _, process::ExitCode};

use tokio::runtime::Builder;

/// The configuration is wrong, and a restart does not help. An error that is wrapped in this leads to exit code 2 with
/// one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub Box<dyn Error + Send + Sync>);

impl Misconfigured {
    /// Wraps an error of the configuration.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// After how many steps of tasks a thread looks which sockets are ready. tokio's default of 61 lets peers that are always
/// ready delay all others by 61 of the longest steps.
const STEPS_BETWEEN_LOOKS: u32 = 11;

/// Runs a process to its end, and returns its exit code.
///
/// At the end it does not wait for blocked threads: the lookup of a name takes half a minute while DNS is down.
///
/// It runs on a thread of the runtime. The main thread does nothing after the start, so the allocator would never return
/// what it freed there.
pub fn run(process: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> ExitCode {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .event_interval(STEPS_BETWEEN_LOOKS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into()),
    };
    let outcome = runtime.block_on(runtime.spawn(process));
    runtime.shutdown_background();
    match outcome.unwrap_or_else(|panicked| Err(panicked.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// Prints the error on stderr, because logging may be what failed, and returns its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // If stderr is closed, the error cannot be printed.
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

    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn a_thread_that_blocks_does_not_keep_a_process_from_ending() {
        let (release, blocked) = mpsc::channel::<()>();
        let process = async {
            let (begun, begins) = tokio::sync::oneshot::channel();
            drop(tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                blocked.recv_timeout(Duration::from_mins(1))
            }));
            Ok(begins.await?)
        };
        let code = run(process);
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
        // The thread is still blocked.
        assert_eq!(release.send(()), Ok(()));
    }

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
