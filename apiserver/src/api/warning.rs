//! The `Warning` header of an answer that is partial or old: nodes that have no metrics, or old ones, and why.
//!
//! kubectl prints it. Other clients of Kubernetes log every warning they get, so only kubectl gets it
//! (docs/decisions/0038-warnings.md). For others, an answer costs one look at `User-Agent`.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use axum::http::{
    HeaderMap, HeaderValue,
    header::{USER_AGENT, WARNING},
};
use parking_lot::Mutex;
use tokio::time::Instant;
use tributary_model::{NodeName, Timestamp};

use super::{Api, params::ListParams};
use crate::store::State;

/// The longest text. kube-apiserver cuts its own warnings to this length.
const MOST: usize = 256;

/// How many nodes of each sort are named.
const NAMED: usize = 3;

/// How long the nodes that were found are used, because finding them reads every node.
const LASTS: Duration = Duration::from_secs(1);

/// How many nodes are described under one lock of the store.
const PAGE: usize = 256;

/// The end of every text.
const HINT: &str = "; see kubectl get nodescrapes";

/// The length of a sentence without a name, and of the number of nodes that are not named.
const BARE: usize = "; pods of 4294967295 nodes have old metrics".len();
const MORE: usize = ", 4294967295 more".len();

/// How the answers of a kind warn.
pub(crate) struct Warned<T> {
    /// Whose metrics are missing.
    pub(crate) whose: Whose,
    /// The node whose samples are the metrics of an object.
    pub(crate) node: fn(&T) -> Option<&NodeName>,
    /// Retains the nodes of which the list in a namespace, or in all, shows something, or would.
    pub(crate) retain: fn(&Arc<Api>, Option<&str>, &ListParams, &mut Vec<Troubled>),
}

/// Whose metrics are missing while a node has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Its own.
    Nodes,
    /// Those of its pods.
    Pods,
}

/// A node without metrics, or with old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Troubled {
    pub(crate) node: NodeName,
    pub(crate) state: State,
    /// Why, in a word of `nodescrapes`.
    pub(crate) reason: Option<&'static str>,
}

impl Troubled {
    /// Whether it has metrics, and they are old.
    fn is_late(&self) -> bool {
        self.state == State::Late
    }
}

/// The nodes without metrics or with old ones, for all requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Arc<Mutex<Option<Found>>>);

/// Nodes, and when they were looked for.
#[derive(Debug)]
struct Found {
    at: Instant,
    troubled: Arc<[Troubled]>,
}

impl Warnings {
    /// The nodes that now have no metrics or old ones, by name. They are looked for once a second at most, and only when
    /// this is called.
    pub(super) fn troubled(&self, api: &Api, at: Timestamp) -> Arc<[Troubled]> {
        let now = Instant::now();
        // Locked while they are looked for, because other requests would look for the same.
        let mut found = self.0.lock();
        match &*found {
            Some(Found { at, troubled }) if now < *at + LASTS => Arc::clone(troubled),
            _ => {
                let troubled = among(api, &api.served_nodes(), at);
                *found = Some(Found {
                    at: now,
                    troubled: Arc::clone(&troubled),
                });
                troubled
            }
        }
    }
}

/// Whether the client shows warnings to a person. kubectl begins its `User-Agent` with the name of its file, which may
/// have a version in it.
pub(super) fn is_shown_by(client: &HeaderMap) -> bool {
    let agent = client.get(USER_AGENT);
    agent.is_some_and(|agent| agent.as_bytes().starts_with(b"kubectl"))
}

/// The node of an object that is served, if its newest sample is late at the time `at`.
pub(super) fn late(api: &Api, node: &NodeName, at: Timestamp) -> Vec<Troubled> {
    let found = among(api, std::slice::from_ref(node), at);
    found.iter().filter(|it| it.is_late()).cloned().collect()
}

/// Those of `nodes` that have no metrics at the time `at`, or old ones.
fn among(api: &Api, nodes: &[NodeName], at: Timestamp) -> Arc<[Troubled]> {
    let states = api.store.states(nodes, at);
    let states = nodes
        .iter()
        .zip(states)
        .map(|(node, (state, _))| (node, state));
    let nodes: Vec<NodeName> = states
        .filter(|(_, state)| *state != State::Served)
        .map(|(node, _)| node.clone())
        .collect();
    let mut troubled = Vec::with_capacity(nodes.len());
    for page in nodes.chunks(PAGE) {
        let reports = api.store.reports(page, at);
        // A sample may have come in the meantime.
        let found = page
            .iter()
            .zip(reports)
            .filter(|(_, report)| report.state != State::Served);
        troubled.extend(found.map(|(node, report)| Troubled {
            node: node.clone(),
            state: report.state,
            reason: report.reason().or_else(|| report.fails()),
        }));
    }
    troubled.into()
}

/// The header that warns of `nodes`. `None` if there are none.
fn header(whose: Whose, nodes: &[Troubled]) -> Option<HeaderValue> {
    if nodes.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(MOST);
    let old = nodes.iter().filter(|it| it.is_late()).count();
    for late in [false, true] {
        let nodes: Vec<&Troubled> = nodes.iter().filter(|it| it.is_late() == late).collect();
        if nodes.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        // The nodes without metrics are named first, and leave room for a sentence that names none.
        let most = MOST - HINT.len() - if late { 0 } else { old.min(1) * BARE };
        sentence(&mut text, most, whose, &nodes);
    }
    text.push_str(HINT);
    HeaderValue::from_str(&format!("299 - \"{text}\"")).ok()
}

/// One of the two sentences: of nodes without metrics, or with old ones. It names nodes while the text has at most
/// `most` bytes.
fn sentence(text: &mut String, most: usize, whose: Whose, nodes: &[&Troubled]) {
    let count = nodes.len();
    let late = nodes.iter().all(|it| it.is_late());
    let some = if late { "old" } else { "no" };
    let plural = if count == 1 { "" } else { "s" };
    let (before, verb) = match whose {
        Whose::Nodes if count == 1 => ("", "has"),
        Whose::Nodes => ("", "have"),
        Whose::Pods => ("pods of ", "have"),
    };
    _ = write!(text, "{before}{count} node{plural} {verb} {some} metrics");
    let most = most - MORE;
    let mut named = 0;
    for Troubled { node, reason, .. } in nodes.iter().take(NAMED) {
        let separator = if named == 0 { ": " } else { ", " };
        let reason = reason
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        let name = node.as_str();
        let fits = text.len() + separator.len() + name.len() + reason.len() <= most;
        if !fits || !is_plain(name) {
            break;
        }
        _ = write!(text, "{separator}{name}{reason}");
        named += 1;
    }
    if named > 0 && count > named {
        _ = write!(text, ", {} more", count - named);
    }
}

/// Whether the name has only characters that Kubernetes allows. Others could end the quotes of the header.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    name.bytes().all(plain)
}

/// Adds the header to an answer.
pub(super) fn add(headers: &mut HeaderMap, whose: Whose, nodes: &[Troubled]) {
    if let Some(warning) = header(whose, nodes) {
        headers.insert(WARNING, warning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn troubled(node: &str, state: State, reason: Option<&'static str>) -> Troubled {
        Troubled {
            node: node.into(),
            state,
            reason,
        }
    }

    fn text(whose: Whose, nodes: &[Troubled]) -> String {
        let header = header(whose, nodes).unwrap();
        let text = header.to_str().unwrap();
        let text = text.strip_prefix("299 - \"").unwrap();
        text.strip_suffix('"').unwrap().to_owned()
    }

    #[test]
    fn it_says_which_nodes_and_why() {
        let n1 = troubled("n1", State::Failing, Some("tls"));
        let n2 = troubled("n2", State::Expired, Some("too-old"));
        let n3 = troubled("n3", State::Late, Some("timeout"));
        let n4 = troubled("n4", State::Late, None);
        for (nodes, of_nodes, of_pods) in [
            (
                vec![&n1],
                "1 node has no metrics: n1 (tls); see kubectl get nodescrapes",
                "pods of 1 node have no metrics: n1 (tls); see kubectl get nodescrapes",
            ),
            (
                vec![&n1, &n2],
                "2 nodes have no metrics: n1 (tls), n2 (too-old); see kubectl get nodescrapes",
                "pods of 2 nodes have no metrics: n1 (tls), n2 (too-old); see kubectl get nodescrapes",
            ),
            (
                vec![&n1, &n3, &n4],
                "1 node has no metrics: n1 (tls); 2 nodes have old metrics: n3 (timeout), n4; see kubectl get \
                 nodescrapes",
                "pods of 1 node have no metrics: n1 (tls); pods of 2 nodes have old metrics: n3 (timeout), n4; see \
                 kubectl get nodescrapes",
            ),
        ] {
            let nodes: Vec<Troubled> = nodes.into_iter().cloned().collect();
            assert_eq!(text(Whose::Nodes, &nodes), of_nodes);
            assert_eq!(text(Whose::Pods, &nodes), of_pods);
        }
        assert_eq!(header(Whose::Nodes, &[]), None);
    }

    #[test]
    fn it_names_three_nodes_and_counts_the_rest() {
        let nodes =
            (1..=5_000).map(|n| troubled(&format!("worker-{n}"), State::Failing, Some("dial")));
        let nodes: Vec<Troubled> = nodes.collect();
        assert_eq!(
            text(Whose::Nodes, &nodes),
            "5000 nodes have no metrics: worker-1 (dial), worker-2 (dial), worker-3 (dial), 4997 more; see kubectl get \
             nodescrapes"
        );
    }

    #[test]
    fn it_is_one_short_line_of_ascii_whatever_the_nodes_are_called() {
        let long = "x".repeat(253);
        let half = "y".repeat(60);
        for name in [&*long, &*half, "a\"b", "a\\b", "a\nb", "\u{e4}", ""] {
            for count in [1, 2, 3, 4, 100_000] {
                for late in [0, 1, count] {
                    let nodes = (0..count + late).map(|at| {
                        let state = if at < count {
                            State::Failing
                        } else {
                            State::Late
                        };
                        troubled(name, state, Some("never-reported"))
                    });
                    let nodes: Vec<Troubled> = nodes.collect();
                    for whose in [Whose::Nodes, Whose::Pods] {
                        let text = text(whose, &nodes);
                        assert!(text.len() <= MOST, "{} bytes: {text}", text.len());
                        assert!(
                            !text.contains(['"', '\\', '\n']) && text.is_ascii(),
                            "{text}"
                        );
                    }
                }
            }
        }
        let nodes = [troubled(&long, State::Failing, Some("tls"))];
        assert_eq!(
            text(Whose::Nodes, &nodes),
            "1 node has no metrics; see kubectl get nodescrapes"
        );
    }

    #[test]
    fn kubectl_shows_it_and_controllers_do_not() {
        let is_shown = |agent: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            is_shown_by(&headers)
        };
        assert!(is_shown("kubectl/v1.37.1 (linux/amd64) kubernetes/5a2b8f3"));
        assert!(is_shown(
            "kubectl.1.27/v1.27.16 (linux/amd64) kubernetes/5a2b8f3"
        ));
        assert!(is_shown(
            "kubectl.exe/v1.30.1 (windows/amd64) kubernetes/5a2b8f3"
        ));
        for agent in [
            "kube-controller-manager/v1.37.1 (linux/amd64) kubernetes/5a2b8f3/horizontal-pod-autoscaler",
            "vpa-recommender/v1.7.0",
            "k9s/v0.50.0",
            "",
        ] {
            assert!(!is_shown(agent), "{agent}");
        }
        assert!(!is_shown_by(&HeaderMap::new()));
    }
}
