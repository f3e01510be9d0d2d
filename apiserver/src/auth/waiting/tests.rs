//! Who may wait, and who may not.

use std::net::IpAddr;

use super::*;

fn seats(room: &WaitingRoom, caller: &Caller, most: usize) -> Vec<Seat> {
    let seats = (0..most).map_while(|_| room.enter(caller, false).ok());
    seats.collect()
}

#[test]
fn strangers_leave_room_for_those_who_are_known() {
    let room = WaitingRoom::new(WaitingMetrics::default());
    let anonymous = seats(&room, &Caller::of(CallerKind::Anonymous), 2_000);
    let unproven = seats(&room, &Caller::of(CallerKind::Unproven), 2_000);
    assert_eq!((anonymous.len(), unproven.len()), (100, 400));
    // A token that was accepted before counts like a certificate.
    let again = room.enter(&Caller::of(CallerKind::Unproven), true);
    assert!(again.is_ok());
    let proven = seats(&room, &Caller::of(CallerKind::Proven), 2_000);
    assert_eq!(proven.len(), 500);
    // Known callers have some permits of their own.
    let known = || room.enter(&Caller::of(CallerKind::Proven), true).ok();
    let known: Vec<_> = (0..2_000).map_while(|_| known()).collect();
    assert_eq!(known.len(), 199);
    assert!(
        room.enter(&Caller::of(CallerKind::Publisher), false)
            .is_ok()
    );
    assert_eq!(room.0.metrics.waiting.get(), 1_200);
    drop((anonymous, unproven, proven, known, again));
    assert_eq!(room.0.metrics.waiting.get(), 0);
    assert!(
        room.enter(&Caller::of(CallerKind::Anonymous), false)
            .is_ok()
    );
    let refused = |limit| {
        room.0
            .metrics
            .refused
            .get_or_create(&LimitLabel { limit })
            .get()
    };
    assert_eq!(
        [
            "all",
            "new",
            "unproven",
            "anonymous",
            "address",
            "connection"
        ]
        .map(refused),
        [1, 1, 1, 1, 0, 0]
    );
}

#[test]
fn a_connection_that_has_proven_nothing_has_four_places() {
    let room = WaitingRoom::new(WaitingMetrics::default());
    let on = |notes: &ConnectionNotes, kind| Caller {
        kind,
        connection: Some(notes.clone()),
    };
    let (one, other) = (ConnectionNotes::default(), ConnectionNotes::default());
    let mut taken = seats(&room, &on(&one, CallerKind::Unproven), 10);
    assert_eq!(taken.len(), 4);
    assert!(room.enter(&on(&one, CallerKind::Anonymous), false).is_err());
    assert!(room.enter(&on(&one, CallerKind::Unproven), true).is_ok());
    assert!(room.enter(&on(&one, CallerKind::Proven), false).is_ok());
    assert!(
        room.enter(&on(&other, CallerKind::Anonymous), false)
            .is_ok()
    );
    taken.pop();
    assert!(room.enter(&on(&one, CallerKind::Anonymous), false).is_ok());
}

/// A new connection from `address`, which has proven nothing.
fn from(address: &str, kind: CallerKind) -> Caller {
    let notes = ConnectionNotes::default();
    notes.put(Source::of(address.parse::<IpAddr>().unwrap()));
    Caller {
        kind,
        connection: Some(notes),
    }
}

/// The permits of 200 connections from `address`, with three requests each.
fn flood(room: &WaitingRoom, address: &str, kind: CallerKind) -> Vec<Seat> {
    let connections = (0..200).map(|_| from(address, kind));
    let seats = connections.flat_map(|caller| seats(room, &caller, 3));
    seats.collect()
}

#[test]
fn one_address_has_a_quarter_of_the_places_of_strangers() {
    for (kind, quarter) in [(CallerKind::Anonymous, 25), (CallerKind::Unproven, 100)] {
        let room = WaitingRoom::new(WaitingMetrics::default());
        let mut taken = flood(&room, "192.0.2.1", kind);
        assert_eq!(taken.len(), quarter);
        assert!(room.enter(&from("192.0.2.2", kind), false).is_ok());
        // All addresses of a /64 are one.
        let mut of_v6 = flood(&room, "2001:db8::1", kind);
        assert_eq!(of_v6.len(), quarter);
        assert!(room.enter(&from("2001:db8::2", kind), false).is_err());
        assert!(room.enter(&from("2001:db8:0:1::1", kind), false).is_ok());
        // A place that is left is free for the same address.
        taken.pop();
        assert!(room.enter(&from("192.0.2.1", kind), false).is_ok());
        of_v6.clear();
        assert_eq!(flood(&room, "2001:db8::2", kind).len(), quarter);
    }
}

#[test]
fn an_address_at_its_limit_takes_no_place_of_those_who_have_proven_something() {
    let room = WaitingRoom::new(WaitingMetrics::default());
    let taken = flood(&room, "192.0.2.1", CallerKind::Anonymous);
    assert_eq!(taken.len(), 25);
    let unproven = from("192.0.2.1", CallerKind::Unproven);
    assert!(room.enter(&unproven, false).is_ok());
    let proven = from("192.0.2.1", CallerKind::Proven);
    assert_eq!(seats(&room, &proven, 300).len(), 300);
}
