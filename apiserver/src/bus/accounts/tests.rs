use std::time::Duration;

use tributary_model::{PodKey, RosterBuilder};

use super::*;

fn roster(node: usize, containers: usize) -> Arc<Roster> {
    let mut builder = RosterBuilder::default();
    for row in 0..containers {
        let pod = PodKey::new("shop", format!("web-{node}").as_str());
        builder.add(pod, format!("c{row}").as_str().into()).unwrap();
    }
    builder.build()
}

/// Adds a node with a roster of this size to the account.
fn hold(account: &Account, node: usize, containers: usize, bytes: usize) -> Result<(), String> {
    let booked = Booked {
        address: node,
        size: Size { containers, bytes },
        roster: Weak::new(),
    };
    let stored = account.hold_booked(Some(&booked));
    stored.map_err(|refused| refused.to_string())
}

fn open(accounts: &Accounts, name: &str) -> Account {
    accounts.open(&name.into(), Instant::now()).unwrap()
}

#[test]
fn one_publisher_cannot_take_every_stream() {
    let accounts = Accounts::default();
    let mut streams: Vec<Account> = (0..128).map(|_| open(&accounts, "greedy")).collect();
    let refused = accounts.open(&"greedy".into(), Instant::now()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "more than 128 streams of one publisher"
    );
    streams.push(open(&accounts, "other"));
    streams.remove(0);
    streams.push(open(&accounts, "greedy"));
    drop(streams);
    assert_eq!(accounts.lock().all.streams, 0);
    // Opening another account removes it.
    let _other = open(&accounts, "other");
    assert_eq!(accounts.lock().by.len(), 1);
}

#[test]
fn streams_have_a_limit() {
    let accounts = Accounts::default();
    let names = (0..256).map(|number| format!("p{number}"));
    let _streams: Vec<Account> = names.map(|name| open(&accounts, &name)).collect();
    let refused = accounts.open(&"late".into(), Instant::now()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "more than 256 streams of all publishers"
    );
}

#[test]
fn a_roster_counts_once_however_many_streams_hold_it() {
    let accounts = Accounts::default();
    let (a, b) = (open(&accounts, "a"), open(&accounts, "a"));
    let shared = roster(0, 20_000);
    for _ in 0..1_000 {
        a.hold(Some(&shared)).unwrap();
        b.hold(Some(&shared)).unwrap();
    }
    assert_eq!(accounts.lock().all.size.containers, 20_000);
    for _ in 0..1_000 {
        a.release(Some(&shared));
    }
    assert_eq!(accounts.lock().all.size.containers, 20_000);
    for _ in 0..1_000 {
        b.release(Some(&shared));
    }
    drop((a, b, shared));
    let _c = open(&accounts, "c");
    let books = accounts.lock();
    assert!(!books.by.contains_key("a"));
    for stored in [&books.all, &books.by["c"]] {
        assert_eq!((stored.nodes, stored.rosters.len()), (0, 0));
        assert_eq!(
            (stored.size, stored.large),
            (Size::default(), Size::default())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_roster_that_was_released_counts_as_long_as_it_is_in_memory() {
    let accounts = Accounts::default();
    let greedy = open(&accounts, "greedy");
    // The store has them after the stream has released them.
    let stored: Vec<_> = (0..50).map(|node| roster(node, 20_000)).collect();
    for roster in &stored {
        greedy.hold(Some(roster)).unwrap();
        greedy.release(Some(roster));
    }
    let refused = "more than 1000000 containers of one publisher on nodes with more than 1024";
    let another = roster(50, 20_000);
    let hold = |account: &Account| account.hold(Some(&another)).map_err(|it| it.to_string());
    assert_eq!(hold(&greedy), Err(refused.to_owned()));
    // A new stream begins with the same account.
    drop(greedy);
    let greedy = open(&accounts, "greedy");
    assert_eq!(hold(&greedy), Err(refused.to_owned()));
    drop((greedy, stored));
    tokio::time::advance(SWEEP_AGAIN).await;
    let greedy = open(&accounts, "greedy");
    assert_eq!(hold(&greedy), Ok(()));
    assert_eq!(accounts.lock().all.size.containers, 20_000);
}

#[test]
fn rosters_that_are_released_and_freed_are_forgotten_before_a_limit() {
    let accounts = Accounts::default();
    let account = open(&accounts, "a");
    for node in 0..1_000 {
        let roster = roster(node, 10);
        account.hold(Some(&roster)).unwrap();
        account.release(Some(&roster));
    }
    let books = accounts.lock();
    for holdings in [&books.all, &books.by["a"]] {
        assert!(holdings.rosters.len() <= SWEPT + 1, "{}", holdings.idle);
        assert_eq!(holdings.idle, holdings.rosters.len());
        assert_eq!(holdings.size.containers, 10 * holdings.rosters.len());
    }
}

#[test]
fn a_roster_that_another_publisher_has_counts_for_that_one() {
    let accounts = Accounts::default();
    let (old, new) = (open(&accounts, "old"), open(&accounts, "new"));
    let shared = roster(0, 20_000);
    old.hold(Some(&shared)).unwrap();
    old.release(Some(&shared));
    new.hold(Some(&shared)).unwrap();
    drop(old);
    let _other = open(&accounts, "other");
    let books = accounts.lock();
    assert!(!books.by.contains_key("old"));
    assert_eq!(books.by["new"].size.containers, 20_000);
    assert_eq!(books.all.size.containers, 20_000);
}

#[test]
fn a_roster_is_measured_as_it_is_in_memory() {
    // The roster is shop/web-7 with c0, c1 and c2. It takes 96 + 4 + 5 bytes, and 34 for each container.
    let size = Size {
        containers: 3,
        bytes: 105 + 3 * 34,
    };
    assert_eq!(Size::of(&roster(7, 3)), size);
}

#[test]
fn large_rosters_take_half_and_leave_the_rest_to_the_others() {
    let accounts = Accounts::default();
    let (greedy, other) = (open(&accounts, "greedy"), open(&accounts, "other"));
    for node in 0..50 {
        assert_eq!(hold(&greedy, node, 20_000, 1 << 20), Ok(()));
    }
    let refused = "more than 1000000 containers of one publisher on nodes with more than 1024";
    assert_eq!(hold(&greedy, 50, 20_000, 1 << 20), Err(refused.to_owned()));
    // Other nodes of the same publisher, and nodes of another publisher, are accepted.
    for node in 1_000..1_976 {
        assert_eq!(hold(&greedy, node, 1_024, 1 << 10), Ok(()));
    }
    assert_eq!(hold(&other, 50, 20_000, 1 << 20), Ok(()));
    // What was released can be taken again.
    greedy.release_at(Some(0));
    assert_eq!(hold(&greedy, 51, 20_000, 1 << 20), Ok(()));
}

#[test]
fn names_have_a_bound_too() {
    let accounts = Accounts::default();
    let greedy = open(&accounts, "greedy");
    for node in 0..128 {
        assert_eq!(hold(&greedy, node, 100, 1 << 20), Ok(()));
    }
    let refused =
        "names of more than 134217728 bytes of one publisher in rosters of more than 131072";
    assert_eq!(hold(&greedy, 128, 100, 1 << 20), Err(refused.to_owned()));
    for node in 1_000..2_024 {
        assert_eq!(hold(&greedy, node, 100, 128 << 10), Ok(()));
    }
    let refused = "names of more than 268435456 bytes of one publisher";
    assert_eq!(hold(&greedy, 2_024, 1, 1), Err(refused.to_owned()));
}

#[test]
fn greedy_publishers_leave_the_last_quarter_to_those_that_hold_little() {
    let accounts = Accounts::default();
    let [first, second, third] = ["first", "second", "third"].map(|name| open(&accounts, name));
    for node in 0..2_000 {
        assert_eq!(hold(&first, node, 1_000, 1_000), Ok(()));
    }
    let refused = "more than 2000000 containers of one publisher";
    assert_eq!(hold(&first, 20_000, 1, 1), Err(refused.to_owned()));
    for node in 10_000..11_000 {
        assert_eq!(hold(&second, node, 1_000, 1_000), Ok(()));
    }
    let refused = "more than 3000000 containers of all publishers";
    assert_eq!(hold(&second, 20_000, 1, 1), Err(refused.to_owned()));
    for node in 12_000..12_052 {
        assert_eq!(hold(&third, node, 300, 1_000), Ok(()));
    }
    assert_eq!(hold(&third, 20_000, 300, 1), Err(refused.to_owned()));
}

#[test]
fn sixty_four_publishers_have_their_little_whatever_one_takes() {
    let accounts = Accounts::default();
    let [first, second] = ["first", "second"].map(|name| open(&accounts, name));
    for node in 0..2_000 {
        hold(&first, node, 1_000, 1_000).ok();
        hold(&second, 10_000 + node, 1_000, 1_000).ok();
    }
    assert_eq!(accounts.lock().all.size.containers, 3_000_000);
    let mut streams = Vec::new();
    for number in 0..64 {
        let small = open(&accounts, &format!("small-{number}"));
        for node in 0..52 {
            let node = 100_000 + number * 100 + node;
            assert_eq!(hold(&small, node, 300, 1_000), Ok(()), "{number} {node}");
        }
        streams.push(small);
    }
}

#[test]
fn greedy_publishers_leave_streams_to_those_that_have_few() {
    let accounts = Accounts::default();
    let mut streams: Vec<Account> = Vec::new();
    for greedy in 0..16 {
        let name: Arc<str> = format!("greedy-{greedy}").into();
        while let Ok(stream) = accounts.open(&name, Instant::now()) {
            streams.push(stream);
        }
    }
    let refused = accounts.open(&"greedy-1".into(), Instant::now());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "more than 192 streams of all publishers"
    );
    for honest in ["a", "b", "c"] {
        streams.push(open(&accounts, honest));
        streams.push(open(&accounts, honest));
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_sends_little_does_not_wait_for_those_that_send_much() {
    let accounts = Accounts::default();
    let start = Instant::now();
    let mib = 1 << 20;
    let greedy: Vec<Account> = (0..32)
        .map(|it| open(&accounts, &format!("g{it}")))
        .collect();
    for stream in greedy.iter().cycle().take(32 * 512) {
        stream.take(mib, start);
    }
    let (mut waits, honest) = (0, open(&accounts, "honest"));
    for second in 0..60 {
        let now = start + Duration::from_secs(second);
        for stream in &greedy {
            waits += usize::from(stream.take(16 * mib, now).is_some());
        }
        // This is the rate of a thousand nodes every 15 s.
        for _ in 0..67 {
            assert_eq!(honest.take(15 << 10, now), None, "in second {second}");
        }
    }
    // Each publisher has one message accepted in 16 s, by its guaranteed rate.
    assert_eq!(waits, 60 * 32 - 3 * 32);
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_rules_again_and_again_waits_and_others_do_not() {
    let accounts = Accounts::default();
    let start = Instant::now();
    for _ in 0..16 {
        open(&accounts, "evil").fault(start);
    }
    let refused = accounts.open(&"evil".into(), start).unwrap_err();
    assert_eq!(refused, TooMuch::Faults(Duration::from_secs(4)));
    let _honest = open(&accounts, "honest");
    let later = start + Duration::from_secs(4);
    assert!(accounts.open(&"evil".into(), later).is_ok());
}

#[test]
fn nodes_and_claims_are_bounded_for_a_publisher() {
    let accounts = Accounts::default();
    let (account, other) = (open(&accounts, "a"), open(&accounts, "b"));
    for _ in 0..80_000 {
        account.hold(None).unwrap();
    }
    let refused = account.hold(None).unwrap_err().to_string();
    assert_eq!(refused, "more than 80000 nodes of one publisher");
    assert_eq!(other.hold(None), Ok(()));
    assert_eq!(account.claim(0, 160_000), Ok(()));
    assert!(account.claim(160_000, 160_001).is_err());
    assert_eq!(other.claim(0, 1), Ok(()));
    assert_eq!(account.claim(160_000, 10), Ok(()));
    assert_eq!(account.claim(10, 20), Ok(()));
}

#[test]
fn greedy_publishers_leave_the_last_quarter_of_all_roles_to_those_that_have_few() {
    let accounts = Accounts::default();
    let [first, second, third] = ["first", "second", "third"].map(|name| open(&accounts, name));
    assert_eq!(first.claim(0, 160_000), Ok(()));
    let refused = second.claim(0, 80_001).unwrap_err().to_string();
    assert_eq!(refused, "more than 240000 nodes of all publishers");
    assert_eq!(second.claim(0, 80_000), Ok(()));
    assert!(third.claim(0, 1_251).is_err());
    assert_eq!(third.claim(0, 1_250), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn many_streams_are_no_way_to_send_faster_and_nor_is_dialling_again() {
    let accounts = Accounts::default();
    let start = Instant::now();
    let mib = 1 << 20;
    let streams: Vec<_> = (0..8).map(|_| open(&accounts, "fast")).collect();
    for stream in &streams {
        assert_eq!(stream.take(64 * mib, start), None);
    }
    assert!(streams[0].take(64 * mib, start).is_some());
    let other = open(&accounts, "other");
    assert_eq!(other.take(64 * mib, start), None);
    drop(streams);
    let again = open(&accounts, "fast");
    let wait = again.take(64 * mib, start).unwrap() - start;
    assert_eq!(wait, Duration::from_millis(2_001));
    drop(again);
    tokio::time::advance(Duration::from_mins(1)).await;
    drop(other);
    let _last = open(&accounts, "last");
    assert_eq!(accounts.lock().by.len(), 1);
}
