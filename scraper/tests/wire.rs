//! What a reading costs on the wire: at most 24 bytes per container and cycle in
//! steady state, uncompressed (proto/bus/v1/bus.proto).
//!
//! Pages of kubelets with numbers as real ones have them go through the decoder and into messages; what counts is the
//! length of a message with the five bytes that gRPC puts before it.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends by it"
)]

use std::fmt::Write as _;

use prost::Message as _;
use tributary_model::{NodeName, Timestamp};
use tributary_proto::{convert::reading_to_wire, v1};
use tributary_scraper::kubelet::decode::Layout;

const NOW: i64 = 1_795_229_475_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
const GRPC_PREFIX: usize = 5;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// Every order of magnitude is as likely as any other.
    fn of_any_size(&mut self, low: u64, high: u64) -> u64 {
        let unit = f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX);
        let (low, high) = (float(low), float(high));
        let text = format!("{:.0}", low * (high / low).powf(unit));
        text.parse().unwrap()
    }
}

fn float(value: u64) -> f64 {
    value.to_string().parse().unwrap()
}

/// When a kubelet has taken its samples.
#[derive(Clone, Copy, Debug)]
enum Sampled {
    /// From the runtime, when it was asked: within a few milliseconds.
    WhenAsked,
    /// By cAdvisor, each container on its own, every 10 to 20 s.
    Before,
}

/// A container, from ten minutes to ninety days old, that uses from a fifth of a milli-core to a core, and from 1 MiB to
/// 4 GiB.
struct Container {
    labels: String,
    age: u64,
    nanos_per_ms: u64,
    memory: u64,
}

struct Node {
    name: NodeName,
    containers: Vec<Container>,
    dice: Dice,
}

impl Node {
    fn new(number: usize, pods: usize, dice: &mut Dice) -> Self {
        let container = |pod| Container {
            labels: format!(
                "{{container=\"main\",namespace=\"ns-{:04}\",pod=\"web-{number:05}-{pod}\"}}",
                pod % 7
            ),
            age: dice.of_any_size(10 * MINUTE, 90 * DAY),
            nanos_per_ms: dice.of_any_size(200, 1_000_000),
            memory: dice.of_any_size(1 << 20, 4 << 30),
        };
        Self {
            name: format!("node-{number:05}").as_str().into(),
            containers: (0..pods).map(container).collect(),
            dice: Dice(dice.next()),
        }
    }

    fn page(&mut self, sampled: Sampled) -> String {
        let (mut cpu, mut memory) = (String::new(), String::new());
        let (mut start, mut swap) = (String::new(), String::new());
        for it in &self.containers {
            let ago = match sampled {
                Sampled::WhenAsked => self.dice.below(15),
                Sampled::Before => self.dice.below(15_000),
            };
            let at = NOW - i64::try_from(ago).unwrap();
            // Not a whole number of anything.
            let spent = (it.age - ago) * it.nanos_per_ms + self.dice.below(it.nanos_per_ms);
            let (seconds, nanos) = (spent / 1_000_000_000, spent % 1_000_000_000);
            let used = (it.memory + self.dice.below(it.memory / 10)) & !0xfff;
            let labels = &it.labels;
            writeln!(
                cpu,
                "container_cpu_usage_seconds_total{labels} {seconds}.{nanos:09} {at}"
            )
            .unwrap();
            writeln!(
                memory,
                "container_memory_working_set_bytes{labels} {used} {at}"
            )
            .unwrap();
            let began = NOW - i64::try_from(it.age).unwrap();
            let (seconds, millis) = (began / 1_000, began % 1_000);
            writeln!(
                start,
                "container_start_time_seconds{labels} {seconds}.{millis:03}"
            )
            .unwrap();
            writeln!(swap, "container_swap_usage_bytes{labels} 0 {at}").unwrap();
        }
        let at = NOW - 2_000;
        format!(
            "{cpu}{memory}{start}{swap}node_cpu_usage_seconds_total 7253541.072900123 {at}\n\
             node_memory_working_set_bytes 33964605440 {at}\nnode_swap_usage_bytes 0 {at}\n"
        )
    }

    /// The bytes of its reading. The roster is another message, sent once.
    fn bytes(mut self, sampled: Sampled) -> usize {
        let page = self.page(sampled);
        let asked_at = Timestamp::from_millis(NOW);
        let decoded = Layout::default().decode(page.as_bytes(), &self.name, asked_at);
        let decoded = decoded.unwrap();
        assert_eq!(decoded.refused.total(), 0);
        let message = v1::publish_request::Message::Reading(reading_to_wire(&decoded.reading, 7));
        let request = v1::PublishRequest {
            message: Some(message),
        };
        GRPC_PREFIX + request.encoded_len()
    }
}

/// The median of the bytes per container and cycle, and how many bytes all nodes send in one.
fn cost(nodes: usize, pods: usize, sampled: Sampled) -> (f64, usize) {
    let mut dice = Dice(1);
    let bytes = (0..nodes).map(|number| Node::new(number, pods, &mut dice).bytes(sampled));
    let mut bytes: Vec<usize> = bytes.collect();
    let all = bytes.iter().sum();
    bytes.sort_unstable();
    let median = f64::from(u32::try_from(bytes[nodes / 2]).unwrap());
    (median / f64::from(u32::try_from(pods).unwrap()), all)
}

#[test]
fn a_container_costs_at_most_24_bytes_in_a_cycle() {
    for pods in [30, 110] {
        for sampled in [Sampled::WhenAsked, Sampled::Before] {
            let (median, all) = cost(1_000, pods, sampled);
            println!(
                "1000 nodes x {pods} pods, sampled {sampled:?}: median {median:.1} bytes per container and cycle, \
                 {all} bytes in all"
            );
            assert!(median <= 24.0, "{median} bytes");
        }
    }
}
