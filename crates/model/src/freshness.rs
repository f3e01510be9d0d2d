//! When a kubelet measures: at every request, or at times of its own.
//!
//! A [`Look`] compares the samples of one page with those before it. It compares spans only: by
//! how much a stamp moved, and how much time lay between the requests. So it does not matter how
//! wrong the clock of a node is (docs/decisions/0040-how-fresh-a-kubelet-is.md).

use std::time::Duration;

use crate::units::Timestamp;

/// A stamp that moved by as much as lay between the requests, give or take this, is of the request.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Nor may it differ by more than this part of what lay between the requests.
const TOLERANCE_PART: u32 = 4;

/// So many containers must agree that one look is enough to say that a kubelet measures at every
/// request. With each container less it happens more often by chance.
const ENOUGH: u32 = 4;

/// The most distances of which the median is taken.
const MOST: usize = 32;

/// A stamp that moved by more is of a clock that was set: kubelets measure every five minutes at least.
const LONGEST: Duration = Duration::from_mins(30);

/// A sample that was measured so soon after the start is the first one.
const FIRST: Duration = Duration::from_secs(2);

/// Whether a sample with this stamp is the first one of a container that started then. The next one
/// may be as close to it as can be.
pub fn is_first_sample(at: Timestamp, started: Option<Timestamp>) -> bool {
    started.is_some_and(|started| at <= started.plus(FIRST))
}

/// When a kubelet measures, as far as its pages show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Too few samples were compared.
    #[default]
    Unknown,
    /// At every request: stamps move by as much as lies between the requests.
    EveryRequest,
    /// At times of its own.
    Periodic {
        /// How far apart two samples of a container are: the median. It is seen no finer than
        /// the kubelet is scraped.
        typical: Duration,
    },
}

impl Freshness {
    /// All words for it.
    pub const WORDS: [&'static str; 3] = ["unknown", "every-request", "periodic"];

    /// A word for it.
    pub fn as_str(self) -> &'static str {
        let [unknown, every_request, periodic] = Self::WORDS;
        match self {
            Self::Unknown => unknown,
            Self::EveryRequest => every_request,
            Self::Periodic { .. } => periodic,
        }
    }

    /// How far apart samples are, if the kubelet measures at times of its own.
    pub fn typical(self) -> Option<Duration> {
        match self {
            Self::Periodic { typical } => Some(typical),
            Self::Unknown | Self::EveryRequest => None,
        }
    }
}

/// What the samples of one page show, compared with those before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    compared: u32,
    /// Those whose stamp moved by as much as lay between the requests.
    followed: u32,
    shortest: Option<Duration>,
    distances: [Duration; MOST],
    known: usize,
}

impl Look {
    /// Adds a container with a new sample: how far it is from the one before, and how long before
    /// this page the one before it was requested.
    pub fn renewed(&mut self, apart: Duration, gap: Duration) {
        self.compared += 1;
        let tolerance = TOLERANCE.min(gap / TOLERANCE_PART);
        self.followed += u32::from(apart.abs_diff(gap) <= tolerance);
        self.add(apart);
    }

    /// Adds a container that has the same sample as on the page before, and how far that is from
    /// the one before it, if it is known.
    pub fn repeated(&mut self, apart: Option<Duration>) {
        self.compared += 1;
        if let Some(apart) = apart {
            self.add(apart);
        }
    }

    fn add(&mut self, apart: Duration) {
        if apart > LONGEST {
            return;
        }
        self.shortest = Some(self.shortest.map_or(apart, |known| known.min(apart)));
        if let Some(distance) = self.distances.get_mut(self.known) {
            *distance = apart;
            self.known += 1;
        }
    }

    /// Whether anything was compared.
    pub fn is_empty(&self) -> bool {
        self.compared == 0
    }

    /// Whether nearly all stamps moved by as much as lay between the requests.
    pub fn follows(&self) -> bool {
        let odd = self.compared - self.followed;
        !self.is_empty() && odd <= self.compared / 10
    }

    /// The shortest distance.
    pub fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    /// The median of the distances, of the first ones if there are many.
    pub fn median(&self) -> Option<Duration> {
        let mut distances = self.distances;
        let known = distances.get_mut(..self.known)?;
        known.sort_unstable();
        known.get(self.known / 2).copied()
    }

    /// What this look alone shows.
    pub fn freshness(&self) -> Freshness {
        if !self.follows() {
            let median = self.median();
            return median.map_or(Freshness::Unknown, |typical| Freshness::Periodic {
                typical,
            });
        }
        if self.compared < ENOUGH {
            return Freshness::Unknown;
        }
        Freshness::EveryRequest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A look at containers whose samples moved by so many seconds, 15 s after the page before.
    /// Zero: the same sample.
    fn look(moved: &[f64]) -> Look {
        let mut look = Look::default();
        for apart in moved {
            if *apart > 0.0 {
                look.renewed(seconds(*apart), seconds(15.0));
            } else {
                look.repeated(None);
            }
        }
        look
    }

    #[test]
    fn stamps_that_move_as_requests_do_are_of_the_requests() {
        let fresh = look(&[15.0, 14.2, 15.9, 15.0]);
        assert_eq!(fresh.freshness(), Freshness::EveryRequest);
        // Of three it may be chance.
        let few = look(&[15.0, 14.2, 15.9]);
        assert!(few.follows());
        assert_eq!(few.freshness(), Freshness::Unknown);
        // One of ten may be odd.
        let mut moved = vec![15.0; 9];
        moved.push(0.0);
        assert!(look(&moved).follows());
        moved.push(0.0);
        assert!(!look(&moved).follows());
    }

    #[test]
    fn stamps_that_move_by_other_spans_are_of_times_of_the_kubelet() {
        for (moved, typical) in [
            (&[10.0, 20.0, 10.0][..], 10.0),
            (&[12.5, 17.0, 0.0, 0.0, 14.0, 27.5], 17.0),
            (&[16.5], 16.5),
        ] {
            let typical = seconds(typical);
            let expected = Freshness::Periodic { typical };
            assert_eq!(look(moved).freshness(), expected, "{moved:?}");
        }
    }

    #[test]
    fn nothing_is_known_of_pages_without_samples_or_with_the_same_ones_once() {
        assert!(look(&[]).is_empty());
        assert!(!look(&[]).follows());
        assert_eq!(look(&[]).freshness(), Freshness::Unknown);
        assert_eq!(look(&[0.0, 0.0]).freshness(), Freshness::Unknown);
    }

    #[test]
    fn the_tolerance_is_a_part_of_a_short_gap() {
        let mut look = Look::default();
        look.renewed(seconds(1.2), seconds(1.0));
        assert!(look.follows());
        look.renewed(seconds(1.3), seconds(1.0));
        assert!(!look.follows());
        assert_eq!(look.shortest(), Some(seconds(1.2)));
    }

    #[test]
    fn of_many_containers_the_first_count_for_the_median() {
        let mut look = Look::default();
        for number in 1..=100 {
            look.repeated(Some(Duration::from_secs(number)));
        }
        assert_eq!(look.median(), Some(Duration::from_secs(17)));
        look.repeated(Some(Duration::ZERO));
        assert_eq!(look.shortest(), Some(Duration::ZERO));
    }

    #[test]
    fn a_clock_that_was_set_gives_no_distance() {
        let set = look(&[3_615.0, 3_615.0]);
        assert!(!set.follows());
        assert_eq!((set.shortest(), set.median()), (None, None));
        assert_eq!(set.freshness(), Freshness::Unknown);
    }

    #[test]
    fn the_first_sample_of_a_container_is_measured_when_it_starts() {
        let at = Timestamp::from_millis;
        assert!(is_first_sample(at(7_000), Some(at(5_000))));
        assert!(!is_first_sample(at(7_001), Some(at(5_000))));
        assert!(!is_first_sample(at(7_001), None));
    }

    #[test]
    fn each_has_a_word() {
        let typical = Duration::from_secs(14);
        let all = [
            Freshness::Unknown,
            Freshness::EveryRequest,
            Freshness::Periodic { typical },
        ];
        assert_eq!(all.map(Freshness::as_str), Freshness::WORDS);
        assert_eq!(all.map(Freshness::typical), [None, None, Some(typical)]);
    }
}
