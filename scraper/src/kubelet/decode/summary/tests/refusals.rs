//! What cannot be read: pages, pods, containers and values.

use super::*;

#[test]
fn what_is_no_summary_says_where() {
    for (page, line, column) in [
        ("", 1, 0),
        ("# HELP node_cpu_usage_seconds_total x\n", 1, 1),
        ("<html>", 1, 1),
        ("{\n\"pods\": 5}", 1, 1),
        ("{\"pods\":[{}\n", 2, 0),
        ("{} {}", 1, 4),
        ("[[[[[[[[[[", 1, 10),
    ] {
        let Err(Undecodable::NotASummary {
            line: at_line,
            column: at_column,
            ..
        }) = decode(page.as_bytes())
        else {
            unreachable!("{page} was read")
        };
        assert_eq!((at_line, at_column), (line, column), "{page}");
    }
    // What stands there is for our own log.
    let error = crate::kubelet::ScrapeError::from(decode(b"secret").unwrap_err());
    let line = "line 1, column 1 of the answer is not of a summary of statistics";
    assert_eq!(error.to_string(), line);
    assert!(error.excerpt().unwrap().contains("secret"));
}

#[test]
fn a_pod_of_which_a_container_cannot_be_read_is_left_out() {
    for bad in [
        container("no_name"),
        container("esc\u{1}aped"),
        container(&"c".repeat(64)),
        json!({ "cpu": { "usageCoreNanoSeconds": 1 } }),
        json!({ "name": 5, "cpu": { "usageCoreNanoSeconds": 1 } }),
    ] {
        for containers in [json!([bad, container("c")]), json!([container("c"), bad])] {
            let page =
                json!({ "pods": [pod("p", &containers), pod("q", &json!([container("c")]))] });
            let decoded = read(&page);
            assert_eq!(names(&decoded), ["a/q/c"], "{bad}");
            assert_eq!(refused(&decoded), [("bad-label", 1)], "{bad}");
            let unreadable = &decoded.reading.remarks.unreadable[..];
            assert_eq!(unreadable, [PodKey::new("a", "p")], "{bad}");
        }
    }
    let decoded = beside(&json!(5));
    assert_eq!(
        (names(&decoded), refused(&decoded)),
        (vec!["a/q/c".to_owned()], vec![("malformed", 1)])
    );
    // One without a name is the pod itself, as on the other pages.
    let decoded = read(&json!({ "pods": [pod("p", &json!([container(""), container("c")]))] }));
    assert_eq!(
        (names(&decoded), refused(&decoded)),
        (vec!["a/p/c".to_owned()], vec![])
    );
}

#[test]
fn a_pod_without_a_name_is_refused_and_no_other() {
    for bad in [
        json!({}),
        json!({ "podRef": null }),
        json!({ "podRef": { "name": "p" } }),
        json!({ "podRef": { "name": "P", "namespace": "a" } }),
        json!({ "podRef": { "name": "p", "namespace": "a.b" } }),
        json!({ "podRef": ["p"] }),
    ] {
        let mut bad = bad;
        bad["containers"] = json!([container("c")]);
        let decoded = read(&json!({ "pods": [bad, pod("q", &json!([container("c")]))] }));
        assert_eq!(names(&decoded), ["a/q/c"], "{bad}");
        assert_eq!(refused(&decoded), [("bad-label", 1)], "{bad}");
    }
    for bad in [
        json!(5),
        json!("p"),
        json!({ "podRef": {}, "containers": 5 }),
    ] {
        let decoded = read(&json!({ "pods": [bad, pod("q", &json!([container("c")]))] }));
        assert_eq!(names(&decoded), ["a/q/c"], "{bad}");
        assert_eq!(refused(&decoded), [("malformed", 1)], "{bad}");
    }
    let text = decode(br#"{"pods":[5]}"#).unwrap_err().to_string();
    assert_eq!(
        text,
        "nothing on the page can be used: 1 series refused, first pod 1 (malformed): `5`"
    );
}

#[test]
fn of_two_samples_that_differ_there_is_none() {
    let mut other = container("c");
    other["cpu"]["usageCoreNanoSeconds"] = 9.into();
    let twice = |second: &Value| {
        let again = json!([
            pod("p", &json!([container("c")])),
            pod("p", &json!([second]))
        ]);
        read(&json!({ "pods": again }))
    };
    let same = twice(&container("c"));
    assert_eq!(points(&same)[0].1.cpu, cpu(1_000_000_000, SECOND_10));
    assert_eq!(refused(&same), [("duplicate", 2)]);
    let differ = twice(&other);
    assert_eq!(points(&differ)[0].1, ContainerPoint::default());
    assert_eq!(refused(&differ), [("duplicate", 2)]);
    let withheld = &differ.reading.remarks.withheld[..];
    assert_eq!(withheld, [(0, tributary_model::NoUsage::ReportedTwice)]);
}

#[test]
fn an_element_that_is_null_is_not_there() {
    let containers = json!([null, container("c"), null]);
    let decoded = read(&json!({ "pods": [null, pod("p", &containers), null] }));
    assert_eq!(names(&decoded), ["a/p/c"]);
    assert_eq!(refused(&decoded), []);
    assert!(
        !decoded
            .reading
            .remarks
            .is_unreadable(&PodKey::new("a", "p"))
    );
}

#[test]
fn pods_that_cannot_be_read_are_as_many_as_containers_at_most() {
    let torn = |pod: usize| json!({ "podRef": { "name": format!("p{pod}"), "namespace": "a" }, "containers": [7] });
    let page = |pods: usize| {
        let pods: Vec<Value> = (0..pods)
            .map(torn)
            .chain([pod("q", &json!([container("c")]))])
            .collect();
        json!({ "pods": pods }).to_string()
    };
    let most = Roster::MAX_CONTAINERS - 1;
    assert_eq!(names(&decode(page(most).as_bytes()).unwrap()), ["a/q/c"]);
    let more = decode(page(most + 1).as_bytes()).unwrap_err();
    assert!(matches!(more, Undecodable::TooManyContainers), "{more}");
}

#[test]
fn more_than_a_node_may_have_is_too_much() {
    let page = |containers: usize| {
        let mut page =
            String::from(r#"{"pods":[{"podRef":{"name":"p","namespace":"a"},"containers":["#);
        for number in 0..containers {
            let comma = if number == 0 { "" } else { "," };
            write!(
                page,
                r#"{comma}{{"name":"c{number}","memory":{{"workingSetBytes":1}}}}"#
            )
            .unwrap();
        }
        page.push_str("]}]}");
        page
    };
    let most = decode(page(20_000).as_bytes()).unwrap();
    assert_eq!(most.reading.roster.containers(), 20_000);
    let more = decode(page(20_001).as_bytes()).unwrap_err();
    assert_eq!(more, Undecodable::TooManyContainers);
}
