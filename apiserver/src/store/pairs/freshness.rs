//! When a kubelet measures, as the samples show that are stored. Nothing is stored for that.

use tributary_model::{Freshness, Look, is_first_sample};

use super::Pairs;

/// The most containers of a node that are looked at.
const MOST: usize = 32;

impl Pairs {
    /// When the kubelet measures: from the two newest samples of some containers.
    pub(in crate::store) fn freshness(&self) -> Freshness {
        let mut look = Look::default();
        if self.remarks.is_stamped_by_scraper {
            return look.freshness();
        }
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
        look.freshness()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{S, first, reading, row, take};
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

    #[test]
    fn the_first_sample_of_a_container_shows_nothing() {
        let pages = [(3, [2; 5]), (15, [12; 5])];
        assert_eq!(known(&pages), Freshness::Unknown);
    }
}
