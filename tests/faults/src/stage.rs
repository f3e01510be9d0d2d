//! Runs phases with a fleet and its observers.

use std::{io::Write as _, time::Duration};

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use crate::{
    book::{Limits, Phase},
    fleet::{Fleet, RESOLUTION, Size},
    observer::lists,
    report::{self, Counts},
};

/// After the loss of a scraper: two resolutions and two seconds.
pub(crate) const DEAD: Limits = Limits {
    oldest: Duration::from_secs(22),
    all_ready: true,
};

/// After a regular change: one and a half resolutions and two seconds.
pub(crate) const GRACEFUL: Limits = Limits {
    oldest: Duration::from_secs(17),
    all_ready: true,
};

/// How long a test waits for anything. It is long because it is not a measurement.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL_EVERY: Duration = Duration::from_millis(200);

/// A fleet and its observations.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    name: &'static str,
    nodes: f64,
    began: Instant,
    before: Counts,
    wrong: Vec<String>,
}

impl Stage {
    /// Starts a fleet and waits until every frontend serves everything.
    ///
    /// # Errors
    ///
    /// Something cannot be started, or is not served in time.
    pub(crate) async fn set(name: &'static str, size: Size) -> anyhow::Result<Self> {
        let nodes = f64::from(u32::try_from(size.nodes)?);
        let began = Instant::now();
        let fleet = Fleet::start(size).await?;
        let mut stage = Self {
            fleet,
            name,
            nodes,
            began,
            before: Counts::default(),
            wrong: Vec::new(),
        };
        stage.until_all_is_served().await?;
        let took = began.elapsed().as_secs_f64();
        stage.tell(&format!(
            "all is served everywhere {took:.1} s after the start"
        ))?;
        stage.before = Counts::now(&stage.fleet).await;
        stage.began = Instant::now();
        stage.fleet.look();
        Ok(stage)
    }

    /// Waits until every frontend serves all that is in the cluster. Returns how long that took.
    ///
    /// # Errors
    ///
    /// It takes too long.
    pub(crate) async fn until_all_is_served(&mut self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let served = self.fleet.all();
        for index in 0..self.fleet.frontends.len() {
            loop {
                let frontend = self
                    .fleet
                    .frontends
                    .get(index)
                    .context("no such frontend")?;
                let client = self.fleet.observer(frontend);
                let missing = match lists(&client, &self.fleet.clock).await {
                    Ok(lists) => {
                        let nodes = served.nodes.iter();
                        let nodes = nodes.filter(|node| !lists.nodes.dates.contains_key(*node));
                        let pods = served.pods.keys();
                        let pods = pods.filter(|pod| !lists.pods.dates.contains_key(*pod));
                        match (nodes.count(), pods.count()) {
                            (0, 0) => break,
                            missing => format!("{missing:?} nodes and pods are missing"),
                        }
                    }
                    Err(error) => format!("{error:#}"),
                };
                let name = &frontend.name;
                anyhow::ensure!(start.elapsed() < PATIENCE, "{name}: {missing}");
                self.fleet.all_run()?;
                sleep(POLL_EVERY).await;
            }
        }
        Ok(start.elapsed())
    }

    /// Ends the current phase and begins another one.
    ///
    /// # Errors
    ///
    /// A process has ended by itself, or standard output is closed.
    pub(crate) async fn begin(&mut self, what: &str, limits: Limits) -> anyhow::Result<()> {
        self.over(Some(Phase::new(what, limits))).await
    }

    async fn over(&mut self, next: Option<Phase>) -> anyhow::Result<()> {
        self.fleet.all_run()?;
        let counts = Counts::now(&self.fleet).await;
        let ended = std::mem::replace(&mut self.fleet.book.open().phase, next);
        let took = self.began.elapsed();
        self.began = Instant::now();
        let before = std::mem::replace(&mut self.before, counts);
        let Some(phase) = ended else {
            return Ok(());
        };
        let cycles = self.nodes * took.as_secs_f64() / RESOLUTION.as_secs_f64();
        self.tell(&report::line(&phase, took, (&before, &self.before), cycles))?;
        for wrong in phase.wrong() {
            self.tell(&format!("    WRONG: {wrong}"))?;
            self.wrong
                .push(format!("{}: {}: {wrong}", self.name, phase.what));
        }
        Ok(())
    }

    /// Lets time pass.
    pub(crate) async fn wait(&self, resolutions: f64) {
        sleep(RESOLUTION.mul_f64(resolutions)).await;
    }

    /// Prints a line.
    ///
    /// # Errors
    ///
    /// Nobody reads it.
    pub(crate) fn tell(&self, words: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{:7} {words}", self.name)?;
        Ok(out.flush()?)
    }

    /// Records an error and goes on.
    ///
    /// # Errors
    ///
    /// Nobody reads it.
    pub(crate) fn found_wrong(&mut self, words: &str) -> anyhow::Result<()> {
        self.wrong.push(format!("{}: {words}", self.name));
        self.tell(&format!("    WRONG: {words}"))
    }

    /// Ends everything and returns the errors.
    ///
    /// # Errors
    ///
    /// A process does not end in order.
    pub(crate) async fn end(mut self) -> anyhow::Result<Vec<String>> {
        self.over(None).await?;
        self.fleet.end().await?;
        Ok(self.wrong)
    }
}
