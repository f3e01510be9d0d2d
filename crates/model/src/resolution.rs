//! Spans that are counted in resolutions, and what they are at a short one.
//!
//! From a resolution of ten seconds on they are so many resolutions. Below that some of
//! them are longer, because kubelets measure every 10 to 20 seconds, and connections and
//! watches take their time, however often nodes are scraped
//! (docs/decisions/0035-short-resolutions.md).

use std::time::Duration;

/// The shortest resolution that a flag may set. A shorter one is that of a test with
/// simulated kubelets, where everything is in proportion.
pub const SHORTEST_RESOLUTION: Duration = Duration::from_secs(1);

/// How long a sample is served after it was seen.
pub fn served_for(resolution: Duration) -> Duration {
    counted(6, resolution, Duration::from_secs(30))
}

/// How old the newest sample of a node is when it is overdue.
pub fn overdue_after(resolution: Duration) -> Duration {
    counted(3, resolution, Duration::from_secs(4))
}

/// How long a former owner goes on to scrape a node.
pub fn overlap(resolution: Duration) -> Duration {
    counted(4, resolution, Duration::from_secs(4))
}

/// How long the first rescue of a node lasts: until the Lease of its owner has expired.
pub fn first_rescue(resolution: Duration) -> Duration {
    counted(8, resolution, Duration::from_secs(30))
}

/// This many halves of a resolution, and at a short one `least`.
fn counted(count: u32, resolution: Duration, least: Duration) -> Duration {
    let span = resolution.saturating_mul(count) / 2;
    if resolution < SHORTEST_RESOLUTION {
        return span;
    }
    span.max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_ten_seconds_on_spans_are_in_proportion() {
        for (millis, served, overdue, overlaps, rescued) in [
            (500, 1_500, 750, 1_000, 2_000),
            (1_000, 30_000, 4_000, 4_000, 30_000),
            (5_000, 30_000, 7_500, 10_000, 30_000),
            (10_000, 30_000, 15_000, 20_000, 40_000),
            (60_000, 180_000, 90_000, 120_000, 240_000),
        ] {
            let resolution = Duration::from_millis(millis);
            let spans = [served_for, overdue_after, overlap, first_rescue];
            let spans = spans.map(|span| span(resolution).as_millis());
            assert_eq!(spans, [served, overdue, overlaps, rescued], "{millis}");
        }
    }
}
