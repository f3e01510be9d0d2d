use serde_json::json;
use tributary_sim::nulled;

use super::*;

/// The columns that kube-apiserver 1.37 writes, with shorter descriptions.
const COLUMNS: &str = r#"[{"name":"Name","type":"string","format":"name","description":"Name","priority":0},
    {"name":"Ready","type":"string","format":"","description":"","priority":0},
    {"name":"Status","type":"string","format":"","description":"","priority":0},
    {"name":"Restarts","type":"string","format":"","description":"","priority":0},
    {"name":"Age","type":"string","format":"","description":"","priority":0},
    {"name":"IP","type":"string","format":"","description":"","priority":1},
    {"name":"Node","type":"string","format":"","description":"","priority":1},
    {"name":"Nominated Node","type":"string","format":"","description":"","priority":1},
    {"name":"Readiness Gates","type":"string","format":"","description":"","priority":1}]"#;

fn row(name: &str, node: &str) -> String {
    format!(
        r#"{{"cells":["{name}","2/2","Running","0","65s","10.1.0.1","{node}","\u003cnone\u003e","\u003cnone\u003e"],
        "object":{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{{
        "name":"{name}","namespace":"shop","uid":"u-1","resourceVersion":"67","generation":1,
        "creationTimestamp":"2026-11-29T00:10:42Z","labels":{{"app":"web"}},"annotations":{{"a":"b"}},
        "ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"u"}}],
        "managedFields":[{{"manager":"kubelet","fieldsV1":{{"f:status":{{}}}}}}]}}}}}}"#
    )
}

fn table(columns: &str, rows: &[String]) -> String {
    format!(
        r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"4216","continue":"next"}},
        "columnDefinitions":{columns},"rows":[{}]}}"#,
        rows.join(",")
    )
}

fn line(kind: &str, object: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

/// `name: node`, or `name` without one.
fn nodes(pods: &[PrintedPod]) -> Vec<String> {
    let one = |pod: &PrintedPod| match &pod.node {
        Some(node) => format!("{}: {node}", pod.key),
        None => pod.key.to_string(),
    };
    pods.iter().map(one).collect()
}

fn changes(event: Event<PrintedPod>) -> Vec<String> {
    let one = |change| match change {
        Change::Put(pod) => format!("put {}", nodes(&[pod])[0]),
        Change::Remove(pod) => format!("remove {}", nodes(&[pod])[0]),
        Change::Replace(_) => unreachable!(),
    };
    event.changes.into_iter().map(one).collect()
}

#[test]
fn a_table_says_all_that_is_needed_of_a_pod() {
    let rows = [row("web-1", "n1"), row("web-2", "\\u003cnone\\u003e")];
    let page = Printed::default().page(&table(COLUMNS, &rows)).unwrap();
    assert_eq!(
        (&*page.version, page.next.as_deref()),
        ("4216", Some("next"))
    );
    assert_eq!(nodes(&page.items), ["shop/web-1: n1", "shop/web-2"]);
    assert_eq!(
        page.items[0],
        PrintedPod {
            key: PodKey::new("shop", "web-1"),
            uid: "u-1".into(),
            labels: [("app", "web")].into_iter().collect(),
            node: Some("n1".to_owned()),
        }
    );
}

#[test]
fn the_column_is_known_by_its_name() {
    let page = |columns: &str| {
        let table = table(columns, &[row("web-1", "n1")]);
        nodes(&Printed::default().page(&table).unwrap().items)
    };
    let moved = r#"[{"name":"Name"},{"name":"Nodes"},{"name":"Node"},{"name":"Restarts"}]"#;
    assert_eq!(page(moved), ["shop/web-1: Running"]);
    // The node is not known if there are fewer cells than columns, or no such column.
    let missing = r#"[{"name":"Name"},{"name":"Ready"}]"#;
    assert_eq!(page(missing), ["shop/web-1"]);
    assert_eq!(page("null"), ["shop/web-1"]);
    let cells = r#"{"cells":[1,null,{"a":[true]},"n7"],"object":{"metadata":{"name":"web-1","namespace":"shop"}}}"#;
    let columns = r#"[{"name":"A"},{"name":"B"},{"name":"C"},{"name":"Node"}]"#;
    let of_cells = |columns: &str| {
        let table = table(columns, &[cells.to_owned()]);
        nodes(&Printed::default().page(&table).unwrap().items)
    };
    assert_eq!(of_cells(columns), ["shop/web-1: n7"]);
    assert_eq!(
        of_cells(&columns.replace('C', "Node")),
        ["shop/web-1"],
        "no text"
    );
}

#[test]
fn an_empty_table_has_no_pods() {
    for rows in ["[]", "null"] {
        let json = format!(
            r#"{{"kind":"Table","metadata":{{"resourceVersion":"7"}},"columnDefinitions":{COLUMNS},"rows":{rows}}}"#
        );
        let page = Printed::default().page(&json).unwrap();
        assert_eq!((page.items.len(), page.next), (0, None));
    }
}

#[test]
fn only_the_first_event_of_a_watch_has_columns() {
    let mut printed = Printed::default();
    let first = line("ADDED", &table(COLUMNS, &[row("web-1", "n1")]));
    let event = printed.event(&first).unwrap();
    assert_eq!(event.version, "4216");
    assert_eq!(changes(event), ["put shop/web-1: n1"]);
    let next = line("MODIFIED", &table("null", &[row("web-1", "n2")]));
    assert_eq!(
        changes(printed.event(&next).unwrap()),
        ["put shop/web-1: n2"]
    );
    let gone = line("DELETED", &table("null", &[row("web-1", "n2")]));
    assert_eq!(
        changes(printed.event(&gone).unwrap()),
        ["remove shop/web-1: n2"]
    );
}

#[test]
fn a_bookmark_says_nothing_but_the_version_and_the_columns() {
    let mut printed = Printed::default();
    let empty = r#"{"cells":["","0/0","","0","\u003cunknown\u003e"],"object":{"kind":"PartialObjectMetadata",
        "apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"4216"}}}"#;
    let bookmark = line("BOOKMARK", &table(COLUMNS, &[empty.to_owned()]));
    let event = printed.event(&bookmark).unwrap();
    assert_eq!((&*event.version, event.changes.len()), ("4216", 0));
    let next = line("ADDED", &table("null", &[row("web-1", "n1")]));
    assert_eq!(
        changes(printed.event(&next).unwrap()),
        ["put shop/web-1: n1"]
    );
}

#[test]
fn a_server_that_prints_nothing_answers_with_pods() {
    let mut printed = Printed::default();
    let list = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":[
        {"metadata":{"name":"web-1","namespace":"shop","uid":"u-1","labels":null},
         "spec":{"nodeName":"n1","containers":[{"name":"main","env":[{"name":"A","value":"B"}]}]},
         "status":{"phase":"Running"}},
        {"metadata":{"name":"web-2","namespace":"shop"},"spec":{"nodeName":""}},
        {"metadata":{"name":"web-3","namespace":"shop"}}]}"#;
    let page = printed.page(list).unwrap();
    assert_eq!((&*page.version, page.next), ("9", None));
    let expected = ["shop/web-1: n1", "shop/web-2", "shop/web-3"];
    assert_eq!(nodes(&page.items), expected);
    let pod = r#"{"kind":"Pod","metadata":{"name":"web-1","namespace":"shop","resourceVersion":"10"},
        "spec":{"nodeName":"n2"}}"#;
    let event = printed.event(&line("MODIFIED", pod)).unwrap();
    assert_eq!(event.version, "10");
    assert_eq!(changes(event), ["put shop/web-1: n2"]);
    let bookmark =
        r#"{"kind":"Pod","metadata":{"resourceVersion":"11"},"spec":{"containers":null}}"#;
    let event = printed.event(&line("BOOKMARK", bookmark)).unwrap();
    assert_eq!((&*event.version, event.changes.len()), ("11", 0));
}

#[test]
fn a_watch_that_is_too_old_says_so() {
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"too old resource version: 1 (23500)","reason":"Expired","code":410}"#;
    match Printed::default().event(&line("ERROR", status)) {
        Err(Error::Api(status)) => assert_eq!(status.code, 410),
        other => panic!("{other:?}"),
    }
    for broken in ["", "{}", r#"{"type":"ADDED"}"#] {
        let read = Printed::default().event(broken);
        assert!(matches!(read, Err(Error::SerdeError(_))), "{broken}");
    }
}

#[test]
fn null_is_as_absent_and_hides_no_other_pod() {
    let printed = table(COLUMNS, &[row("web-1", "n1"), row("web-2", "n2")]);
    let plain = json!({"kind": "PodList", "metadata": {"resourceVersion": "9", "continue": ""},
        "items": [
            {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {"a": "b"}},
                "spec": {"nodeName": "n1"}},
            {"metadata": {"name": "web-2", "namespace": "shop"}, "spec": {"nodeName": "n2"}}]});
    for list in [serde_json::from_str(&printed).unwrap(), plain] {
        for (at, json) in nulled(&list) {
            let page = Printed::default().page(&json);
            let page = page.unwrap_or_else(|error| panic!("{at}: {error}"));
            if at.contains("/0") {
                let names: Vec<&str> = page.items.iter().map(|pod| &*pod.key.name).collect();
                assert!(names.contains(&"web-2"), "{at}: {names:?}");
            }
        }
    }
    for object in [
        table(COLUMNS, &[row("web-1", "n1")]),
        r#"{"metadata":{"name":"web-1",
        "namespace":"shop","resourceVersion":"10","labels":{"a":"b"}},"spec":{"nodeName":"n2"}}"#
            .to_owned(),
    ] {
        let line = line("MODIFIED", &object);
        for (at, json) in nulled(&serde_json::from_str(&line).unwrap()) {
            if !matches!(&*at, "" | "/type") {
                let event = Printed::default().event(&json);
                event.unwrap_or_else(|error| panic!("{at}: {error}"));
            }
        }
    }
}

#[test]
fn a_line_is_read_whatever_comes_first_in_it() {
    let object = table(COLUMNS, &[row("web-1", "n1")]);
    let line = format!(r#"{{"object":{object},"type":"DELETED"}}"#);
    let event = Printed::default().event(&line).unwrap();
    assert_eq!(changes(event), ["remove shop/web-1: n1"]);
}

#[test]
fn a_row_that_cannot_be_read_hides_no_other() {
    let odd = row("odd", "n1").replace(r#"{"app":"web"}"#, r#"{"app":7}"#);
    let rows = [
        row("web-1", "n1"),
        odd.clone(),
        "7".to_owned(),
        row("web-2", "n2"),
    ];
    let mut printed = Printed::default();
    let page = printed.page(&table(COLUMNS, &rows)).unwrap();
    assert_eq!(nodes(&page.items), ["shop/web-1: n1", "shop/web-2: n2"]);
    assert_eq!((page.left_out.count(), &*page.version), (2, "4216"));
    // The version of an unreadable event of a watch is known.
    let event = printed
        .event(&line("MODIFIED", &table("null", &[odd])))
        .unwrap();
    assert_eq!((event.left_out.count(), &*event.version), (1, "4216"));
    assert!(event.changes.is_empty());
    // A server that does not print returns whole pods.
    let list = r#"{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":7}},
        {"metadata":{"name":"a","namespace":"shop"},"spec":{"nodeName":"n1"}}]}"#;
    let page = Printed::default().page(list).unwrap();
    assert_eq!(nodes(&page.items), ["shop/a: n1"]);
    assert_eq!(page.left_out.count(), 1);
    let event = line("ADDED", r#"{"metadata":{"name":7,"resourceVersion":"10"}}"#);
    let event = Printed::default().event(&event).unwrap();
    assert_eq!((event.left_out.count(), &*event.version), (1, "10"));
}

#[test]
fn of_a_pod_that_is_deleted_the_name_is_enough() {
    let good = row("web-1", "n1");
    let labels = good.replace(r#"{"app":"web"}"#, r#"{"app":7}"#);
    let cells = good.replace(r#""cells":["web-1""#, r#""cells":{"a":"b"},"x":["web-1""#);
    let nameless = labels.replace(r#""name":"web-1","namespace""#, r#""name":7,"namespace""#);
    for odd in [&labels, &cells] {
        assert_ne!(*odd, good);
        let line = line("DELETED", &table("null", std::slice::from_ref(odd)));
        let event = Printed::default().event(&line).unwrap();
        assert_eq!((event.left_out.count(), &*event.version), (0, "4216"));
        assert_eq!(changes(event), ["remove shop/web-1"]);
    }
    let columns = table("7", &[good]);
    let whole =
        r#"{"metadata":{"name":"web-1","namespace":"shop","labels":7,"resourceVersion":"4216"}}"#;
    for odd in [&*columns, whole] {
        let event = Printed::default().event(&line("DELETED", odd)).unwrap();
        assert_eq!((event.left_out.count(), &*event.version), (0, "4216"));
        assert_eq!(changes(event), ["remove shop/web-1"]);
        // The pod is not changed by an unreadable event that does not delete it.
        let event = Printed::default().event(&line("MODIFIED", odd)).unwrap();
        assert_eq!(event.left_out.count(), 1);
        assert!(event.changes.is_empty());
    }
    let line = line("DELETED", &table("null", &[nameless]));
    let event = Printed::default().event(&line).unwrap();
    assert_eq!(event.left_out.count(), 1);
    assert!(event.changes.is_empty());
}

#[test]
fn labels_without_end_cost_a_pod_its_labels_and_nothing_else() {
    let labels: Vec<String> = (0..60_000).map(|n| format!(r#""{n:05}":"""#)).collect();
    let labels = format!("{{{}}}", labels.join(","));
    let evil = row("evil", "n1").replace(r#"{"app":"web"}"#, &labels);
    let rows = [evil, row("web-1", "n1")];
    let page = Printed::default().page(&table(COLUMNS, &rows)).unwrap();
    assert_eq!(nodes(&page.items), ["shop/evil: n1", "shop/web-1: n1"]);
    let refused: Vec<bool> = page
        .items
        .iter()
        .map(|pod| pod.labels.are_refused())
        .collect();
    assert_eq!(refused, [true, false]);
    assert_eq!(page.left_out.count(), 0);
}
