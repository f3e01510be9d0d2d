//! Flags of metrics-server that our processes do not have (docs/parity.md#flags). An operator with an old command line
//! learns what to do about each of them.
//!
//! Flags without effect are in `--help`, with the reason. Refused flags are not. Their error says what to do instead.

use clap::{Arg, ArgAction, ArgMatches, Command, Error, error::ErrorKind, parser::ValueSource};
use tracing::info;

/// A flag, by its name without dashes.
#[derive(Clone, Copy, Debug)]
pub struct Flag(pub &'static str, pub Treatment);

/// What happens to the flag.
#[derive(Clone, Copy, Debug)]
pub enum Treatment {
    /// It is refused. The text says why, and what to do instead.
    Refused(&'static str),
    /// It is accepted with a value and has no effect. The text says why.
    Ignored(&'static str),
    /// The same for a switch, which may have a value.
    IgnoredSwitch(&'static str),
}

const AUDIT: Treatment = Treatment::Refused(
    "no audit log is written; the one of kube-apiserver has every request that it forwards; \
     remove the flag",
);
const VERSIONS: Treatment =
    Treatment::Refused("there is nothing to set, as in metrics-server; remove the flag");
const LOG_BUFFERS: Treatment = Treatment::Refused(
    "all lines are written to stderr at once, and metrics-server refuses the flag, too; remove \
     it",
);
const PROFILER: Treatment = Treatment::IgnoredSwitch("there is no profiler");

/// The flags that neither component has.
const NEITHER: [Flag; 45] = [
    Flag("audit-log-batch-buffer-size", AUDIT),
    Flag("audit-log-batch-max-size", AUDIT),
    Flag("audit-log-batch-max-wait", AUDIT),
    Flag("audit-log-batch-throttle-burst", AUDIT),
    Flag("audit-log-batch-throttle-enable", AUDIT),
    Flag("audit-log-batch-throttle-qps", AUDIT),
    Flag("audit-log-compress", AUDIT),
    Flag("audit-log-format", AUDIT),
    Flag("audit-log-maxage", AUDIT),
    Flag("audit-log-maxbackup", AUDIT),
    Flag("audit-log-maxsize", AUDIT),
    Flag("audit-log-mode", AUDIT),
    Flag("audit-log-path", AUDIT),
    Flag("audit-log-truncate-enabled", AUDIT),
    Flag("audit-log-truncate-max-batch-size", AUDIT),
    Flag("audit-log-truncate-max-event-size", AUDIT),
    Flag("audit-log-version", AUDIT),
    Flag("audit-policy-file", AUDIT),
    Flag("audit-webhook-batch-buffer-size", AUDIT),
    Flag("audit-webhook-batch-max-size", AUDIT),
    Flag("audit-webhook-batch-max-wait", AUDIT),
    Flag("audit-webhook-batch-throttle-burst", AUDIT),
    Flag("audit-webhook-batch-throttle-enable", AUDIT),
    Flag("audit-webhook-batch-throttle-qps", AUDIT),
    Flag("audit-webhook-config-file", AUDIT),
    Flag("audit-webhook-initial-backoff", AUDIT),
    Flag("audit-webhook-mode", AUDIT),
    Flag("audit-webhook-truncate-enabled", AUDIT),
    Flag("audit-webhook-truncate-max-batch-size", AUDIT),
    Flag("audit-webhook-truncate-max-event-size", AUDIT),
    Flag("audit-webhook-version", AUDIT),
    Flag("contention-profiling", PROFILER),
    Flag(
        "debug-socket-path",
        Treatment::Refused(
            "there is no profiler, and metrics-server does not create the socket; remove the flag",
        ),
    ),
    Flag("emulated-version", VERSIONS),
    Flag(
        "emulation-forward-compatible",
        Treatment::IgnoredSwitch("there are no versions to emulate"),
    ),
    Flag(
        "enable-priority-and-fairness",
        Treatment::IgnoredSwitch(
            "the number of requests in flight is limited instead, as in metrics-server",
        ),
    ),
    Flag("feature-gates", VERSIONS),
    Flag(
        "log-flush-frequency",
        Treatment::Ignored("lines are written at once"),
    ),
    Flag("log-json-info-buffer-size", LOG_BUFFERS),
    Flag("log-json-split-stream", LOG_BUFFERS),
    Flag("log-text-info-buffer-size", LOG_BUFFERS),
    Flag("log-text-split-stream", LOG_BUFFERS),
    Flag("min-compatibility-version", VERSIONS),
    Flag("profiling", PROFILER),
    Flag(
        "runtime-config-emulation-forward-compatible",
        Treatment::IgnoredSwitch("there are no versions to emulate"),
    ),
];

/// The flag for log levels by file.
const VMODULE: Flag = Flag(
    "vmodule",
    Treatment::Refused("set levels by module with --log-level, as in info,kube_client=debug"),
);

fn all(more: &'static [Flag]) -> impl Iterator<Item = &'static Flag> {
    NEITHER.iter().chain([&VMODULE]).chain(more)
}

/// Adds these flags and `more` to clap.
pub fn augment(command: Command, more: &'static [Flag]) -> Command {
    command.args(all(more).map(|Flag(name, treatment)| {
        let arg = Arg::new(*name)
            .long(*name)
            .value_name("VALUE")
            .num_args(0..=1)
            .action(ArgAction::Append)
            .help_heading("Without effect");
        match treatment {
            Treatment::Refused(_) => arg.hide(true).allow_hyphen_values(true),
            Treatment::Ignored(why) => arg.num_args(1).help(no_effect(why)),
            Treatment::IgnoredSwitch(why) => arg.require_equals(true).help(no_effect(why)),
        }
    }))
}

fn no_effect(why: &str) -> String {
    format!("No effect: {why}")
}

/// The flags that were given and have no effect.
///
/// # Errors
///
/// One of them is refused. The error is one sentence.
pub fn given(matches: &ArgMatches, more: &'static [Flag]) -> Result<Vec<&'static str>, Error> {
    let mut ignored = Vec::new();
    for Flag(name, treatment) in all(more) {
        if matches.value_source(name) != Some(ValueSource::CommandLine) {
            continue;
        }
        match treatment {
            Treatment::Ignored(_) | Treatment::IgnoredSwitch(_) => ignored.push(*name),
            Treatment::Refused(why) => {
                let text = format!("--{name}: {why}\n");
                return Err(Error::raw(ErrorKind::UnknownArgument, text));
            }
        }
    }
    Ok(ignored)
}

/// Logs the flags that were given and have no effect.
pub fn tell(without_effect: &[&'static str]) {
    for flag in without_effect {
        info!("--{flag} has no effect; --help says why");
    }
}

/// Defines `Foreign`, a group of flags: those that neither component has, and `$flags`.
#[macro_export]
macro_rules! foreign_args {
    ($flags:expr) => {
        /// The flags of metrics-server that were given and have no effect. A refused one makes the command line
        /// invalid.
        #[derive(Clone, Debug, Default)]
        pub struct Foreign {
            /// Their names.
            pub without_effect: Vec<&'static str>,
        }

        impl Foreign {
            /// Logs the flags that were given and have no effect.
            pub(crate) fn tell(&self) {
                $crate::args::foreign::tell(&self.without_effect);
            }
        }

        impl clap::FromArgMatches for Foreign {
            fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self {
                    without_effect: $crate::args::foreign::given(matches, &$flags)?,
                })
            }

            fn update_from_arg_matches(
                &mut self,
                matches: &clap::ArgMatches,
            ) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl clap::Args for Foreign {
            fn augment_args(command: clap::Command) -> clap::Command {
                $crate::args::foreign::augment(command, &$flags)
            }

            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                Self::augment_args(command)
            }
        }
    };
}
pub use crate::foreign_args as as_args;
