//! Flags of metrics-server that a process of ours does not have
//! (docs/parity.md#flags): so that whoever brings a command line of old is told
//! what became of each.
//!
//! Those without effect are in `--help`, with the reason; those that are refused
//! are not, and are told with the way out.

use clap::{Arg, ArgAction, ArgMatches, Command, Error, error::ErrorKind, parser::ValueSource};
use tracing::info;

/// A flag, by its name without dashes.
#[derive(Clone, Copy, Debug)]
pub struct Flag(pub &'static str, pub Treatment);

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
pub enum Treatment {
    /// An error; why, and what to do instead.
    Refused(&'static str),
    /// Taken with a value, and without effect; why.
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

/// Those that neither half has.
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

/// That of log levels by file.
const VMODULE: Flag = Flag(
    "vmodule",
    Treatment::Refused("set levels by module with --log-level, as in info,kube_client=debug"),
);

fn all(more: &'static [Flag]) -> impl Iterator<Item = &'static Flag> {
    NEITHER.iter().chain([&VMODULE]).chain(more)
}

/// Makes clap know them, and `more`.
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

/// Which of them were given and have no effect.
///
/// # Errors
///
/// One is refused: one sentence.
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

/// Says which flags were given for nothing.
pub fn tell(without_effect: &[&'static str]) {
    for flag in without_effect {
        info!("--{flag} has no effect; --help says why");
    }
}

/// Makes `Foreign`, a group of flags: those that neither half has, and `$flags`.
#[macro_export]
macro_rules! foreign_args {
    ($flags:expr) => {
        /// Whatever of the flags of metrics-server was given that are not flags
        /// here, if it is harmless; else the command line is refused.
        #[derive(Clone, Debug, Default)]
        pub struct Foreign {
            /// Those without effect.
            pub without_effect: Vec<&'static str>,
        }

        impl Foreign {
            /// Says which flags were given for nothing.
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
