//! Records what was observed of a fleet, phase by phase, and decides whether it is good enough. It knows no clock and
//! no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

/// The most errors that are described.
const WORDS: usize = 6;

/// The objects that must be served.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// All nodes.
    pub(crate) nodes: BTreeSet<String>,
    /// All pods, `namespace/name`, and the node of each.
    pub(crate) pods: BTreeMap<String, String>,
}

/// When the samples of each node were taken, the oldest first.
pub(crate) type Taken = BTreeMap<String, Vec<Timestamp>>;

/// An answer: objects by name, with their dates in whole seconds.
#[derive(Debug)]
pub(crate) struct List {
    /// When it was asked for.
    pub(crate) asked: Timestamp,
    /// How long it took until the last byte.
    pub(crate) took: Duration,
    /// By name, or `namespace/name`.
    pub(crate) dates: BTreeMap<String, Timestamp>,
}

/// What one frontend answered.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(crate) nodes: List,
    pub(crate) pods: List,
}

/// What is allowed in a phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How old a sample may be.
    pub(crate) oldest: Duration,
    /// Whether all frontends that run have to be ready.
    pub(crate) all_ready: bool,
}

/// A span of time with one event.
#[derive(Debug)]
pub(crate) struct Phase {
    /// The event.
    pub(crate) what: String,
    limits: Limits,
    /// Pairs of lists that were checked.
    pub(crate) looks: u64,
    /// Missing objects, counted in each list.
    pub(crate) gaps: u64,
    /// Checks of a frontend that should have been ready and was not, or did not answer.
    pub(crate) away: u64,
    /// The age of the oldest sample, and its object.
    pub(crate) oldest: (Duration, String),
    /// The longest duration or delay of a check. It is the observer's or the machine's.
    pub(crate) lag: Duration,
    wrong: Vec<String>,
}

impl Phase {
    pub(crate) fn new(what: &str, limits: Limits) -> Self {
        Self {
            what: what.to_owned(),
            limits,
            looks: 0,
            gaps: 0,
            away: 0,
            oldest: (Duration::ZERO, String::new()),
            lag: Duration::ZERO,
            wrong: Vec::new(),
        }
    }

    /// Checks the answer of `front`.
    pub(crate) fn look(&mut self, front: &str, lists: &Lists, served: &Served, taken: &Taken) {
        self.looks += 1;
        self.lag = self.lag.max(lists.nodes.took).max(lists.pods.took);
        let taken = |node| taken.get(node).map_or(&[][..], Vec::as_slice);
        for node in &served.nodes {
            self.object(front, ("node", node), &lists.nodes, taken(node));
        }
        for (pod, node) in &served.pods {
            self.object(front, ("pod", pod), &lists.pods, taken(node));
        }
    }

    fn object(
        &mut self,
        front: &str,
        (kind, name): (&str, &str),
        list: &List,
        taken: &[Timestamp],
    ) {
        let asked = list.asked;
        let Some(date) = list.dates.get(name) else {
            self.gaps += 1;
            return self.say(format!("{kind} {name} is missing on {front} at {asked}"));
        };
        let at = moment(*date, taken);
        // The age counts from the start of the request, because the time of the answer is not part of the sample's age.
        let age = Duration::try_from(asked.duration_since(at)).unwrap_or_default();
        if age > self.limits.oldest {
            self.say(format!(
                "{kind} {name} is {:.1} s old on {front} at {asked}, sampled at {at}",
                age.as_secs_f64()
            ));
        }
        if age > self.oldest.0 {
            self.oldest = (age, format!("{kind} {name} on {front}"));
        }
    }

    /// A frontend that runs is not ready, or did not answer.
    pub(crate) fn not_ready(&mut self, front: &str, why: &str, at: Timestamp) {
        self.away += 1;
        if self.limits.all_ready {
            self.say(format!("{front} at {at}: {why}"));
        }
    }

    /// A check was late.
    pub(crate) fn late(&mut self, by: Duration) {
        self.lag = self.lag.max(by);
    }

    fn say(&mut self, words: String) {
        if self.wrong.len() < WORDS {
            self.wrong.push(words);
        }
    }

    /// How old a sample may be.
    pub(crate) fn bound(&self) -> Duration {
        self.limits.oldest
    }

    /// The first errors. Empty if there were none.
    pub(crate) fn wrong(&self) -> &[String] {
        &self.wrong
    }
}

/// The time of a sample, of which a list has only the second.
///
/// It is the first known sample of that second, so that no sample counts as younger than it is.
/// The first of that second, if it is known, so that no sample is taken for younger than it is.
fn moment(date: Timestamp, taken: &[Timestamp]) -> Timestamp {
    let of_date = taken.iter().find(|at| at.as_second() == date.as_second());
    of_date.copied().unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        oldest: Duration::from_secs(17),
        all_ready: true,
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_229_000_000 + millis).unwrap()
    }

    fn lists(asked: i64, node: Option<i64>, pod: Option<i64>) -> Lists {
        let list = |name: &str, date: Option<i64>| List {
            asked: at(asked),
            took: Duration::from_millis(40),
            dates: date
                .map(|date| (name.to_owned(), at(date)))
                .into_iter()
                .collect(),
        };
        Lists {
            nodes: list("n1", node),
            pods: list("shop/web", pod),
        }
    }

    fn seen(lists: &Lists) -> Phase {
        let served = Served {
            nodes: BTreeSet::from(["n1".to_owned()]),
            pods: BTreeMap::from([("shop/web".to_owned(), "n1".to_owned())]),
        };
        let taken = BTreeMap::from([("n1".to_owned(), vec![at(1_700), at(11_650)])]);
        let mut phase = Phase::new("test", LIMITS);
        phase.look("front-0", lists, &served, &taken);
        phase
    }

    #[test]
    fn an_age_counts_from_when_the_kubelet_was_asked_to_the_millisecond() {
        let phase = seen(&lists(18_700, Some(1_000), Some(11_000)));
        assert_eq!(
            phase.oldest,
            (Duration::from_secs(17), "node n1 on front-0".to_owned())
        );
        assert_eq!(phase.wrong(), [""; 0]);
        let phase = seen(&lists(18_701, Some(1_000), Some(11_000)));
        assert_eq!(phase.wrong().len(), 1);
        // For a date without a known sample, the second counts.
        let phase = seen(&lists(18_700, Some(0), Some(11_000)));
        assert_eq!(phase.oldest.0, Duration::from_millis(18_700));
    }

    #[test]
    fn what_is_missing_is_a_gap() {
        let phase = seen(&lists(12_000, Some(11_000), None));
        assert_eq!((phase.looks, phase.gaps), (1, 1));
        assert_eq!(
            phase.wrong(),
            ["pod shop/web is missing on front-0 at 2026-11-21T02:43:32Z"]
        );
    }

    #[test]
    fn a_frontend_that_is_not_ready_is_wrong_unless_it_may() {
        for (all_ready, wrong) in [(true, 1), (false, 0)] {
            let mut phase = Phase::new(
                "test",
                Limits {
                    all_ready,
                    ..LIMITS
                },
            );
            phase.not_ready("front-0", "503", at(0));
            assert_eq!((phase.away, phase.wrong().len()), (1, wrong));
        }
    }
}
