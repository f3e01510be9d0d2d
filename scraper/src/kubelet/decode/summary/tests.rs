#![expect(
    clippy::unnecessary_wraps,
    reason = "what is compared with is an option"
)]

mod refusals;

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_model::{ContainerPoint, PodKey};

use super::*;
use crate::kubelet::decode::{Decoded, Layout};

const ASKED_AT: Timestamp = Timestamp::from_millis(1_577_836_815_000);

fn decode(page: &[u8]) -> Result<Decoded, Undecodable> {
    Layout::default().decode_summary(page, &"n1".into(), ASKED_AT)
}

fn read(page: &Value) -> Decoded {
    decode(page.to_string().as_bytes()).unwrap()
}

fn golden(name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/kubelet-older");
    std::fs::read(format!("{root}/{name}")).unwrap()
}

fn cpu(nanos: u64, at: i64) -> Option<CpuPoint> {
    Some(CpuPoint {
        total: CoreNanos(nanos),
        at: Timestamp::from_millis(at),
    })
}

fn memory(bytes: u64, at: i64) -> Option<MemoryPoint> {
    Some(MemoryPoint {
        working_set: Bytes(bytes),
        at: Timestamp::from_millis(at),
    })
}

/// `namespace/pod/container` and what is said of it.
fn points(decoded: &Decoded) -> Vec<(String, ContainerPoint)> {
    let reading = &decoded.reading;
    let rows = reading.roster.rows();
    let rows = rows.map(|(row, pod, container)| {
        let point = reading.columns.point(row);
        (format!("{pod}/{container}"), point)
    });
    rows.collect()
}

fn names(decoded: &Decoded) -> Vec<String> {
    points(decoded).into_iter().map(|(name, _)| name).collect()
}

/// How many values were refused, and why.
fn refused(decoded: &Decoded) -> Vec<(&'static str, u32)> {
    let all = decoded.refused.iter();
    all.map(|(reason, count)| (reason.as_str(), count))
        .collect()
}

/// A container with one second of CPU and 2 KiB, measured in second 10.
fn container(name: &str) -> Value {
    json!({
        "name": name,
        "cpu": { "time": "2020-01-01T00:00:10Z", "usageCoreNanoSeconds": 1_000_000_000 },
        "memory": { "time": "2020-01-01T00:00:10Z", "workingSetBytes": 2048 },
    })
}

fn pod(name: &str, containers: &Value) -> Value {
    json!({ "podRef": { "name": name, "namespace": "a" }, "containers": containers })
}

/// Reads a page of the pod `p`, of which this is a container, and of `q`.
fn beside(container_of_p: &Value) -> Decoded {
    read(
        &json!({ "pods": [pod("p", &json!([container_of_p])), pod("q", &json!([container("c")]))] }),
    )
}

const SECOND_10: i64 = 1_577_836_810_000;

/// When starts are on the page.
enum Starts {
    None,
    Millis,
    Seconds,
}

/// What every page of `tests/golden/kubelet-older` says, with or without what the
/// version leaves out.
#[track_caller]
fn says_what_all_say(file: &str, decoded: &Decoded, cut: fn(i64) -> i64, starts: &Starts) {
    let started = |millis: i64| match starts {
        Starts::None => None,
        Starts::Millis => Some(Timestamp::from_millis(millis)),
        Starts::Seconds => Some(Timestamp::from_millis(millis / 1_000 * 1_000)),
    };
    let row = |name: &str, nanos, bytes, at, start| {
        let point = ContainerPoint {
            cpu: cpu(nanos, cut(at)),
            memory: memory(bytes, cut(at)),
            started: started(start),
            swap: None,
        };
        (name.to_owned(), point)
    };
    let expected = [
        row(
            "kube-system/coredns-5644d7b6d9-8xw2p/coredns",
            595_288_525,
            52_719_616,
            1_577_836_811_500,
            1_577_829_601_000,
        ),
        row(
            "shop/web-0/main",
            10_114_246_756,
            21_213_184,
            1_577_836_812_413,
            1_577_833_201_156,
        ),
        row(
            "shop/web-0/sidecar",
            158_130_348,
            2_334_720,
            1_577_836_813_411,
            1_577_833_202_267,
        ),
    ];
    assert_eq!(points(decoded), expected, "{file}");
    let at = cut(1_577_836_810_216);
    let point = &decoded.reading.point;
    assert_eq!(point.cpu, cpu(7_254_950_014_541, at), "{file}");
    assert_eq!(point.memory, memory(3_391_307_776, at), "{file}");
    assert_eq!(point.swap, None, "{file}");
    assert_eq!(decoded.refused.total(), 0, "{file}");
    assert!(!decoded.reading.remarks.is_stamped_by_scraper, "{file}");
}

#[test]
fn pages_of_kubernetes_1_8_to_1_26_say_the_same() {
    for file in ["1.8", "1.13-only-cpu-and-memory", "1.17", "1.26"] {
        let file = format!("summary-{file}.json");
        let decoded = decode(&golden(&file)).unwrap();
        says_what_all_say(&file, &decoded, |at| at / 1_000 * 1_000, &Starts::Seconds);
    }
    for (file, starts) in [
        ("v1alpha1-1.14", Starts::None),
        ("v1alpha1-1.17", Starts::None),
        ("v1alpha1-1.18", Starts::None),
        ("resource-1.18", Starts::None),
        ("resource-1.22", Starts::Millis),
        ("resource-1.26", Starts::Millis),
    ] {
        let file = format!("{file}.txt");
        let mut layout = Layout::default();
        let decoded = layout.decode(&golden(&file), &"n1".into(), ASKED_AT);
        says_what_all_say(&file, &decoded.unwrap(), |at| at, &starts);
    }
}

#[test]
fn pages_of_both_forms_may_follow_each_other() {
    let mut layout = Layout::default();
    let text = |layout: &mut Layout, name: &str| {
        let decoded = layout.decode(&golden(name), &"n1".into(), ASKED_AT);
        decoded.unwrap().reading
    };
    let summary = |layout: &mut Layout, page: &[u8]| {
        let decoded = layout.decode_summary(page, &"n1".into(), ASKED_AT);
        decoded.unwrap().reading
    };
    let first = text(&mut layout, "v1alpha1-1.17.txt");
    let second = summary(&mut layout, &golden("summary-1.17.json"));
    let third = text(&mut layout, "resource-1.18.txt");
    assert!(Arc::ptr_eq(&first.roster, &second.roster));
    assert!(Arc::ptr_eq(&first.roster, &third.roster));
    assert_eq!(first.columns, third.columns);
    // A page without containers, after one that has some.
    summary(&mut layout, &golden("summary-1.17.json"));
    let node = layout.decode(
        b"node_memory_working_set_bytes 5 1\n",
        &"n1".into(),
        ASKED_AT,
    );
    assert_eq!(node.unwrap().reading.roster.containers(), 0);
}

#[test]
fn swap_is_read_and_zero_is_a_value() {
    let mut with_swap = container("c");
    with_swap["swap"] = json!({ "time": "2020-01-01T00:00:10Z", "swapUsageBytes": 0 });
    let decoded = read(&json!({
        "node": { "swap": { "swapUsageBytes": 4096, "swapAvailableBytes": 1 } },
        "pods": [pod("p", &json!([with_swap]))],
    }));
    assert_eq!(points(&decoded)[0].1.swap, Some(Bytes(0)));
    assert_eq!(decoded.reading.point.swap, Some(Bytes(4096)));
}

#[test]
fn bytes_are_believed_up_to_256_tib() {
    for (bytes, refused) in [(281_474_976_710_654_u64, 0), (281_474_976_710_655, 2)] {
        let mut large = container("c");
        large["memory"]["workingSetBytes"] = json!(bytes);
        large["swap"] = json!({ "swapUsageBytes": bytes });
        let decoded = read(&json!({ "pods": [pod("p", &json!([large, container("d")]))] }));
        assert_eq!(decoded.refused.count(Refused::Overflow), refused, "{bytes}");
    }
}

#[test]
fn a_value_that_is_null_is_not_there() {
    let decoded = beside(&json!({
        "name": "c",
        "startTime": null,
        "cpu": { "time": "2020-01-01T00:00:10Z", "usageNanoCores": 7, "usageCoreNanoSeconds": null },
        "memory": { "time": "2020-01-01T00:00:10Z", "workingSetBytes": 1 },
        "swap": null,
    }));
    let [(_, first), _] = &points(&decoded)[..] else {
        unreachable!("two pods")
    };
    let expected = ContainerPoint {
        memory: memory(1, SECOND_10),
        ..ContainerPoint::default()
    };
    assert_eq!(*first, expected);
    assert_eq!(refused(&decoded), []);
    // Without either there is no container, and its pod is not waited for.
    for nothing in [
        json!({ "name": "c" }),
        json!({ "name": "c", "cpu": null, "memory": null }),
        json!({ "name": "c", "cpu": {}, "memory": {}, "startTime": "2020-01-01T00:00:00Z" }),
        json!({ "name": "c", "swap": { "swapUsageBytes": 1 } }),
    ] {
        let decoded = beside(&nothing);
        assert_eq!(names(&decoded), ["a/q/c"], "{nothing}");
        assert_eq!(refused(&decoded), [], "{nothing}");
    }
}

#[test]
fn a_page_without_numbers_is_empty() {
    for page in [
        "null",
        "{}",
        r#"{"node":null,"pods":null}"#,
        r#"{"node":{"nodeName":"n1","startTime":null},"pods":[]}"#,
        r#"{"pods":[{"podRef":{"name":"p","namespace":"a"},"containers":null}]}"#,
    ] {
        let empty = Undecodable::Empty {
            scrape_error: false,
        };
        assert_eq!(decode(page.as_bytes()).unwrap_err(), empty, "{page}");
    }
}

#[test]
fn numbers_have_the_border_of_the_other_pages() {
    for (number, reason) in [
        ("-1", "negative"),
        ("18446744073709551700", "overflow"),
        ("1e30", "overflow"),
        ("\"5\"", "malformed"),
        ("true", "malformed"),
        ("[1]", "malformed"),
        ("{}", "malformed"),
    ] {
        let page = format!(
            r#"{{"pods":[{{"podRef":{{"name":"p","namespace":"a"}},"containers":[{{"name":"c",
            "cpu":{{"time":"2020-01-01T00:00:10Z","usageCoreNanoSeconds":{number}}},
            "memory":{{"time":"2020-01-01T00:00:10Z","workingSetBytes":1}}}}]}}]}}"#
        );
        let decoded = decode(page.as_bytes()).unwrap();
        assert_eq!(refused(&decoded), [(reason, 1)], "{number}");
        assert_eq!(points(&decoded)[0].1.cpu, None, "{number}");
        assert_eq!(
            points(&decoded)[0].1.memory,
            memory(1, SECOND_10),
            "{number}"
        );
        let withheld = &decoded.reading.remarks.withheld[..];
        assert_eq!(
            withheld,
            [(0, tributary_model::NoUsage::BadValue)],
            "{number}"
        );
    }
    for (number, nanos) in [
        ("1e3", 1_000),
        ("1.9", 1),
        ("0", 0),
        ("18446744073709551600", 18_446_744_073_709_551_600),
    ] {
        let page = format!(
            r#"{{"node":{{"cpu":{{"time":"2020-01-01T00:00:10Z","usageCoreNanoSeconds":{number}}}}}}}"#
        );
        let decoded = decode(page.as_bytes()).unwrap();
        assert_eq!(decoded.reading.point.cpu, cpu(nanos, SECOND_10), "{number}");
    }
}

#[test]
fn times_are_rfc_3339_of_any_zone_and_fraction() {
    let at = |time: &Value| {
        let mut container = container("c");
        container["cpu"]["time"] = time.clone();
        let decoded = beside(&container);
        (
            points(&decoded)[0].1.cpu.map(|cpu| cpu.at.as_millis()),
            refused(&decoded),
        )
    };
    for (time, millis) in [
        ("2020-01-01T00:00:10Z", SECOND_10),
        ("2020-01-01T00:00:10.9876Z", SECOND_10 + 987),
        ("2020-01-01T02:00:10+02:00", SECOND_10),
    ] {
        assert_eq!(at(&time.into()), (Some(millis), vec![]), "{time}");
    }
    for time in [
        json!("0001-01-01T00:00:00Z"),
        json!("1969-12-31T23:59:59Z"),
        json!("soon"),
        json!(1_577_836_810),
        json!({}),
    ] {
        assert_eq!(at(&time), (None, vec![("bad-timestamp", 1)]), "{time}");
    }
}

#[test]
fn samples_without_a_time_have_that_of_asking() {
    for time in [json!({}), json!({ "time": null })] {
        let mut container = container("c");
        container["cpu"] = time;
        container["cpu"]["usageCoreNanoSeconds"] = 5.into();
        let decoded = beside(&container);
        assert_eq!(points(&decoded)[0].1.cpu, cpu(5, ASKED_AT.as_millis()));
        assert!(decoded.reading.remarks.is_stamped_by_scraper);
    }
}

#[test]
fn a_start_that_is_none_is_not_there() {
    let started = |start: &Value| {
        let mut container = container("c");
        container["startTime"] = start.clone();
        let decoded = beside(&container);
        (
            points(&decoded)[0].1.started.map(Timestamp::as_millis),
            refused(&decoded),
        )
    };
    assert_eq!(
        started(&json!("2020-01-01T00:00:01Z")),
        (Some(SECOND_10 - 9_000), vec![])
    );
    for none in [
        json!(null),
        json!("0001-01-01T00:00:00Z"),
        json!("1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(started(&none), (None, vec![]), "{none}");
    }
    assert_eq!(started(&json!("x")), (None, vec![("bad-timestamp", 1)]));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(page in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(&page));
    }

    #[test]
    fn no_damage_makes_it_panic(
        at in 0..3_000_usize,
        gone in 0..40_usize,
        instead in "[-\\[\\]{}\",:0-9a-z\\\\ ]{0,12}",
    ) {
        let mut page = golden("summary-1.26.json");
        let end = page.len().min(at + gone);
        page.splice(at.min(end)..end, instead.bytes());
        drop(decode(&page));
    }
}
