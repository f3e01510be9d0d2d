//! `compare`: asks the server behind `metrics.k8s.io` and Tributary side by side, through kube-apiserver, before a
//! change-over. Changes nothing.
//!
//! Tributary is asked for `nodeusages` and `podusages` of the fleet: what it would answer for `metrics.k8s.io`. These
//! requests go where those of autoscalers would go, with the same certificate, so what cannot be reached is found here.

mod tally;
mod text;

use std::{collections::BTreeMap, time::Duration};

use futures::join;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

pub use self::{
    tally::{Compared, Difference, ENOUGH, Missing, Share, Tally},
    text::text,
};
use crate::{
    api_services::{FLEET as FLEET_SERVICE, METRICS, Registration},
    fleet::{FLEET, Meta, NodeScrape},
    kube_api::{Failure, KubeApi},
    printed::{Outcome, count},
    usages::{Usages, Used, read},
};

/// Where the other server is asked.
const THEIRS: &str = "/apis/metrics.k8s.io/v1beta1";

/// How long and how often both are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the first round to the last.
    pub length: Duration,
    /// From one round to the next.
    pub every: Duration,
}

impl Pace {
    fn rounds(self) -> u128 {
        let every = self.every.as_millis().max(1);
        self.length.as_millis() / every + 1
    }
}

/// Which servers are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// The Service behind `v1beta1.metrics.k8s.io`; `None` if there is no such `APIService`.
    pub incumbent: Option<String>,
    /// That of Tributary.
    pub tributary: String,
}

/// What the comparison came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Whether Tributary serves enough.
    pub outcome: Outcome,
    /// With what Tributary is compared: a Service, or what stands for it.
    pub incumbent: String,
    /// The Service of Tributary.
    pub tributary: String,
    /// How often both were asked.
    pub rounds: usize,
    /// The nodes; `None` if they were not compared.
    pub nodes: Option<Compared>,
    /// The pods; `None` if they were not compared.
    pub pods: Option<Compared>,
    /// Why Tributary does not serve enough.
    pub findings: Vec<String>,
    /// What could not be compared, and why.
    pub unknown: Vec<String>,
}

impl Servers {
    /// What the `APIService`s lead to.
    ///
    /// # Errors
    ///
    /// There is nothing to compare: the text says why.
    pub fn of(all: &[Registration]) -> Result<Self, String> {
        let find = |name: &str| all.iter().find(|one| one.name == name);
        let Some(fleet) = find(FLEET_SERVICE).filter(|fleet| fleet.service.is_some()) else {
            return Err(format!(
                "there is no APIService {FLEET_SERVICE}, through which Tributary can be asked: install Tributary, or set \
                 apiService.fleet in the values of its chart"
            ));
        };
        let incumbent = find(METRICS);
        if incumbent.is_some_and(|one| one.service == fleet.service) {
            return Err(format!(
                "{METRICS} leads to Tributary ({}) already, so there is nothing to compare it with",
                fleet.target()
            ));
        }
        Ok(Self {
            incumbent: incumbent.map(Registration::target),
            tributary: fleet.target(),
        })
    }
}

/// What was asked and answered.
#[derive(Debug, Default)]
struct Asked {
    rounds: usize,
    nodes: Tally,
    pods: Tally,
    /// The last answer of Tributary about nodes.
    our_nodes: Usages,
    /// Failed requests.
    theirs_failed: Vec<Failure>,
    ours_failed: Vec<Failure>,
}

impl Asked {
    async fn round(&mut self, api: &KubeApi, with_theirs: bool) {
        self.rounds += 1;
        let theirs = async {
            if !with_theirs {
                return Ok(None);
            }
            let paths = [format!("{THEIRS}/nodes"), format!("{THEIRS}/pods")];
            both(api, paths).await.map(Some)
        };
        let paths = ["nodeusages", "podusages"].map(|kind| format!("{FLEET}/{kind}"));
        let (theirs, ours) = join!(theirs, both(api, paths));
        let theirs = theirs.unwrap_or_else(|failure| {
            self.theirs_failed.push(failure);
            None
        });
        match ours {
            Ok((our_nodes, our_pods)) => {
                if let Some((nodes, pods)) = theirs {
                    self.nodes.add(&nodes, &our_nodes);
                    self.pods.add(&pods, &our_pods);
                }
                self.our_nodes = our_nodes;
            }
            Err(failure) => self.ours_failed.push(failure),
        }
    }
}

/// Nodes and pods.
async fn both(api: &KubeApi, [nodes, pods]: [String; 2]) -> Result<(Usages, Usages), Failure> {
    let (nodes, pods) = join!(read(api, &nodes), read(api, &pods));
    Ok((nodes?.usages, pods?.usages))
}

/// Asks both. `say` gets a line for each round.
pub async fn compare(
    api: &KubeApi,
    servers: Servers,
    pace: Pace,
    say: &mut (dyn FnMut(&str) + Send),
) -> Comparison {
    let mut asked = Asked::default();
    let mut ticks = interval(pace.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..pace.rounds() {
        ticks.tick().await;
        asked.round(api, servers.incumbent.is_some()).await;
        say(&line(&asked, &servers));
        // What does not answer at all will not do so in a minute.
        if asked.rounds == 1 && !asked.ours_failed.is_empty() {
            break;
        }
    }
    Box::pin(judged(api, servers, asked)).await
}

/// What a round had, in words.
fn line(asked: &Asked, servers: &Servers) -> String {
    let round = asked.rounds;
    if let Some(failure) = asked.ours_failed.last() {
        return format!("round {round}: Tributary: {failure}");
    }
    if let Some(failure) = asked.theirs_failed.last() {
        return format!("round {round}: {}: {failure}", incumbent(servers));
    }
    if servers.incumbent.is_none() {
        let nodes = count(asked.our_nodes.len(), "node");
        return format!("round {round}: Tributary serves {nodes}");
    }
    let (nodes, pods) = (asked.nodes.compared().last, asked.pods.compared().last);
    format!(
        "round {round}: Tributary serves {} of {}, and {} of {}",
        nodes.both,
        count(nodes.incumbent, "node"),
        pods.both,
        count(pods.incumbent, "pod")
    )
}

fn incumbent(servers: &Servers) -> &str {
    servers.incumbent.as_deref().unwrap_or("no server")
}

async fn judged(api: &KubeApi, servers: Servers, asked: Asked) -> Comparison {
    let mut comparison = Comparison {
        outcome: Outcome::Healthy,
        incumbent: incumbent(&servers).to_owned(),
        tributary: servers.tributary.clone(),
        rounds: asked.rounds,
        nodes: None,
        pods: None,
        findings: Vec::new(),
        unknown: Vec::new(),
    };
    let nodes = asked.nodes.compared();
    if let Some(failure) = asked.ours_failed.first() {
        comparison.findings.push(unanswered(&asked, failure));
    } else if nodes.last.incumbent > 0 {
        comparison.nodes = Some(nodes);
        comparison.pods = Some(asked.pods.compared());
        if let Some(failure) = asked.theirs_failed.first() {
            let failed = asked.theirs_failed.len();
            comparison.unknown.push(format!(
                "{} did not answer in {failed} of {}: {failure}",
                comparison.incumbent,
                count(asked.rounds, "round")
            ));
        }
    } else {
        with_the_cluster(api, &servers, &asked, &mut comparison).await;
    }
    if let Some(nodes) = &mut comparison.nodes
        && !nodes.missing.is_empty()
    {
        explain(api, nodes).await;
    }
    judge(&mut comparison);
    comparison
}

fn unanswered(asked: &Asked, failure: &Failure) -> String {
    let unknown_kind = matches!(failure, Failure::NotFound(_));
    let older = if unknown_kind {
        ". Frontends of this version have nodeusages and podusages: is Tributary older?"
    } else {
        ""
    };
    format!(
        "Tributary did not answer in {} of {}: {failure}{older}",
        asked.ours_failed.len(),
        count(asked.rounds, "round")
    )
}

/// An object with nothing but its name.
#[derive(Deserialize)]
struct Named {
    metadata: Meta,
}

/// The other server has no answer, or no node in it, so Tributary is compared with the nodes that exist.
async fn with_the_cluster(
    api: &KubeApi,
    servers: &Servers,
    asked: &Asked,
    comparison: &mut Comparison,
) {
    let why = asked.theirs_failed.first();
    let why = match (why, &servers.incumbent) {
        (Some(failure), _) => format!("{} does not answer: {failure}", incumbent(servers)),
        (None, Some(incumbent)) => format!("{incumbent} serves no node"),
        (None, None) => format!("there is no APIService {METRICS}"),
    };
    "the Nodes of the cluster".clone_into(&mut comparison.incumbent);
    match api.list::<Named>("/api/v1/nodes").await {
        Ok(nodes) if nodes.is_empty() => {
            let nothing =
                format!("{why}, and the cluster has no node: there is nothing to compare with");
            comparison.unknown.push(nothing);
        }
        Ok(nodes) => {
            let named = nodes.into_iter();
            let nodes = named.map(|node| (node.metadata.name, Used::default()));
            let mut tally = Tally::default();
            tally.add(&nodes.collect(), &asked.our_nodes);
            // There is no usage to compare with.
            comparison.nodes = Some(Compared {
                typical_cpu_difference: None,
                typical_memory_difference: None,
                differences: Vec::new(),
                ..tally.compared()
            });
            let pods = format!("{why}. So pods and usage were not compared");
            comparison.unknown.push(pods);
        }
        Err(failure) => {
            let nodes = format!("{why}, and the nodes cannot be listed: {failure}");
            comparison.unknown.push(nodes);
        }
    }
}

/// Says of missing nodes what the fleet says.
async fn explain(api: &KubeApi, nodes: &mut Compared) {
    let scrapes = api
        .list::<NodeScrape>(&format!("{FLEET}/nodescrapes"))
        .await;
    let scrapes = scrapes.unwrap_or_default().into_iter();
    let states: BTreeMap<String, _> = scrapes
        .map(|scrape| (scrape.metadata.name, scrape.status))
        .collect();
    for missing in &mut nodes.missing {
        missing.why = states.get(&missing.name).map_or_else(
            || "Tributary does not know it: see --node-selector of its frontends".to_owned(),
            |status| match &*status.message {
                "" => status.state.clone(),
                message => format!("{}: {message}", status.state),
            },
        );
    }
}

/// Decides whether it is enough, and adds why it is not.
fn judge(comparison: &mut Comparison) {
    let kinds = [("nodes", &comparison.nodes), ("pods", &comparison.pods)];
    for (kind, compared) in kinds {
        let Some(compared) = compared.as_ref().filter(|compared| !compared.is_enough()) else {
            continue;
        };
        comparison.findings.push(format!(
            "Tributary serves {} of the {kind} of {}, and {ENOUGH} % are needed",
            compared.share().percent(),
            comparison.incumbent
        ));
    }
    comparison.outcome = match (&*comparison.findings, &comparison.nodes) {
        ([], Some(_)) => Outcome::Healthy,
        ([], None) => Outcome::Unknown,
        _ => Outcome::Findings,
    };
}

#[cfg(test)]
mod tests;
