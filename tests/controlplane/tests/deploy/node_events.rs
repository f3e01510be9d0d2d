//! Events on nodes, with the permissions of the chart and without them.

use serde_json::Value;
use tributary_controlplane::patience::eventually;
use tributary_sim::Fault;

use crate::site::{Site, on_site};

const NODE: &str = "node-00001";
const ROLE: &str = "role/tributary-node-events";

/// The count of the only Event on the node with this reason, as the older API shows it, which kubectl reads.
async fn count(site: &Site, reason: &str) -> anyhow::Result<i64> {
    let selector = format!("--field-selector=involvedObject.name={NODE},reason={reason}");
    let get = ["get", "events", "-n", "default", &selector, "-o", "json"];
    let list: Value = serde_json::from_str(&site.kubectl.ok(&get).await?)?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    anyhow::ensure!(items.len() == 1, "{} Events {reason}", items.len());
    Ok(items[0]["series"]["count"].as_i64().unwrap_or(1))
}

async fn set_fault(site: &Site, fault: Fault) -> anyhow::Result<()> {
    Ok(site.cluster.set_fault(NODE, fault).await?)
}

/// Leaves the role only these verbs.
async fn permit(site: &Site, verbs: &str) -> anyhow::Result<()> {
    let patch = format!(r#"[{{"op":"replace","path":"/rules/0/verbs","value":{verbs}}}]"#);
    let patch = ["patch", ROLE, "-n", "default", "--type=json", "-p", &patch];
    site.kubectl.ok(&patch).await.map(drop)
}

#[test]
fn a_node_that_cannot_be_scraped_has_events_and_without_the_role_the_log_says_why()
-> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&["--set", "profile=ha,nodeEvents.delay=5s"])
            .await?;
        site.available().await?;
        site.top().await?;

        set_fault(&site, Fault::Status(500)).await?;
        eventually("the node has an Event", || count(&site, "NodeNotScraped")).await?;
        let describe = ["describe", "node", NODE];
        let described = site.kubectl.ok(&describe).await?;
        let note = "no scraper could scrape the kubelet for";
        anyhow::ensure!(described.contains(note), "{described}");
        set_fault(&site, Fault::None).await?;
        eventually("and another one", || count(&site, "NodeScraped")).await?;

        // The same again is counted.
        set_fault(&site, Fault::Status(500)).await?;
        eventually("the Event is counted again", || async {
            let count = count(&site, "NodeNotScraped").await?;
            anyhow::ensure!(count == 2, "{count}");
            Ok(())
        })
        .await?;

        let log = site.log_of("scraper");
        anyhow::ensure!(!log.contains("failed to write an Event"), "{log}");
        permit(&site, r#"["create"]"#).await?;
        set_fault(&site, Fault::None).await?;
        eventually("the log says what is missing", || async {
            let log = site.log_of("scraper");
            let said =
                log.contains("failed to write an Event") && log.contains("cannot patch resource");
            anyhow::ensure!(said, "{log}");
            Ok(())
        })
        .await?;
        site.top().await?;
        Ok(())
    })
}

#[test]
fn without_a_delay_there_is_neither_a_role_nor_an_event() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&["--set", "nodeEvents.delay=0s"]).await?;
        site.available().await?;
        let role = site.kubectl.run(&["get", ROLE, "-n", "default"]).await?;
        anyhow::ensure!(role.stderr.contains("NotFound"), "{}", role.stderr);
        Ok(())
    })
}
