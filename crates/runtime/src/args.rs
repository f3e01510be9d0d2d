//! Flag groups that both binaries flatten. The doc comments are the manual.

pub mod foreign;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, ValueEnum, error::ErrorKind};

use crate::{exit, kube::Limits};

/// Reads the command line.
///
/// # Errors
///
/// The exit code, after the text was printed: 0 after `--help` and `--version`, 2 after one sentence about a wrong
/// flag.
pub fn parse<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // If stdout is closed, the text cannot be printed.
            drop(error.print());
            ExitCode::SUCCESS
        }
        _ => exit::report(&exit::Misconfigured::new(sentence(&error.to_string())).into()),
    })
}

/// The first paragraph of clap's text, which names the flag. The usage after it belongs to `--help`.
fn sentence(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Flags about logging.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// The format of log lines.
    #[arg(long, value_enum, default_value_t, alias = "logging-format")]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels by module (`info,kube_client=debug`).
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,

    /// The log level as a number, as in metrics-server: 4 and above mean `debug`.
    ///
    /// Ignored if --log-level says more than `info`.
    #[arg(
        short = 'v',
        long = "v",
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub verbosity: i32,
}

/// Flags about the Kubernetes API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kubernetes API")]
pub struct KubeArgs {
    /// The kubeconfig file.
    ///
    /// By default the configuration of the pod: the token of its ServiceAccount and
    /// the CA of the cluster.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[arg(skip)]
    pub limits: Limits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_flag_is_one_sentence() {
        let clap = "error: the following required arguments were not provided:\n  --frontend \
                    <URL>\n\nUsage: x\n\nFor more information, try '--help'.\n";
        assert_eq!(
            sentence(clap),
            "the following required arguments were not provided: --frontend <URL>"
        );
    }
}
