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

/// After how many times its duration a Lease shows that no scraper renews it, if nothing else does.
const OVERDUE: u32 = 3;

/// The same for a scraper with a stream. Frontends close that of a process that hangs within 45 s: one that has a stream
/// after a minute runs, and cannot write its Lease.
const RUNS: u32 = 4;

/// A date of a server has whole seconds: it may be this much later.
const DATE: Duration = Duration::from_secs(1);

/// The Leases of a group of scrapers.
#[derive(Debug)]
pub struct Group<'a> {
    /// Where they are.
    pub namespace: &'a str,
    name: &'a str,
    leases: Vec<&'a Lease>,
    /// Those that have expired.
    expired: Vec<&'a Lease>,
    /// Those that expired so long ago that clocks and pauses do not explain it.
    old: Vec<&'a Lease>,
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
            let after = |times| {
                let late = leases.iter().copied();
                late.filter(|it| is_late(it, now, times)).collect()
            };
            Self {
                namespace,
                name,
                expired: after(1),
                old: after(OVERDUE),
                leases,
            }
        };
        groups.into_iter().map(group).collect()
    }

    /// Whether no scraper of it is left: none has renewed its Lease for long, or all have expired and none has a stream
    /// although others have.
    #[must_use]
    pub fn is_gone(&self, scrapers: &[Scraper]) -> bool {
        let is_connected = |lease: &&Lease| is_connected(scrapers, lease);
        let others_are = !scrapers.is_empty() && !self.leases.iter().any(is_connected);
        let all = self.leases.len();
        self.old.len() == all || (others_are && self.expired.len() == all)
    }

    /// The Leases of a group that is gone, or those of its scrapers that run and do not renew them. Without `scrapers` it is
    /// not known which run.
    #[must_use]
    pub fn unrenewed(&self, scrapers: Option<&[Scraper]>, now: Timestamp) -> Vec<&'a Lease> {
        if self.is_gone(scrapers.unwrap_or_default()) {
            return self.expired.clone();
        }
        let runs = |lease: &&Lease| {
            let has_stream = scrapers.is_none_or(|scrapers| is_connected(scrapers, lease));
            has_stream && is_late(lease, now, RUNS)
        };
        self.old.iter().copied().filter(runs).collect()
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

/// How long ago a Lease was renewed.
#[must_use]
pub fn age(lease: &Lease, now: Timestamp) -> Option<Duration> {
    let spec = lease.spec.as_ref()?;
    Some(between(spec.renew_time.as_ref()?.0, now))
}

/// Whether a Lease was not renewed for so many times its duration.
fn is_late(lease: &Lease, now: Timestamp, times: u32) -> bool {
    let spec = lease.spec.as_ref();
    let lasts = spec.and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok());
    let limit = lasts.map(|lasts| Duration::from_secs(lasts).saturating_mul(times));
    age(lease, now)
        .zip(limit)
        .is_some_and(|(age, limit)| age > limit)
}

/// The scraper that holds it.
#[must_use]
pub fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

/// Whether the scraper of a Lease is one of these.
fn is_connected(scrapers: &[Scraper], lease: &Lease) -> bool {
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
    /// How many nodes none owns, although others stand by.
    orphans: usize,
}

impl<'a> Lost<'a> {
    /// Those whose Lease expires, and those that leave nodes without an owner. None where no scraper is connected: then no
    /// other has taken over.
    ///
    /// Without a gap from the end of a stream until the Lease is deleted: its nodes have no owner until the Lease has expired
    /// for the other scrapers, and with fixed shards until the scraper is back. A scraper that stops in order deletes its
    /// Lease, and its nodes have another owner before its stream ends.
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
        let orphans = Orphans::of(nodes);
        let mut lost = Self {
            scrapers: Vec::new(),
            namespace: None,
            evidence: Vec::new(),
            orphans: orphans.count,
        };
        let groups = Group::all(leases, now);
        let some_renew = |group: &&Group<'_>| group.expired.len() < group.leases.len();
        for group in groups.iter().filter(some_renew) {
            for lease in &group.leases {
                let has_stream = is_connected(scrapers, lease);
                let latest = if has_stream { now } else { now + DATE };
                let since = span(age(lease, now).unwrap_or_default());
                let seen = match (is_late(lease, latest, 1), has_stream) {
                    (true, false) => format!("Lease not renewed for {since}, and no stream"),
                    (true, true) if !is_late(lease, now, RUNS) => format!(
                        "Lease not renewed for {since}, and a stream: it hangs, or cannot write"
                    ),
                    (false, false) if orphans.count > 0 => {
                        format!("no stream, Lease renewed {since} ago")
                    }
                    _ => continue,
                };
                let (name, title) = (holder(lease), group.title());
                lost.evidence.push(format!("{name} of {title}: {seen}"));
                lost.scrapers.push(name);
                lost.namespace = lost.namespace.or(Some(group.namespace));
            }
        }
        lost.evidence.extend(orphans.lines());
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
}

/// Nodes that no connected scraper owns although others know them, by the scraper that scrapes them, or that would.
#[derive(Debug, Default)]
struct Orphans<'a> {
    count: usize,
    rescued: BTreeMap<&'a str, Vec<&'a str>>,
    /// Their newest samples are not overdue yet, or a rescue has just ended.
    waiting: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Orphans<'a> {
    fn of(nodes: &'a [NodeScrape]) -> Self {
        let mut orphans = Self::default();
        for node in nodes {
            let roles = &node.status.scrapers;
            if !roles.owners.is_empty() {
                continue;
            }
            let (by, scraper) = match (roles.rescuers.first(), roles.standby.first()) {
                (Some(rescuer), _) => (&mut orphans.rescued, rescuer),
                // The former owner goes on until the new one is there.
                (None, Some(standby)) if roles.leaving.is_empty() => {
                    (&mut orphans.waiting, standby)
                }
                _ => continue,
            };
            let nodes = by.entry(scraper).or_default();
            nodes.push(&node.metadata.name);
            orphans.count += 1;
        }
        orphans
    }

    fn lines(&self) -> Vec<String> {
        let line = |scraper: &str, does: &str, nodes: &[&str]| {
            let number = count(nodes.len(), "node");
            let names = some_of(nodes, NAMED);
            format!("{scraper} {does} {number} without an owner: {names}")
        };
        let rescued = self.rescued.iter();
        let rescued = rescued.map(|(by, nodes)| line(by, "rescues", nodes));
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|(by, nodes)| line(by, "stands by for", nodes));
        rescued.chain(waiting).collect()
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
