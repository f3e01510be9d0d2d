//! Scrapers that are lost in different ways.

use crate::{
    fleet::Size,
    fresh,
    proxy::Mode,
    stage::{DEAD, GRACEFUL, Stage},
};

/// Runs the phases one after another. Everything is served again before each phase.
///
/// # Errors
///
/// A step fails. What was observed is printed.
pub(crate) async fn losses(size: Size) -> anyhow::Result<Vec<String>> {
    let mut stage = Stage::set("losses", size).await?;
    stage.begin("nothing happens", GRACEFUL).await?;
    stage.wait(2.5).await;

    dead(&mut stage).await?;
    cut_off(&mut stage).await?;
    fresh::an_owner_is_killed(&mut stage).await?;
    stage.end().await
}

async fn dead(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin("kill -9 one scraper", DEAD).await?;
    let killed = stage.fleet.take_scraper(1)?;
    killed.program.kill().await?;
    stage.wait(4.0).await;
    stage.begin("another comes in its place", DEAD).await?;
    stage.fleet.add_scraper().await?;
    stage.wait(3.0).await;

    stage.begin("SIGSTOP one scraper", DEAD).await?;
    stage.fleet.scraper(0)?.program.stand_still()?;
    stage.wait(4.0).await;
    stage.begin("SIGCONT", DEAD).await?;
    stage.fleet.scraper(0)?.program.go_on()?;
    stage.wait(2.5).await;
    Ok(())
}

async fn cut_off(stage: &mut Stage) -> anyhow::Result<()> {
    stage
        .begin(
            "packets to half of the kubelets vanish for one scraper",
            DEAD,
        )
        .await?;
    let half = stage.fleet.half_of_the_kubelets();
    stage
        .fleet
        .scraper(1)?
        .kubelets
        .set_for(Mode::Stall, half.clone());
    stage.wait(3.5).await;
    stage
        .begin("connections to that half are reset instead", DEAD)
        .await?;
    stage.fleet.scraper(1)?.kubelets.set_for(Mode::Reset, half);
    stage.wait(2.5).await;
    stage.begin("they pass again", DEAD).await?;
    stage.fleet.scraper(1)?.kubelets.set(Mode::Pass);
    stage.wait(2.0).await;

    stage
        .begin("packets to the Kubernetes API vanish for one scraper", DEAD)
        .await?;
    stage.fleet.scraper(2)?.api.set(Mode::Stall);
    stage.wait(4.0).await;
    stage.begin("they arrive again", DEAD).await?;
    stage.fleet.scraper(2)?.api.set(Mode::Pass);
    stage.wait(2.0).await;

    stage
        .begin(
            "half-open connections from one scraper to one frontend",
            DEAD,
        )
        .await?;
    let scraper = stage.fleet.scraper(3)?;
    if let Some(bus) = scraper.buses.first() {
        bus.set(Mode::HalfOpen);
    }
    stage.wait(3.0).await;
    stage.begin("they pass again", DEAD).await?;
    let scraper = stage.fleet.scraper(3)?;
    if let Some(bus) = scraper.buses.first() {
        bus.set(Mode::Pass);
    }
    stage.wait(2.0).await;
    Ok(())
}
