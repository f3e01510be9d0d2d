//! Frontends that are given the same pages in other orders answer the same, whatever
//! happened on the node.

use super::*;

const HISTORIES: u64 = 2_000;
const BEGIN: i64 = 1_790_000_000_000;
const CYCLE: i64 = 15_000;
const HOUR: i64 = 3_600_000;

/// Numbers that are as good as random: `splitmix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs()).unwrap()
    }

    fn one_in(&mut self, number: i64) -> bool {
        self.below(number) == 0
    }
}

/// A container that runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    pod: &'static str,
    name: &'static str,
    /// It is measured once in this many milliseconds, or whenever somebody asks.
    every: Option<i64>,
    started: i64,
    /// Core-nanoseconds in a millisecond.
    rate: i64,
    measured_at: i64,
}

impl Running {
    fn point(&self, offset: i64, random: &mut Random) -> ContainerPoint {
        let total = 1 + self.rate * (self.measured_at - self.started);
        let at = Timestamp::from_millis(self.measured_at + offset);
        let cpu = CpuPoint {
            total: CoreNanos(total.unsigned_abs()),
            at,
        };
        let memory = MemoryPoint {
            working_set: Bytes(random.next() % 1_000_000 + 1),
            at,
        };
        ContainerPoint {
            cpu: Some(cpu),
            memory: Some(memory),
            started: Some(Timestamp::from_millis(self.started + offset)),
            swap: None,
        }
    }
}

/// A node, and the pages that two scrapers read of it.
struct Node {
    random: Random,
    running: Vec<Running>,
    /// Of the node's clock.
    offset: i64,
    /// Whether nothing is missing on any page.
    is_quiet: bool,
    pages: Vec<Page>,
}

/// A page, by the times of a frontend.
#[derive(Clone)]
struct Page {
    asked_at: i64,
    node: Option<CpuPoint>,
    points: Vec<(&'static str, &'static str, ContainerPoint)>,
}

impl Page {
    fn reading(&self) -> Reading {
        let mut builder = RosterBuilder::default();
        for (pod, name, _) in &self.points {
            builder
                .add(PodKey::new("shop", *pod), (*name).into())
                .unwrap();
        }
        let roster = builder.build();
        let mut columns = Columns::missing(self.points.len());
        for (row, pod, container) in roster.rows() {
            let is = |(has, name, _): &&(&str, &str, _)| {
                *has == &*pod.name && *name == container.as_str()
            };
            columns.set(row, &self.points.iter().find(is).unwrap().2);
        }
        let memory = self.node.map(|cpu| MemoryPoint {
            working_set: Bytes(1 << 30),
            at: cpu.at,
        });
        Reading {
            node: "n1".into(),
            roster,
            asked_at: Timestamp::from_millis(self.asked_at),
            point: NodePoint {
                cpu: self.node,
                memory,
                swap: None,
            },
            columns,
            remarks: Remarks::default(),
        }
    }
}

impl Node {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let running = [
            ("a", "main", None),
            ("b", "main", Some(10_000)),
            ("b", "side", None),
            ("c", "main", Some(60_000)),
        ];
        let running = running.map(|(pod, name, every)| Running {
            pod,
            name,
            every,
            started: BEGIN - HOUR,
            rate: random.below(2_000_000),
            measured_at: BEGIN,
        });
        Self {
            running: running.into(),
            offset: random.below(60_000),
            is_quiet: false,
            pages: Vec::new(),
            random,
        }
    }

    fn ask(&mut self, at: i64, asked_at: i64) {
        let is_quiet = self.is_quiet;
        let is_empty = !is_quiet && self.random.one_in(25);
        let mut points = Vec::new();
        let mut absent = "";
        for container in &mut self.running {
            let due = container
                .every
                .map_or(at, |every| container.measured_at + every);
            if due <= at {
                container.measured_at = at - self.random.below(3);
            }
            if !is_quiet && self.random.one_in(20) {
                absent = container.pod;
            }
            let mut point = container.point(self.offset, &mut self.random);
            if !is_quiet && self.random.one_in(25) {
                point.cpu = None;
            }
            if !is_empty && absent != container.pod {
                points.push((container.pod, container.name, point));
            }
        }
        let node = CpuPoint {
            total: CoreNanos((at - BEGIN + HOUR).unsigned_abs() * 900_000),
            at: Timestamp::from_millis(at + self.offset),
        };
        self.pages.push(Page {
            asked_at,
            node: Some(node).filter(|_| is_quiet || !self.random.one_in(20)),
            points,
        });
    }

    fn happen(&mut self, now: i64, is_calm: bool) {
        let one = usize::try_from(self.random.below(4)).unwrap();
        if self.random.one_in(6) {
            self.running[one].started = now;
            self.running[one].measured_at = now;
        }
        if !is_calm && self.random.one_in(8) {
            let step = 3 * HOUR + self.random.below(HOUR);
            self.offset += if self.random.one_in(2) { step } else { -step };
        }
    }
}

/// The pages of a node in the order in which they were asked for, and from which moment
/// on all was quiet: if its clock is set, each series has three samples after that.
fn pages(seed: u64) -> (Vec<Page>, i64) {
    let mut node = Node::new(seed);
    let is_calm = !seed.is_multiple_of(4);
    let phases = [500, 501 + node.random.below(13_000)];
    let skew = node.random.below(200);
    let (mut first, mut second) = (true, true);
    let (mut now, mut quiet_at) = (BEGIN, i64::MAX);
    for cycle in 0..if is_calm { 12 } else { 24 } {
        if cycle < 12 {
            node.happen(now, is_calm);
        } else if cycle == 12 {
            (node.is_quiet, quiet_at) = (true, now);
        }
        if node.is_quiet {
            (first, second) = (false, true);
        } else if node.random.one_in(3) {
            (first, second) = (node.random.one_in(2), node.random.one_in(2));
        }
        if first {
            let at = now + phases[0] + node.random.below(300);
            node.ask(at, at);
        }
        if second || cycle == 11 {
            let at = now + phases[1] + 300 + node.random.below(300);
            node.ask(at, at + skew);
        }
        now += CYCLE;
    }
    node.pages.sort_by_key(|page| page.asked_at);
    node.pages.dedup_by_key(|page| page.asked_at);
    (node.pages, quiet_at)
}

/// The same pages, each up to so much later, and some of them twice. Those that were
/// asked for when all was quiet come in time.
fn in_another_order(
    (pages, quiet_at): (&[Page], i64),
    latest: i64,
    random: &mut Random,
) -> Vec<Page> {
    let mut arriving: Vec<(i64, &Page)> = Vec::new();
    for page in pages {
        for _ in 0..=i64::from(random.one_in(8)) {
            let delay = random.below(latest);
            let is_late = page.asked_at < quiet_at;
            arriving.push((page.asked_at + if is_late { delay } else { 0 }, page));
        }
    }
    arriving.sort_by_key(|(arrives, _)| *arrives);
    arriving.into_iter().map(|(_, page)| page.clone()).collect()
}

/// What is said of the node and of each pod.
fn answers(pages: &[Page], now: i64) -> Vec<String> {
    let mut points = Points::default();
    for page in pages {
        points.take(page.reading(), &source("s"));
    }
    let (now, node) = (Timestamp::from_millis(now), NodeName::from("n1"));
    let keys = ["a", "b", "c"].map(|pod| PodKey::new("shop", pod));
    let pods = keys.iter().map(|key| (key, Some(&node)));
    let pods = points.pods(pods, now);
    let mut answers = vec![format!("{:?}", points.node("n1", now))];
    answers.extend(pods.iter().map(|usage| format!("{usage:?}")));
    answers
}

#[test]
fn whatever_the_order_of_the_pages_the_answers_are_the_same() {
    let mut served = 0;
    for seed in 0..HISTORIES {
        let (pages, quiet_at) = pages(seed);
        let mut random = Random(!seed);
        let latest = if seed % 3 == 0 { 120_000 } else { 20_000 };
        let other = in_another_order((&pages, quiet_at), latest, &mut random);
        let now = pages.last().unwrap().asked_at + 1_000;
        let expected = answers(&pages, now);
        served += expected
            .iter()
            .filter(|said| said.starts_with("Ok"))
            .count();
        assert_eq!(answers(&other, now), expected, "history {seed}");
    }
    assert!(served > 5_000, "{served}");
}
