#![expect(
    clippy::unnecessary_wraps,
    reason = "what is compared with is an option"
)]

use proptest::prelude::*;
use tributary_model::{Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint};

use super::*;

mod edges;

const ASKED_AT: Timestamp = Timestamp::from_millis(1_000_000);

fn decode(page: &str) -> Result<Decoded, Undecodable> {
    Layout::default().decode(page.as_bytes(), &"n1".into(), ASKED_AT)
}

/// `namespace/pod/container` of every row.
fn rows(decoded: &Decoded) -> Vec<String> {
    let roster = &decoded.reading.roster;
    roster
        .rows()
        .map(|(_, pod, container)| format!("{pod}/{container}"))
        .collect()
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

fn started(at: i64) -> Option<Timestamp> {
    Some(Timestamp::from_millis(at))
}

fn golden(number: usize) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/kubelet-1.36");
    std::fs::read(format!("{root}/resource-{number}.txt")).unwrap()
}

#[test]
fn a_page_of_a_real_kubelet_gives_its_numbers() {
    let mut layout = Layout::default();
    let decoded = layout.decode(&golden(4), &"n1".into(), ASKED_AT).unwrap();
    assert_eq!(
        rows(&decoded),
        [
            "default/burner-real-node/main",
            "default/burner-real-node/sidecar",
            "default/idle-real-node/main",
            "default/idle-real-node/sidecar",
            "default/memory-real-node/main",
            "default/memory-real-node/sidecar",
        ]
    );
    let mut columns = Columns::missing(6);
    for (row, total, at, bytes, start) in [
        (0, 10_114_246_756, 413, 21_213_184, 156_014),
        (1, 158_130_348, 411, 2_334_720, 266_914),
        (2, 3_878_793, 415, 491_520, 193_225),
        (3, 158_263_063, 419, 2_596_864, 293_487),
        (4, 595_288_525, 407, 52_719_616, 175_841),
        (5, 157_987_302, 417, 2_596_864, 254_240),
    ] {
        let point = ContainerPoint {
            cpu: cpu(total, 1_795_229_513_000 + at),
            memory: memory(bytes, 1_795_229_513_000 + at),
            started: started(1_795_229_411_000 + start / 1000),
            swap: Some(Bytes(0)),
        };
        columns.set(row, &point);
    }
    assert_eq!(decoded.reading.columns, columns);
    assert_eq!(
        decoded.reading.point.cpu,
        cpu(7_254_950_014_541, 1_795_229_511_216)
    );
    assert_eq!(
        decoded.reading.point.memory,
        memory(3_391_307_776, 1_795_229_511_216)
    );
    assert_eq!(decoded.reading.point.swap, Some(Bytes(0)));
    assert_eq!(decoded.reading.node.as_str(), "n1");
    assert_eq!(decoded.reading.asked_at, ASKED_AT);
    assert_eq!((decoded.refused.total(), decoded.scrape_error), (0, false));
}

#[test]
fn the_restart_between_the_real_pages_is_in_the_numbers() {
    let mut layout = Layout::default();
    let before = layout.decode(&golden(4), &"n1".into(), ASKED_AT).unwrap();
    let after = layout.decode(&golden(5), &"n1".into(), ASKED_AT).unwrap();
    assert_eq!(
        after.reading.columns.point(0),
        ContainerPoint {
            cpu: cpu(937_507_667, 1_795_229_523_468),
            memory: memory(21_467_136, 1_795_229_523_468),
            started: started(1_795_229_514_225),
            swap: Some(Bytes(0)),
        }
    );
    assert!(Arc::ptr_eq(&before.reading.roster, &after.reading.roster));
}

#[test]
fn real_pages_are_read_as_the_one_before_predicts() {
    let mut layout = Layout::default();
    layout.decode(&golden(1), &"n1".into(), ASKED_AT).unwrap();
    for number in 2..=8 {
        let page = golden(number);
        let predicted = layout.read_as_before(&page, ASKED_AT).unwrap();
        let first_read = Layout::default()
            .decode(&page, &"n1".into(), ASKED_AT)
            .unwrap();
        assert_eq!(predicted.columns, first_read.reading.columns);
    }
}

const TWO: &str = r#"
container_cpu_usage_seconds_total{container="c",namespace="a",pod="p"} 1 11
container_cpu_usage_seconds_total{container="c",namespace="a",pod="q"} 2 12
container_memory_working_set_bytes{container="c",namespace="a",pod="p"} 3 13
container_memory_working_set_bytes{container="c",namespace="a",pod="q"} 4 14
"#;

/// Reads `TWO`, then `page`, and what a new layout makes of `page`.
fn after_two(page: &str) -> (Decoded, Decoded) {
    let mut layout = Layout::default();
    layout
        .decode(TWO.as_bytes(), &"n1".into(), ASKED_AT)
        .unwrap();
    let decoded = layout
        .decode(page.as_bytes(), &"n1".into(), ASKED_AT)
        .unwrap();
    (decoded, decode(page).unwrap())
}

#[test]
fn cpu_and_memory_keep_their_own_timestamps() {
    let point = decode(TWO).unwrap().reading.columns.point(1);
    assert_eq!(
        (point.cpu, point.memory),
        (cpu(2_000_000_000, 12), memory(4, 14))
    );
}

#[test]
fn what_was_remembered_never_changes_what_is_read() {
    let line = |name, pod| format!("{name}{{container=\"c\",namespace=\"a\",pod=\"{pod}\"}} 5 6\n");
    let (cpu, memory) = (
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
    );
    let swap = "container_swap_usage_bytes";
    for (page, expected) in [
        // A pod is gone.
        (line(cpu, "p") + &line(memory, "p"), vec!["a/p/c"]),
        // The last line is gone.
        (
            line(cpu, "p") + &line(cpu, "q") + &line(memory, "p"),
            vec!["a/p/c", "a/q/c"],
        ),
        // Another order.
        (
            line(memory, "q") + &line(cpu, "q") + &line(cpu, "p"),
            vec!["a/p/c", "a/q/c"],
        ),
        // A new pod at the end, one with another name, swap of a stranger.
        (
            TWO.to_owned() + &line(cpu, "r"),
            vec!["a/p/c", "a/q/c", "a/r/c"],
        ),
        (TWO.replace("\"q\"", "\"r\""), vec!["a/p/c", "a/r/c"]),
        (line(swap, "z") + TWO, vec!["a/p/c", "a/q/c"]),
        // Swap in the place of the lines that make a container.
        (
            line(cpu, "p") + &line(swap, "q") + &line(memory, "p") + &line(swap, "q"),
            vec!["a/p/c"],
        ),
    ] {
        let (remembering, new) = after_two(&page);
        assert_eq!(rows(&remembering), expected, "{page}");
        assert_eq!(remembering.reading, new.reading, "{page}");
        assert_eq!(remembering.refused, new.refused, "{page}");
    }
}

/// A line of the family `name`.
fn line(name: &str, pod: &str, value: u64) -> String {
    format!("{name}{{container=\"c\",namespace=\"a\",pod=\"{pod}\"}} {value} 6\n")
}

#[test]
fn a_family_may_list_other_containers_in_another_order() {
    let page = line("container_cpu_usage_seconds_total", "q", 1)
        + &line("container_cpu_usage_seconds_total", "p", 2)
        + &line("container_memory_working_set_bytes", "r", 3)
        + &line("container_memory_working_set_bytes", "p", 4)
        + &line("container_memory_working_set_bytes", "q", 5)
        + &line("container_swap_usage_bytes", "r", 6)
        + &line("container_swap_usage_bytes", "q", 7)
        + &line("container_swap_usage_bytes", "z", 8);
    let mut layout = Layout::default();
    for _ in 0..2 {
        let decoded = layout
            .decode(page.as_bytes(), &"n1".into(), ASKED_AT)
            .unwrap();
        assert_eq!(rows(&decoded), ["a/p/c", "a/q/c", "a/r/c"]);
        let mut columns = Columns::missing(3);
        for (row, seconds, bytes, swap) in [
            (0, Some(2), 4, None),
            (1, Some(1), 5, Some(7)),
            (2, None, 3, Some(6)),
        ] {
            let point = ContainerPoint {
                cpu: seconds.and_then(|seconds: u64| cpu(seconds * 1_000_000_000, 6)),
                memory: memory(bytes, 6),
                started: None,
                swap: swap.map(Bytes),
            };
            columns.set(row, &point);
        }
        assert_eq!(decoded.reading.columns, columns);
        assert_eq!(decoded.refused.total(), 0);
        assert!(layout.read_as_before(page.as_bytes(), ASKED_AT).is_some());
    }
}

#[test]
fn labels_written_otherwise_are_still_as_before() {
    let (mut layout, node) = (Layout::default(), "n1".into());
    layout.decode(TWO.as_bytes(), &node, ASKED_AT).unwrap();
    let canonical = r#"{container="c",namespace="a",pod="q"} 4"#;
    for otherwise in [
        r#"{pod="q",namespace="a",container="c"} 4"#,
        r#"{container="c",namespace="a",pod="q",} 4"#,
        r#"{ container = "c", namespace="a",pod="q"} 4"#,
        r#"{container="c",id="7",namespace="a",pod="q"} 4"#,
    ] {
        let page = TWO.replace(canonical, otherwise);
        assert_ne!(page, TWO);
        let filled = layout.read_as_before(page.as_bytes(), ASKED_AT).unwrap();
        assert_eq!(filled.columns, decode(TWO).unwrap().reading.columns);
    }
}

#[test]
fn what_is_escaped_or_has_a_bare_quote_is_no_name() {
    for other in [r#""q\"""#, r#""q\\""#, r#""q\n""#, r#""\q""#, r#""q"r""#] {
        let page = TWO.replace("\"q\"", other);
        let mut layout = Layout::default();
        layout
            .decode(TWO.as_bytes(), &"n1".into(), ASKED_AT)
            .unwrap();
        assert!(layout.read_as_before(page.as_bytes(), ASKED_AT).is_none());
        let decoded = layout.decode(page.as_bytes(), &"n1".into(), ASKED_AT);
        let decoded = decoded.unwrap();
        assert_eq!(rows(&decoded), ["a/p/c"], "{other}");
        assert_eq!(decoded.refused.count(Refused::BadLabel), 2, "{other}");
    }
}

#[test]
fn swap_of_a_container_without_more_is_remembered_as_nobodys() {
    let page =
        r#"container_swap_usage_bytes{container="c",namespace="a",pod="z"} 5 6"#.to_owned() + TWO;
    let mut layout = Layout::default();
    layout
        .decode(page.as_bytes(), &"n1".into(), ASKED_AT)
        .unwrap();
    assert!(layout.read_as_before(page.as_bytes(), ASKED_AT).is_some());
    let listed = page.replace("\"z\"", "\"p\"");
    assert!(layout.read_as_before(listed.as_bytes(), ASKED_AT).is_none());
}

#[test]
fn names_that_stay_share_their_memory_with_the_roster_before() {
    let (decoded, _) = after_two(&TWO.replace("\"q\"", "\"r\""));
    let pods = decoded.reading.roster.pods();
    assert!(Arc::ptr_eq(&pods[0].key.namespace, &pods[1].key.namespace));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(page in any::<Vec<u8>>()) {
        drop(Layout::default().decode(&page, &"n1".into(), ASKED_AT));
    }

    #[test]
    fn cuts_and_flips_of_a_real_page_do_no_harm(
        cut in 0_usize..6300, at in 0_usize..6200, byte in any::<u8>(),
    ) {
        let mut page = golden(1);
        page.truncate(cut);
        if let Some(place) = page.get_mut(at) {
            *place = byte;
        }
        let mut layout = Layout::default();
        layout.decode(&golden(2), &"n1".into(), ASKED_AT).unwrap();
        let remembering = layout.decode(&page, &"n1".into(), ASKED_AT).map(|d| (d.reading, d.refused));
        let new = Layout::default().decode(&page, &"n1".into(), ASKED_AT).map(|d| (d.reading, d.refused));
        prop_assert_eq!(remembering, new);
    }
}
