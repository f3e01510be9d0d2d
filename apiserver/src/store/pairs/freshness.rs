//! When a kubelet measures, as the samples show that are stored. Nothing is stored for that.

use tributary_model::{Freshness, Look, is_first_sample};

use super::Pairs;

/// The most containers of a node that are looked at.
const MOST: usize = 32;

impl Pairs {
    /// When the kubelet measures: from the two newest samples of some containers.
    pub(in crate::store) fn freshness(&self) -> Freshness {
        if self.remarks.is_stamped_by_scraper {
            return Freshness::Unknown;
        }
        self.look().freshness()
    }

    /// Whether most containers have two samples that are frequent.
    pub(super) fn has_frequent_samples(&self) -> bool {
        let typical = self.look().median();
        typical.is_some_and(|typical| self.pace.is_frequent(typical))
    }

    fn look(&self) -> Look {
        let mut look = Look::default();
        let every = self.rows.len().div_ceil(MOST).max(1);
        for (at, row) in self.rows.iter().enumerate().step_by(every) {
            let series = row.series();
            let Some((earlier, newest)) = series.pair() else {
                continue;
            };
            let between = self.between.get(&at);
            let before = between.and_then(|points| points.last()).unwrap_or(earlier);
            let Some(apart) = newest.at.since(before.at) else {
                continue;
            };
            if is_first_sample(before.at, series.started) {
                continue;
            }
            match series.sight {
                Some(sight) if sight.at == self.asked_at => look.renewed(apart, sight.gap),
                _ => look.repeated(Some(apart)),
            }
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{S, first, reading, row, stamps, take};
    use super::*;

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    /// What is known after pages that were asked for at these seconds, with the stamps of the
    /// containers in seconds.
    fn known(pages: &[(i64, [i64; 5])]) -> Freshness {
        let page = |(asked, stamps): &(i64, [i64; 5])| {
            let rows = NAMES.into_iter().zip(stamps);
            let rows = rows.map(|(name, at)| (name, row(at.unsigned_abs(), at * S, S)));
            reading(asked * S, &rows.collect::<Vec<_>>())
        };
        let mut pairs = first(page(&pages[0]));
        for next in &pages[1..] {
            take(&mut pairs, page(next));
        }
        pairs.freshness()
    }

    fn periodic(seconds: u64) -> Freshness {
        let typical = std::time::Duration::from_secs(seconds);
        Freshness::Periodic { typical }
    }

    #[test]
    fn samples_that_are_of_the_requests_are_measured_at_every_request() {
        let pages = [100, 115, 130].map(|at| (at, [at; 5]));
        assert_eq!(known(&pages), Freshness::EveryRequest);
        // With a clock that is wrong, and asked every second.
        let pages: Vec<_> = (100..120).map(|at| (at, [at + 3_600; 5])).collect();
        assert_eq!(known(&pages), Freshness::EveryRequest);
        assert_eq!(known(&pages[..1]), Freshness::Unknown);
    }

    #[test]
    fn others_are_periodic() {
        let pages = [
            (100, [93, 95, 99, 90, 85]),
            (115, [108, 114, 99, 104, 102]),
            (130, [127, 114, 118, 120, 117]),
        ];
        // 19, 19, 19, 16 and 15 s.
        assert_eq!(known(&pages), periodic(19));
        // All at once, and asked every second.
        let pages: Vec<_> = (100..150).map(|at| (at, [at - at % 10; 5])).collect();
        assert_eq!(known(&pages), periodic(10));
        assert_eq!(known(&pages[..41]), periodic(10));
    }

    /// The pair of the first container after each of these pages, in seconds.
    fn pairs_of(pages: &[(i64, i64)]) -> Vec<Option<(i64, i64)>> {
        let page = |(asked, at): &(i64, i64)| {
            let rows = NAMES.map(|name| (name, row(at.unsigned_abs(), at * S, S)));
            reading(asked * S, &rows)
        };
        let mut pairs = first(page(&pages[0]));
        let next = pages[1..].iter().map(|next| {
            take(&mut pairs, page(next));
            let stamps = stamps(&pairs.rows()[0]);
            stamps.map(|(earlier, newest)| (earlier / S, newest / S))
        });
        next.collect()
    }

    #[test]
    fn frequent_samples_pair_over_three_shortest_windows_as_soon_as_there_are_such() {
        let times = [100, 105, 110, 115, 120, 125, 145, 160];
        let pairs = pairs_of(&times.map(|at| (at, at)));
        let expected = [
            (100, 105),
            (100, 110),
            (100, 115),
            (105, 120),
            (110, 125),
            // It is asked less often from here on.
            (125, 145),
            (145, 160),
        ];
        assert_eq!(pairs, expected.map(Some));
    }

    #[test]
    fn samples_that_are_not_frequent_pair_with_the_one_before_however_often_they_are_asked_for() {
        let times = [100, 105, 110, 115, 120, 125, 130];
        let pairs = pairs_of(&times.map(|at| (at, at - at % 10)));
        let expected = [
            None,
            Some((100, 110)),
            Some((100, 110)),
            Some((110, 120)),
            Some((110, 120)),
            Some((120, 130)),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn the_first_sample_of_a_container_shows_nothing() {
        let pages = [(3, [2; 5]), (15, [12; 5])];
        assert_eq!(known(&pages), Freshness::Unknown);
    }
}
