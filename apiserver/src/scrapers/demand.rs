//! Which nodes have pods that an autoscaler reads. Scrapers scrape these nodes more often
//! (docs/decisions/0031-fresh-where-autoscalers-read.md).
//!
//! An autoscaler repeats the same query for pods, with a label selector or a name. A list of all pods, which dashboards
//! read, does not show which nodes matter. A query that is not repeated comes from a person.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tributary_model::NodeName;
use tributary_proto::limits::WANTED_NODES;

/// A query counts if the same query came within this time before. The time fits the slowest autoscaler, whose queries
/// are spread over several frontends.
const AGAIN_WITHIN: Duration = Duration::from_mins(5);

/// How long the nodes of its pods are wanted fresh after a query.
const AFTER_A_QUERY: Duration = Duration::from_mins(1);

/// The most queries that are remembered. A cluster has fewer autoscalers.
const QUESTIONS: usize = 8_192;

/// How often scrapers get a message. It is valid for longer than that, so a late message changes nothing.
const TELL_EVERY: Duration = Duration::from_secs(5);
const TELL_FOR: Duration = Duration::from_secs(15);

/// Nodes that become wanted within this time are sent in one message.
const TOGETHER: Duration = Duration::from_millis(250);

/// The message to each stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// The nodes, perhaps none.
    pub(crate) nodes: Arc<[NodeName]>,
    /// For how long they are wanted.
    pub(crate) lasts: Duration,
}

/// A query for pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question<'a> {
    /// The user.
    pub(crate) user: &'a str,
    /// The namespace.
    pub(crate) namespace: Option<&'a str>,
    /// A query with a label selector, or the name of a pod.
    pub(crate) which: &'a str,
}

/// The nodes for which fresh samples are wanted. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Demand(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    hashes: RandomState,
    state: Mutex<State>,
    /// Notified when another node becomes wanted.
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// When each query came last, by its hash, because callers choose the length of queries.
    questions: HashMap<u64, Instant>,
    /// Until when each node is wanted.
    nodes: HashMap<NodeName, Instant>,
}

impl Demand {
    /// Records a query at the time `now`. Returns whether the nodes of its pods are wanted, because the query is
    /// repeated.
    pub(crate) fn asked(&self, question: Question<'_>, now: Instant) -> bool {
        let question = self.0.hashes.hash_one(question);
        let mut state = self.lock();
        let questions = &mut state.questions;
        let is_recent = |asked: &Instant| now < *asked + AGAIN_WITHIN;
        if let Some(asked) = questions.get_mut(&question) {
            return is_recent(&std::mem::replace(asked, now));
        }
        if questions.len() >= QUESTIONS {
            questions.retain(|_, asked| is_recent(asked));
        }
        if questions.len() < QUESTIONS {
            questions.insert(question, now);
        }
        false
    }

    /// Makes `nodes` wanted for a while from `now` on.
    pub(crate) fn want<'a, I>(&self, nodes: I, now: Instant)
    where
        I: IntoIterator<Item = &'a NodeName>,
    {
        let until = now + AFTER_A_QUERY;
        let mut state = self.lock();
        let mut is_more = false;
        for node in nodes {
            if let Some(wanted) = state.nodes.get_mut(node) {
                *wanted = until;
            } else if state.nodes.len() < WANTED_NODES {
                state.nodes.insert(node.clone(), until);
                is_more = true;
            }
        }
        drop(state);
        if is_more {
            self.0.more.notify_one();
        }
    }

    /// The message for scrapers at the time `now`.
    fn wish(&self, now: Instant) -> Wish {
        let nodes = &mut self.lock().nodes;
        nodes.retain(|_, until| now < *until);
        let mut nodes: Vec<NodeName> = nodes.keys().cloned().collect();
        nodes.sort_unstable();
        Wish {
            nodes: nodes.into(),
            lasts: TELL_FOR,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

/// Sends every stream the wanted nodes, until `stop`: soon after another node becomes wanted, and regularly as long as
/// there are any.
pub(crate) async fn tell(demand: Demand, wishes: watch::Sender<Wish>, stop: CancellationToken) {
    let mut next = Instant::now() + TELL_EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(next) => {}
            () = demand.0.more.notified() => sleep_until(Instant::now() + TOGETHER).await,
        }
        let now = Instant::now();
        next = now + TELL_EVERY;
        let wish = demand.wish(now);
        // Scrapers notice themselves when the last message is no longer valid.
        if !wish.nodes.is_empty() {
            wishes.send_replace(wish);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{task::JoinSet, time::advance};

    use super::*;

    const HPA: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

    fn question(which: &str) -> Question<'_> {
        Question {
            user: HPA,
            namespace: Some("shop"),
            which,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_counts_when_it_is_asked_again() {
        let demand = Demand::default();
        let asked = |question| demand.asked(question, Instant::now());
        assert!(!asked(question("labelSelector=app%3Dweb")));
        advance(Duration::from_secs(299)).await;
        assert!(!asked(question("labelSelector=app%3Dapi")));
        assert!(asked(question("labelSelector=app%3Dweb")));
        advance(Duration::from_mins(5)).await;
        assert!(!asked(question("labelSelector=app%3Dweb")));
        let other = Question {
            user: "jane",
            ..question("labelSelector=app%3Dweb")
        };
        assert!(!asked(other));
        assert!(asked(question("labelSelector=app%3Dweb")));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_and_nodes_have_a_limit() {
        let demand = Demand::default();
        for n in 0..9_000 {
            assert!(!demand.asked(question(&n.to_string()), Instant::now()));
        }
        assert_eq!(demand.lock().questions.len(), 8_192);
        // Old queries are forgotten.
        advance(Duration::from_mins(5)).await;
        assert!(!demand.asked(question("another"), Instant::now()));
        assert_eq!(demand.lock().questions.len(), 1);
        let nodes: Vec<NodeName> = (0..5_000).map(|n| format!("n{n}").into()).collect();
        demand.want(&nodes, Instant::now());
        assert_eq!(demand.wish(Instant::now()).nodes.len(), 4_096);
        advance(Duration::from_mins(1)).await;
        assert_eq!(demand.wish(Instant::now()).nodes.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn scrapers_are_asked_soon_and_for_a_minute_after_the_last_question() {
        let demand = Demand::default();
        let (wishes, mut reported) = watch::channel(Wish::default());
        let mut telling = JoinSet::new();
        telling.spawn(tell(demand.clone(), wishes, CancellationToken::new()));
        let start = Instant::now();
        let mut at = Vec::new();
        tokio::time::sleep(Duration::from_millis(1)).await;
        demand.want(&["n2".into(), "n1".into()], Instant::now());
        while let Ok(changed) =
            tokio::time::timeout(Duration::from_mins(2), reported.changed()).await
        {
            changed.unwrap();
            let wish = reported.borrow_and_update().clone();
            assert_eq!(*wish.nodes, ["n1".into(), "n2".into()]);
            assert_eq!(wish.lasts, Duration::from_secs(15));
            at.push(start.elapsed().as_millis());
        }
        let rest = (1..12).map(|n| 251 + n * 5_000);
        let expected: Vec<u128> = [251].into_iter().chain(rest).collect();
        assert_eq!(at, expected);
    }
}
