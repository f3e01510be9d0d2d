//! The flags.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, value_parser};
use tributary_apiserver::args::Args as FrontendArgs;
use tributary_scraper::args::{Args as ScraperArgs, GoDuration};

/// Runs Tributary on a simulated cluster. Scrapers and frontends are processes that you may kill, and there is a
/// kubeconfig for kubectl.
///
/// In a terminal the state is a table that is drawn again every second. Otherwise it is printed as lines. Ctrl-C ends the
/// demo.
#[derive(Debug, Parser)]
#[command(
    name = "demo",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Args {
    /// The flags of the demo.
    #[command(flatten)]
    pub(crate) demo: DemoArgs,
    /// The component that a process of the demo is.
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// The flags of the demo.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// The number of nodes. Each has a kubelet at a loopback address of its own.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u16).range(1..=5000))]
    pub(crate) nodes: u16,

    /// The number of pods on each node. Each has one container.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = value_parser!(u16).range(1..=250))]
    pub(crate) pods_per_node: u16,

    /// The number of scrapers that share the nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(1..=64))]
    pub(crate) scrapers: u8,

    /// The number of frontends that serve the API.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u8).range(1..=64))]
    pub(crate) frontends: u8,

    /// The time between two scrapes of a kubelet, at least 10s.
    ///
    /// A frontend answers after two scrapes.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = resolution)]
    pub(crate) resolution: GoDuration,

    /// Give each scraper a fixed share of the nodes, without Leases.
    ///
    /// If a scraper ends, no other one owns its nodes. They are rescued when they are overdue.
    #[arg(long)]
    pub(crate) fixed_shards: bool,

    /// The time until a process that ended starts again.
    ///
    /// If it is longer than 15s, the Lease of a scraper expires meanwhile.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = pause)]
    pub(crate) restart_after: Duration,

    /// The directory for the kubeconfig, processes.json, certificates, and logs.
    ///
    /// It is created if it does not exist, and is not removed. The default is a temporary directory, which is removed at the
    /// end.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dir: Option<PathBuf>,
}

impl DemoArgs {
    /// The number of all pods.
    pub(crate) fn pods(&self) -> usize {
        usize::from(self.nodes) * usize::from(self.pods_per_node)
    }
}

/// The component that a process of the demo is.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// A scraper, with the flags of `tributary-scraper`.
    #[command(hide = true)]
    RoleScraper(RoleArgs<ScraperArgs>),
    /// A frontend, with the flags of `tributary-apiserver`.
    #[command(hide = true)]
    RoleApiserver(RoleArgs<FrontendArgs>),
}

/// The flags of a component, and its parent process.
#[derive(clap::Args, Debug)]
pub(crate) struct RoleArgs<T: clap::Args> {
    /// The process that started this one. If it ends, this one ends.
    #[arg(long, value_name = "PID")]
    pub(crate) parent: i32,

    /// The flags of the component, unchanged.
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
