//! Scrapers in groups by labels of nodes: each asks its own, together they ask all.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};
use tributary_controlplane::patience::eventually;

use crate::site::{NAMESPACE, Site, on_site};

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
        a_group_publishes_its_own_nodes_only(&site, &[one.as_str(), two.as_str()]).await
    })
}

/// How many messages each frontend has refused, since they were about nodes of others.
async fn refused(site: &Site) -> anyhow::Result<Vec<u64>> {
    let name = "tributary_bus_refused_total{reason=\"node\"} ";
    let mut refused = Vec::new();
    for (_, ip) in site.pods_of("frontend").await? {
        let metrics = site.ask_pod("frontend", &ip, "/metrics").await?;
        let count = metrics.lines().find_map(|line| line.strip_prefix(name));
        refused.push(count.context("the metric")?.parse()?);
    }
    Ok(refused)
}

/// Makes scrapers of the group `edge` ask all nodes: under their account, frontends do not take those of others.
async fn a_group_publishes_its_own_nodes_only(site: &Site, edge: &[&str]) -> anyhow::Result<()> {
    for (pod, _) in site.pods_of("scraper").await? {
        let group = pod.pointer("/metadata/labels/tributary.dev~1scraper-group");
        let group = group.and_then(Value::as_str).context("a group")?;
        let account = format!("tributary-scraper-{group}");
        assert_eq!(pod["spec"]["serviceAccountName"], account.as_str());
    }
    let before = refused(site).await?;
    let printed = "jsonpath={.spec.template.spec.containers[0].args}";
    let deployment = "deploy/tributary-scraper-edge";
    let args = site
        .kubectl
        .ok(&["get", deployment, "-n", NAMESPACE, "-o", printed])
        .await?;
    let args = args.replace("--node-selector=pool=edge", "--node-selector=");
    let args: Value = serde_json::from_str(&args)?;
    let at = "/spec/template/spec/containers/0/args";
    let patch = json!([{ "op": "replace", "path": at, "value": args }]).to_string();
    let patch = [
        "patch",
        deployment,
        "-n",
        NAMESPACE,
        "--type=json",
        "-p",
        &patch,
    ];
    site.kubectl.ok(&patch).await?;
    eventually("frontends refuse what edge says of the others", || async {
        let now = refused(site).await?;
        let all = now
            .iter()
            .zip(&before)
            .all(|(now, before)| *now > before + 3);
        anyhow::ensure!(all, "{before:?}, {now:?}");
        Ok(())
    })
    .await?;
    for (node, owners) in owners(site).await?.into_iter().flatten() {
        let is_edge = edge.contains(&node.as_str());
        let mut owners = owners.iter();
        let all = owners.all(|owner| owner.starts_with("tributary-scraper-edge-") == is_edge);
        assert!(all, "{node}: {owners:?}");
    }
    println!("{}", site.top().await?);
    Ok(())
}
