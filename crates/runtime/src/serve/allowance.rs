//! How many control frames of HTTP/2 a peer may send (docs/decisions/0021-before-authentication.md#control-frames).
//!
//! A control frame neither begins a request nor carries content: PING, SETTINGS, `WINDOW_UPDATE`, PRIORITY,
//! `RST_STREAM`, CONTINUATION, DATA without bytes, and kinds that the server does not know. A peer can send hundreds of
//! thousands in a second, and the server must read and often answer each. An honest peer sends them in
//! proportion to its requests and to the answers that it reads. So requests and the bytes of answers earn frames, and
//! time earns a few more. A peer that sends others loses its connection.

use std::time::Duration;

use tokio::time::Instant;

use super::handle::TrustLevel;

/// The cost of a control frame. One byte that the server writes earns 1. Go's HTTP/2 client sends two
/// `WINDOW_UPDATE` for each 4 KiB that it reads, an eighth of what these earn.
pub(super) const FRAME: u64 = 256;

/// The cost of DATA: padding counts as content, and content of a stream that the server has reset is dropped. A
/// publisher sends a frame for each node, and thousands of these in a second.
pub(super) const CONTENT: u64 = 4;

/// DATA with fewer bytes is a control frame: messages of gRPC have hardly any shorter ones.
pub(super) const SHORTEST_DATA: u32 = 8;

/// How many control frames a request earns: its end, its cancellation, a change of its priority, a ping with it, and
/// some more.
const REQUEST: u64 = 16;

/// A second, in microseconds.
const SECOND: u64 = 1_000_000;

/// What a peer may send besides.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// At the beginning, or after a pause.
    burst: u64,
    /// In a second.
    per_second: u64,
    /// The most that bytes of answers earn in advance: a peer may read long after the server has written.
    saved: u64,
}

/// The rate of a peer that has proven nothing. It pays for each connection with a TLS handshake, which costs the server
/// more than these frames.
const UNKNOWN: Rate = Rate {
    burst: 100 * FRAME,
    per_second: 10 * FRAME,
    saved: 4_096 * FRAME,
};

/// The rate of a peer that has proven its identity.
const KNOWN: Rate = Rate {
    burst: 1_000 * FRAME,
    per_second: 100 * FRAME,
    saved: 65_536 * FRAME,
};

/// The rate of an admitted publisher: as many nodes as a stream may have, each with a message of two DATA in each second, the
/// shortest resolution.
const PUBLISHER: Rate = Rate {
    burst: 2_000 * FRAME,
    per_second: 1_000 * FRAME,
    saved: 65_536 * FRAME,
};

/// What was received since the last call of [`Allowance::spend`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// The cost of the frames.
    pub(super) cost: u64,
    /// The requests that began.
    pub(super) requests: u64,
}

/// What the peer of one connection may still send.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u64,
    since: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: UNKNOWN.burst,
            since: now,
        }
    }

    /// Adds what these bytes, which the server wrote, earn.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let earned = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add(earned);
    }

    /// Pays for frames. Returns whether there was enough.
    pub(super) fn spend(&mut self, spent: Spent, trust: TrustLevel, now: Instant) -> bool {
        let rate = match trust {
            TrustLevel::Unknown => UNKNOWN,
            TrustLevel::Known => KNOWN,
            TrustLevel::Trusted => PUBLISHER,
        };
        let passed = now.saturating_duration_since(self.since);
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let of_time = micros.saturating_mul(rate.per_second) / SECOND;
        // What has not earned anything yet counts the next time.
        self.since += Duration::from_micros(of_time.saturating_mul(SECOND) / rate.per_second);
        // Requests and time earn a burst in advance, no more. What these requests earn pays for what comes with them first.
        let left = self.left.min(rate.saved);
        let most = left.max(rate.burst);
        let of_requests = spent.requests.saturating_mul(REQUEST * FRAME);
        let earned = left.saturating_add(of_time).min(most);
        let rest = earned.saturating_add(of_requests).checked_sub(spent.cost);
        self.left = rest.unwrap_or_default().min(most);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINGS_OF_100: Spent = Spent {
        cost: 100 * FRAME,
        requests: 0,
    };

    /// How many of 10,000 frames may be sent at `now`, one by one.
    fn free(allowance: &mut Allowance, trust: TrustLevel, now: Instant) -> usize {
        let one = Spent {
            cost: FRAME,
            requests: 0,
        };
        let sent = (0..10_000).take_while(|_| allowance.spend(one, trust, now));
        sent.count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_proven_nothing_has_a_burst_and_ten_in_a_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, start), 100);
        let later = start + Duration::from_secs(3);
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, later), 30);
        let much_later = later + Duration::from_hours(1);
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, much_later), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_proven_its_identity_has_ten_times_as_much() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let later = start + Duration::from_secs(3);
        assert_eq!(free(&mut allowance, TrustLevel::Known, later), 400);
        let much_later = later + Duration::from_hours(1);
        assert_eq!(free(&mut allowance, TrustLevel::Known, much_later), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_earns_sixteen_up_to_a_burst() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        assert!(allowance.spend(PINGS_OF_100, TrustLevel::Unknown, now));
        let two = Spent {
            cost: 0,
            requests: 2,
        };
        assert!(allowance.spend(two, TrustLevel::Unknown, now));
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, now), 32);
        let many = Spent {
            cost: 0,
            requests: 1_000,
        };
        assert!(allowance.spend(many, TrustLevel::Unknown, now));
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, now), 100);
        // What comes with many requests at once may take all that they earn.
        let mixed = Spent {
            cost: 400 * FRAME,
            requests: 100,
        };
        assert!(allowance.spend(mixed, TrustLevel::Unknown, now));
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, now), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn time_earns_the_same_in_small_parts() {
        let mut now = Instant::now();
        let mut allowance = Allowance::new(now);
        assert!(allowance.spend(PINGS_OF_100, TrustLevel::Unknown, now));
        let nothing = Spent::default();
        for _ in 0..3_000 {
            now += Duration::from_millis(1);
            assert!(allowance.spend(nothing, TrustLevel::Unknown, now));
        }
        now += Duration::from_micros(200);
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, now), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_may_be_read_later() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        allowance.wrote(256_000);
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, now), 1_100);
        // What is earned in advance has a limit.
        allowance.wrote(usize::MAX);
        assert_eq!(free(&mut allowance, TrustLevel::Unknown, now), 4_096);
        allowance.wrote(usize::MAX);
        let frames = Spent {
            cost: 65_536 * FRAME,
            requests: 0,
        };
        assert!(allowance.spend(frames, TrustLevel::Known, now));
        assert_eq!(free(&mut allowance, TrustLevel::Known, now), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_publisher_may_send_as_many_nodes_as_a_stream_may_have_in_each_second() {
        let mut now = Instant::now();
        let mut allowance = Allowance::new(now);
        for _ in 0..60 {
            now += Duration::from_secs(1);
            let spent = Spent {
                cost: 2 * 20_000 * CONTENT,
                requests: 0,
            };
            assert!(allowance.spend(spent, TrustLevel::Trusted, now));
        }
    }
}
