use super::*;

const RESOLUTION: Duration = Duration::from_secs(15);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// A lease that its holder took at 0 and renewed at `renewed`, by its clock.
fn lease(holder: &str, renewed: i64) -> Lease {
    Lease {
        holder: holder.into(),
        created: at(0),
        acquired: at(0),
        renewed: at(renewed),
    }
}

/// What "me" sees, having listed `leases` at 100 by every clock.
fn listed(leases: &[Lease]) -> Membership {
    let mut membership = Membership::new("me".into(), RESOLUTION, at(100));
    membership.replace(leases.to_vec(), at(100), at(100));
    membership
}

/// The members besides "me", at a time.
fn others(membership: &Membership, seconds: i64) -> Vec<String> {
    let view = membership.view(at(seconds)).unwrap();
    let names = ["a", "b", "c"].into_iter().filter(|name| {
        let peer = |established| Peer {
            name: (*name).into(),
            established,
        };
        view.others().contains(&peer(true)) || view.others().contains(&peer(false))
    });
    names.map(str::to_owned).collect()
}

/// Lets time pass in which these renew, by clocks that are an hour off.
fn renew(membership: &mut Membership, holders: &[&str], from: i64, to: i64) {
    let mut now = from;
    while now <= to {
        for holder in holders {
            membership.put(lease(holder, now + 3_600), at(now));
        }
        now += 5;
    }
}

#[test]
fn members_on_the_first_list_count_at_once() {
    let membership = listed(&[lease("a", 99), lease("b", 86), lease("me", 98)]);
    assert_eq!(others(&membership, 100), ["a", "b"]);
}

#[test]
fn a_lease_that_seems_left_over_counts_when_it_is_renewed() {
    let mut membership = listed(&[lease("a", 84), lease("b", -9_999)]);
    assert_eq!(others(&membership, 100), [""; 0]);
    membership.put(lease("a", 89), at(105));
    assert_eq!(others(&membership, 105), ["a"]);
}

#[test]
fn one_who_joins_counts_after_a_third_of_a_resolution() {
    let mut membership = listed(&[]);
    membership.put(lease("a", 0), at(110));
    assert_eq!(others(&membership, 114), [""; 0]);
    assert_eq!(membership.next(at(110)), Some(at(115)));
    assert_eq!(others(&membership, 115), ["a"]);
    assert_eq!(membership.next(at(115)), None);
}

#[test]
fn one_who_comes_and_goes_was_never_there() {
    let mut membership = listed(&[]);
    membership.put(lease("a", 0), at(110));
    membership.remove(&"a".into());
    assert_eq!(others(&membership, 120), [""; 0]);
}

#[test]
fn one_who_leaves_is_gone_at_once() {
    let mut membership = listed(&[lease("a", 99), lease("b", 99)]);
    membership.remove(&"a".into());
    assert_eq!(others(&membership, 100), ["b"]);
    membership.replace(Vec::new(), at(101), at(101));
    assert_eq!(others(&membership, 101), [""; 0]);
}

#[test]
fn one_who_falls_silent_is_dead_after_fifteen_seconds() {
    let mut membership = listed(&[lease("a", 99), lease("b", 99)]);
    renew(&mut membership, &["a", "b", "me"], 105, 110);
    renew(&mut membership, &["b", "me"], 115, 120);
    assert_eq!(others(&membership, 124), ["a", "b"]);
    renew(&mut membership, &["b", "me"], 125, 125);
    assert_eq!(others(&membership, 125), ["b"]);
    // Risen again, it has to join again.
    membership.put(lease("a", 9_999), at(126));
    assert_eq!(others(&membership, 130), ["b"]);
    assert_eq!(others(&membership, 131), ["a", "b"]);
}

#[test]
fn dates_of_other_clocks_do_not_matter_once_listed() {
    let mut membership = listed(&[lease("a", 5_000)]);
    for now in [105, 110, 115, 120, 125] {
        membership.put(lease("a", -now), at(now));
    }
    assert_eq!(others(&membership, 125), ["a"]);
}

#[test]
fn while_the_api_cannot_be_reached_the_last_known_stay() {
    let mut membership = listed(&[lease("a", 99), lease("b", 99)]);
    renew(&mut membership, &["a", "b", "me"], 105, 110);
    assert_eq!(others(&membership, 410), ["a", "b"]);
    // It is back: the first to renew must not outlive the others by that.
    renew(&mut membership, &["me"], 410, 420);
    assert_eq!(others(&membership, 420), ["a", "b"]);
    renew(&mut membership, &["a", "me"], 421, 426);
    assert_eq!(others(&membership, 426), ["a"]);
}

#[test]
fn an_api_that_comes_back_revives_no_expired_member() {
    let mut membership = listed(&[lease("a", 99), lease("b", 99)]);
    renew(&mut membership, &["b", "me"], 105, 120);
    assert_eq!(others(&membership, 120), ["b"]);
    renew(&mut membership, &["b", "me"], 420, 420);
    assert_eq!(others(&membership, 420), ["b"]);
}

#[test]
fn who_can_see_no_leases_at_all_does_not_believe_to_be_alone() {
    let mut membership = Membership::new("me".into(), RESOLUTION, at(100));
    assert_eq!(membership.view(at(104)), None);
    assert_eq!(membership.next(at(104)), Some(at(105)));
    let unsure = View::unsure("me".into());
    assert_eq!(membership.view(at(105)), Some(unsure.clone()));
    assert_eq!(membership.view(at(9_999)), Some(unsure));
    // A list without any is another matter.
    membership.replace(Vec::new(), at(10_000), at(10_000));
    assert!(membership.view(at(10_000)).unwrap().is_sure());
}

#[test]
fn one_is_established_after_two_resolutions_by_its_own_clock() {
    let mut membership = listed(&[lease("a", 99), lease("b", 99)]);
    membership.put(lease("a", 29), at(101));
    membership.put(lease("b", 30), at(101));
    let peer = |name: &str, established| Peer {
        name: name.into(),
        established,
    };
    let view = membership.view(at(101)).unwrap();
    assert_eq!(view.others(), [peer("a", false), peer("b", true)]);
}

#[test]
fn a_lease_that_was_left_behind_is_deleted_by_the_first_who_lives() {
    // "a" and "b" are left over from before, "me" and "n" live.
    let mut membership = listed(&[lease("a", -900), lease("b", 99), lease("n", 99)]);
    renew(&mut membership, &["me", "n"], 105, 245);
    assert_eq!(membership.abandoned(), None);
    renew(&mut membership, &["me", "n"], 250, 250);
    assert_eq!(membership.abandoned().map(|name| &**name), Some("a"));
    membership.remove(&"a".into());
    assert_eq!(membership.abandoned().map(|name| &**name), Some("b"));
    // One who lives comes before us, and it is for them.
    membership.put(lease("b", 999), at(251));
    membership.put(lease("c", 1), at(252));
    renew(&mut membership, &["me", "b", "n"], 255, 550);
    assert_eq!(membership.abandoned(), None);
    // They do not, in as long again.
    renew(&mut membership, &["me", "b", "n"], 555, 555);
    assert_eq!(membership.abandoned().map(|name| &**name), Some("c"));
}

/// A lease that the API has had since `created`.
fn created(holder: &str, created: i64, renewed: i64) -> Lease {
    Lease {
        created: at(created),
        ..lease(holder, renewed)
    }
}

#[test]
fn of_too_many_members_those_count_whose_leases_are_oldest() {
    let fakes = (0..200).map(|n| created(&format!("0-fake-{n:03}"), 90, 99));
    let mut all: Vec<Lease> = fakes.collect();
    all.extend([
        created("a", 10, 99),
        created("b", 91, 99),
        created("me", 95, 99),
    ]);
    let membership = listed(&all);
    let view = membership.view(at(100)).unwrap();
    assert_eq!((view.len(), membership.ignored(at(100))), (129, 74));
    // "b" came after the others. We count for ourselves.
    assert_eq!(others(&membership, 100), ["a"]);
    assert!(view.members().contains(&"me".into()));
    assert!(view.members().contains(&"0-fake-126".into()));
    assert!(!view.members().contains(&"0-fake-127".into()));
}

#[test]
fn of_too_many_leases_the_expired_go_first_and_then_the_newest() {
    let mut all = vec![created("dead", 1, -900), created("a", 2, 99)];
    all.extend((0..1_022).map(|n| created(&format!("fake-{n:04}"), 50, 99)));
    let mut membership = listed(&all);
    assert_eq!((membership.size(), membership.take_dropped()), (1_024, 0));
    // One that is newer than all, and one more: the dead one makes room once.
    membership.put(created("late", 60, 100), at(101));
    membership.put(created("later", 61, 100), at(101));
    assert_eq!((membership.size(), membership.take_dropped()), (1_024, 2));
    assert!(membership.holds(&"late".into()) && !membership.holds(&"dead".into()));
    assert!(!membership.holds(&"later".into()));
    // One that is older takes the place of the newest.
    membership.put(created("b", 3, 100), at(102));
    assert!(membership.holds(&"b".into()) && !membership.holds(&"late".into()));
    assert_eq!(others(&membership, 107), ["a", "b"]);
}

#[test]
fn no_member_expires_while_no_lease_is_seen() {
    let mut membership = listed(&[lease("a", 99), lease("z", 99)]);
    // An hour without the API; then one is heard, and the other not yet.
    membership.put(lease("z", 3_700), at(3_700));
    assert_eq!(membership.abandoned(), None);
    assert_eq!(others(&membership, 3_700), ["a"]);
}
