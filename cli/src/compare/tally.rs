//! What two servers answered, counted. Pure: everything is an argument.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use crate::usages::{Usages, Used};

/// Of a hundred objects that the other server serves, how many Tributary has to serve.
pub const ENOUGH: usize = 95;

/// What CPU usage, in milli-cores, may differ by at least, however small it is.
const CPU_NOISE: i64 = 100;

/// The same of memory, in bytes.
const MEMORY_NOISE: i64 = 32 << 20;

/// The answers about nodes, or about pods, of several rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    objects: BTreeMap<String, Counted>,
    last: Share,
    only_ours: usize,
}

/// What is known of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    /// In how many rounds the other server had it.
    theirs: i64,
    /// In how many of these Tributary had it, too.
    both: i64,
    /// Whether that was so in the last of them.
    lately: bool,
    /// Sums over the rounds in which both had it.
    their_sum: Used,
    our_sum: Used,
}

/// How many of the objects of one server the other has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Those of the other server.
    pub incumbent: usize,
    /// Of these, those of Tributary.
    pub both: usize,
}

impl Share {
    /// Whether these are enough. Of nothing, none is.
    #[must_use]
    pub fn is_enough(self) -> bool {
        self.both.saturating_mul(100) >= self.incumbent.saturating_mul(ENOUGH)
    }

    /// In per cent, with one digit, rounded down.
    #[must_use]
    pub fn percent(self) -> String {
        let tenths = self.both.saturating_mul(1_000).checked_div(self.incumbent);
        let tenths = tenths.unwrap_or(1_000);
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

/// How the objects of one kind compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// In the last round.
    pub last: Share,
    /// In all rounds together.
    pub all: Share,
    /// How many Tributary has alone, in the last round.
    pub only_tributary: usize,
    /// Those that Tributary lacked when the other server had them last, those that it lacked most often first.
    pub missing: Vec<Missing>,
    /// Half of the objects differ by no more than this, in per cent: CPU.
    pub typical_cpu_difference: Option<i64>,
    /// Memory.
    pub typical_memory_difference: Option<i64>,
    /// Those whose usage differs widely, the widest first.
    pub differences: Vec<Difference>,
}

/// An object that Tributary lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Its name, with the namespace of a pod.
    pub name: String,
    /// In how many rounds it was missing.
    pub missing_in: i64,
    /// Of how many.
    pub rounds: i64,
    /// Why, if it is known.
    pub why: String,
}

/// Usage that differs widely: means of all rounds in which both had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Of what: its name, with the namespace of a pod.
    pub name: String,
    /// `cpu`, in milli-cores, or `memory`, in bytes.
    pub resource: &'static str,
    /// Of the other server.
    pub incumbent: i64,
    /// Of Tributary.
    pub tributary: i64,
}

impl Tally {
    /// One more round.
    pub fn add(&mut self, theirs: &Usages, ours: &Usages) {
        self.last = Share {
            incumbent: theirs.len(),
            both: 0,
        };
        for (name, their_usage) in theirs {
            let object = self.objects.entry(name.clone()).or_default();
            object.theirs += 1;
            let our_usage = ours.get(name);
            object.lately = our_usage.is_some();
            if let Some(our_usage) = our_usage {
                object.both += 1;
                object.their_sum = object.their_sum.plus(*their_usage);
                object.our_sum = object.our_sum.plus(*our_usage);
                self.last.both += 1;
            }
        }
        let ours = ours.keys().filter(|name| !theirs.contains_key(*name));
        self.only_ours = ours.count();
    }

    /// What it comes to.
    #[must_use]
    pub fn compared(&self) -> Compared {
        let sum = |count: fn(&Counted) -> i64| {
            let sum: i64 = self.objects.values().map(count).sum();
            usize::try_from(sum).unwrap_or(0)
        };
        let missing = self.objects.iter().filter(|(_, object)| !object.lately);
        let mut missing: Vec<Missing> = missing
            .map(|(name, object)| Missing::of(name, object))
            .collect();
        missing.sort_by_key(|one| Reverse(one.missing_in));
        let mut differences: Vec<(i64, Difference)> = self
            .objects
            .iter()
            .flat_map(|(name, object)| wide_differences(name, object))
            .collect();
        differences.sort_by_key(|(parts, _)| Reverse(*parts));
        Compared {
            last: self.last,
            all: Share {
                incumbent: sum(|object| object.theirs),
                both: sum(|object| object.both),
            },
            only_tributary: self.only_ours,
            missing,
            typical_cpu_difference: self.typical(|usage| usage.cpu),
            typical_memory_difference: self.typical(|usage| usage.memory),
            differences: differences.into_iter().map(|(_, one)| one).collect(),
        }
    }

    /// The median of the differences, in per cent.
    fn typical(&self, amount: fn(&Used) -> i64) -> Option<i64> {
        let both = self.objects.values().filter(|object| object.both > 0);
        let mut parts: Vec<i64> = both
            .map(|object| difference(amount(&object.their_sum), amount(&object.our_sum)).0)
            .collect();
        parts.sort_unstable();
        let middle = parts.get(parts.len() / 2)?;
        Some(middle / 10)
    }
}

impl Missing {
    fn of(name: &str, object: &Counted) -> Self {
        Self {
            name: name.to_owned(),
            missing_in: object.theirs - object.both,
            rounds: object.theirs,
            why: String::new(),
        }
    }
}

impl Compared {
    /// Whether Tributary has enough of what the other server has: at the end, and all the time.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.last.is_enough() && self.all.is_enough()
    }

    /// The smaller of both shares.
    #[must_use]
    pub fn share(&self) -> Share {
        let (last, all) = (self.last, self.all);
        // last.both / last.incumbent < all.both / all.incumbent
        let last_is_smaller =
            last.both.saturating_mul(all.incumbent) < all.both.saturating_mul(last.incumbent);
        if last_is_smaller { last } else { all }
    }
}

/// By how many thousandths of the larger one two amounts differ, and by how much.
fn difference(one: i64, other: i64) -> (i64, i64) {
    let distance = one.abs_diff(other);
    let distance = i64::try_from(distance).unwrap_or(i64::MAX);
    let parts = distance.saturating_mul(1_000).checked_div(one.max(other));
    (parts.unwrap_or(0), distance)
}

/// The amounts of an object that differ widely, with by how many thousandths. CPU usage is a mean of the last seconds, and the
/// servers look at other seconds, so it may well differ by half.
fn wide_differences(name: &str, object: &Counted) -> Vec<(i64, Difference)> {
    let amounts = [
        (
            "cpu",
            object.their_sum.cpu,
            object.our_sum.cpu,
            500,
            CPU_NOISE,
        ),
        (
            "memory",
            object.their_sum.memory,
            object.our_sum.memory,
            250,
            MEMORY_NOISE,
        ),
    ];
    let mean = |sum: i64| sum.checked_div(object.both).unwrap_or(0);
    let wide = amounts
        .into_iter()
        .filter_map(|(resource, theirs, ours, most, noise)| {
            let (theirs, ours) = (mean(theirs), mean(ours));
            let (parts, distance) = difference(theirs, ours);
            let wide = parts > most && distance > noise;
            let difference = Difference {
                name: name.to_owned(),
                resource,
                incumbent: theirs,
                tributary: ours,
            };
            wide.then_some((parts, difference))
        });
    wide.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usages(of: &[(&str, i64, i64)]) -> Usages {
        let named = of.iter().map(|(name, cpu, memory)| {
            let (cpu, memory) = (*cpu, memory << 20);
            ((*name).to_owned(), Used { cpu, memory })
        });
        named.collect()
    }

    fn many(count: usize) -> Usages {
        let name = |index| (format!("n{index:03}"), Used::default());
        (0..count).map(name).collect()
    }

    #[test]
    fn at_ninety_five_of_a_hundred_it_is_enough() {
        for (ours, enough, percent) in [
            (100, true, "100.0 %"),
            (95, true, "95.0 %"),
            (94, false, "94.0 %"),
            (0, false, "0.0 %"),
        ] {
            let mut tally = Tally::default();
            tally.add(&many(100), &many(ours));
            let compared = tally.compared();
            assert_eq!(compared.is_enough(), enough, "{ours}");
            assert_eq!(compared.share().percent(), percent);
            assert_eq!(compared.missing.len(), 100 - ours);
        }
        let nothing = Tally::default().compared();
        assert!(nothing.is_enough());
        assert_eq!(nothing.share().percent(), "100.0 %");
    }

    #[test]
    fn it_has_to_be_enough_at_the_end_and_all_the_time() {
        let mut at_the_end = Tally::default();
        at_the_end.add(&many(100), &many(10));
        at_the_end.add(&many(100), &many(100));
        let compared = at_the_end.compared();
        assert!(!compared.is_enough());
        assert_eq!(compared.share().percent(), "55.0 %");
        assert_eq!(compared.missing, []);
        let mut at_first = Tally::default();
        for ours in [100, 100, 100, 100, 100, 90] {
            at_first.add(&many(100), &many(ours));
        }
        assert!(!at_first.compared().is_enough());
        assert_eq!(at_first.compared().share().percent(), "90.0 %");
    }

    #[test]
    fn what_is_missing_is_named_with_how_often() {
        let mut tally = Tally::default();
        let both = usages(&[("a", 1, 1), ("b", 1, 1), ("c", 1, 1)]);
        tally.add(&both, &usages(&[("a", 1, 1), ("b", 1, 1), ("d", 1, 1)]));
        tally.add(&both, &usages(&[("a", 1, 1)]));
        let compared = tally.compared();
        let missing = compared.missing.iter();
        let missing: Vec<_> = missing
            .map(|one| (&*one.name, one.missing_in, one.rounds))
            .collect();
        assert_eq!(missing, [("c", 2, 2), ("b", 1, 2)]);
        assert_eq!(compared.only_tributary, 0);
        assert_eq!(
            compared.last,
            Share {
                incumbent: 3,
                both: 1
            }
        );
        assert_eq!(
            compared.all,
            Share {
                incumbent: 6,
                both: 3
            }
        );
    }

    #[test]
    fn what_differs_widely_is_named_the_widest_first() {
        let mut tally = Tally::default();
        let theirs = [("a", 1_000, 100), ("b", 90, 500), ("c", 500, 1_000)];
        let ours = [("a", 450, 101), ("b", 10, 300), ("c", 300, 1_020)];
        tally.add(&usages(&theirs), &usages(&ours));
        tally.add(&usages(&theirs), &usages(&ours));
        let compared = tally.compared();
        let differences = compared.differences.iter();
        let differences: Vec<_> = differences
            .map(|one| (&*one.name, one.resource, one.incumbent, one.tributary))
            .collect();
        let expected = [
            ("a", "cpu", 1_000, 450),
            ("b", "memory", 500 << 20, 300 << 20),
        ];
        assert_eq!(differences, expected);
        assert_eq!(compared.typical_cpu_difference, Some(55));
        assert_eq!(compared.typical_memory_difference, Some(1));
    }
}
