//! Cases from a seed: here the rules meet in ways that are in no table.

use serde_json::{Value, json};

use super::cases::{Case, Container, Pod, Stands, average, of_container, utilization};

const SEED: u64 = 0x7472_6962;

/// How many.
const CASES: usize = 40;

/// Numbers that look random, the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of a list that is not empty.
    fn one<T: Copy + Default>(&mut self, of: &[T]) -> T {
        let many = u64::try_from(of.len()).unwrap_or(1);
        let index = usize::try_from(self.below(many)).unwrap_or_default();
        of.get(index).copied().unwrap_or_default()
    }

    fn in_hundred(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(super) fn generated() -> Vec<Case> {
    let mut random = Random(SEED);
    (0..CASES).map(|index| case(&mut random, index)).collect()
}

fn case(random: &mut Random, index: usize) -> Case {
    let current = random.one(&[1, 2, 3, 4, 5]);
    // Half of all pods use about what is aimed at.
    let level = random.one(&[5, 30, 45, 50, 50, 55, 60, 90, 140]);
    let count = match random.below(6) {
        0 => current + 1,
        1 => (current - 1).max(1),
        _ => current,
    };
    let pods = (0..count).map(|_| pod(random, level)).collect();
    let max = random.one(&[3, 6, 10, 20]).max(current);
    let min = random.one(&[1, 1, 2, 3]).min(max);
    let mut metrics = vec![metric(random)];
    for _ in 0..random.one(&[0, 0, 1, 2]) {
        metrics.push(metric(random));
    }
    Case::new(&format!("seed {SEED:x}, number {index}"), current, pods)
        .between(min, max)
        .metrics(metrics)
        .behavior(behavior(random))
}

fn pod(random: &mut Random, level: u64) -> Pod {
    use Stands::{
        Broken, Deleted, Failed, JustReady, Missing, NeverReady, NotStarted, Pending, ReadyUnknown,
        Settled, Starting, Succeeded, Warm, WithoutCondition,
    };
    let stands = if random.in_hundred(60) {
        Settled
    } else {
        random.one(&[
            Missing,
            Missing,
            Missing,
            Pending,
            Pending,
            Failed,
            Succeeded,
            Deleted,
            Starting,
            Starting,
            JustReady,
            Warm,
            NeverReady,
            Broken,
            WithoutCondition,
            NotStarted,
            ReadyUnknown,
        ])
    };
    let millis = level + random.below(21).saturating_sub(10).min(level);
    let mebibytes = 5 + random.below(120);
    let mut main = Container::uses(millis.max(1), mebibytes);
    if random.in_hundred(3) {
        main = main.requests(None, None);
    }
    let mut pod = Pod::new(stands, &[main]);
    if random.in_hundred(40) {
        let mesh = Container::uses(1 + random.below(60), 1 + random.below(60)).named("mesh");
        pod.containers.push(mesh);
    }
    pod
}

fn metric(random: &mut Random) -> Value {
    let metric = match random.below(5) {
        0 | 1 => utilization("cpu", random.one(&[30, 50, 50, 80, 120])),
        2 => utilization("memory", random.one(&[30, 50, 80])),
        3 => average("cpu", random.one(&["40m", "50m", "75m"])),
        _ => average("memory", random.one(&["32Mi", "64Mi", "50M"])),
    };
    if random.in_hundred(30) {
        return of_container(random.one(&["main", "main", "mesh"]), &metric);
    }
    metric
}

fn behavior(random: &mut Random) -> Value {
    if random.in_hundred(25) {
        return Value::Null;
    }
    let up = rules(random, &[0, 0, 0, 600]);
    let down = rules(random, &[0, 0, 600]);
    json!({ "scaleUp": up, "scaleDown": down })
}

fn rules(random: &mut Random, windows: &[u32]) -> Value {
    let mut rules = json!({ "stabilizationWindowSeconds": random.one(windows) });
    if random.in_hundred(25) {
        rules["tolerance"] = json!(random.one(&["0", "50m", "250m"]));
    }
    if random.in_hundred(50) {
        let count = 1 + random.below(2);
        let policies: Vec<Value> = (0..count).map(|_| policy(random)).collect();
        rules["policies"] = json!(policies);
        rules["selectPolicy"] = json!(random.one(&["Max", "Max", "Min"]));
    }
    if random.in_hundred(8) {
        rules["selectPolicy"] = json!("Disabled");
    }
    rules
}

fn policy(random: &mut Random) -> Value {
    let (kind, value) = if random.in_hundred(50) {
        ("Pods", 1 + random.below(4))
    } else {
        ("Percent", random.one(&[10, 25, 50, 90, 100]))
    };
    json!({ "type": kind, "value": value, "periodSeconds": 60 })
}
