use serde_json::{Value, json};
use tributary_model::Endpoint;
use tributary_runtime::kube::from_json;
use tributary_sim::nulled;

use super::*;

fn rules(types: &[&str]) -> AddressRules {
    AddressRules {
        address_types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        port: 10_250,
        use_status_port: false,
    }
}

fn node(object: &Value) -> Node {
    from_json(&object.to_string()).unwrap()
}

fn full() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "n1", "uid": "u", "resourceVersion": "7",
            "labels": { "zone": "a" },
            "annotations": { "other": "x" },
            "managedFields": [{ "manager": "kubelet", "fieldsV1": { "f:status": {} } }],
        },
        "spec": { "podCIDR": "10.0.0.0/24" },
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": "127.1.0.1" },
                { "type": "InternalIP", "address": "fd00::1" },
                { "type": "Hostname", "address": "n1.test" },
            ],
            "conditions": [
                { "type": "MemoryPressure", "status": "True" },
                { "type": "Ready", "status": "True", "reason": "KubeletReady" },
            ],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 12_345 } },
            "images": [{ "names": ["a"], "sizeBytes": 5 }],
        },
    })
}

#[test]
fn the_first_address_of_the_first_type_that_matches_is_taken() {
    let host = |types| rules(types).target(&node(&full())).host;
    assert_eq!(host(&["Hostname", "InternalIP"]), Ok("n1.test".into()));
    assert_eq!(host(&["InternalDNS", "InternalIP"]), Ok("127.1.0.1".into()));
    let error = host(&["InternalDNS", "ExternalIP"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no address matched types [InternalDNS ExternalIP]"
    );
    assert_eq!(
        host(&[]).unwrap_err().to_string(),
        "no address matched types []"
    );
}

#[test]
fn what_may_be_absent_may_be_null() {
    for (pointer, object) in [
        (
            "/metadata",
            json!({ "name": "n2", "labels": null, "annotations": null }),
        ),
        ("/status", json!(null)),
        (
            "/status",
            json!({ "addresses": null, "daemonEndpoints": null, "conditions": null }),
        ),
        (
            "/status/daemonEndpoints",
            json!({ "kubeletEndpoint": null }),
        ),
        (
            "/status/daemonEndpoints",
            json!({ "kubeletEndpoint": { "Port": null } }),
        ),
        ("/status/capacity", json!(null)),
        ("/status/capacity", json!({ "cpu": null })),
    ] {
        let mut whole = full();
        whole["status"]["capacity"] = json!({ "cpu": "4" });
        *whole.pointer_mut(pointer).unwrap() = object;
        let target = rules(&["InternalIP"]).target(&node(&whole));
        assert_eq!(target.port, 10_250, "{pointer}");
    }
}

#[test]
fn a_node_says_how_many_cpus_it_has() {
    for (quantity, millis) in [
        ("8", Some(8_000)),
        ("7910m", Some(7_910)),
        ("0.5", Some(500)),
        ("1.2345", Some(1_234)),
        ("", None),
        ("many", None),
        ("-1", None),
        ("0", None),
        ("0m", None),
        ("0.0001", None),
    ] {
        let mut object = full();
        object["status"]["capacity"] = json!({ "cpu": quantity, "memory": "1Ki" });
        let target = rules(&[]).target(&node(&object));
        assert_eq!(target.cpu_millis, millis, "{quantity}");
    }
}

#[test]
fn the_port_of_the_status_is_taken_when_asked_for_and_there() {
    let mut rules = rules(&[]);
    assert_eq!(rules.target(&node(&full())).port, 10_250);
    rules.use_status_port = true;
    assert_eq!(rules.target(&node(&full())).port, 12_345);
    let bare = json!({ "metadata": { "name": "n2" } });
    assert_eq!(rules.target(&node(&bare)).port, 10_250);
}

#[test]
fn the_annotation_replaces_the_path_and_only_the_path() {
    for (annotation, path) in [
        ("", "/metrics/resource"),
        ("/custom/path", "/custom/path"),
        ("metrics/resource/v1alpha1", "/metrics/resource/v1alpha1"),
        // The query is ours.
        ("/stats/summary", "/stats/summary?only_cpu_and_memory=true"),
        ("/stats/summary?a=b", "/stats/summary%3Fa=b"),
        ("abc/../x?y=z#f", "/abc/../x%3Fy=z%23f"),
        ("/a b%20!", "/a%20b%2520%21"),
        ("/\u{fc}", "/%C3%BC"),
    ] {
        let mut object = full();
        object["metadata"]["annotations"]["metrics.k8s.io/resource-metrics-path"] =
            annotation.into();
        assert_eq!(rules(&[]).target(&node(&object)).path, path, "{annotation}");
    }
}

#[test]
fn a_node_cannot_lead_us_elsewhere_by_its_annotation_address_or_port() {
    let annotated = |path: &str| {
        let mut object = full();
        object["metadata"]["annotations"]["metrics.k8s.io/resource-metrics-path"] = path.into();
        rules(&["Hostname"]).target(&node(&object))
    };
    let longest = format!("/{}", "a".repeat(1_023));
    assert_eq!(annotated(&longest).path, longest.as_str());
    assert!(annotated(&longest).host.is_ok());
    for path in [
        "//evil.test/x",
        "https://evil.test/x",
        "/https://evil.test/x",
        &format!("{longest}a"),
    ] {
        let target = annotated(path);
        assert_eq!(target.host, Err(NoAddress::Path), "{path}");
        assert_eq!(target.path, "/metrics/resource");
        assert_eq!(
            target.host.unwrap_err().to_string(),
            "the annotation metrics.k8s.io/resource-metrics-path is not a path of at most 1024 bytes"
        );
    }

    let at = |host: &str| {
        let mut object = full();
        object["status"]["addresses"][2]["address"] = host.into();
        rules(&["Hostname"]).target(&node(&object)).host
    };
    for host in ["n1", "10.0.0.1", "fd00::1", "ip-10-0-0-1.ec2.internal", ""] {
        assert_eq!(at(host), Ok(host.into()));
    }
    for host in [
        "user@evil.test",
        "evil.test/x",
        "evil.test:443",
        "a b",
        "a\r\nb",
    ] {
        let error = at(host).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the address of type Hostname is neither a name nor an IP address"
        );
    }

    let port = |port: i32| {
        let mut object = full();
        object["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] = port.into();
        let rules = AddressRules {
            use_status_port: true,
            ..rules(&["Hostname"])
        };
        let target = rules.target(&node(&object));
        target.host.map(|_| target.port)
    };
    assert_eq!(port(443), Err(NoAddress::Port(443)));
    assert_eq!(port(1_023), Err(NoAddress::Port(1_023)));
    assert_eq!((port(1_024), port(65_535)), (Ok(1_024), Ok(65_535)));
    // These cannot come from a kubelet: as none.
    assert_eq!(
        (port(0), port(-1), port(65_536)),
        (Ok(10_250), Ok(10_250), Ok(10_250))
    );
}

#[test]
fn only_the_condition_ready_makes_a_node_ready() {
    assert!(rules(&[]).target(&node(&full())).ready);
    let mut object = full();
    object["status"]["conditions"][1]["status"] = "Unknown".into();
    assert!(!rules(&[]).target(&node(&object)).ready);
    let bare = json!({ "metadata": { "name": "n2" }, "status": { "conditions": null } });
    assert!(!rules(&[]).target(&node(&bare)).ready);
}

#[test]
fn a_change_is_reported_only_if_it_is_one() {
    let target = |name: &str| {
        let object = json!({ "metadata": { "name": name } });
        rules(&["Hostname"]).target(&node(&object))
    };
    let mut targets = Targets::default();
    assert!(!targets.listed());
    assert!(targets.apply(Change::Replace(vec![])));
    assert!(targets.listed() && targets.is_empty());
    assert!(!targets.apply(Change::Replace(vec![])));
    assert!(targets.apply(Change::Put(target("b"))));
    assert!(!targets.apply(Change::Put(target("b"))));
    let mut moved = target("b");
    moved.port = 1;
    assert!(targets.apply(Change::Put(moved)));
    assert!(targets.apply(Change::Put(target("a"))));
    let names: Vec<&str> = targets.iter().map(|target| target.node.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(targets.apply(Change::Remove(target("a"))));
    assert!(!targets.apply(Change::Remove(target("a"))));
    assert_eq!((targets.len(), targets.get("b").unwrap().port), (1, 1));
}

#[test]
fn a_path_says_by_its_end_what_is_there() {
    let named = |annotation: Option<&str>| {
        let mut object = full();
        object["metadata"]["annotations"]["metrics.k8s.io/resource-metrics-path"] =
            annotation.into();
        rules(&["Hostname"]).target(&node(&object)).named()
    };
    for (annotation, endpoint) in [
        ("/custom/path", Endpoint::Resource),
        ("/kubelet/metrics/resource", Endpoint::Resource),
        (
            "/kubelet/metrics/resource/v1alpha1",
            Endpoint::ResourceV1alpha1,
        ),
        ("/stats/summary", Endpoint::StatsSummary),
        ("/kubelet/stats/summary", Endpoint::StatsSummary),
        ("/stats/summary/", Endpoint::Resource),
    ] {
        assert_eq!(named(Some(annotation)), Some(endpoint), "{annotation}");
    }
    for none in [None, Some(""), Some("/metrics/resource")] {
        assert_eq!(named(none), None, "{none:?}");
    }
}

#[test]
fn a_node_in_which_anything_is_null_is_read() {
    for (at, json) in nulled(&full()) {
        let node = from_json::<Node>(&json);
        let node = node.unwrap_or_else(|error| panic!("{at}: {error}"));
        rules(&["InternalIP"]).target(&node);
    }
    let unnamed = rules(&[]).target(&node(&json!(null)));
    let named = rules(&[]).target(&node(&full()));
    let targets = Targets::of([unnamed.clone(), named]);
    let found: Vec<&str> = targets.iter().map(|target| target.node.as_str()).collect();
    assert_eq!(found, ["n1"]);
    assert!(!Targets::default().apply(Change::Put(unnamed)));
}
