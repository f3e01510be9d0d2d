//! Flag groups that both binaries flatten. The doc comments are the manual.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Flags about logging.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// How log lines look.
    #[arg(long, value_enum, default_value_t, alias = "logging-format")]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels by module (`info,kube=debug`).
    ///
    /// At `debug` every scrape and every request is a line.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

/// Flags about the Kubernetes API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kubernetes API")]
pub struct KubeArgs {
    /// The kubeconfig file to use.
    ///
    /// Without it the in-cluster configuration is used: the service account's
    /// token and the cluster's CA.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}
