use std::time::Duration;

use super::*;
use crate::serve::handle::Patience;

/// Limits of eight connections, and three of one address.
fn room() -> Arc<Connections> {
    Connections::new(8, 3, ServeMetrics::default())
}

fn origin(last: u8) -> Origin {
    Origin::of([10, 0, 0, last].into())
}

fn handle() -> ConnectionHandle {
    let patience = Patience {
        first_request: Duration::from_secs(10),
        idle: Duration::from_secs(90),
    };
    ConnectionHandle::new(patience, ServeMetrics::default())
}

/// One of the connections.
struct Peer {
    handle: ConnectionHandle,
    _entered: Entered,
}

impl Peer {
    fn from(last: u8, room: &Arc<Connections>) -> Self {
        let handle = handle();
        Self {
            _entered: room.enter(origin(last), handle.clone()).unwrap(),
            handle,
        }
    }

    /// A connection with this trust level.
    fn proven(last: u8, trust: TrustLevel, room: &Arc<Connections>) -> Self {
        let peer = Self::from(last, room);
        peer.handle.verified(trust);
        peer
    }

    async fn is_closed(&self) -> bool {
        let now = tokio::time::timeout(Duration::ZERO, self.handle.evicted());
        now.await.is_ok()
    }
}

/// The indexes of the closed connections.
async fn closed(peers: &[Peer]) -> Vec<usize> {
    let mut closed = Vec::new();
    for (at, peer) in peers.iter().enumerate() {
        if peer.is_closed().await {
            closed.push(at);
        }
    }
    closed
}

async fn a_moment() {
    tokio::time::advance(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn one_address_cannot_take_the_room_of_others() {
    let room = room();
    let honest = Peer::from(1, &room);
    let mut strangers = Vec::new();
    for _ in 0..100 {
        a_moment().await;
        strangers.push(Peer::from(2, &room));
    }
    assert!(!honest.is_closed().await);
    // The oldest ones are evicted.
    let expected: Vec<usize> = (0..97).collect();
    assert_eq!(closed(&strangers).await, expected);
    assert_eq!(room.metrics.evictions(Reason::PerSource), 97);
    assert_eq!(room.metrics.evictions(Reason::Total), 0);
}

#[tokio::test(start_paused = true)]
async fn many_addresses_close_those_that_have_most_and_the_new_one_is_accepted() {
    let room = room();
    let mut strangers = Vec::new();
    for last in [1, 1, 1, 2, 2, 2, 3, 4] {
        a_moment().await;
        strangers.push(Peer::from(last, &room));
    }
    let joining_peers: Vec<Peer> = (5..9).map(|last| Peer::from(last, &room)).collect();
    // First goes the oldest one of the two addresses with three connections, then one of the other, and so on.
    assert_eq!(closed(&strangers).await, [0, 1, 3, 4]);
    assert_eq!(closed(&joining_peers).await, [0; 0]);
    assert_eq!(room.metrics.evictions(Reason::Total), 4);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_has_its_time_where_all_others_are_busy_and_renew_it() {
    let room = room();
    let mut strangers: Vec<Peer> = Vec::new();
    let mut in_flight = Vec::new();
    for _ in 0..3 {
        a_moment().await;
        let stranger = Peer::from(1, &room);
        in_flight.push(stranger.handle.begin());
        strangers.push(stranger);
    }
    a_moment().await;
    let honest = Peer::from(1, &room);
    for stranger in &strangers {
        a_moment().await;
        // They end their requests and begin others. That makes none of them younger.
        in_flight.remove(0);
        in_flight.push(stranger.handle.begin());
    }
    let mut later = vec![Peer::from(1, &room)];
    a_moment().await;
    later.push(Peer::from(1, &room));
    assert!(!honest.is_closed().await);
    assert_eq!(closed(&strangers).await, [0, 1, 2]);
    a_moment().await;
    // Since then as many connections have come as the limit allows.
    later.push(Peer::from(1, &room));
    assert!(honest.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_who_it_is_stays_longer_and_who_is_trusted_for_good() {
    let room = room();
    let trusted: Vec<Peer> = (0..4)
        .map(|_| Peer::proven(1, TrustLevel::Trusted, &room))
        .collect();
    let known = Peer::proven(1, TrustLevel::Known, &room);
    let mut strangers = Vec::new();
    for last in 0..50 {
        a_moment().await;
        strangers.push(Peer::from(1, &room));
        a_moment().await;
        strangers.push(Peer::from(last, &room));
    }
    assert!(!known.is_closed().await);
    assert_eq!(closed(&trusted).await, [0; 0]);
    // Known connections count for the limit of their address, too.
    for _ in 0..3 {
        a_moment().await;
        strangers.push(Peer::proven(1, TrustLevel::Known, &room));
    }
    assert!(known.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn where_all_are_trusted_no_other_is_added() {
    let room = room();
    let trusted: Vec<Peer> = (0..8)
        .map(|_| Peer::proven(1, TrustLevel::Trusted, &room))
        .collect();
    assert!(room.enter(origin(2), handle()).is_none());
    assert_eq!(room.metrics.evictions(Reason::Refused), 1);
    drop(trusted);
    assert_eq!(room.metrics.open.get(), 0);
    assert!(room.enter(origin(2), handle()).is_some());
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_one_stranger_goes() {
    let room = room();
    let trusted = Peer::proven(1, TrustLevel::Trusted, &room);
    let stranger = Peer::from(1, &room);
    room.give_up_one();
    room.give_up_one();
    assert!(stranger.is_closed().await);
    assert!(!trusted.is_closed().await);
    assert_eq!(room.metrics.evictions(Reason::Descriptors), 1);
}

#[test]
fn one_address_of_ipv6_counts_as_its_network() {
    let of = |text: &str| Source::of(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:3:4:5:6"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
}

#[tokio::test(start_paused = true)]
async fn at_a_large_limit_a_64th_is_evicted_at_once() {
    let room = Connections::new(256, 192, ServeMetrics::default());
    let mut strangers = Vec::new();
    for number in 0..=255 {
        a_moment().await;
        // 128 connections of each of two addresses.
        strangers.push(Peer::from(number % 2, &room));
    }
    assert_eq!(closed(&strangers).await, [0; 0]);
    let joining_peers: Vec<Peer> = (10..14).map(|last| Peer::from(last, &room)).collect();
    // A 64th of 256: two of each address, the oldest ones.
    assert_eq!(closed(&strangers).await, [0, 1, 2, 3]);
    let fifth = Peer::from(14, &room);
    assert_eq!(closed(&strangers).await, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(closed(&joining_peers).await, [0; 0]);
    assert!(!fifth.is_closed().await);
    assert_eq!(room.metrics.evictions(Reason::Total), 8);
}

#[tokio::test(start_paused = true)]
async fn at_a_large_limit_of_one_address_a_64th_of_its_connections_is_evicted_at_once() {
    let room = Connections::new(1_000, 128, ServeMetrics::default());
    let other = Peer::from(1, &room);
    let mut strangers = Vec::new();
    for _ in 0..130 {
        a_moment().await;
        strangers.push(Peer::from(2, &room));
    }
    assert_eq!(closed(&strangers).await, [0, 1]);
    assert!(!other.is_closed().await);
    assert_eq!(room.metrics.evictions(Reason::PerSource), 2);
}

#[tokio::test(start_paused = true)]
async fn in_a_network_of_ipv6_a_host_with_many_connections_evicts_its_own() {
    let room = Connections::new(1_000, 8, ServeMetrics::default());
    let from = |address: &str| {
        let handle = handle();
        let origin = Origin::of(address.parse().unwrap());
        Peer {
            _entered: room.enter(origin, handle.clone()).unwrap(),
            handle,
        }
    };
    let probe = from("2001:db8:1:2::10");
    let mut strangers = Vec::new();
    for _ in 0..100 {
        a_moment().await;
        strangers.push(from("2001:db8:1:2::66"));
    }
    assert!(!probe.is_closed().await);
    let expected: Vec<usize> = (0..93).collect();
    assert_eq!(closed(&strangers).await, expected);
}

#[tokio::test(start_paused = true)]
async fn in_a_network_of_ipv6_many_hosts_with_one_connection_evict_none_with_two() {
    let room = Connections::new(1_000, 8, ServeMetrics::default());
    let from = |address: String| {
        let handle = handle();
        let origin = Origin::of(address.parse().unwrap());
        Peer {
            _entered: room.enter(origin, handle.clone()).unwrap(),
            handle,
        }
    };
    let mut strangers = Vec::new();
    for number in 0..8 {
        a_moment().await;
        strangers.push(from(format!("2001:db8:1:2::1{number}")));
    }
    // Two probes at a time, and more strangers.
    a_moment().await;
    let probes = [(); 2].map(|()| from("2001:db8:1:2::66".to_owned()));
    for number in 0..4 {
        a_moment().await;
        strangers.push(from(format!("2001:db8:1:2::2{number}")));
    }
    assert_eq!(closed(&probes).await, [0; 0]);
    assert_eq!(closed(&strangers).await, [0, 1, 2, 3, 4, 5]);
}
