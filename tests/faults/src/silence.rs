//! Connections that are silently lost, in both directions or in one.
//!
//! They are the connections from frontends and from scrapers to the Kubernetes API (watches, leases, reviews), from
//! scrapers to frontends, and to kubelets. Samples must stay as fresh as always, and every process must detect the loss
//! without a restart.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tributary_sim::{NodeSpec, PodSpec, Usage};

use crate::{
    changes::ROLLING,
    fleet::Size,
    proxy::{Lost, Mode},
    report::watch_failures,
    stage::{DEAD, GRACEFUL, Stage},
};

/// The longest time until a watch on a lost connection is given up.
const FOUND_WITHIN: Duration = Duration::from_secs(75);

/// The longest time until missed changes are served, after connections work again.
const SERVED_WITHIN: Duration = Duration::from_secs(90);

/// How long one direction is lost.
const LOST_FOR: Duration = Duration::from_secs(30);

const POLL_EVERY: Duration = Duration::from_millis(500);

/// Runs the phases one after another. Everything is served again before each phase.
///
/// # Errors
///
/// A step fails. What was observed is printed.
pub(crate) async fn silence(size: Size) -> anyhow::Result<Vec<String>> {
    let mut stage = Stage::set("silence", size).await?;
    stage.begin("nothing happens", GRACEFUL).await?;
    stage.wait(1.5).await;
    dead_connections_to_the_api(&mut stage).await?;
    for (what, lost) in [("answers", Lost::Answers), ("requests", Lost::Requests)] {
        lost_to_the_api(&mut stage, what, lost).await?;
    }
    started_while_the_api_hangs(&mut stage).await?;
    between_scrapers_and_frontends(&mut stage).await?;
    to_kubelets(&mut stage).await?;
    stage.end().await
}

/// Adds a node with a pod while watches receive nothing.
async fn born(stage: &Stage, name: &str) -> anyhow::Result<()> {
    stage.fleet.cluster.add_node(NodeSpec::new(name)).await?;
    let pod = PodSpec::new("ns-0000", &format!("on-{name}"), name);
    let pod = pod.container("main", Usage::steady(100, 64 << 20));
    stage.fleet.cluster.add_pod(pod);
    Ok(())
}

/// Waits until everything in the cluster is served, which must be in time.
async fn served(stage: &mut Stage, since: Instant) -> anyhow::Result<()> {
    stage.until_all_is_served().await?;
    let took = since.elapsed();
    stage.tell(&format!(
        "what came meanwhile is served {:.1} s later",
        took.as_secs_f64()
    ))?;
    if took > SERVED_WITHIN {
        stage.found_wrong(&format!("served after {took:?}, not {SERVED_WITHIN:?}"))?;
    }
    let all = stage.fleet.all();
    stage.fleet.book.open().served = all;
    Ok(())
}

async fn dead_connections_to_the_api(stage: &mut Stage) -> anyhow::Result<()> {
    stage
        .begin(
            "every connection to the Kubernetes API is dead, new ones pass",
            GRACEFUL,
        )
        .await?;
    let before = watch_failures(&stage.fleet).await;
    let start = Instant::now();
    stage.fleet.lose_all_to_the_api();
    born(stage, "node-unheard").await?;
    let deaf = loop {
        let now = watch_failures(&stage.fleet).await;
        let found = |watch: &&String| {
            now.get(*watch)
                .is_some_and(|it| Some(it) > before.get(*watch))
        };
        let deaf: Vec<&String> = before.keys().filter(|watch| !found(watch)).collect();
        if deaf.is_empty() || start.elapsed() > FOUND_WITHIN {
            break deaf.into_iter().cloned().collect::<Vec<_>>();
        }
        sleep(POLL_EVERY).await;
    };
    let (took, watches) = (start.elapsed().as_secs_f64(), before.len());
    stage.tell(&format!(
        "the last of {watches} watches has found out {took:.1} s later"
    ))?;
    if !deaf.is_empty() {
        stage.found_wrong(&format!("deaf after {FOUND_WITHIN:?}: {}", deaf.join(", ")))?;
    }
    served(stage, start).await?;
    stage.wait(1.0).await;
    Ok(())
}

async fn lost_to_the_api(stage: &mut Stage, what: &str, lost: Lost) -> anyhow::Result<()> {
    stage
        .begin(
            &format!("{what} are lost between all and the Kubernetes API"),
            GRACEFUL,
        )
        .await?;
    stage.fleet.set_api(Mode::Lose(lost));
    born(stage, &format!("node-lost-{what}")).await?;
    sleep(LOST_FOR).await;
    stage
        .begin("they pass again, on new connections", DEAD)
        .await?;
    stage.fleet.set_api(Mode::Pass);
    served(stage, Instant::now()).await?;
    stage.wait(1.0).await;
    Ok(())
}

/// A frontend and a scraper start while their API accepts requests and answers none.
async fn started_while_the_api_hangs(stage: &mut Stage) -> anyhow::Result<()> {
    stage
        .begin("a frontend and a scraper start and get no answers", ROLLING)
        .await?;
    let front = stage.fleet.frontends.first();
    if let Some(front) = front {
        front.kube.set(Mode::Lose(Lost::Answers));
    }
    stage.fleet.restart_frontend(0).await?;
    stage.fleet.add_scraper().await?;
    let newest = stage.fleet.scrapers.len() - 1;
    stage
        .fleet
        .scraper(newest)?
        .api
        .set(Mode::Lose(Lost::Answers));
    sleep(LOST_FOR).await;
    stage.begin("now there are answers", ROLLING).await?;
    stage.fleet.set_api(Mode::Pass);
    served(stage, Instant::now()).await?;
    stage.fleet.expect_ready(0);
    stage.wait(2.0).await;
    Ok(())
}

async fn between_scrapers_and_frontends(stage: &mut Stage) -> anyhow::Result<()> {
    stage
        .begin("every stream to frontends is dead, new ones pass", DEAD)
        .await?;
    for scraper in &stage.fleet.scrapers {
        for bus in &scraper.buses {
            bus.lose_all();
        }
    }
    stage.wait(3.0).await;
    for (what, lost) in [("answers", Lost::Answers), ("requests", Lost::Requests)] {
        let what = format!("{what} are lost between one scraper and one frontend");
        stage.begin(&what, DEAD).await?;
        let set = |stage: &mut Stage, mode| -> anyhow::Result<()> {
            let scraper = stage.fleet.scraper(0)?;
            if let Some(bus) = scraper.buses.first() {
                bus.set(mode);
            }
            Ok(())
        };
        set(stage, Mode::Lose(lost))?;
        stage.wait(2.5).await;
        set(stage, Mode::Pass)?;
        stage.wait(1.5).await;
    }
    Ok(())
}

async fn to_kubelets(stage: &mut Stage) -> anyhow::Result<()> {
    stage
        .begin("every connection to kubelets is dead, new ones pass", DEAD)
        .await?;
    for scraper in &stage.fleet.scrapers {
        scraper.kubelets.lose_all();
    }
    stage.wait(3.5).await;
    let half = stage.fleet.half_of_the_kubelets();
    for (what, lost) in [("answers", Lost::Answers), ("requests", Lost::Requests)] {
        let what = format!("{what} are lost between one scraper and half of the kubelets");
        stage.begin(&what, DEAD).await?;
        let kubelets = &stage.fleet.scraper(1)?.kubelets;
        kubelets.set_for(Mode::Lose(lost), half.clone());
        stage.wait(2.5).await;
        stage.fleet.scraper(1)?.kubelets.set(Mode::Pass);
        stage.wait(2.0).await;
    }
    Ok(())
}
