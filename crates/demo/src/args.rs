//! The flags.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, value_parser};
use tributary_apiserver::args::Args as FrontendArgs;
use tributary_scraper::args::{Args as ScraperArgs, GoDuration};

/// Shows Tributary at work on a simulated cluster: scrapers and frontends as
/// processes that may be killed, and a kubeconfig for kubectl.
///
/// In a terminal the state is a table that is redrawn every second, else plain
/// lines. Ends on Ctrl-C.
#[derive(Debug, Parser)]
#[command(
    name = "demo",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Args {
    /// What a person may say.
    #[command(flatten)]
    pub(crate) demo: DemoArgs,
    /// What the demo says to the processes that it starts.
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What is shown.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// How many nodes the simulated cluster has, each with a kubelet on a
    /// loopback address of its own.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u16).range(1..=5000))]
    pub(crate) nodes: u16,

    /// How many pods run on each node, each with one container.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = value_parser!(u16).range(1..=250))]
    pub(crate) pods_per_node: u16,

    /// How many scrapers share the nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(1..=64))]
    pub(crate) scrapers: u8,

    /// How many frontends serve the API.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u8).range(1..=64))]
    pub(crate) frontends: u8,

    /// How often each kubelet is asked; at least 10s.
    ///
    /// The first answers come after two samples.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = resolution)]
    pub(crate) resolution: GoDuration,

    /// Give each scraper a fixed share of the nodes, without leases.
    ///
    /// No scraper then takes over what another leaves behind; its nodes are
    /// rescued as they become overdue.
    #[arg(long)]
    pub(crate) fixed_shards: bool,

    /// How long a process that has ended stays away.
    ///
    /// Longer than 15s, and the others see the lease of a scraper expire.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = pause)]
    pub(crate) restart_after: Duration,

    /// The directory to work in: kubeconfig, processes.json, certificates, logs.
    ///
    /// It is made if it does not exist, and stays. Without this flag it is a
    /// temporary one that is removed at the end.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dir: Option<PathBuf>,
}

impl DemoArgs {
    /// The number of all pods.
    pub(crate) fn pods(&self) -> usize {
        usize::from(self.nodes) * usize::from(self.pods_per_node)
    }
}

/// What a process that the demo starts is.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// A scraper, with the flags of `tributary-scraper`.
    #[command(hide = true)]
    RoleScraper(RoleArgs<ScraperArgs>),
    /// A frontend, with the flags of `tributary-apiserver`.
    #[command(hide = true)]
    RoleApiserver(RoleArgs<FrontendArgs>),
}

/// The flags of a product, and whose child it is.
#[derive(clap::Args, Debug)]
pub(crate) struct RoleArgs<T: clap::Args> {
    /// The process that started this one, and without which it ends.
    #[arg(long, value_name = "PID")]
    pub(crate) parent: i32,

    /// Handed on as they are.
    #[command(flatten)]
    pub(crate) args: Box<T>,
}

fn resolution(text: &str) -> Result<GoDuration, String> {
    let resolution: GoDuration = text
        .parse()
        .map_err(|error: tributary_scraper::args::BadDuration| error.to_string())?;
    match resolution.positive() {
        Some(span) if span >= Duration::from_secs(10) => Ok(resolution),
        _ => Err("should be at least 10s".to_owned()),
    }
}

fn pause(text: &str) -> Result<Duration, String> {
    let pause: GoDuration = text
        .parse()
        .map_err(|error: tributary_scraper::args::BadDuration| error.to_string())?;
    let pause = pause.positive().filter(|pause| !pause.is_zero());
    pause.ok_or_else(|| "should be positive".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_flags_there_are_20_nodes_600_pods_3_scrapers_and_2_frontends() {
        let demo = Args::try_parse_from(["demo"]).unwrap().demo;
        let sizes = (demo.nodes, demo.pods(), demo.scrapers, demo.frontends);
        assert_eq!(sizes, (20, 600, 3, 2));
        assert_eq!(demo.resolution.to_string(), "10s");
    }

    #[test]
    fn a_role_takes_the_flags_of_the_product() {
        let line = [
            "demo",
            "role-scraper",
            "--parent=7",
            "--source-name=scraper-1",
        ];
        let role = Args::try_parse_from(line).unwrap().role;
        let Some(Role::RoleScraper(role)) = role else {
            panic!("{role:?}");
        };
        assert_eq!(role.parent, 7);
        assert_eq!(role.args.assignment.source_name, "scraper-1");
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for flag in [
            "--nodes=0",
            "--nodes=5001",
            "--pods-per-node=0",
            "--scrapers=0",
            "--frontends=65",
            "--resolution=9s",
            "--resolution=-10s",
            "--resolution=soon",
            "--restart-after=0s",
        ] {
            let error = Args::try_parse_from(["demo", flag]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{flag}");
        }
    }
}
