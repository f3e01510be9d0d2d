use std::{sync::Arc, time::Duration};

use serde_json::json;
use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NodePoint, Reading, Remarks,
    Roster, RosterBuilder,
};

use tributary_runtime::kube::from_json;
use tributary_sim::nulled;

use super::*;
use crate::store::Source;

fn printed(name: &str) -> PrintedPod {
    PrintedPod {
        key: PodKey::new("shop", name),
        uid: "u-1".into(),
        labels: Labels::default(),
        node: Some("n1".to_owned()),
    }
}

fn roster(names: &[&str]) -> Arc<Roster> {
    let mut builder = RosterBuilder::default();
    for name in names {
        let key = PodKey::new("shop", *name);
        builder.add(key, "main".into()).unwrap();
    }
    builder.build()
}

fn same(one: &PodKey, other: &PodKey) -> bool {
    Arc::ptr_eq(&one.name, &other.name) && Arc::ptr_eq(&one.namespace, &other.namespace)
}

#[test]
fn names_are_in_memory_once_in_any_order() {
    let (catalog, store) = (Catalog::default(), Store::new(None));
    let unplaced = Unplaced::default();
    let put = |name| {
        let pod = interned(printed(name), &catalog, &store, &unplaced);
        catalog.put_pod(pod);
    };
    put("known");
    let mut roster = roster(&["known", "reported"]);
    catalog.intern_names(&mut roster);
    let reading = Reading {
        node: "n1".into(),
        roster: Arc::clone(&roster),
        asked_at: Timestamp::from_millis(0),
        point: NodePoint::default(),
        columns: Columns::missing(2),
        remarks: Remarks::default(),
    };
    let source = Source {
        name: "s".into(),
        resolution: Duration::from_secs(15),
    };
    store.take(reading, &source);
    put("reported");
    for (pod, name) in roster.pods().iter().zip(["known", "reported"]) {
        let known = catalog.pod(&PodKey::new("shop", name)).unwrap();
        assert!(same(&known.key, &pod.key), "{name}");
        assert!(
            known
                .node
                .as_ref()
                .unwrap()
                .is(&catalog.share_node(&"n1".into()))
        );
    }
}

#[test]
fn labels_that_are_too_many_are_counted() {
    let (catalog, store) = (Catalog::default(), Store::new(None));
    let unplaced = Unplaced::default();
    for labels in [1, 1_639, 60_000] {
        let labels = (0..labels).map(|n| (format!("{n:05}"), ""));
        let labels = labels.collect::<Labels>();
        let pod = PrintedPod {
            labels,
            ..printed("a")
        };
        catalog.put_pod(interned(pod, &catalog, &store, &unplaced));
    }
    let refused = Kind::ALL.map(|kind| catalog.labels_refused(kind));
    assert_eq!(refused, [0, 2]);
    let pod = catalog.pod(&PodKey::new("shop", "a")).unwrap();
    assert!(pod.labels.are_refused());
    assert!(pod.node.is_some());
}

#[test]
fn a_node_keeps_labels_that_are_too_many_for_a_pod() {
    let labels: Vec<String> = (0..1_639).map(|n| format!(r#""{n:05}":"""#)).collect();
    let labels = labels.join(",");
    let json = format!(r#"{{"metadata":{{"name":"n1","labels":{{{labels}}}}}}}"#);
    let node = NodeRecord::from(from_json::<Named>(&json).unwrap());
    assert!(!node.labels.are_refused());
    assert_eq!(node.labels.get("01638"), Some(""));
}

#[test]
fn of_a_node_the_name_and_the_labels_are_read() {
    let json = r#"{"kind":"Node","apiVersion":"v1","metadata":{
        "name":"n1","uid":"u-1","resourceVersion":"7",
        "labels":{"zone":"a","empty":null},"annotations":{"a":"b"},
        "managedFields":[{"manager":"kubelet","fieldsV1":{"f:status":{}}}],
        "ownerReferences":[{"kind":"Machine"}]}}"#;
    let node: Named = from_json(json).unwrap();
    assert_eq!(
        NodeRecord::from(node),
        NodeRecord {
            name: "n1".into(),
            labels: [("zone", "a"), ("empty", "")].into_iter().collect(),
        }
    );
}

#[test]
fn a_node_in_which_anything_is_null_is_read() {
    let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1",
        "resourceVersion": "7", "labels": {"zone": "a"}, "annotations": {"a": "b"}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}});
    for (at, json) in nulled(&node) {
        let node = from_json::<Named>(&json);
        let node = node.unwrap_or_else(|error| panic!("{at}: {error}"));
        let is_named = !node.metadata.name.is_empty();
        assert_eq!(
            is_named,
            !matches!(&*at, "" | "/metadata" | "/metadata/name"),
            "{at}"
        );
    }
}

/// A frontend that gets reports of pods and pages of kubelets.
struct Frontend {
    pods: Pods,
}

impl Frontend {
    /// Its clock shows second 131.
    fn new() -> Self {
        let now = jiff::Timestamp::from_second(131).unwrap();
        let pods = Pods {
            catalog: Catalog::default(),
            store: Store::new(None),
            unplaced: Unplaced::default(),
            clock: Clock::fixed(now),
        };
        Self { pods }
    }

    fn list(&self, pods: &[PrintedPod]) {
        let reported = pods.iter().cloned().map(|pod| self.pods.reported(pod));
        self.pods.apply(Change::Replace(reported.collect()));
    }

    fn put(&self, pod: PrintedPod) {
        self.pods.apply(Change::Put(self.pods.reported(pod)));
    }

    /// A page of `node`, scraped at `second`. Each pod has used a quarter of a core since second 0.
    fn report(&self, node: &str, second: i64, pods: &[&str]) {
        let at = Timestamp::from_millis(second * 1_000);
        let mut columns = Columns::missing(pods.len());
        for row in 0..pods.len() {
            let point = ContainerPoint {
                cpu: Some(CpuPoint {
                    total: CoreNanos(second.unsigned_abs() * 250_000_000),
                    at,
                }),
                memory: Some(MemoryPoint {
                    working_set: Bytes(4_096),
                    at,
                }),
                started: None,
                swap: None,
            };
            columns.set(row, &point);
        }
        let reading = Reading {
            node: node.into(),
            roster: roster(pods),
            asked_at: at,
            point: NodePoint::default(),
            columns,
            remarks: Remarks::default(),
        };
        let source = Source {
            name: "s".into(),
            resolution: Duration::from_secs(15),
        };
        self.pods.store.take(reading, &source);
    }

    /// What is served for these pods at second 132: millicores, or the reason for none.
    fn served(&self, names: &[&str]) -> Vec<String> {
        let keys: Vec<PodKey> = names
            .iter()
            .map(|name| PodKey::new("shop", *name))
            .collect();
        let pods: Vec<_> = keys.iter().map(|key| self.pods.catalog.pod(key)).collect();
        let node = |pod: &Option<Arc<PodRecord>>| pod.as_ref().and_then(|pod| pod.node.clone());
        let nodes: Vec<_> = pods.iter().map(node).collect();
        let asked = keys.iter().zip(nodes.iter().map(Option::as_ref));
        let now = Timestamp::from_millis(132_000);
        let said = self.pods.store.pods(asked, now).into_iter();
        said.map(|said| match said {
            Ok(usage) => {
                let cpu = usage.containers().map(|(_, usage)| usage.cpu.0 / 1_000_000);
                format!("{}m", cpu.sum::<u64>())
            }
            Err(reason) => reason.to_string(),
        })
        .collect()
    }
}

fn with_uid(name: &str, uid: &str) -> PrintedPod {
    PrintedPod {
        uid: uid.into(),
        ..printed(name)
    }
}

const NOT_YET: &str = "its node does not report it yet";

#[test]
fn a_list_tells_which_pods_are_gone_and_which_are_others_of_the_same_name() {
    let frontend = Frontend::new();
    frontend.list(&[printed("db-0"), printed("db-1"), printed("web")]);
    for second in [100, 115] {
        frontend.report("n1", second, &["db-0", "db-1", "web"]);
    }
    // The watch is interrupted. One pod is deleted, and another one is created again.
    frontend.report("n1", 130, &[]);
    assert_eq!(frontend.served(&["db-0", "db-1", "web"]), ["250m"; 3]);
    frontend.list(&[with_uid("db-0", "u-2"), printed("web")]);
    assert_eq!(frontend.served(&["db-0", "web"]), [NOT_YET, "250m"]);
    frontend.put(with_uid("db-1", "u-3"));
    assert_eq!(frontend.served(&["db-1"]), [NOT_YET]);
    // This is a late page from before that.
    frontend.report("n1", 120, &["db-0", "db-1", "web"]);
    assert_eq!(
        frontend.served(&["db-0", "db-1", "web"]),
        [NOT_YET, NOT_YET, "250m"]
    );
}

#[test]
fn of_a_list_that_names_a_pod_twice_the_last_one_counts() {
    let frontend = Frontend::new();
    frontend.list(&[with_uid("db-0", "u-1"), printed("web")]);
    for second in [100, 115] {
        frontend.report("n1", second, &["db-0", "web"]);
    }
    frontend.report("n1", 130, &[]);
    // The pod was deleted and created again between two pages of the list.
    let elsewhere = PrintedPod {
        node: Some("n2".to_owned()),
        ..with_uid("db-0", "u-2")
    };
    frontend.list(&[with_uid("db-0", "u-1"), printed("web"), elsewhere.clone()]);
    let pod = frontend
        .pods
        .catalog
        .pod(&PodKey::new("shop", "db-0"))
        .unwrap();
    assert_eq!(pod.node, Some("n2".into()));
    // The pod is on the first node again, but it is not the pod whose numbers that node reported.
    frontend.list(&[with_uid("db-0", "u-3"), printed("web")]);
    assert_eq!(frontend.served(&["db-0", "web"]), [NOT_YET, "250m"]);
}

#[test]
fn a_change_that_no_list_had_is_another_pod_by_its_uid_only() {
    let frontend = Frontend::new();
    frontend.put(printed("db-0"));
    for second in [100, 115] {
        frontend.report("n1", second, &["db-0"]);
    }
    frontend.report("n1", 130, &[]);
    let labels = [("a", "b")].into_iter().collect();
    frontend.put(PrintedPod {
        labels,
        ..printed("db-0")
    });
    frontend.list(&[printed("db-0")]);
    assert_eq!(frontend.served(&["db-0"]), ["250m"]);
    frontend.put(with_uid("db-0", "u-2"));
    assert_eq!(frontend.served(&["db-0"]), [NOT_YET]);
}

#[test]
fn the_name_of_a_pod_that_is_reported_while_pods_are_listed_is_in_memory_once() {
    let frontend = Frontend::new();
    let listed = vec![frontend.pods.reported(printed("db-0"))];
    frontend.report("n1", 100, &["db-0"]);
    frontend.pods.apply(Change::Replace(listed));
    let key = PodKey::new("shop", "db-0");
    let reported = frontend.pods.store.key(&key).unwrap();
    let listed = frontend.pods.catalog.pod(&key).unwrap();
    assert!(Arc::ptr_eq(&listed.key.name, &reported.name));
}

#[test]
fn a_pod_that_is_deleted_is_not_brought_back_by_a_late_page() {
    let frontend = Frontend::new();
    frontend.list(&[printed("db-0")]);
    for second in [100, 115] {
        frontend.report("n1", second, &["db-0"]);
    }
    frontend.report("n1", 130, &[]);
    // The event of a deletion may lack the node.
    let reported = frontend.pods.reported(printed("db-0"));
    let pod = PodRecord {
        node: None,
        ..PodRecord::clone(&reported.record)
    };
    frontend.pods.apply(Change::Remove(pod.into()));
    frontend.put(with_uid("db-0", "u-2"));
    frontend.report("n1", 125, &["db-0"]);
    assert_eq!(frontend.served(&["db-0"]), [NOT_YET]);
}
