//! Nodes without metrics, and with old ones.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;

use super::{
    super::{facts::Facts, finding::Finding},
    Checked, NotMade, fleet,
    leases::{Loss, known_of},
    named,
};
use crate::{
    catalogue::Code,
    fleet::{NodeScrape, Sample},
    printed::{between, count, span},
};

/// How old a node is before it should have metrics.
const SETTLED: Duration = Duration::from_mins(2);

/// How old metrics may be, whatever the resolution is.
const OLD: Duration = Duration::from_mins(1);

/// By how much clocks may differ.
const AHEAD: SignedDuration = SignedDuration::from_secs(5);

/// The trouble whose remedy the fleet names.
pub(super) fn of_remedy(remedy: &str) -> Option<Code> {
    Some(match remedy {
        "FrontendLimit" => Code::FrontendLimit,
        "KubeletAccess" => Code::KubeletAccess,
        "KubeletAnswer" => Code::KubeletAnswer,
        "KubeletCertificate" => Code::KubeletCertificate,
        "KubeletPage" => Code::KubeletPage,
        "KubeletPageSize" => Code::KubeletPageSize,
        "KubeletStale" => Code::KubeletStale,
        "KubeletTimeout" => Code::KubeletTimeout,
        "KubeletUnreachable" => Code::KubeletUnreachable,
        "NoScraper" => Code::NoScraper,
        "NodeAddress" => Code::NodeAddress,
        "ScraperSilent" => Code::ScraperSilent,
        _ => return None,
    })
}

/// Nodes without metrics, by what helps.
pub(super) fn nodes(facts: &Facts) -> Checked {
    let scrapes = match fleet(facts, &facts.scrapes) {
        Err(NotMade::Nothing(_)) => return without_fleet(facts),
        scrapes => scrapes?,
    };
    let mut groups: BTreeMap<Code, Vec<&NodeScrape>> = BTreeMap::new();
    let mut unexplained = Vec::new();
    // Then no node can have metrics, whatever else is wrong with it: another check finds that.
    let alone = facts.scrapers.as_ref().is_ok_and(Vec::is_empty);
    let loss = Loss::of(facts);
    let without = scrapes.iter().filter(|node| !node.status.has_metrics());
    for node in without.filter(|node| !loss.explains(node)) {
        match of_remedy(&node.status.remedy) {
            None | Some(Code::NoScraper | Code::ScraperSilent) if alone => {}
            Some(code) => groups.entry(code).or_default().push(node),
            None => unexplained.push(node),
        }
    }
    if groups.is_empty() && !unexplained.is_empty() {
        let names = named(unexplained.iter().map(|node| node.metadata.name.as_str()));
        let states = unexplained.first().map(|node| node.status.message.as_str());
        let why = format!(
            "{} not served yet: {names}: {}",
            count(unexplained.len(), "node"),
            states.unwrap_or_default()
        );
        return Err(NotMade::Unknown(why));
    }
    let finding = |(code, nodes): (Code, Vec<&NodeScrape>)| of_group(facts, code, &nodes);
    Ok(groups.into_iter().map(finding).collect())
}

fn of_group(facts: &Facts, code: Code, nodes: &[&NodeScrape]) -> Finding {
    let names = || nodes.iter().map(|node| node.metadata.name.as_str());
    let mut owners: Vec<&str> = nodes.iter().map(|it| it.status.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    let mut of_what = count(nodes.len(), "node");
    if code == Code::ScraperSilent {
        of_what = format!("{of_what} of {}", named(&owners));
    }
    let what = format!("{of_what}: {}", named(names()));
    let first = nodes.first();
    let owner = first.map(|node| node.status.owner.as_str());
    let name = names().next().unwrap_or_default();
    let Listens { address, port } = Listens::of(facts, name);
    let mut finding = Finding::new(code, what)
        .with("node", name)
        .with("address", address)
        .with("port", port)
        .with("namespace", facts.namespace())
        .with("owner", owner.unwrap_or_default());
    let not_ready = |name: &&str| {
        let mut all = facts.nodes.iter().flatten();
        all.any(|node| node.metadata.name.as_deref() == Some(name) && !is_ready(node))
    };
    let not_ready: Vec<&str> = names().filter(not_ready).collect();
    if !not_ready.is_empty() {
        finding = finding.seen(format!("not Ready, says Kubernetes: {}", named(not_ready)));
    }
    let mut seen: Vec<&str> = Vec::new();
    for node in nodes {
        let message = node.status.message.as_str();
        if !seen.contains(&message) && seen.len() < super::NAMED {
            seen.push(message);
            finding = finding.seen(format!("{}: {message}", node.metadata.name));
        }
    }
    if code == Code::ScraperSilent {
        for owner in owners.into_iter().take(super::NAMED) {
            finding = finding.seen(known_of(facts, owner));
        }
    }
    finding
}

/// Where the kubelet of a node listens, as its Node says. Empty if it does not.
#[derive(Debug, Default)]
struct Listens {
    address: String,
    port: String,
}

impl Listens {
    fn of(facts: &Facts, name: &str) -> Self {
        let mut nodes = facts.nodes.iter().flatten();
        let node = nodes.find(|node| node.metadata.name.as_deref() == Some(name));
        let Some(status) = node.and_then(|node| node.status.as_ref()) else {
            return Self::default();
        };
        let addresses = status.addresses.iter().flatten();
        // An address of the cloud outside, or a name, where there is no other.
        let best = addresses.min_by_key(|address| address.type_ != "InternalIP");
        let address = best.map(|best| {
            if best.address.contains(':') {
                format!("[{}]", best.address)
            } else {
                best.address.clone()
            }
        });
        let endpoints = status.daemon_endpoints.as_ref();
        let kubelet = endpoints.and_then(|endpoints| endpoints.kubelet_endpoint.as_ref());
        let port = kubelet.filter(|kubelet| kubelet.port > 0);
        let port = port.map(|kubelet| kubelet.port.to_string());
        Self {
            address: address.unwrap_or_default(),
            port: port.unwrap_or_default(),
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    // Nodes without a kubelet have no conditions.
    conditions.all(|condition| condition.type_ != "Ready" || condition.status == "True")
}

/// What another server than Tributary lacks: it does not say why.
fn without_fleet(facts: &Facts) -> Checked {
    let measured = facts.measured.as_ref()?;
    let nodes = facts.nodes.as_ref()?;
    let settled = |node: &&Node| {
        let created = node.metadata.creation_timestamp.as_ref();
        created.is_none_or(|at| between(at.0, facts.now) > SETTLED)
    };
    let names = nodes
        .iter()
        .filter(settled)
        .filter_map(|node| node.metadata.name.as_deref());
    let missing: Vec<&str> = names
        .filter(|name| !measured.iter().any(|it| it == name))
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let what = format!(
        "{}: {}",
        count(missing.len(), "node"),
        named(missing.iter().copied())
    );
    let mut finding =
        Finding::new(Code::NodesWithoutMetrics, what).with("namespace", facts.namespace());
    let unready = nodes.iter().filter(|node| !is_ready(node));
    let unready = unready.filter_map(|node| node.metadata.name.as_deref());
    let unready: Vec<&str> = unready.filter(|name| missing.contains(name)).collect();
    if !unready.is_empty() {
        finding = finding.seen(format!("not Ready, says Kubernetes: {}", named(unready)));
    }
    Ok(vec![finding])
}

/// Nodes whose metrics are old, or from the future.
pub(super) fn ages(facts: &Facts) -> Checked {
    let scrapes = fleet(facts, &facts.scrapes)?;
    let (mut old, mut ahead) = (Vec::new(), Vec::new());
    for node in scrapes.iter().filter(|node| node.status.has_metrics()) {
        let Some(sample) = &node.status.sample else {
            continue;
        };
        let limit = OLD.max(resolution(node) * 4);
        let age = sample.measured_at.map(|at| between(at, facts.now));
        if is_ahead(sample) {
            ahead.push(node);
        } else if age.is_some_and(|age| age > limit) {
            old.push(node);
        }
    }
    let mut findings = Vec::new();
    for (code, nodes) in [(Code::MetricsOld, old), (Code::ClockAhead, ahead)] {
        if !nodes.is_empty() {
            findings.push(aged(code, &nodes, facts.now));
        }
    }
    Ok(findings)
}

fn aged(code: Code, nodes: &[&NodeScrape], now: Timestamp) -> Finding {
    let names = || nodes.iter().map(|node| node.metadata.name.as_str());
    let what = format!("{}: {}", count(nodes.len(), "node"), named(names()));
    let mut finding = Finding::new(code, what).with("node", names().next().unwrap_or_default());
    for node in nodes.iter().take(super::NAMED) {
        let Some(sample) = &node.status.sample else {
            continue;
        };
        let measured = sample.measured_at.unwrap_or(sample.scraped_at);
        let scraped = span(between(sample.scraped_at, now));
        let text = match code {
            Code::ClockAhead => format!(
                "measured {} after the scrape",
                span(between(sample.scraped_at, measured))
            ),
            _ => format!(
                "measured {} ago, scraped {scraped} ago",
                span(between(measured, now))
            ),
        };
        finding = finding.seen(format!("{}: {text}", node.metadata.name));
    }
    finding
}

fn is_ahead(sample: &Sample) -> bool {
    let measured = sample.measured_at;
    measured.is_some_and(|at| at.duration_since(sample.scraped_at) > AHEAD)
}

/// How often the node is scraped; zero if it is not known.
fn resolution(node: &NodeScrape) -> Duration {
    let text: Result<SignedDuration, _> = node.status.resolution.parse();
    let span = text.ok().and_then(|span| Duration::try_from(span).ok());
    span.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_remedy_of_the_fleet_is_a_trouble_of_the_same_name() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FLEET.md");
        let text = std::fs::read_to_string(page).unwrap();
        let (_, remedies) = text.split_once("\n## Remedies\n").unwrap();
        let titles = remedies
            .lines()
            .filter_map(|line| line.strip_prefix("### "));
        let names = titles.map(|title| (title, of_remedy(title).map(|code| code.trouble().name)));
        let names: Vec<_> = names.collect();
        assert!(names.len() > 10, "{names:?}");
        for (title, name) in names {
            assert_eq!(name, Some(title));
        }
    }
}
