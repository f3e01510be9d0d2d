//! The Leases by which scrapers find each other, and what is seen of scrapers that are gone.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

use super::{
    super::{facts::Facts, finding::Finding},
    Checked, NAMED, NotMade, fleet, named,
};
use crate::{
    catalogue::Code,
    fleet::NodeScrape,
    printed::{between, count, span},
};

/// The label of the Leases of a group.
const GROUP: &str = "tributary.dev/group";

/// The Leases of a group of scrapers.
struct Group<'a> {
    namespace: &'a str,
    name: &'a str,
    leases: Vec<&'a Lease>,
    /// Those that are not renewed.
    old: Vec<&'a Lease>,
}

impl<'a> Group<'a> {
    fn all(facts: &'a Facts) -> Result<Vec<Self>, NotMade> {
        let mut groups: BTreeMap<(&str, &str), Vec<&Lease>> = BTreeMap::new();
        for lease in facts.leases.as_ref()? {
            let labels = lease.metadata.labels.as_ref();
            let name = labels.and_then(|labels| labels.get(GROUP));
            let namespace = lease.metadata.namespace.as_deref().unwrap_or_default();
            let key = (namespace, name.map_or("", String::as_str));
            groups.entry(key).or_default().push(lease);
        }
        let group = |((namespace, name), leases): ((&'a str, &'a str), Vec<&'a Lease>)| {
            let old = leases.iter().copied();
            let old = old.filter(|it| overdue(it, facts.now).is_some());
            Self {
                namespace,
                name,
                old: old.collect(),
                leases,
            }
        };
        Ok(groups.into_iter().map(group).collect())
    }

    /// Whether none is renewed.
    fn is_gone(&self) -> bool {
        self.old.len() == self.leases.len()
    }

    /// For people.
    fn title(&self) -> String {
        let namespace = self.namespace;
        match self.name {
            "" => format!("the default group in {namespace}"),
            name => format!("group {name} in {namespace}"),
        }
    }
}

/// How long ago a Lease was renewed, if that is more than three times as long as it lasts.
fn overdue(lease: &Lease, now: Timestamp) -> Option<Duration> {
    let spec = lease.spec.as_ref()?;
    let age = between(spec.renew_time.as_ref()?.0, now);
    let lasts = u64::try_from(spec.lease_duration_seconds?).unwrap_or_default();
    (age > Duration::from_secs(3 * lasts)).then_some(age)
}

/// The scraper that holds it.
fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

/// Whether its scraper is connected to the frontend that answers; `None` if that is not known.
fn is_connected(facts: &Facts, lease: &Lease) -> Option<bool> {
    let scrapers = facts.scrapers.as_ref().ok()?;
    let holder = holder(lease);
    Some(scrapers.iter().any(|it| it.status.source == holder))
}

/// The groups in which no Lease is renewed, for people. Empty if that is not known.
pub(super) fn gone(facts: &Facts) -> Vec<String> {
    let groups = Group::all(facts).unwrap_or_default();
    let gone = groups.iter().filter(|group| group.is_gone());
    gone.map(Group::title).collect()
}

/// Whether the scrapers of each group renew their Leases.
pub(super) fn renewed(facts: &Facts) -> Checked {
    let groups = Group::all(facts)?;
    if groups.is_empty() {
        let why = "no scraper holds a Lease";
        return Err(NotMade::Nothing(why.to_owned()));
    }
    let mut findings = Vec::new();
    for group in groups {
        // One that is not connected is lost, which is another check.
        let counts = |it: &&&Lease| group.is_gone() || is_connected(facts, it) != Some(false);
        let wrong: Vec<&&Lease> = group.old.iter().filter(counts).collect();
        let Some(first) = wrong.first() else {
            continue;
        };
        let title = group.title();
        let what = if group.is_gone() {
            format!("no scraper of {title} renews its Lease")
        } else {
            format!("{} of {title}", count(wrong.len(), "scraper"))
        };
        let name = |lease: &Lease| lease.metadata.name.clone().unwrap_or_default();
        let mut finding = Finding::new(Code::LeaseNotRenewed, what)
            .with("namespace", group.namespace)
            .with("lease", name(first));
        for lease in wrong.iter().take(NAMED) {
            let age = overdue(lease, facts.now).unwrap_or_default();
            finding = finding.seen(format!("{}: not renewed for {}", name(lease), span(age)));
        }
        findings.push(finding);
    }
    Ok(findings)
}

/// Whether scrapers are gone whose nodes others scrape: their Leases expire, or nodes have a rescuer and no owner.
pub(super) fn lost(facts: &Facts) -> Checked {
    if fleet(facts, &facts.scrapers)?.is_empty() {
        // Nobody scrapes the nodes of others: another check says that no stream is open.
        return Ok(Vec::new());
    }
    let nodes = fleet(facts, &facts.scrapes)?;
    let groups = Group::all(facts)?;
    let (mut names, mut evidence) = (Vec::new(), Vec::new());
    let mut namespace = None;
    for group in groups.iter().filter(|group| !group.is_gone()) {
        let gone = group.old.iter();
        for lease in gone.filter(|it| is_connected(facts, it) == Some(false)) {
            let age = span(overdue(lease, facts.now).unwrap_or_default());
            let (name, title) = (holder(lease), group.title());
            evidence.push(format!(
                "{name} of {title}: Lease not renewed for {age}, and no stream"
            ));
            names.push(name);
            namespace = namespace.or(Some(group.namespace));
        }
    }
    let (orphans, rescues) = rescued(nodes);
    evidence.extend(rescues);
    let what = match (names.len(), orphans) {
        (0, 0) => return Ok(Vec::new()),
        (0, orphans) => format!("{} without an owner", count(orphans, "node")),
        (lost, _) => format!("{}: {}", count(lost, "scraper"), named(&names)),
    };
    let namespace = namespace.map_or_else(|| facts.namespace(), str::to_owned);
    let mut finding = Finding::new(Code::ScraperLost, what)
        .with("namespace", namespace)
        .with("scraper", names.first().copied().unwrap_or_default());
    for seen in evidence.into_iter().take(NAMED) {
        finding = finding.seen(seen);
    }
    Ok(vec![finding])
}

/// How many nodes no connected scraper owns although they are scraped, and who scrapes them.
fn rescued(nodes: &[NodeScrape]) -> (usize, Vec<String>) {
    let mut rescuers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut orphans = 0;
    for node in nodes {
        let roles = &node.status.scrapers;
        let Some(rescuer) = roles.rescuers.first().filter(|_| roles.owners.is_empty()) else {
            continue;
        };
        orphans += 1;
        rescuers
            .entry(rescuer)
            .or_default()
            .push(&node.metadata.name);
    }
    let line = |(rescuer, nodes): (&str, Vec<&str>)| {
        let number = count(nodes.len(), "node");
        format!(
            "{rescuer} rescues {number} without an owner: {}",
            named(nodes)
        )
    };
    (orphans, rescuers.into_iter().map(line).collect())
}
