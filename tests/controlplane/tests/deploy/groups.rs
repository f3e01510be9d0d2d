//! Scrapers in groups by labels of nodes: each asks its own, together they ask all.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;
use tributary_controlplane::patience::eventually;

use crate::site::{Site, on_site};

const GROUPS: &str = r#"scraper.groups=[
    { "name": "edge", "selector": "pool=edge", "replicas": 1 },
    { "name": "rest", "selector": "pool!=edge", "replicas": 2 }
]"#;

/// How many nodes scrapers of each group say they ask, by their own metrics.
async fn asked(site: &Site) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut asked = BTreeMap::new();
    for (pod, ip) in site.pods_of("scraper").await? {
        let group = pod.pointer("/metadata/labels/tributary.dev~1scraper-group");
        let group = group.and_then(Value::as_str).context("a group")?;
        let metrics = site.ask_pod("scraper", &ip, "/metrics").await?;
        let mut lines = metrics.lines();
        let nodes = lines.find_map(|line| line.strip_prefix("tributary_scrape_nodes "));
        let nodes = nodes.context("the metric")?.parse::<u64>()?;
        *asked.entry(group.to_owned()).or_default() += nodes;
    }
    Ok(asked)
}

/// The owners of each node, as every frontend sees them.
async fn owners(site: &Site) -> anyhow::Result<Vec<BTreeMap<String, Vec<String>>>> {
    let mut seen = Vec::new();
    for (_, ip) in site.pods_of("frontend").await? {
        let answer = site.ask_pod("frontend", &ip, "/debug/nodes").await?;
        let answer: Value = serde_json::from_str(&answer)?;
        let nodes = answer["nodes"].as_array().context("nodes")?.iter();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let owned = nodes.map(|node| {
            let owners = node["owners"].as_array().into_iter().flatten();
            Some((text(&node["node"])?, owners.filter_map(text).collect()))
        });
        seen.push(owned.collect::<Option<_>>().context("names")?);
    }
    Ok(seen)
}

/// Waits until each node has one owner, of its group, on both frontends, and no scraper asks more.
async fn each_is_asked_by_its_group(site: &Site, edge: &[&str]) -> anyhow::Result<()> {
    let rest = 3_u64.saturating_sub(u64::try_from(edge.len())?);
    let expected = BTreeMap::from([
        ("edge".to_owned(), u64::try_from(edge.len())?),
        ("rest".to_owned(), rest),
    ]);
    eventually("each node is asked by its group", || async {
        let seen = owners(site).await?;
        anyhow::ensure!(seen.len() == 2, "{seen:?}");
        for (node, owners) in seen.iter().flatten() {
            let group = if edge.contains(&node.as_str()) {
                "edge"
            } else {
                "rest"
            };
            let start = format!("tributary-scraper-{group}-");
            let good = matches!(&owners[..], [one] if one.starts_with(&start));
            anyhow::ensure!(good, "{node}: {owners:?}");
        }
        anyhow::ensure!(seen.iter().all(|nodes| nodes.len() == 3), "{seen:?}");
        let asked = asked(site).await?;
        anyhow::ensure!(asked == expected, "{asked:?}");
        Ok(())
    })
    .await
}

#[test]
fn groups_ask_the_nodes_of_their_selectors_and_every_node_is_served() -> anyhow::Result<()> {
    on_site(async |site| {
        let nodes = site.cluster.nodes();
        let [one, two, _] = &nodes[..] else {
            anyhow::bail!("{nodes:?}");
        };
        site.kubectl
            .ok(&["label", "node", one, "pool=edge"])
            .await?;
        let values = ["--set", "profile=ha,replicas=2", "--set-json", GROUPS];
        site.install(&values).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        each_is_asked_by_its_group(&site, &[one.as_str()]).await?;

        // A node that changes its pool is handed from group to group.
        site.kubectl
            .ok(&["label", "node", two, "pool=edge"])
            .await?;
        each_is_asked_by_its_group(&site, &[one.as_str(), two.as_str()]).await?;
        println!("{}", site.top().await?);
        Ok(())
    })
}
