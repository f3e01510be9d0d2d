//! What noise makes an autoscaler decide, with the pairs of the store and with those of metrics-server.
//!
//! Ten pods use exactly what their autoscaler aims at, in the mean, for some hours of simulated time. So each decision is wrong.
//! Both servers see the same samples of the same kubelets; the arithmetic of the autoscaler is that of `kubectl tributary explain`.
//! docs/REACTION.md has the table.

mod load;
mod servers;

use std::collections::{BTreeMap, VecDeque};

use tributary_cli::explain::hpa::replay::{
    Pod, Question, Sample, Settings, Target, Tolerance, propose,
};

use self::{
    load::{Curve, Load, Random},
    servers::{Answer, Ours, Peer},
};
use crate::repository::read;

/// How many hours, each with other pods and other phases.
const HOURS: u64 = 10;
/// Milliseconds.
const HOUR: i64 = 3_600_000;
const PODS: usize = 10;
/// On each node.
const PODS_OF_NODE: usize = 5;
const NODES: usize = PODS / PODS_OF_NODE;
/// The autoscaler's own number of pods.
const WANTED: i32 = 10;
/// What it aims at, in milli-cores.
const MEAN: u64 = 500;
/// How often it looks, and how often metrics-server scrapes, in milliseconds.
const SYNC: i64 = 15_000;
/// From when on all have samples.
const BEGUN: i64 = 150_000;
/// For how long the autoscaler remembers what it proposed before it scales down, by default.
const STABILIZATION: i64 = 300_000;
/// A decision that metrics-server takes within this time of ours is the same.
const SAME: i64 = 60_000;
/// The beginning of each hour, in seconds since the Unix epoch.
const EPOCH: i64 = 1_790_000_000;

/// When kubelets measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kubelets {
    /// Each container every 10 to 20 s.
    AsReleased,
    AtRequest,
}

/// Who serves the metrics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Peer,
    /// Seconds between two scrapes of a node, and the shortest window.
    Ours {
        every: i64,
        window: u64,
    },
}

const PEER: Server = Server::Peer;

const fn ours(every: i64, window: u64) -> Server {
    Server::Ours { every, window }
}

/// The rows of the table, below that of metrics-server.
fn rows(kubelets: Kubelets) -> &'static [Server] {
    const AS_RELEASED: [Server; 3] = [ours(15, 5), ours(5, 5), ours(5, 15)];
    const AT_REQUEST: [Server; 6] = [
        ours(15, 5),
        ours(5, 5),
        ours(5, 3),
        ours(1, 5),
        ours(1, 2),
        ours(1, 1),
    ];
    match kubelets {
        Kubelets::AsReleased => &AS_RELEASED,
        Kubelets::AtRequest => &AT_REQUEST,
    }
}

/// An hour: what each pod uses, and when all look.
#[derive(Debug)]
struct Hour {
    curves: Vec<Curve>,
    /// When the kubelet measures each container by itself.
    measured: Vec<Vec<i64>>,
    /// When each node is scraped, within a resolution of ours.
    phases: Vec<i64>,
    /// When metrics-server scrapes each node, after its own ticks.
    delays: Vec<i64>,
    tick: i64,
    sync: i64,
}

impl Hour {
    fn of(load: Load, number: u64) -> Self {
        let mut random = Random::new(number);
        let end = HOUR + SYNC;
        let curves = (0..PODS).map(|_| Curve::of(load, end, &mut random));
        let curves = curves.collect();
        let measured = (0..PODS).map(|_| {
            let mut times = vec![random.below(10_000)];
            while *times.last().unwrap() < end {
                times.push(times.last().unwrap() + 10_000 + random.below(10_000));
            }
            times
        });
        let measured = measured.collect();
        Self {
            curves,
            measured,
            phases: (0..NODES).map(|_| random.below(SYNC)).collect(),
            delays: (0..NODES).map(|_| random.below(4_000)).collect(),
            tick: random.below(SYNC),
            sync: random.below(SYNC),
        }
    }

    /// The newest sample that a kubelet has of a pod: its time, and the core-nanoseconds.
    fn sample(&self, kubelets: Kubelets, pod: usize, at: i64) -> Option<(i64, u64)> {
        let at = match kubelets {
            Kubelets::AtRequest => at,
            Kubelets::AsReleased => {
                let times = &self.measured[pod];
                let after = times.partition_point(|time| *time <= at);
                *times.get(after.checked_sub(1)?)?
            }
        };
        Some((at, self.curves[pod].total(at)))
    }

    /// What the autoscaler decides in this hour.
    fn decisions(&self, kubelets: Kubelets, server: Server) -> Decisions {
        let mut answers_at: Box<dyn FnMut(i64) -> Vec<Option<Answer>>> = match server {
            Server::Peer => {
                let mut peer = Peer::default();
                let mut clocks =
                    Clocks::of(self.delays.iter().map(|delay| self.tick + delay), SYNC);
                Box::new(move |now| {
                    clocks.until(now, |node, at| peer.scrape(self, kubelets, node, at));
                    peer.answers()
                })
            }
            Server::Ours { every, window } => {
                let every = every * 1_000;
                let ours = Ours::new(window);
                let mut clocks = Clocks::of(self.phases.iter().map(|phase| phase % every), every);
                Box::new(move |now| {
                    clocks.until(now, |node, at| ours.scrape(self, kubelets, node, at));
                    ours.answers(now)
                })
            }
        };
        let mut decisions = Decisions::default();
        let mut now = self.sync;
        while now < HOUR {
            let answers = answers_at(now);
            if now >= BEGUN {
                decisions.note(now, proposed(now, &answers));
            }
            now += SYNC;
        }
        decisions
    }
}

/// When each node is scraped next.
struct Clocks {
    next: Vec<i64>,
    every: i64,
}

impl Clocks {
    fn of(first: impl Iterator<Item = i64>, every: i64) -> Self {
        let next = first.collect();
        Self { next, every }
    }

    /// Does what is due, of each node in order.
    fn until(&mut self, now: i64, mut scrape: impl FnMut(usize, i64)) {
        for (node, next) in self.next.iter_mut().enumerate() {
            while *next <= now {
                scrape(node, *next);
                *next += self.every;
            }
        }
    }
}

/// What the autoscaler proposes now.
fn proposed(now: i64, answers: &[Option<Answer>]) -> i32 {
    let date = |at: i64| jiff::Timestamp::from_millisecond(EPOCH * 1_000 + at).unwrap();
    let long_ago = date(-HOUR);
    let name = |pod: usize| format!("web-{pod}");
    let pods = (0..PODS).map(|pod| Pod {
        name: name(pod),
        started: Some(long_ago),
        ready: Some((false, long_ago)),
        ..Pod::default()
    });
    let samples = answers.iter().enumerate().filter_map(|(pod, answer)| {
        let answer = (*answer)?;
        let sample = Sample {
            at: date(answer.at),
            window: answer.window,
            // The autoscaler rounds up to milli-cores.
            value: i64::try_from(answer.nanocores.div_ceil(1_000_000)).unwrap(),
        };
        Some((name(pod), sample))
    });
    let question = Question {
        current: WANTED,
        target: Target::Average(i64::try_from(MEAN).unwrap()),
        resource: "cpu".to_owned(),
        tolerance: Tolerance::default(),
        pods: pods.collect(),
        served: true,
        samples: samples.collect(),
        requests: Ok(BTreeMap::new()),
        now: date(now),
        settings: Settings::default(),
    };
    let proposal = propose(&question).unwrap();
    assert_eq!(proposal.groups.ready, PODS, "{:?}", proposal.groups);
    proposal.replicas
}

/// What an autoscaler decided in an hour, and when.
#[derive(Debug, Default)]
struct Decisions {
    up: Vec<i64>,
    /// Those that the default stabilization of five minutes may hold back.
    proposed_down: Vec<i64>,
    down: Vec<i64>,
    /// What was proposed in the last five minutes.
    proposals: VecDeque<(i64, i32)>,
}

impl Decisions {
    fn note(&mut self, now: i64, replicas: i32) {
        self.proposals.push_back((now, replicas));
        self.proposals.retain(|(at, _)| now - at < STABILIZATION);
        let most = self.proposals.iter().map(|(_, replicas)| *replicas).max();
        if replicas > WANTED {
            self.up.push(now);
        } else if replicas < WANTED {
            self.proposed_down.push(now);
            if most < Some(WANTED) && now >= BEGUN + STABILIZATION {
                self.down.push(now);
            }
        }
    }

    /// How many of these decisions another autoscaler does not take in the same direction within a minute.
    fn alone(&self, other: &Self) -> usize {
        let alone = |own: &[i64], others: &[i64]| {
            let is_alone = |at: &&i64| !others.iter().any(|other| (other - **at).abs() <= SAME);
            own.iter().filter(is_alone).count()
        };
        alone(&self.up, &other.up) + alone(&self.proposed_down, &other.proposed_down)
    }
}

/// Decisions of all hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    up: usize,
    proposed_down: usize,
    down: usize,
    alone: usize,
}

impl Tally {
    fn add(&mut self, decisions: &Decisions, peer: &Decisions) {
        self.up += decisions.up.len();
        self.proposed_down += decisions.proposed_down.len();
        self.down += decisions.down.len();
        self.alone += decisions.alone(peer);
    }
}

/// The decisions with metrics-server, and those with each row of ours.
fn tallies(load: Load, kubelets: Kubelets, hours: u64) -> Vec<(Server, Tally)> {
    let rows = rows(kubelets);
    let servers = [PEER].into_iter().chain(rows.iter().copied());
    let mut tallies: Vec<(Server, Tally)> = servers.map(|it| (it, Tally::default())).collect();
    for number in 0..hours {
        let hour = Hour::of(load, number);
        let peer = hour.decisions(kubelets, PEER);
        for (server, tally) in &mut tallies {
            match server {
                Server::Peer => tally.add(&peer, &peer),
                Server::Ours { .. } => tally.add(&hour.decisions(kubelets, *server), &peer),
            }
        }
    }
    tallies
}

/// The rows of the table, of one load.
fn table(load: Load, kubelets: Kubelets, tallies: Vec<(Server, Tally)>) -> String {
    let kubelet = match kubelets {
        Kubelets::AsReleased => "every 10 to 20 s",
        Kubelets::AtRequest => "at every request",
    };
    let row = |(server, tally): (Server, Tally)| {
        let (name, every, window) = match server {
            Server::Peer => ("metrics-server", "15 s".to_owned(), String::new()),
            Server::Ours { every, window } => {
                ("Tributary", format!("{every} s"), format!("{window} s"))
            }
        };
        let Tally {
            up,
            proposed_down,
            down,
            alone,
        } = tally;
        let load = load.name();
        format!(
            "| {load} | {kubelet} | {name} | {every} | {window} | {up} | {proposed_down} | {down} | {alone} |\n"
        )
    };
    tallies.into_iter().map(row).collect()
}

#[test]
fn with_a_steady_load_nothing_is_decided() {
    for kubelets in [Kubelets::AsReleased, Kubelets::AtRequest] {
        for (server, tally) in tallies(Load::Steady, kubelets, 1) {
            assert_eq!(tally, Tally::default(), "{server:?} {kubelets:?}");
        }
    }
}

/// How many decisions more than metrics-server's are chance, in ten hours, and an eighth of these.
const CHANCE: usize = 10;

/// The default window makes an autoscaler decide no more often than metrics-server does.
fn is_as_quiet_as_the_peer(load: Load, kubelets: Kubelets, tallies: &[(Server, Tally)]) {
    let (_, peer) = tallies[0];
    let of_default =
        |(server, _): &&(Server, Tally)| matches!(server, Server::Ours { window: 5, .. });
    let ours: Vec<_> = tallies.iter().filter(of_default).collect();
    assert!(ours.len() >= 2, "{load:?} {kubelets:?}");
    for (server, ours) in ours {
        let is_within = |ours: usize, peer: usize| ours <= peer + peer / 8 + CHANCE;
        assert!(
            is_within(ours.up, peer.up)
                && is_within(ours.proposed_down, peer.proposed_down)
                && ours.down == 0,
            "{load:?} {kubelets:?} {server:?}: {ours:?}, metrics-server: {peer:?}"
        );
    }
}

#[test]
fn noise_makes_an_autoscaler_decide_no_more_than_with_metrics_server_and_what_is_documented() {
    let head = "| Load | Kubelets measure | Server | Scrapes | Shortest window | Up | Down proposed | Down | Not with metrics-server |\n\
                |---|---|---|---|---|---|---|---|---|\n";
    let mut all = head.to_owned();
    for load in [Load::Requests, Load::Bursts] {
        for kubelets in [Kubelets::AsReleased, Kubelets::AtRequest] {
            let tallies = tallies(load, kubelets, HOURS);
            is_as_quiet_as_the_peer(load, kubelets, &tallies);
            all.push_str(&table(load, kubelets, tallies));
        }
    }
    let document = read("docs/REACTION.md");
    assert!(
        document.contains(&all),
        "docs/REACTION.md does not have this table of {HOURS} hours:\n{all}"
    );
}
