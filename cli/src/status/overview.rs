//! What there is to show, from what the API says.

mod silence;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Pod},
    apimachinery::pkg::version::Info,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use serde::Serialize;

use self::silence::silence;
use crate::{
    api_services::{API_SERVICES, METRICS, Registration},
    commands::Commands,
    doctor::Endpoint,
    fleet::{FLEET, MetricsFrontend, NodeScrape, Scraper},
    kube_api::{Dated, Failure, KubeApi},
    leases::{LEASES, Lost, none_runs},
    printed::{Outcome, between},
};

/// The group that kubectl and autoscalers ask.
const METRICS_GROUP: &str = ".metrics.k8s.io";

const NOT_REGISTERED: &str =
    "metrics.k8s.io is not registered: kubectl top and autoscalers have no metrics";

const NO_SCRAPER: &str =
    "no scraper is connected to the frontend that answers: what it has expires";

/// All that is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Whether something is wrong.
    pub outcome: Outcome,
    /// When the frontend answered, by its clock.
    pub date: Option<Timestamp>,
    /// The version of kube-apiserver.
    pub kubernetes: String,
    /// How our groups are registered.
    pub api_services: Vec<Registration>,
    /// The endpoints of the Service of `metrics.k8s.io`: ready, and all.
    pub endpoints: Option<(usize, usize)>,
    /// The frontend that answers.
    pub frontends: Vec<MetricsFrontend>,
    /// The connected scrapers.
    pub scrapers: Vec<Scraper>,
    /// How the nodes stand.
    pub nodes: NodeCounts,
    /// Seconds since the scrape of the newest sample of each node that has metrics.
    pub since_scrape: Option<Spread>,
    /// Seconds since the kubelet measured it. Some nodes do not say when.
    pub since_measurement: Option<Spread>,
    /// Nodes without metrics, by what is wrong, most nodes first.
    pub without_metrics: Vec<Group>,
    /// What is wrong with the fleet as a whole.
    pub wrong: Vec<String>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
    /// Commands to copy, for the cluster of the caller.
    #[serde(skip)]
    pub commands: Commands,
}

/// How many nodes are in each state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// All of them.
    pub total: usize,
    /// Those that have metrics.
    pub with_metrics: usize,
    /// By state.
    pub by_state: BTreeMap<String, usize>,
}

/// How values are spread: of a hundred nodes, so many have at most this one. In seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// How many nodes there are.
    pub nodes: usize,
    /// Of 50.
    pub p50: f64,
    /// Of 90.
    pub p90: f64,
    /// Of 99.
    pub p99: f64,
    /// Of all.
    pub max: f64,
}

/// Nodes with the same trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The state of the first.
    pub state: String,
    /// Why, in a word.
    pub reason: String,
    /// A section of docs/FLEET.md.
    pub remedy: String,
    /// The nodes.
    pub nodes: Vec<String>,
    /// What is said of the first of them.
    pub message: String,
}

impl Overview {
    /// Reads everything. What cannot be read is in [`Overview::unread`].
    pub async fn read(api: &KubeApi) -> Self {
        Self::with_nodes(api).await.0
    }

    /// The same, with the nodes; `None` if they cannot be read.
    pub async fn with_nodes(api: &KubeApi) -> (Self, Option<Vec<NodeScrape>>) {
        let list = |kind: &str| format!("{FLEET}/{kind}");
        let (nodes, scrapers, frontends) = (
            list("nodescrapes"),
            list("scrapers"),
            list("metricsfrontends"),
        );
        let (version, services, nodes, scrapers, frontends, leases) = futures::join!(
            api.get::<Info>("/version"),
            api.list::<APIService>(API_SERVICES),
            api.dated_list::<NodeScrape>(&nodes),
            api.list::<Scraper>(&scrapers),
            api.list::<MetricsFrontend>(&frontends),
            api.if_known::<Lease>(LEASES),
        );
        let mut unread = Unread::default();
        let services = services.map(|all| Registration::all(&all));
        let services = unread.or_default(services.map(Some), "APIServices");
        let endpoints = endpoints(api, services.as_deref(), &mut unread).await;
        let failed = [
            nodes.as_ref().err(),
            scrapers.as_ref().err(),
            frontends.as_ref().err(),
        ];
        let silence = silence(failed, services.as_deref(), endpoints);
        let fleet = unread.or_default(nodes.map(Some), "nodes");
        let (nodes, date) = fleet.map_or((None, None), |Dated { read, date }| (Some(read), date));
        let read = nodes.as_deref().unwrap_or_default();
        let scrapers = unread.or_default(scrapers.map(Some), "scrapers");
        let frontends = unread.or_default(frontends.map(Some), "frontends");
        let others = wrong(
            services.as_deref(),
            scrapers.as_deref(),
            frontends.as_deref(),
        );
        let leases = unread.if_allowed(leases, "Leases");
        let gone = gone(api, leases, scrapers.as_deref(), read, date).await;
        // Without scrapers no frontend is ready: that is the reason.
        let wrong = gone.into_iter().chain(silence).chain(others).collect();
        unread.empty("node", nodes.as_deref());
        unread.empty("frontend", frontends.as_deref());
        let mut overview = Self {
            outcome: Outcome::Healthy,
            date,
            kubernetes: unread.or_default(version, "the version").git_version,
            api_services: services.unwrap_or_default(),
            endpoints,
            frontends: frontends.unwrap_or_default(),
            scrapers: scrapers.unwrap_or_default(),
            nodes: NodeCounts::of(read),
            since_scrape: None,
            since_measurement: None,
            without_metrics: Group::all(read),
            wrong,
            unread: unread.lines(),
            commands: api.commands.clone(),
        };
        overview.measure(read);
        overview.outcome = overview.judged();
        (overview, nodes)
    }

    /// The date to which ages refer: that of the server, or the newest scrape, whichever is later.
    #[must_use]
    pub fn now(&self, nodes: &[NodeScrape]) -> Option<Timestamp> {
        let samples = nodes.iter().filter_map(|node| node.status.sample.as_ref());
        self.date.max(samples.map(|sample| sample.scraped_at).max())
    }

    fn measure(&mut self, nodes: &[NodeScrape]) {
        let Some(now) = self.now(nodes) else {
            return;
        };
        // The last sample of a node without metrics says nothing about what is served.
        let with_metrics = || nodes.iter().filter(|node| node.status.has_metrics());
        let samples = || with_metrics().filter_map(|node| node.status.sample.as_ref());
        self.since_scrape = Spread::of(samples().map(|sample| between(sample.scraped_at, now)));
        let measured = samples().filter_map(|sample| sample.measured_at);
        self.since_measurement = Spread::of(measured.map(|at| between(at, now)));
    }

    fn judged(&self) -> Outcome {
        let down = |service: &Registration| service.available == Some(false);
        let missing = self.nodes.with_metrics < self.nodes.total;
        let is_wrong = !self.wrong.is_empty();
        if missing || is_wrong || self.api_services.iter().any(down) {
            Outcome::Findings
        } else if self.unread.is_empty() {
            Outcome::Healthy
        } else {
            Outcome::Unknown
        }
    }
}

/// What could not be read, and why.
#[derive(Default)]
struct Unread {
    failed: Vec<(&'static str, Failure)>,
    /// What was read and says nothing.
    lines: Vec<String>,
}

impl Unread {
    fn or_default<T: Default>(&mut self, read: Result<T, Failure>, what: &'static str) -> T {
        read.unwrap_or_else(|failure| {
            self.failed.push((what, failure));
            T::default()
        })
    }

    /// What was read, if it was. For what not every user may read, and most of the screen does without.
    fn if_allowed<T>(&mut self, read: Result<T, Failure>, what: &'static str) -> Option<T> {
        match read {
            Err(Failure::Forbidden(_)) => None,
            read => self.or_default(read.map(Some), what),
        }
    }

    /// Says so if the fleet has none of these.
    fn empty<T>(&mut self, kind: &str, objects: Option<&[T]>) {
        if objects.is_some_and(<[T]>::is_empty) {
            self.lines.push(format!("the fleet has no {kind}"));
        }
    }

    /// One line for each reason.
    fn lines(self) -> Vec<String> {
        let mut reasons: Vec<(String, Failure)> = Vec::new();
        for (what, failure) in self.failed {
            let known = reasons.iter_mut().find(|(_, known)| *known == failure);
            if let Some((names, _)) = known {
                names.push_str(", ");
                names.push_str(what);
            } else {
                reasons.push((what.to_owned(), failure));
            }
        }
        let lines = reasons.into_iter();
        let lines = lines.map(|(names, failure)| format!("failed to read {names}: {failure}"));
        lines.chain(self.lines).collect()
    }
}

/// What is wrong with the fleet as a whole, of what could be read.
fn wrong(
    services: Option<&[Registration]>,
    scrapers: Option<&[Scraper]>,
    frontends: Option<&[MetricsFrontend]>,
) -> Vec<String> {
    let is_metrics = |service: &Registration| service.name.ends_with(METRICS_GROUP);
    let is_registered = services.is_none_or(|all| all.iter().any(is_metrics));
    let answers = frontends.is_some_and(|all| !all.is_empty());
    let is_fed = !answers || scrapers.is_none_or(|all| !all.is_empty());
    let wrong = [(is_registered, NOT_REGISTERED), (is_fed, NO_SCRAPER)];
    let wrong = wrong.into_iter().filter(|(is_right, _)| !is_right);
    wrong.map(|(_, what)| what.to_owned()).collect()
}

/// The pods of Tributary.
const PODS: &str = "/api/v1/pods?labelSelector=app.kubernetes.io%2Fname%3Dtributary";

/// What is wrong with scrapers by their Leases: one is gone, or none runs, which a frontend that is not ready does not say.
async fn gone(
    api: &KubeApi,
    leases: Option<Dated<Vec<Lease>>>,
    scrapers: Option<&[Scraper]>,
    nodes: &[NodeScrape],
    date: Option<Timestamp>,
) -> Option<String> {
    let may_list = leases.is_some();
    let (leases, now) = leases.map_or((Vec::new(), None), |it| (it.read, it.date));
    let now = now.or(date)?;
    if let Some(scrapers) = scrapers {
        let lost = Lost::of(&leases, scrapers, nodes, now)?.title();
        return Some(format!(
            "a scraper is gone, and others scrape its nodes: {lost}"
        ));
    }
    if !may_list {
        return None;
    }
    let pods = api.if_known::<Pod>(PODS).await.ok()?;
    let seen = none_runs(&leases, &pods.read, now);
    (!seen.is_empty()).then(|| format!("no scraper runs (TRB023): {}", seen.join(", ")))
}

/// How many endpoints the Service of `metrics.k8s.io` has: ready, and all.
async fn endpoints(
    api: &KubeApi,
    services: Option<&[Registration]>,
    unread: &mut Unread,
) -> Option<(usize, usize)> {
    let metrics = services?.iter().find(|service| service.name == METRICS)?;
    let (namespace, name) = metrics.service.as_ref()?;
    let endpoints = Endpoint::all(api, namespace, name).await;
    let endpoints = unread.or_default(endpoints.map(Some), "endpoints")?;
    let ready = endpoints.iter().filter(|it| it.is_ready).count();
    Some((ready, endpoints.len()))
}

impl NodeCounts {
    fn of(nodes: &[NodeScrape]) -> Self {
        let mut by_state = BTreeMap::new();
        for node in nodes {
            *by_state.entry(node.status.state.clone()).or_default() += 1;
        }
        let with_metrics = nodes.iter().filter(|node| node.status.has_metrics());
        Self {
            total: nodes.len(),
            with_metrics: with_metrics.count(),
            by_state,
        }
    }
}

impl Spread {
    /// `None` if there are no values.
    fn of(values: impl Iterator<Item = Duration>) -> Option<Self> {
        let mut values: Vec<f64> = values.map(|value| value.as_secs_f64()).collect();
        values.sort_by(f64::total_cmp);
        // The smallest value that is not less than that part of all: the nearest rank.
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).saturating_sub(1);
            values.get(rank).copied()
        };
        Some(Self {
            nodes: values.len(),
            p50: rank(50)?,
            p90: rank(90)?,
            p99: rank(99)?,
            max: rank(100)?,
        })
    }
}

impl Group {
    /// Nodes without metrics, by what is wrong.
    #[must_use]
    pub fn all(nodes: &[NodeScrape]) -> Vec<Self> {
        let mut groups: BTreeMap<[&str; 3], Self> = BTreeMap::new();
        for node in nodes.iter().filter(|node| !node.status.has_metrics()) {
            let status = &node.status;
            let key = [&*status.remedy, &*status.reason, &*status.state];
            let group = groups.entry(key).or_insert_with(|| Self {
                state: status.state.clone(),
                reason: status.reason.clone(),
                remedy: status.remedy.clone(),
                nodes: Vec::new(),
                message: status.message.clone(),
            });
            group.nodes.push(node.metadata.name.clone());
        }
        let mut groups: Vec<Self> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.nodes.len()));
        groups
    }
}

#[cfg(test)]
pub(super) mod tests;
