//! Series of pages as real kubelets return them. Each page goes through the decoder, a message of the bus and the
//! store. The expected answers were computed by hand.
//!
//! docs/CASES.md has the source of each case and its earlier result.

mod clocks;
mod missing;
mod slow;

use std::{fmt::Write as _, time::Duration};

use prost::Message as _;
use tributary_apiserver::store::{FailedScrape, NoMetrics, Source, Store};
use tributary_model::{NodeName, PodKey, Timestamp, Usage};
use tributary_proto::{
    convert::{reading_from_wire, reading_to_wire, roster_from_wire, roster_to_wire},
    v1,
};
use tributary_scraper::kubelet::decode::Layout;

/// Second 0, in seconds since the Unix epoch.
const BEGIN: i64 = 1_790_000_000;

/// A page, and the time of its scrape.
#[derive(Clone, Debug, Default)]
struct Page {
    asked_at: i64,
    text: String,
}

impl Page {
    fn asked_at(asked_at: i64) -> Self {
        Self {
            asked_at,
            text: String::new(),
        }
    }

    fn line(mut self, name: &str, labels: &str, value: f64, at: Option<i64>) -> Self {
        write!(self.text, "{name}{labels} {value}").unwrap();
        if let Some(at) = at {
            write!(self.text, " {}", (BEGIN + at) * 1_000).unwrap();
        }
        self.text.push('\n');
        self
    }

    /// Adds the node with these core-seconds.
    fn node(self, cpu: f64, at: Option<i64>) -> Self {
        self.line("node_cpu_usage_seconds_total", "", cpu, at).line(
            "node_memory_working_set_bytes",
            "",
            1e9,
            at,
        )
    }

    /// Adds a container `main` of this pod.
    fn pod(self, pod: &str, cpu: f64, at: Option<i64>) -> Self {
        let labels = labels(pod);
        self.line("container_cpu_usage_seconds_total", &labels, cpu, at)
            .line("container_memory_working_set_bytes", &labels, 1e6, at)
    }

    /// Adds the start of `main` of this pod, in seconds since the Unix epoch.
    fn started(self, pod: &str, started: f64) -> Self {
        self.line("container_start_time_seconds", &labels(pod), started, None)
    }
}

fn labels(pod: &str) -> String {
    format!("{{container=\"main\",namespace=\"a\",pod=\"{pod}\"}}")
}

/// A scraper and the store of a frontend.
struct Pipeline {
    layout: Layout,
    store: Store,
    resolution: i64,
    node_cpu_millis: Option<u64>,
}

impl Pipeline {
    fn new(resolution: i64) -> Self {
        Self {
            layout: Layout::default(),
            store: Store::new(None),
            resolution,
            node_cpu_millis: None,
        }
    }

    fn source(&self) -> Source {
        Source {
            name: "s".into(),
            resolution: Duration::from_secs(self.resolution.unsigned_abs()),
        }
    }

    fn take(&mut self, page: &Page) {
        let node = NodeName::from("n1");
        let asked_at = Timestamp::from_millis((BEGIN + page.asked_at) * 1_000);
        let (layout, text) = (&mut self.layout, page.text.as_bytes());
        let decoded = if text.starts_with(b"{") {
            layout.decode_summary(text, &node, asked_at)
        } else {
            layout.decode(text, &node, asked_at)
        };
        let mut reading = decoded.unwrap().reading;
        reading.remarks.node_cpu_millis = self.node_cpu_millis;
        let roster = roster_to_wire(&node, &reading.roster, 1).encode_to_vec();
        let roster = v1::Roster::decode(&*roster).unwrap();
        let (_, roster) = roster_from_wire(&roster).unwrap();
        let message = reading_to_wire(&reading, 1).encode_to_vec();
        let message = v1::Reading::decode(&*message).unwrap();
        let mut reading = reading_from_wire(&message, &roster).unwrap();
        reading.set_asked_at(asked_at);
        self.store.take(reading, &self.source());
    }

    fn fail(&self, asked_at: i64) {
        let failed = FailedScrape {
            asked_at: Timestamp::from_millis((BEGIN + asked_at) * 1_000),
            by: "s".into(),
            reason: "dial",
            message: "refused".into(),
        };
        self.store.fail(&"n1".into(), failed, &self.source());
    }

    /// The answer for the node, or for a pod on it.
    fn answer(&self, name: &str, now: i64) -> String {
        let now = Timestamp::from_millis((BEGIN + now) * 1_000);
        if name == "n1" {
            return said(self.store.node(name, now));
        }
        let (key, node) = (PodKey::new("a", name), NodeName::from("n1"));
        let usage = self.store.pods([(&key, Some(&node))], now).remove(0);
        said(usage.map(|usage| {
            let (_, usage) = usage.containers().next().unwrap();
            *usage
        }))
    }
}

/// Millicores and window, or the reason for no usage.
fn said(usage: Result<Usage, NoMetrics>) -> String {
    match usage {
        Ok(usage) => format!("{}m/{}s", usage.cpu.0 / 1_000_000, usage.window.as_secs()),
        Err(reason) => reason.to_string(),
    }
}

/// The answers for each of `names` one second after each page.
fn answers(pipeline: &mut Pipeline, pages: &[Page], names: &[&str]) -> Vec<Vec<String>> {
    let mut answers = vec![Vec::new(); names.len()];
    for page in pages {
        pipeline.take(page);
        for (answers, name) in answers.iter_mut().zip(names) {
            answers.push(pipeline.answer(name, page.asked_at + 1));
        }
    }
    answers
}

/// Pages every 15 s. `page` makes a page from the second of its scrape.
fn pages(count: i64, page: impl Fn(i64) -> Page) -> Vec<Page> {
    (0..count).map(|number| page(number * 15)).collect()
}

fn seconds(second: i64) -> f64 {
    f64::from(i32::try_from(second).unwrap())
}

const WAITS: &str = "waiting for a second sample";
const POD_WAITS: &str = "container main: waiting for a second sample";
const SET: &str = "its clock was set since the previous sample";
const POD_SET: &str = "container main: its clock was set since the previous sample";

#[track_caller]
fn are(answers: &[String], expected: &[&str]) {
    assert_eq!(answers, expected);
}

#[test]
fn a_start_time_may_be_an_age_and_no_line_have_a_time() {
    let pages = pages(6, |at| {
        Page::asked_at(at)
            .node(100.0 + 0.9 * seconds(at), None)
            .pod("web", 50.0 + 0.1 * seconds(at), None)
            .started("web", 3_600.0 + seconds(at))
    });
    let [node, web] = &answers(&mut Pipeline::new(15), &pages, &["n1", "web"])[..] else {
        unreachable!()
    };
    are(&node[..2], &[WAITS, "900m/15s"]);
    assert!(node[1..].iter().all(|said| said == "900m/15s"), "{node:?}");
    are(&web[..1], &[POD_WAITS]);
    assert!(web[1..].iter().all(|said| said == "100m/15s"), "{web:?}");
}

#[test]
fn a_start_counts_for_nothing_where_the_scraper_stamps_the_samples() {
    // The clock of the node is an hour ahead, which only the start shows.
    let pages = pages(4, |at| {
        Page::asked_at(at)
            .pod("web", 50.0 + 0.1 * seconds(at), None)
            .started("web", f64::from(1_790_000_000) + 3_500.0)
    });
    let web = &answers(&mut Pipeline::new(15), &pages, &["web"])[0];
    are(web, &[POD_WAITS, "100m/15s", "100m/15s", "100m/15s"]);
}

#[test]
fn a_start_that_moves_without_a_restart_costs_nothing() {
    let epoch = f64::from(1_790_000_000);
    for starts in [
        // The start drifts to a moment before the earlier sample.
        [-9e4, -9e4, 10.0, 10.0, 10.0, 55.0],
        // The start varies by milliseconds.
        [-9e4, -9e4 + 0.003, -9e4 - 0.004, -9e4, -9e4 + 0.001, -9e4],
    ] {
        let pages = pages(6, |at| {
            let started = starts[usize::try_from(at / 15).unwrap()];
            Page::asked_at(at)
                .pod("db", 500.0 + 0.2 * seconds(at), Some(at))
                .started("db", epoch + started)
        });
        let db = &answers(&mut Pipeline::new(15), &pages, &["db"])[0];
        are(&db[..1], &[POD_WAITS]);
        assert!(db[1..].iter().all(|said| said == "200m/15s"), "{db:?}");
    }
}

#[test]
fn no_rate_goes_across_a_restart_that_is_reported_late() {
    let epoch = f64::from(1_790_000_000);
    let page = |at, total| Page::asked_at(at).pod("p", total, Some(at));
    let pages = [
        page(0, 10.0).started("p", epoch - 900.0),
        // The page without a start is already from the second run.
        page(15, 11.0),
        page(30, 14.0).started("p", epoch + 5.0),
        page(45, 17.0).started("p", epoch + 40.0),
    ];
    let said = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
    let expected = [POD_WAITS, "66m/15s", "200m/15s", POD_WAITS];
    are(said, &expected);
}

#[test]
fn of_two_series_of_one_container_none_is_served() {
    // The ended container has a constant total, and the running one uses 3 cores. Their order on the page changes.
    let pages = pages(7, |at| {
        let (dead, live) = (994_631.562, 295_207.6 + 3.0 * seconds(at));
        let page = Page::asked_at(at).pod("ok", seconds(at) + 1.0, Some(at));
        match at / 15 {
            0 | 5 => page.pod("web", live, Some(at)),
            1 | 3 => page
                .pod("web", dead, Some(at - 3))
                .pod("web", live, Some(at)),
            _ => page
                .pod("web", live, Some(at))
                .pod("web", dead, Some(at - 3)),
        }
    });
    let [web, ok] = &answers(&mut Pipeline::new(15), &pages, &["web", "ok"])[..] else {
        unreachable!()
    };
    let twice = "container main: the kubelet reports it twice";
    are(
        web,
        &[POD_WAITS, twice, twice, twice, twice, "3000m/75s", twice],
    );
    assert!(ok[1..].iter().all(|said| said == "1000m/15s"), "{ok:?}");
}

#[test]
fn no_rate_is_more_than_the_node_has() {
    for (node_cpu_millis, lost) in [(Some(32_000), 20_000.0), (None, 700_000.0)] {
        let mut pipeline = Pipeline::new(15);
        pipeline.node_cpu_millis = node_cpu_millis;
        let pages = pages(5, |at| {
            let lost = if at == 30 { lost } else { 0.0 };
            let total = 900_000.0 + 3.0 * seconds(at) - lost;
            Page::asked_at(at).pod("sum", total, Some(at))
        });
        let said = &answers(&mut pipeline, &pages, &["sum"])[0];
        let out_of_range = "container main: the CPU rate is out of range";
        are(
            said,
            &[POD_WAITS, "3000m/15s", POD_WAITS, out_of_range, "3000m/15s"],
        );
    }
}

#[test]
fn a_pod_without_containers_is_not_on_the_page() {
    let pages = pages(3, |at| {
        let labels = "{namespace=\"a\",pod=\"p\"}";
        let total = 100.0 + 0.1 * seconds(at);
        Page::asked_at(at)
            .node(total, Some(at))
            .line("pod_cpu_usage_seconds_total", labels, total, Some(at))
            .line("pod_memory_working_set_bytes", labels, 1e6, Some(at))
    });
    let [node, pod] = &answers(&mut Pipeline::new(15), &pages, &["n1", "p"])[..] else {
        unreachable!()
    };
    are(node, &[WAITS, "100m/15s", "100m/15s"]);
    are(pod, &["its node does not report it yet"; 3]);
}

#[test]
fn a_kubelet_with_whole_seconds_is_served_and_goes_on_when_it_is_upgraded() {
    // The rate is 100m, measured in seconds 0.9, 15.4, 30.1 and 45.5.
    let summary = |asked_at: i64, second: i64, nanos: u64| {
        let at = jiff::Timestamp::from_second(BEGIN + second).unwrap();
        let container = serde_json::json!({
            "name": "main",
            "cpu": { "time": at.to_string(), "usageCoreNanoSeconds": nanos },
            "memory": { "time": at.to_string(), "workingSetBytes": 1_000_000 },
        });
        let text = serde_json::json!({ "pods": [{
            "podRef": { "name": "p", "namespace": "a" },
            "containers": [container],
        }] });
        Page {
            asked_at,
            text: text.to_string(),
        }
    };
    let text = |asked_at: i64, millis: i64, seconds: f64| {
        let (labels, at) = (labels("p"), BEGIN * 1_000 + millis);
        Page {
            asked_at,
            text: format!(
                "container_cpu_usage_seconds_total{labels} {seconds} {at}\n\
                 container_memory_working_set_bytes{labels} 1e6 {at}\n"
            ),
        }
    };
    let pages = [
        summary(5, 0, 10_090_000_000),
        summary(20, 15, 11_540_000_000),
        summary(35, 30, 13_010_000_000),
        // This is the same sample with a time in milliseconds. It must not form a pair with itself, so the earlier
        // point stays.
        text(50, 30_100, 13.01),
        text(65, 45_500, 14.55),
    ];
    let said = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
    are(
        said,
        &[POD_WAITS, "96m/15s", "98m/15s", "97m/15s", "100m/15s"],
    );
}

#[test]
fn frontends_that_are_fed_in_other_orders_say_the_same() {
    let pages = pages(8, |at| {
        let measured = at / 30 * 30;
        Page::asked_at(at)
            .node(100.0 + 0.9 * seconds(at), Some(at))
            .pod("fresh", 100.0 + 0.1 * seconds(at), Some(at))
            .pod("slow", 100.0 + 0.1 * seconds(measured), Some(measured))
    });
    let names = ["n1", "fresh", "slow"];
    let last = |order: &[usize]| {
        let mut pipeline = Pipeline::new(15);
        for at in order {
            pipeline.take(&pages[*at]);
        }
        names.map(|name| pipeline.answer(name, 106))
    };
    let expected = ["900m/15s", "100m/15s", "100m/30s"].map(str::to_owned);
    for order in [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [1, 0, 3, 2, 5, 4, 7, 6],
        [0, 1, 2, 3, 4, 7, 6, 5],
        [0, 2, 1, 4, 3, 6, 5, 7],
        [7, 6, 5, 4, 3, 2, 1, 0],
    ] {
        assert_eq!(last(&order), expected, "{order:?}");
    }
}
