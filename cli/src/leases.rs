//! What is seen of scrapers that are gone: their Leases are not renewed, their pods do not run, and nodes have a rescuer and
//! no owner.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};

use crate::{
    fleet::{NodeScrape, Scraper},
    printed::{between, count, some_of, span},
};

/// The path of the Leases of scrapers, of all groups.
pub const LEASES: &str = "/apis/coordination.k8s.io/v1/leases?labelSelector=tributary.dev%2Fgroup";

/// The label of the Leases of a group.
const GROUP: &str = "tributary.dev/group";

/// The labels that say of what a pod is a part, and of which component.
const NAME: &str = "app.kubernetes.io/name";
const COMPONENT: &str = "app.kubernetes.io/component";

/// The component, and its container.
const SCRAPER: &str = "scraper";

/// How many names are shown.
const NAMED: usize = 5;

/// The Leases of a group of scrapers.
#[derive(Debug)]
pub struct Group<'a> {
    /// Where they are.
    pub namespace: &'a str,
    name: &'a str,
    leases: Vec<&'a Lease>,
    /// Those that are not renewed.
    pub old: Vec<&'a Lease>,
}

impl<'a> Group<'a> {
    /// The groups of these Leases, as they stand `now`.
    #[must_use]
    pub fn all(leases: &'a [Lease], now: Timestamp) -> Vec<Self> {
        let mut groups: BTreeMap<(&str, &str), Vec<&Lease>> = BTreeMap::new();
        for lease in leases {
            let labels = lease.metadata.labels.as_ref();
            let name = labels.and_then(|labels| labels.get(GROUP));
            let namespace = lease.metadata.namespace.as_deref().unwrap_or_default();
            let key = (namespace, name.map_or("", String::as_str));
            groups.entry(key).or_default().push(lease);
        }
        let group = |((namespace, name), leases): ((&'a str, &'a str), Vec<&'a Lease>)| {
            let old = leases.iter().copied();
            let old = old.filter(|it| overdue(it, now).is_some());
            Self {
                namespace,
                name,
                old: old.collect(),
                leases,
            }
        };
        groups.into_iter().map(group).collect()
    }

    /// Whether none is renewed.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.old.len() == self.leases.len()
    }

    /// For people.
    #[must_use]
    pub fn title(&self) -> String {
        let namespace = self.namespace;
        match self.name {
            "" => format!("the default group in {namespace}"),
            name => format!("group {name} in {namespace}"),
        }
    }
}

/// How long ago a Lease was renewed, if that is more than three times as long as it lasts.
#[must_use]
pub fn overdue(lease: &Lease, now: Timestamp) -> Option<Duration> {
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

/// Whether the scraper of a Lease is one of these.
#[must_use]
pub fn is_connected(scrapers: &[Scraper], lease: &Lease) -> bool {
    let holder = holder(lease);
    scrapers.iter().any(|it| it.status.source == holder)
}

/// Scrapers that are gone while others run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost<'a> {
    /// By their Leases.
    pub scrapers: Vec<&'a str>,
    /// Where the first of these Leases is.
    pub namespace: Option<&'a str>,
    /// What was seen.
    pub evidence: Vec<String>,
    /// How many nodes others scrape, and none owns.
    orphans: usize,
}

impl<'a> Lost<'a> {
    /// Those of which the Lease expires, or the nodes have a rescuer and no owner. None where no scraper is connected: then
    /// no other has taken over.
    #[must_use]
    pub fn of(
        leases: &'a [Lease],
        scrapers: &[Scraper],
        nodes: &'a [NodeScrape],
        now: Timestamp,
    ) -> Option<Self> {
        if scrapers.is_empty() {
            return None;
        }
        let mut lost = Self {
            scrapers: Vec::new(),
            namespace: None,
            evidence: Vec::new(),
            orphans: 0,
        };
        let groups = Group::all(leases, now);
        for group in groups.iter().filter(|group| !group.is_gone()) {
            let gone = group.old.iter().copied();
            for lease in gone.filter(|it| !is_connected(scrapers, it)) {
                let age = span(overdue(lease, now).unwrap_or_default());
                let (name, title) = (holder(lease), group.title());
                lost.evidence.push(format!(
                    "{name} of {title}: Lease not renewed for {age}, and no stream"
                ));
                lost.scrapers.push(name);
                lost.namespace = lost.namespace.or(Some(group.namespace));
            }
        }
        lost.rescued(nodes);
        (!lost.scrapers.is_empty() || lost.orphans > 0).then_some(lost)
    }

    /// For people.
    #[must_use]
    pub fn title(&self) -> String {
        match self.scrapers.len() {
            0 => format!("{} without an owner", count(self.orphans, "node")),
            lost => {
                let names = some_of(&self.scrapers, NAMED);
                format!("{}: {names}", count(lost, "scraper"))
            }
        }
    }

    /// Adds the nodes that no connected scraper owns although they are scraped, and who scrapes them.
    fn rescued(&mut self, nodes: &[NodeScrape]) {
        let mut rescuers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for node in nodes {
            let roles = &node.status.scrapers;
            let Some(rescuer) = roles.rescuers.first().filter(|_| roles.owners.is_empty()) else {
                continue;
            };
            self.orphans += 1;
            let nodes = rescuers.entry(rescuer).or_default();
            nodes.push(&node.metadata.name);
        }
        let line = |(rescuer, nodes): (&str, Vec<&str>)| {
            let number = count(nodes.len(), "node");
            let names = some_of(nodes, NAMED);
            format!("{rescuer} rescues {number} without an owner: {names}")
        };
        self.evidence.extend(rescuers.into_iter().map(line));
    }
}

/// What shows that no scraper runs, where no frontend says so. Empty if one may run (a Lease is renewed, or a pod is ready or
/// has just been created), and if neither Leases nor pods are those of Tributary: it may have other labels.
#[must_use]
pub fn none_runs(leases: &[Lease], pods: &[Pod], now: Timestamp) -> Vec<String> {
    let ours = pods.iter().filter(|pod| has_label(pod, NAME, "tributary"));
    let ours: Vec<&Pod> = ours.collect();
    if leases.is_empty() && ours.is_empty() {
        return Vec::new();
    }
    let scrapers = ours.into_iter();
    let scrapers = scrapers.filter(|pod| is_of_scraper(pod));
    let scrapers: Vec<&Pod> = scrapers.collect();
    let groups = Group::all(leases, now);
    let is_renewed = groups
        .iter()
        .any(|group| group.old.len() < group.leases.len());
    // Without Leases only its state says whether a pod runs: without a frontend none becomes ready.
    let may_run =
        |pod: &&Pod| is_ready(pod) || is_new(pod, now) || (leases.is_empty() && is_running(pod));
    if is_renewed || scrapers.iter().any(may_run) {
        return Vec::new();
    }
    let gone = groups.iter().map(Group::title);
    let gone = gone.map(|title| format!("no scraper of {title} renews its Lease"));
    let pods = match scrapers.len() {
        0 => "there is no pod of a scraper".to_owned(),
        number => format!("0 of {} of scrapers ready", count(number, "pod")),
    };
    gone.take(NAMED).chain([pods]).collect()
}

/// Whether a scraper runs in this pod: in one of its own, or beside a frontend.
fn is_of_scraper(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_ref());
    let containers = spec.map(|spec| &spec.containers);
    let mut all = containers.into_iter().chain(init).flatten();
    has_label(pod, COMPONENT, SCRAPER) || all.any(|container| container.name == SCRAPER)
}

fn has_label(pod: &Pod, name: &str, value: &str) -> bool {
    let labels = pod.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(name));
    label.is_some_and(|label| label == value)
}

/// How old a pod is before it should run: the time to pull an image.
const STARTS: Duration = Duration::from_mins(1);

fn is_new(pod: &Pod, now: Timestamp) -> bool {
    let created = pod.metadata.creation_timestamp.as_ref();
    created.is_some_and(|at| between(at.0, now) < STARTS)
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the scraper in it runs.
fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let all = containers.into_iter().chain(init).flatten();
    let mut scrapers = all.filter(|it| it.name == SCRAPER);
    scrapers.any(|it| {
        let state = it.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    })
}
