//! Kubelets, publishers, callers and lease holders that misbehave, with both components as processes.
//!
//! Meanwhile the nodes and pods of all others must be served, fresh and with their own numbers. Every probe must be
//! answered, and nineteen of twenty within [`PROBE`]. No process may take more memory than [`FRONTEND_MIB`] or
//! [`SCRAPER_MIB`]. The fleet must have counted the attack: otherwise nothing was tested.

mod attack;
mod callers;
mod counted;
mod kubelets;
mod leases;
mod probes;
mod publishers;

use std::time::Duration;

use crate::{
    book::Limits,
    fleet::{Fleet, Size},
    stage::Stage,
};

use self::{
    attack::Attack,
    counted::Counted,
    probes::{Probes, Seen},
};

/// How long a probe may take. A kubelet waits for one second by default.
const PROBE: Duration = Duration::from_secs(1);
/// One probe in this many may take longer: the attackers share two cores with the fleet, and a kubelet tries three
/// times.
const SLOW_OF: u64 = 20;
/// Attackers end after this many rounds, whatever the result is.
const ROUNDS: u32 = 2_000;
/// How much memory a frontend may take at any moment, in MiB. docs/ARCHITECTURE.md has the parts.
const FRONTEND_MIB: u64 = 256;
/// The same for a scraper.
const SCRAPER_MIB: u64 = 192;
/// More CPU than any container of the simulated cluster uses, in cores.
const HONEST_CORES: f64 = 32.0;

/// The limits for nodes that attackers must not hide: two resolutions and two seconds, as after the loss of a scraper.
const LIMITS: Limits = Limits {
    oldest: Duration::from_secs(22),
    all_ready: true,
};

/// The head of the table of the suite.
const HEAD: &str = "| who | what it does | honest pods missing | oldest sample | slow probes | slowest | frontend MiB | scraper MiB | counted by the fleet |\n|---|---|---|---|---|---|---|---|---|";

/// Runs one kind of attacker after another.
///
/// # Errors
///
/// A step fails. What was observed is printed.
pub(crate) async fn hostile(size: Size) -> anyhow::Result<Vec<String>> {
    let mut suite = Suite {
        stage: Stage::set("hostile", size).await?,
        rows: Vec::new(),
    };
    let evil = kubelets::start(&suite.stage.fleet).await?;
    suite.stage.fleet.expect_all_but(&evil);
    let attackers = Attackers {
        who: "kubelets",
        what: kubelets::WHAT,
        counted: kubelets::COUNTED,
    };
    suite.phase(attackers, async |_| Attack::new()).await?;
    kubelets::end(&suite.stage.fleet, &evil).await?;

    let attackers = Attackers {
        who: "publishers",
        what: publishers::WHAT,
        counted: publishers::COUNTED,
    };
    suite.phase(attackers, publishers::start).await?;
    let attackers = Attackers {
        who: "strangers",
        what: callers::IDLE,
        counted: callers::IDLE_COUNTED,
    };
    suite.phase(attackers, callers::idle).await?;
    let attackers = Attackers {
        what: callers::RECONNECT,
        counted: callers::RECONNECT_COUNTED,
        ..attackers
    };
    suite.phase(attackers, callers::reconnect).await?;
    let attackers = Attackers {
        what: callers::BUSY,
        counted: callers::BUSY_COUNTED,
        ..attackers
    };
    suite.phase(attackers, callers::busy).await?;
    let attackers = Attackers {
        who: "a pod with a token",
        what: leases::WHAT,
        counted: leases::COUNTED,
    };
    suite.phase(attackers, leases::start).await?;

    suite.stage.tell(HEAD)?;
    for row in &suite.rows {
        suite.stage.tell(row)?;
    }
    suite.stage.end().await
}

/// One kind of attackers.
#[derive(Clone, Copy, Debug)]
struct Attackers {
    who: &'static str,
    what: &'static str,
    /// Metrics that grow if they attack, each with the labels that tell.
    counted: &'static [&'static str],
}

struct Suite {
    stage: Stage,
    rows: Vec<String>,
}

impl Suite {
    /// Observes the fleet during an attack.
    async fn phase(
        &mut self,
        attackers: Attackers,
        start: impl AsyncFnOnce(&Fleet) -> anyhow::Result<Attack>,
    ) -> anyhow::Result<()> {
        let Attackers { who, what, .. } = attackers;
        self.stage.begin(&format!("{who}: {what}"), LIMITS).await?;
        let before = Counted::now(&self.stage.fleet).await;
        let probes = Probes::start(&self.stage.fleet);
        let attack = start(&self.stage.fleet).await?;
        self.stage.wait(3.5).await;
        drop(attack);
        let seen = probes.end(&self.stage.fleet).await?;
        let after = Counted::now(&self.stage.fleet).await;
        let mut grown = Vec::new();
        for metric in attackers.counted {
            let by = after.grown(&before, metric);
            if by < 1.0 {
                let words = format!("{who}: {metric} did not grow: was it attacked?");
                self.stage.found_wrong(&words)?;
            }
            grown.push(format!("`{metric}` {by:.0}"));
        }
        self.judge(attackers, &seen, &grown.join(", ")).await
    }

    async fn judge(
        &mut self,
        Attackers { who, what, .. }: Attackers,
        seen: &Seen,
        grown: &str,
    ) -> anyhow::Result<()> {
        let (gaps, oldest) = {
            let book = self.stage.fleet.book.open();
            let phase = book.phase.as_ref();
            phase.map_or((0, Duration::ZERO), |phase| (phase.gaps, phase.oldest.0))
        };
        self.rows.push(format!(
            "| {who} | {what} | {gaps} | {:.1} s | {} of {} | {:.2} s | {} | {} | {grown} |",
            oldest.as_secs_f64(),
            seen.slow,
            seen.asked,
            seen.slowest.as_secs_f64(),
            seen.frontend_mib,
            seen.scraper_mib,
        ));
        if seen.slow * SLOW_OF > seen.asked || seen.unanswered > 0 {
            let words = format!(
                "{who}: of {} probes {} were slow, the slowest took {:?}, and {} were not answered",
                seen.asked, seen.slow, seen.slowest, seen.unanswered
            );
            self.stage.found_wrong(&words)?;
        }
        for (whose, mib, most) in [
            ("frontend", seen.frontend_mib, FRONTEND_MIB),
            ("scraper", seen.scraper_mib, SCRAPER_MIB),
        ] {
            if mib > most {
                self.stage.found_wrong(&format!(
                    "{who}: a {whose} took {mib} MiB, allowed are {most}"
                ))?;
            }
        }
        for (pod, cores) in probes::pods_above(&self.stage.fleet, HONEST_CORES).await? {
            self.stage
                .found_wrong(&format!("{who}: {pod} is served with {cores} cores"))?;
        }
        Ok(())
    }
}
