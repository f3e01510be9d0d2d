//! The Leases by which scrapers find each other, and scrapers that are gone.

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};

use super::{
    super::{facts::Facts, finding::Finding},
    Checked, NAMED, NotMade, components, fleet, named, nodes,
};
use crate::{
    catalogue::Code,
    fleet::NodeScrape,
    leases::{Group, Lost, age, holder},
    printed::{count, span},
};

/// Whether the scrapers of each group renew their Leases.
pub(super) fn renewed(facts: &Facts) -> Checked {
    let groups = Group::all(facts.leases.as_ref()?, facts.now);
    if groups.is_empty() {
        let why = "no scraper holds a Lease";
        return Err(NotMade::Nothing(why.to_owned()));
    }
    let scrapers = facts.scrapers.as_deref().ok();
    let mut without = Loss::of(facts).nodes(facts);
    let mut findings = Vec::new();
    for group in groups {
        let wrong = group.unrenewed(scrapers, facts.now);
        let Some(first) = wrong.first() else {
            continue;
        };
        let title = group.title();
        let is_gone = group.is_gone(scrapers.unwrap_or_default());
        let what = if is_gone {
            format!("no scraper of {title} renews its Lease")
        } else {
            format!("{} of {title}", count(wrong.len(), "scraper"))
        };
        let name = first.metadata.name.clone().unwrap_or_default();
        let mut finding = Finding::new(Code::LeaseNotRenewed, what)
            .with("namespace", group.namespace)
            .with("lease", name);
        for lease in wrong.iter().take(NAMED) {
            let age = age(lease, facts.now).unwrap_or_default();
            let name = lease.metadata.name.as_deref().unwrap_or_default();
            finding = finding.seen(format!("{name}: not renewed for {}", span(age)));
        }
        if is_gone {
            finding = finding.seen(without_metrics(&std::mem::take(&mut without)));
        }
        findings.push(finding);
    }
    Ok(findings)
}

/// Whether scrapers are gone whose nodes others scrape.
pub(super) fn lost(facts: &Facts) -> Checked {
    let scrapers = fleet(facts, &facts.scrapers)?;
    if scrapers.is_empty() {
        // Another check says that no stream is open.
        return Ok(Vec::new());
    }
    fleet(facts, &facts.scrapes)?;
    let explains = Loss::of(facts);
    let Some(lost) = &explains.lost else {
        // Without Leases only nodes show it.
        facts.leases.as_ref()?;
        return Ok(Vec::new());
    };
    let namespace = lost.namespace.map(str::to_owned);
    let first = lost.scrapers.first().copied();
    let mut finding = Finding::new(Code::ScraperLost, lost.title())
        .with("namespace", namespace.unwrap_or_else(|| facts.namespace()))
        .with("scraper", first.unwrap_or_default());
    for seen in lost.evidence.iter().take(NAMED) {
        finding = finding.seen(seen);
    }
    for name in lost.scrapers.iter().take(NAMED) {
        let pod = pod(facts, name).filter(|pod| !components::is_ready(pod));
        let why = pod.map(|pod| format!("pod {name}: {}", components::why_not_ready(pod)));
        finding = finding.seen(why.unwrap_or_default());
    }
    if !explains.has_gone {
        finding = finding.seen(without_metrics(&explains.nodes(facts)));
    }
    Ok(vec![finding])
}

/// What scrapers that are gone explain.
#[derive(Debug, Default)]
pub(super) struct Loss<'a> {
    lost: Option<Lost<'a>>,
    /// Whether no scraper of a group is left.
    has_gone: bool,
}

impl<'a> Loss<'a> {
    /// None as long as it is not known which scrapers are connected.
    pub(super) fn of(facts: &'a Facts) -> Self {
        let (Ok(scrapers), Ok(nodes)) = (&facts.scrapers, &facts.scrapes) else {
            return Self::default();
        };
        let leases = facts.leases.as_deref().unwrap_or_default();
        let groups = Group::all(leases, facts.now);
        Self {
            lost: Lost::of(leases, scrapers, nodes, facts.now),
            has_gone: groups.iter().any(|group| group.is_gone(scrapers)),
        }
    }

    /// Whether this scraper is lost.
    pub(super) fn has(&self, scraper: &str) -> bool {
        let lost = self.lost.as_ref();
        lost.is_some_and(|lost| lost.scrapers.contains(&scraper))
    }

    /// Whether it is the reason why a node has no metrics: then it is no trouble of its own.
    pub(super) fn explains(&self, node: &NodeScrape) -> bool {
        let status = &node.status;
        match nodes::of_remedy(&status.remedy) {
            Some(Code::NoScraper) => self.has_gone || self.lost.is_some(),
            Some(Code::ScraperSilent) => {
                let mut owners = status.scrapers.owners.iter();
                self.has(&status.owner) && owners.all(|owner| self.has(owner))
            }
            _ => false,
        }
    }

    /// The nodes without metrics that it explains.
    fn nodes(&self, facts: &'a Facts) -> Vec<&'a str> {
        let nodes = facts.scrapes.iter().flatten();
        let without = nodes.filter(|node| !node.status.has_metrics() && self.explains(node));
        without.map(|node| node.metadata.name.as_str()).collect()
    }
}

/// The evidence for these nodes; empty if there are none.
fn without_metrics(nodes: &[&str]) -> String {
    match nodes {
        [] => String::new(),
        nodes => format!(
            "without metrics, because no other scraper owns them: {}",
            named(nodes)
        ),
    }
}

/// What is known of a scraper besides its stream: its Lease and its pod.
pub(super) fn known_of(facts: &Facts, scraper: &str) -> String {
    let full = |namespace: Option<&String>, name: Option<&String>| {
        let part = |text: Option<&String>| text.map(String::as_str).unwrap_or_default().to_owned();
        format!("{}/{}", part(namespace), part(name))
    };
    let mut leases = facts.leases.iter().flatten();
    let lease = leases.find(|lease| holder(lease) == scraper);
    let lease = lease.map(|it: &Lease| {
        let name = full(it.metadata.namespace.as_ref(), it.metadata.name.as_ref());
        let since = span(age(it, facts.now).unwrap_or_default());
        format!("Lease {name} renewed {since} ago")
    });
    let pod = pod(facts, scraper).map(|it| {
        let name = full(it.metadata.namespace.as_ref(), it.metadata.name.as_ref());
        let state = if components::is_ready(it) {
            "ready".to_owned()
        } else {
            components::why_not_ready(it)
        };
        format!("pod {name}: {state}")
    });
    let known: Vec<String> = lease.into_iter().chain(pod).collect();
    match &*known {
        [] => String::new(),
        known => format!("{scraper}: {}", known.join(", ")),
    }
}

/// The pod of a scraper, which has its name unless a flag says otherwise.
fn pod<'a>(facts: &'a Facts, scraper: &str) -> Option<&'a Pod> {
    let mut pods = facts.pods.iter().flatten();
    pods.find(|pod| pod.metadata.name.as_deref() == Some(scraper))
}
