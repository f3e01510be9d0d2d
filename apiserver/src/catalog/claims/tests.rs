use tributary_model::{Columns, NodePoint, PodKey, Reading, Remarks, RosterBuilder, Timestamp};

use super::*;
use crate::{catalog::Labels, store::Source};

struct Cluster {
    catalog: Catalog,
    store: Store,
    watch: Watch,
}

impl Cluster {
    /// A cluster with these bound pods: (pod, node).
    fn of(pods: &[(&str, &str)]) -> Self {
        let catalog = Catalog::default();
        catalog.set_pods(pods.iter().map(|(pod, node)| record(pod, node)).collect());
        Self {
            catalog,
            store: Store::new(None),
            watch: Watch::default(),
        }
    }

    /// Stores a reading of `node` with these pods.
    fn report(&self, node: &str, pods: &[&str]) {
        let mut builder = RosterBuilder::default();
        for pod in pods {
            let key = PodKey::new("shop", *pod);
            builder.add(key, "main".into()).unwrap();
        }
        let reading = Reading {
            node: node.into(),
            columns: Columns::missing(pods.len()),
            roster: builder.build(),
            asked_at: Timestamp::from_millis(0),
            point: NodePoint::default(),
            remarks: Remarks::default(),
        };
        let source = Source {
            name: "s".into(),
            resolution: Duration::from_secs(15),
        };
        self.store.take(reading, &source);
    }

    /// The watch reports that the pod is bound to this node.
    fn bind(&self, pod: &str, node: &str) {
        let record = record(pod, node);
        let key = record.key.clone();
        self.catalog.put_pod(record);
        self.store.bound(&key, &node.into());
    }

    /// Checks once. Returns the number of claimed pods in all readings so far, and of nodes with claims.
    async fn look(&mut self) -> (u64, usize) {
        look(&self.catalog, &self.store, &mut self.watch).await;
        self.store.refused()
    }
}

fn record(pod: &str, node: &str) -> PodRecord {
    PodRecord {
        key: PodKey::new("shop", pod),
        node: Some(node.into()),
        labels: Labels::default(),
    }
}

#[tokio::test]
async fn claims_of_others_are_counted_in_every_reading_until_they_end() {
    let mut cluster = Cluster::of(&[("a", "n1"), ("b", "n1"), ("c", "n2")]);
    cluster.report("n1", &["a", "b"]);
    cluster.report("n2", &["c"]);
    assert_eq!(cluster.look().await, (0, 0));
    // n2 reports a pod that its node reports, too, a pod that its node does not report, its own pod, and an unknown
    // pod.
    cluster.report("n1", &["a"]);
    cluster.report("n2", &["a", "b", "c", "unknown"]);
    assert_eq!(cluster.look().await, (0, 1));
    cluster.report("n2", &["a", "b", "c", "unknown"]);
    cluster.report("n2", &["a", "b", "c", "unknown"]);
    assert_eq!(cluster.look().await, (4, 1));
    cluster.report("n2", &["a", "c"]);
    assert_eq!(
        cluster.look().await,
        (6, 1),
        "of the roster of the last look"
    );
    cluster.report("n2", &["a", "c"]);
    assert_eq!(cluster.look().await, (7, 1));
    cluster.report("n2", &["c"]);
    assert_eq!(cluster.look().await, (8, 0));
    cluster.report("n2", &["c"]);
    assert_eq!(cluster.look().await, (8, 0));
}

#[tokio::test]
async fn a_pod_that_moves_is_a_claim_only_while_two_report_it() {
    let mut cluster = Cluster::of(&[("db-0", "n1")]);
    cluster.report("n1", &["db-0"]);
    cluster.report("n2", &["web"]);
    assert_eq!(cluster.look().await.1, 0);
    // The pod is now bound to another node, and the page of the old kubelet still has it.
    cluster.bind("db-0", "n2");
    assert_eq!(cluster.look().await.1, 1);
    cluster.report("n2", &["db-0", "web"]);
    assert_eq!(cluster.look().await.1, 1);
    cluster.report("n1", &["other"]);
    assert_eq!(cluster.look().await.1, 0);
}

#[tokio::test]
async fn a_pod_that_is_newer_than_the_watch_is_no_claim() {
    let mut cluster = Cluster::of(&[]);
    cluster.report("n1", &["new"]);
    assert_eq!(cluster.look().await.1, 0);
    cluster.bind("new", "n1");
    assert_eq!(cluster.look().await.1, 0);
    // A pod of another node becomes a claim when the watch reports its node.
    cluster.report("n2", &["newer"]);
    assert_eq!(cluster.look().await.1, 0);
    cluster.bind("newer", "n1");
    assert_eq!(cluster.look().await.1, 1);
}

#[tokio::test]
async fn nothing_is_refused_before_the_pods_are_listed() {
    let mut cluster = Cluster::of(&[]);
    cluster.catalog = Catalog::default();
    cluster.report("n2", &["a"]);
    assert_eq!(cluster.look().await.1, 0);
    cluster.catalog.set_pods(vec![record("a", "n1")]);
    assert_eq!(cluster.look().await.1, 1);
    // This is a new list after a gap.
    cluster.catalog.set_pods(vec![record("a", "n2")]);
    cluster.store.question_all();
    assert_eq!(cluster.look().await.1, 0);
}

#[tokio::test]
async fn a_roster_of_any_length_is_looked_at_part_by_part() {
    let names: Vec<String> = (0..1_201).map(|pod| format!("p{pod:04}")).collect();
    let pods: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "n1")).collect();
    let mut cluster = Cluster::of(&pods);
    let pods: Vec<&str> = names.iter().map(String::as_str).collect();
    cluster.report("n2", &pods);
    assert_eq!(cluster.look().await, (0, 1));
    cluster.report("n2", &pods);
    assert_eq!(cluster.look().await, (1_201, 1));
    let none = |node: &str| node != "n2";
    cluster.store.expire(Timestamp::from_millis(1), none);
    assert_eq!(cluster.store.refused(), (1_201, 0), "the node is gone");
}

fn claims(node: &str) -> Claims {
    Claims {
        node: node.into(),
        pods: 1,
        example: Arc::new(record("a", "n1")),
    }
}

#[test]
fn a_node_is_named_once_and_not_before_a_minute() {
    let mut watch = Watch::default();
    let seen = [claims("n2")];
    let mut named = |seen: &[Claims]| watch.look(seen).0.len();
    for look in 1..=30 {
        assert_eq!(named(&seen), usize::from(look == 12), "{look}");
    }
    // The claims stop and begin again.
    assert_eq!(named(&[]), 0);
    for look in 1..=30 {
        assert_eq!(named(&seen), usize::from(look == 12), "{look}");
    }
}

#[test]
fn of_a_whole_pool_the_first_nodes_are_named_and_the_others_counted() {
    let mut watch = Watch::default();
    let seen: Vec<Claims> = (0..500).map(|node| claims(&format!("n{node}"))).collect();
    for _ in 1..LOOKS {
        assert_eq!(watch.look(&seen).1, 0);
    }
    let (named, more) = watch.look(&seen);
    assert_eq!((named.len(), more), (3, 497));
    assert_eq!(watch.look(&seen).1, 0);
}
