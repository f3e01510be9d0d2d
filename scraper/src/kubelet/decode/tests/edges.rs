//! The edge cases of docs/parity.md#decoding, one by one, and what becomes of
//! them here.

use tributary_model::PodKey;

use super::*;

/// A whole pod, and a line under test before it.
fn beside_a_pod(line: &str) -> Decoded {
    decode(&format!("{line}\n{POD}")).unwrap()
}

const POD: &str = r#"container_cpu_usage_seconds_total{container="c",namespace="a",pod="p"} 1 11
container_memory_working_set_bytes{container="c",namespace="a",pod="p"} 3 13
"#;

#[track_caller]
fn is_refused(line: &str, refused: Refused) {
    let decoded = beside_a_pod(line);
    assert_eq!(
        decoded.refused.iter().collect::<Vec<_>>(),
        [(refused, 1)],
        "{line}"
    );
    let whole = ContainerPoint {
        cpu: cpu(1_000_000_000, 11),
        memory: memory(3, 13),
        ..ContainerPoint::default()
    };
    let row = rows(&decoded)
        .iter()
        .position(|row| row == "a/p/c")
        .unwrap();
    assert_eq!(decoded.reading.columns.point(row), whole, "{line}");
}

#[test]
fn a_target_series_without_labels_is_refused_alone() {
    is_refused("container_cpu_usage_seconds_total 5", Refused::NoLabels);
    is_refused("container_cpu_usage_seconds_total{} 5", Refused::NoLabels);
    is_refused("container_cpu_usage_seconds_total{ } 5", Refused::NoLabels);
}

#[test]
fn labels_that_name_no_container_are_refused_alone() {
    for labels in [
        r#"pod="q""#,
        r#"container="c",namespace="a",my_pod="q""#,
        r#"container="c",namespace="a",pod="""#,
        r#"container="c",namespace="a",pod="q",pod="r""#,
        r#"container="c",namespace="a",pod=q"#,
    ] {
        let line = format!("container_cpu_usage_seconds_total{{{labels}}} 5");
        is_refused(&line, Refused::BadLabel);
    }
    let long = "q".repeat(254);
    is_refused(
        &format!(
            "container_cpu_usage_seconds_total{{container=\"c\",namespace=\"a\",pod=\"{long}\"}} 5"
        ),
        Refused::BadLabel,
    );
    let mut page =
        b"container_cpu_usage_seconds_total{container=\"c\",namespace=\"a\",pod=\"\xff\"} 1\n"
            .to_vec();
    page.extend_from_slice(POD.as_bytes());
    let decoded = Layout::default()
        .decode(&page, &"n1".into(), ASKED_AT)
        .unwrap();
    assert_eq!(decoded.refused.count(Refused::BadLabel), 1);
    assert_eq!(rows(&decoded), ["a/p/c"]);
}

#[test]
fn a_value_that_is_no_amount_is_refused_and_its_container_stays_incomplete() {
    for (value, refused) in [
        ("NaN", Refused::NotFinite),
        ("+Inf", Refused::NotFinite),
        ("-Inf", Refused::NotFinite),
        ("1e30", Refused::Overflow),
        ("-1", Refused::Negative),
        ("0x1p3", Refused::Malformed),
        ("1_000", Refused::Malformed),
        ("one", Refused::Malformed),
        ("5 -5", Refused::BadTimestamp),
        ("5 1.5", Refused::BadTimestamp),
        ("5 99999999999999999999", Refused::BadTimestamp),
        ("5 253402300800000", Refused::BadTimestamp),
        ("5 6 # {a=\"b\"} 1", Refused::Malformed),
        ("5 6 7", Refused::Malformed),
        ("", Refused::Malformed),
    ] {
        let line = format!(
            "container_cpu_usage_seconds_total{{container=\"d\",namespace=\"a\",pod=\"p\"}} {value}"
        );
        if value.contains('#') {
            // The braces of an exemplar make the labels unreadable.
            is_refused(&line, Refused::BadLabel);
            continue;
        }
        is_refused(&line, refused);
        let decoded = beside_a_pod(&line);
        assert_eq!(rows(&decoded), ["a/p/c", "a/p/d"], "{value}");
        assert_eq!(decoded.reading.columns.point(1), ContainerPoint::default());
    }
}

#[test]
fn bytes_are_believed_up_to_256_tib() {
    for series in [
        r#"container_memory_working_set_bytes{container="d",namespace="a",pod="p"}"#,
        r#"container_swap_usage_bytes{container="c",namespace="a",pod="p"}"#,
        "node_memory_working_set_bytes",
        "node_swap_usage_bytes",
    ] {
        is_refused(&format!("{series} 281474976710655 5"), Refused::Overflow);
        let decoded = beside_a_pod(&format!("{series} 281474976710654 5"));
        assert_eq!(decoded.refused.total(), 0, "{series}");
    }
}

#[test]
fn a_pod_of_which_a_container_cannot_be_read_is_left_out_whole() {
    for series in [
        r#"{container="c c",namespace="a",pod="p"} 1 11"#,
        r#"{namespace="a",pod="p"} 1 11"#,
    ] {
        let other = POD.replace("pod=\"p\"", "pod=\"q\"");
        let page = format!("container_cpu_usage_seconds_total{series}\n{POD}{other}");
        let mut layout = Layout::default();
        for _ in 0..2 {
            let decoded = layout
                .decode(page.as_bytes(), &"n1".into(), ASKED_AT)
                .unwrap();
            assert_eq!(rows(&decoded), ["a/q/c"], "{series}");
            assert_eq!(decoded.refused.count(Refused::BadLabel), 1, "{series}");
            let unreadable = &*decoded.reading.remarks.unreadable;
            assert_eq!(unreadable, [PodKey::new("a", "p")], "{series}");
        }
        // And it is back once all of it can be read.
        let page = format!("{POD}{other}");
        let decoded = layout.decode(page.as_bytes(), &"n1".into(), ASKED_AT);
        let decoded = decoded.unwrap();
        assert_eq!(rows(&decoded), ["a/p/c", "a/q/c"]);
        assert!(decoded.reading.remarks.unreadable.is_empty());
    }
}

#[test]
fn some_of_the_pods_that_cannot_be_read_are_named() {
    let line = |pod: usize| {
        format!(
            "container_cpu_usage_seconds_total{{container=\"C\",namespace=\"a\",pod=\"p{pod}\"}} 1 11\n"
        )
    };
    // In no order, and of one pod two lines.
    let page: String = (100..200).rev().chain([100]).map(line).collect();
    let decoded = decode(&format!("{page}{POD}")).unwrap();
    let named = &decoded.reading.remarks.unreadable;
    assert_eq!(named.len(), 64);
    assert_eq!(named[0], PodKey::new("a", "p100"));
    assert!(named.is_sorted());
}

#[test]
fn a_line_of_the_pod_itself_and_a_start_alone_make_no_container() {
    let pods_own = r#"container_cpu_usage_seconds_total{container="",namespace="a",pod="p"} 9 11"#;
    let ended = r#"container_start_time_seconds{container="init",namespace="a",pod="p"} 5"#;
    let zero = r#"container_start_time_seconds{container="c",namespace="a",pod="p"} -6795364578"#;
    for line in [pods_own, ended, zero] {
        let page = format!("{POD}{line}\n");
        let mut layout = Layout::default();
        for _ in 0..2 {
            let decoded = layout.decode(page.as_bytes(), &"n1".into(), ASKED_AT);
            let decoded = decoded.unwrap();
            assert_eq!(rows(&decoded), ["a/p/c"], "{line}");
            let point = decoded.reading.columns.point(0);
            assert_eq!((point.cpu, point.started), (cpu(1_000_000_000, 11), None));
        }
        // As it is read again, so it is as before.
        assert!(
            layout.read_as_before(page.as_bytes(), ASKED_AT).is_some(),
            "{line}"
        );
    }
    let bad = format!("{POD}container_cpu_usage_seconds_total{{container=\"\",pod=\"p\"}} 9\n");
    assert_eq!(decode(&bad).unwrap().refused.count(Refused::BadLabel), 1);
}

#[test]
fn half_a_byte_is_zero_and_zero_is_not_missing() {
    let decoded = decode("node_memory_working_set_bytes 0.5 7\n").unwrap();
    assert_eq!(decoded.reading.point.memory, memory(0, 7));
    assert_eq!(decoded.reading.point.cpu, None);
}

#[test]
fn a_missing_timestamp_is_the_time_of_asking() {
    let decoded = decode("node_cpu_usage_seconds_total 5").unwrap();
    assert_eq!(decoded.reading.point.cpu, cpu(5_000_000_000, 1_000_000));
}

/// The pod `p` with one more line of a family about its container.
fn with_another(family: &str, value: &str) -> Decoded {
    let labels = r#"{pod="p",namespace="a",container="c"}"#;
    decode(&format!("{POD}{family}{labels} {value}\n")).unwrap()
}

#[test]
fn a_series_that_comes_twice_with_the_same_sample_is_one() {
    for (family, value) in [
        ("container_cpu_usage_seconds_total", "1 11"),
        ("container_memory_working_set_bytes", "3 13"),
    ] {
        let decoded = with_another(family, value);
        assert_eq!(decoded.refused.count(Refused::Duplicate), 1, "{family}");
        let once = decode(POD).unwrap().reading;
        assert_eq!(decoded.reading, once, "{family}");
    }
}

#[test]
fn of_two_series_that_differ_neither_stands() {
    for (family, value) in [
        ("container_cpu_usage_seconds_total", "9 11"),
        ("container_cpu_usage_seconds_total", "1 12"),
        ("container_memory_working_set_bytes", "4 13"),
        ("container_memory_working_set_bytes", "3 9"),
    ] {
        let decoded = with_another(family, value);
        assert_eq!(decoded.refused.count(Refused::Duplicate), 1, "{family}");
        let point = decoded.reading.columns.point(0);
        assert_eq!((point.cpu, point.memory), (None, None), "{family}");
        let withheld = &*decoded.reading.remarks.withheld;
        assert_eq!(withheld, [(0, NoUsage::ReportedTwice)], "{family}");
    }
    // Whatever the order and the number.
    let line = |total: u64| {
        format!(
            "container_cpu_usage_seconds_total{{container=\"c\",namespace=\"a\",pod=\"p\"}} {total} 11\n"
        )
    };
    for totals in [[1, 2, 1], [1, 1, 2], [2, 1, 1]] {
        let page: String = totals.into_iter().map(line).collect();
        let decoded = decode(&page).unwrap();
        assert_eq!(decoded.reading.columns.cpu(0), None, "{totals:?}");
    }
    let node = "node_cpu_usage_seconds_total 1 5\nnode_cpu_usage_seconds_total 2 5\n";
    let decoded = decode(&format!("{node}node_memory_working_set_bytes 1 5\n")).unwrap();
    assert_eq!(decoded.reading.point.cpu, None);
    // Swap is shown and goes into no rate: the first stands.
    let decoded = decode("node_swap_usage_bytes 1\nnode_swap_usage_bytes 2\n").unwrap();
    assert_eq!(decoded.refused.count(Refused::Duplicate), 1);
    assert_eq!(decoded.reading.point.swap, Some(Bytes(1)));
}

#[test]
fn why_a_container_has_no_value_is_said() {
    for value in ["NaN 11", "-5 11", "1e40 11", "x 11", "1 -1"] {
        let page = POD.replace("} 1 11", &format!("}} {value}"));
        assert_ne!(page, POD);
        let decoded = decode(&page).unwrap();
        let withheld = &*decoded.reading.remarks.withheld;
        assert_eq!(withheld, [(0, NoUsage::BadValue)], "{value}");
    }
}

#[test]
fn a_sample_without_a_time_is_stamped_by_the_scraper_and_said_to_be() {
    for (page, expected) in [
        (POD.to_owned(), false),
        (POD.replace("} 1 11", "} 1"), true),
        ("node_cpu_usage_seconds_total 5\n".to_owned(), true),
        ("node_cpu_usage_seconds_total 5 1\n".to_owned(), false),
    ] {
        let decoded = decode(&page).unwrap();
        let remarks = decoded.reading.remarks;
        assert_eq!(remarks.is_stamped_by_scraper, expected, "{page}");
    }
}

#[test]
fn what_is_read_leniently_is_read_right() {
    let strange = "\r\n# TYPE x bar\r\n# EOF\r\n\tcontainer_cpu_usage_seconds_total { namespace = \"a\" , pod=\"p\",container=\"c\",}\t1  11\r\n\ncontainer_memory_working_set_bytes{container=\"c\",namespace=\"a\",pod=\"p\",extra=\"x\"} 3 13";
    let decoded = decode(strange).unwrap();
    assert_eq!(decoded.refused.total(), 0);
    assert_eq!(decoded.reading, decode(POD).unwrap().reading);
}

#[test]
fn a_name_that_kubernetes_does_not_allow_is_refused_alone() {
    for labels in [
        r#"container="c\"d",namespace="a",pod="q""#,
        r#"container="c\n",namespace="a",pod="q""#,
        "container=\"c\u{1b}[2J\",namespace=\"a\",pod=\"q\"",
        "container=\"c\u{202e}\",namespace=\"a\",pod=\"q\"",
        r#"container="C",namespace="a",pod="q""#,
        r#"container="c.d",namespace="a",pod="q""#,
        r#"container="c",namespace="a.b",pod="q""#,
        r#"container="c",namespace="a\\b",pod="q""#,
        r#"container="c",namespace="a",pod="q}""#,
        r#"container="c",namespace="a",pod="q_r""#,
        r#"container="c",namespace="a",pod="-q""#,
    ] {
        let line = format!("container_memory_working_set_bytes{{{labels}}} 5");
        is_refused(&line, Refused::BadLabel);
        assert_eq!(rows(&beside_a_pod(&line)), ["a/p/c"], "{labels}");
    }
    let long = "c".repeat(64);
    let line = format!(
        "container_memory_working_set_bytes{{container=\"{long}\",namespace=\"a\",pod=\"q\"}} 5"
    );
    is_refused(&line, Refused::BadLabel);
}

#[test]
fn names_as_static_pods_and_long_ones_have_them_are_read() {
    let pod = format!("{}.{}", "n".repeat(126), "m".repeat(126));
    let (namespace, container) = ("a".repeat(63), "c".repeat(63));
    let line = format!(
        "container_memory_working_set_bytes{{container=\"{container}\",namespace=\"{namespace}\",pod=\"{pod}\"}} 5\n\
         container_memory_working_set_bytes{{container=\"etcd\",namespace=\"kube-system\",\
         pod=\"etcd-ip-10-0-0-1.eu-west-1.compute.internal\"}} 5"
    );
    let decoded = beside_a_pod(&line);
    assert_eq!(decoded.refused.total(), 0);
    assert_eq!(
        rows(&decoded),
        [
            "a/p/c".to_owned(),
            format!("{namespace}/{pod}/{container}"),
            "kube-system/etcd-ip-10-0-0-1.eu-west-1.compute.internal/etcd".to_owned(),
        ]
    );
}

#[test]
fn labels_on_series_of_the_node_are_ignored() {
    let decoded = decode("node_cpu_usage_seconds_total{node=\"x\"} 5 6").unwrap();
    assert_eq!(decoded.reading.point.cpu, cpu(5_000_000_000, 6));
}

#[test]
fn only_the_exact_name_counts() {
    for name in [
        "node_cpu_usage_seconds_total2",
        "xnode_cpu_usage_seconds_total",
    ] {
        let error = decode(&format!("{name} 5\n")).unwrap_err();
        assert_eq!(
            error,
            Undecodable::Empty {
                scrape_error: false
            }
        );
    }
}

#[test]
fn garbage_is_refused_as_a_page_and_shown() {
    for (page, line, text) in [
        ("<html>\n<body>hello</body>", 1, "<html>"),
        ("\nUnauthorized", 2, "Unauthorized"),
        ("404 page not found\n", 1, "404 page not found"),
        ("a 1\n\u{1}\u{7f}", 2, "\\x01\\x7f"),
    ] {
        let error = decode(page).unwrap_err();
        let text = text.to_owned();
        assert_eq!(error, Undecodable::Malformed { line, text });
    }
}

#[test]
fn a_line_of_garbage_costs_nothing_but_itself() {
    let decoded = beside_a_pod("<html>");
    assert_eq!(rows(&decoded), ["a/p/c"]);
}

#[test]
fn a_page_that_says_nothing_is_empty() {
    for page in ["", "\n", "# HELP a b\n", "pod_swap_usage_bytes 5\n"] {
        assert_eq!(
            decode(page).unwrap_err(),
            Undecodable::Empty {
                scrape_error: false
            }
        );
    }
    assert_eq!(
        decode("resource_scrape_error 1\n").unwrap_err().to_string(),
        "no usage of the node or of a container on the page; the kubelet reports resource_scrape_error 1"
    );
}

#[test]
fn a_page_of_refusals_is_refused_with_one_of_them() {
    assert_eq!(
        decode("a 1\nnode_cpu_usage_seconds_total NaN\nnode_swap_usage_bytes -1\n")
            .unwrap_err()
            .to_string(),
        "nothing on the page can be used: 2 series refused, \
         first line 2 (not-finite): `node_cpu_usage_seconds_total NaN`"
    );
}

#[test]
fn an_error_that_the_kubelet_admits_is_noted() {
    assert!(beside_a_pod("resource_scrape_error 1").scrape_error);
    assert!(beside_a_pod("scrape_error 1").scrape_error);
    assert!(!beside_a_pod("resource_scrape_error 0").scrape_error);
}

#[test]
fn too_many_containers_are_a_page_too_large() {
    const MEMORY: &str = "container_memory_working_set_bytes";
    let lines: Vec<String> = (0..=20_000)
        .map(|pod| format!("{{container=\"c\",namespace=\"a\",pod=\"p{pod}\"}} 5\n"))
        .collect();
    let page = format!("{MEMORY}{}", lines.join(MEMORY));
    assert_eq!(decode(&page).unwrap_err(), Undecodable::TooManyContainers);
}

#[test]
fn containers_in_all_families_have_a_limit() {
    let mut page = String::new();
    for family in [
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_start_time_seconds",
        "container_swap_usage_bytes",
    ] {
        for pod in 0..20_000 {
            let labels = format!("container=\"c\",namespace=\"a\",pod=\"p{pod}\"");
            page.push_str(&[family, "{", &labels, "} 5\n"].concat());
        }
    }
    let decoded = decode(&page).unwrap();
    assert_eq!(decoded.reading.columns.len(), 20_000);
    assert_eq!(decoded.refused.total(), 0);
    let more = r#"container_swap_usage_bytes{container="c",namespace="a",pod="more"} 5"#;
    assert_eq!(
        decode(&format!("{page}{more}")).unwrap_err(),
        Undecodable::TooManyLines
    );
}

#[test]
fn too_many_lines_about_containers_are_a_page_too_large() {
    for line in [
        "container_swap_usage_bytes 1\n",
        "container_swap_usage_bytes{container=\"c\",namespace=\"a\",pod=\"p\"} 1\n",
        "container_cpu_usage_seconds_total 1\n",
    ] {
        let error = decode(&line.repeat(80_001)).unwrap_err();
        assert_eq!(error, Undecodable::TooManyLines, "{line}");
        assert_eq!(
            error.to_string(),
            "more than 80000 lines about containers on the page"
        );
    }
}

#[test]
fn too_many_bytes_of_names_are_a_page_too_large() {
    let lines: Vec<String> = (0..10_000)
        .map(|pod| {
            format!("container_memory_working_set_bytes{{container=\"c\",namespace=\"a\",pod=\"{pod:0104}\"}} 5\n")
        })
        .collect();
    let page = lines.concat();
    let error = decode(&page).unwrap_err();
    assert_eq!(error, Undecodable::TooManyNameBytes);
    assert_eq!(
        error.to_string(),
        "more than 1048576 bytes of names of containers on the page"
    );
}
