//! Points that are too close to the newest one to make a pair with it yet.

use std::iter;

use crate::reading::CpuPoint;

/// How many are kept. At one request a second the shortest window of five seconds has fewer.
const MOST: usize = 8;

/// The points between those of a pair, from old to new, each at a time of its own: the
/// next earlier point will be one of them. Of more than eight the one is left out that is
/// closest to its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between([Option<CpuPoint>; MOST]);

impl Between {
    /// The points, from old to new.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = CpuPoint> {
        self.0.iter().copied().flatten()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.first().is_none_or(Option::is_none)
    }

    /// Adds a point in its place, instead of one of the same time.
    pub(super) fn insert(&mut self, new: CpuPoint) {
        let mut all = [None; MOST + 1];
        let before = self.iter().filter(|point| point.at < new.at);
        let after = self.iter().filter(|point| point.at > new.at);
        let sorted = before.chain(iter::once(new)).chain(after);
        for (place, point) in all.iter_mut().zip(sorted) {
            *place = Some(point);
        }
        let dropped = closest(&all);
        let kept = all.into_iter().flatten();
        *self = kept.filter(|point| Some(*point) != dropped).collect();
    }

    /// Leaves only these.
    pub(super) fn retain(&mut self, keep: impl FnMut(&CpuPoint) -> bool) {
        if !self.is_empty() {
            *self = self.iter().filter(keep).collect();
        }
    }
}

/// Of as many points as there is room for, and one, the one whose neighbours are closest to
/// each other.
fn closest(all: &[Option<CpuPoint>; MOST + 1]) -> Option<CpuPoint> {
    let apart = |three: &[Option<CpuPoint>]| match three {
        [Some(before), Some(point), Some(after)] => Some((after.at.since(before.at), *point)),
        _ => None,
    };
    let is_full = all.iter().all(Option::is_some);
    let inner = all.windows(3).filter(|_| is_full).filter_map(apart);
    let (_, point) = inner.min_by_key(|(apart, _)| *apart)?;
    Some(point)
}

impl FromIterator<CpuPoint> for Between {
    /// Those that come first, if there are too many.
    fn from_iter<I: IntoIterator<Item = CpuPoint>>(points: I) -> Self {
        let mut between = Self::default();
        for (place, point) in between.0.iter_mut().zip(points) {
            *place = Some(point);
        }
        between
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{CoreNanos, Timestamp};

    fn point(second: i64) -> CpuPoint {
        CpuPoint {
            total: CoreNanos(second.unsigned_abs()),
            at: Timestamp::from_millis(second * 1_000),
        }
    }

    fn seconds(between: &Between) -> Vec<i64> {
        between.iter().map(|point| point.at.as_seconds()).collect()
    }

    #[test]
    fn points_are_sorted_and_one_of_a_time_is_there_once() {
        let mut between = Between::default();
        assert!(between.is_empty());
        for second in [5, 1, 3, 5] {
            between.insert(point(second));
        }
        assert_eq!(seconds(&between), [1, 3, 5]);
        between.retain(|point| point.at.as_seconds() > 1);
        assert_eq!(seconds(&between), [3, 5]);
        between.retain(|_| false);
        assert_eq!(between, Between::default());
    }

    #[test]
    fn of_too_many_the_one_goes_whose_neighbours_are_close() {
        let mut between: Between = [0, 10, 20, 30, 31, 40, 50, 60]
            .map(point)
            .into_iter()
            .collect();
        between.insert(point(70));
        assert_eq!(seconds(&between), [0, 10, 20, 30, 40, 50, 60, 70]);
        // The first and the last stay.
        between.insert(point(71));
        assert_eq!(seconds(&between), [0, 10, 20, 30, 40, 50, 60, 71]);
    }
}
