use super::*;

const RESOLUTION: Duration = Duration::from_secs(15);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Three members by whom these nodes are ranked, as far as these tests need
/// it: owner, standby, third.
const RANKS: [(&str, [&str; 3]); 3] = [
    ("n2", ["b", "a", "c"]),
    ("n4", ["b", "c", "a"]),
    ("n5", ["c", "b", "a"]),
];

fn view(me: &str, members: &[&str], established: bool) -> View {
    let peer = |name: &&str| Peer {
        name: (*name).into(),
        established,
    };
    View::new(me.into(), members.iter().map(peer).collect())
}

fn nodes() -> Vec<NodeName> {
    RANKS.iter().map(|(node, _)| (*node).into()).collect()
}

/// What `me` does, seeing first `a`, `b` and `c`.
fn member(me: &str) -> Ownership {
    let mut ownership = Ownership::new(1, RESOLUTION);
    follow(&mut ownership, &view(me, &["a", "b", "c"], true), 0);
    ownership
}

fn follow(ownership: &mut Ownership, view: &View, seconds: i64) -> Vec<Move> {
    let mut moves = ownership.follow(&nodes(), view, at(seconds));
    moves.sort_by_key(|change| format!("{change:?}"));
    moves
}

fn own(node: &str, when: When) -> Move {
    Move::Own(node.into(), when)
}

fn rescue(node: &str) -> Vec<Move> {
    vec![Move::Rescue(node.into(), Duration::ZERO)]
}

fn release(node: &str) -> Move {
    Move::Release(node.into())
}

#[test]
fn the_ranks_of_these_tests_are_as_written() {
    for (node, ranks) in RANKS {
        for (rank, me) in ranks.into_iter().enumerate() {
            let view = view(me, &["a", "b", "c"], true);
            assert_eq!(view.rank(node), rank, "{node} {me}");
        }
    }
}

#[test]
fn the_only_member_owns_every_node_at_once() {
    let mut alone = Ownership::new(1, RESOLUTION);
    let moves = follow(&mut alone, &view("a", &[], true), 0);
    let expected = ["n2", "n4", "n5"].map(|node| own(node, When::AtOnce));
    assert_eq!(moves, expected);
    assert_eq!(follow(&mut alone, &view("a", &[], true), 1), []);
}

/// Others may be there whom it cannot see, so it does not ask all nodes a second time;
/// and it may be alone, so it leaves none unserved.
#[test]
fn a_scraper_without_members_owns_nothing_and_rescues_what_no_other_delivers() {
    let unsure = View::unsure("a".into());
    let mut lost = Ownership::new(1, RESOLUTION);
    assert_eq!(follow(&mut lost, &unsure, 0), []);
    assert_eq!((lost.counts().owned, lost.counts().standby), (0, 0));
    assert_eq!(lost.overdue(&["n2"], at(23)), []);
    let moves = lost.overdue(&["n2"], at(38));
    assert!(
        matches!(&*moves, [Move::Rescue(node, _)] if node.as_str() == "n2"),
        "{moves:?}"
    );
    // As soon as the others are seen each has its own nodes.
    let known = view("a", &["b", "c"], true);
    assert_eq!(follow(&mut lost, &known, 40), []);
    assert_eq!(lost.counts().standby, 1);
    // Or there is nobody, and all nodes are its own.
    let mut lost = Ownership::new(1, RESOLUTION);
    follow(&mut lost, &unsure, 0);
    let moves = follow(&mut lost, &view("a", &[], true), 1);
    assert_eq!((moves.len(), lost.counts().owned), (3, 3));
}

#[test]
fn a_new_member_starts_each_node_at_its_phase_if_others_have_scraped_it() {
    let mut joining = Ownership::new(1, RESOLUTION);
    let moves = follow(&mut joining, &view("b", &["a", "c"], true), 0);
    assert_eq!(moves, [own("n2", When::AtPhase), own("n4", When::AtPhase)]);
    // When all start together nobody has, and two samples are wanted soon.
    let mut joining = Ownership::new(1, RESOLUTION);
    let moves = follow(&mut joining, &view("b", &["a", "c"], false), 0);
    assert_eq!(moves, [own("n2", When::AtOnce), own("n4", When::AtOnce)]);
}

#[test]
fn the_former_owner_goes_on_for_two_resolutions() {
    let mut former = Ownership::new(1, RESOLUTION);
    follow(&mut former, &view("a", &["c"], true), 0);
    assert_eq!(former.counts().owned, 1);
    assert_eq!(follow(&mut former, &view("a", &["b", "c"], true), 100), []);
    assert_eq!(former.next(), Some(at(130)));
    assert_eq!(former.tick(at(129)), []);
    assert_eq!(former.tick(at(130)), [release("n2")]);
    assert_eq!(former.counts().owned, 0);
    assert_eq!(former.next(), None);
}

#[test]
fn one_who_gets_a_node_back_meanwhile_just_goes_on() {
    let mut former = Ownership::new(1, RESOLUTION);
    follow(&mut former, &view("a", &[], true), 0);
    follow(&mut former, &view("a", &["b"], true), 100);
    assert_eq!(follow(&mut former, &view("a", &[], true), 110), []);
    assert_eq!(former.tick(at(200)), []);
    assert_eq!(former.counts().owned, 3);
}

#[test]
fn the_next_in_rank_takes_over_from_one_who_left() {
    let mut next = member("a");
    let moves = follow(&mut next, &view("a", &["c"], true), 10);
    assert_eq!(moves, [own("n2", When::AtPhase)]);
    let mut next = member("c");
    let moves = follow(&mut next, &view("c", &["a"], true), 10);
    assert_eq!(moves, [own("n4", When::AtPhase)]);
}

#[test]
fn two_owners_are_two_if_so_wanted() {
    for (node, ranks) in RANKS {
        let owners = ["a", "b", "c"].into_iter().filter(|me| {
            let mut ownership = Ownership::new(2, RESOLUTION);
            let view = view(me, &["a", "b", "c"], false);
            let moves = follow(&mut ownership, &view, 0);
            moves.contains(&own(node, When::AtOnce))
        });
        let mut expected = ranks[..2].to_vec();
        expected.sort_unstable();
        assert_eq!(owners.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_new_node_is_scraped_at_once_and_a_removed_one_no_longer() {
    let mut owner = Ownership::new(1, RESOLUTION);
    let view = view("b", &["a", "c"], true);
    owner.follow(&[NodeName::from("n2")], &view, at(0));
    let moves = owner.follow(&["n2".into(), "n4".into()], &view, at(1));
    assert_eq!(moves, [own("n4", When::AtOnce)]);
    // n5 is another's: nothing to release when it goes.
    owner.follow(&nodes(), &view, at(2));
    assert_eq!(owner.follow(&["n4".into()], &view, at(3)), [release("n2")]);
}

#[test]
fn a_standby_rescues_at_the_first_report() {
    let mut standby = member("a");
    assert_eq!(standby.overdue(&["n2", "unknown"], at(30)), rescue("n2"));
    assert_eq!(standby.counts().rescued, 1);
    // The other frontends say the same.
    assert_eq!(standby.overdue(&["n2"], at(31)), []);
    assert_eq!(standby.scraped(&"n2".into(), true, at(31)), None);
    // Four resolutions later the owner has it back.
    assert_eq!(standby.tick(at(89)), []);
    assert_eq!(standby.tick(at(90)), [release("n2")]);
}

#[test]
fn the_third_in_rank_rescues_if_the_second_does_not() {
    let mut third = member("c");
    assert_eq!(third.overdue(&["n2"], at(30)), []);
    assert_eq!(third.overdue(&["n2"], at(31)), []); // another frontend
    let rescues = third.overdue(&["n2"], at(45));
    assert!(matches!(&rescues[..], [Move::Rescue(node, _)] if node.as_str() == "n2"));
    // Reports that do not follow each other are two troubles, not one.
    let mut third = member("c");
    assert_eq!(third.overdue(&["n2"], at(30)), []);
    assert_eq!(third.overdue(&["n2"], at(80)), []);
}

#[test]
fn all_members_rescue_at_the_second_report_whatever_their_rank() {
    // A hundred members that do not exist, and us, the last in rank by chance.
    let fakes: Vec<String> = (0..100).map(|n| format!("0-fake-{n:04}")).collect();
    let mut members: Vec<&str> = fakes.iter().map(String::as_str).collect();
    members.push("a");
    let view = view("a", &members, true);
    let nodes: Vec<NodeName> = (0..50).map(|n| format!("node-{n}").into()).collect();
    let mut last = Ownership::new(1, RESOLUTION);
    last.follow(&nodes, &view, at(0));
    let idle: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    let idle: Vec<&str> = idle.into_iter().filter(|it| view.rank(it) > 1).collect();
    assert!(idle.len() > 40, "{idle:?}");
    assert_eq!(last.overdue(&idle, at(30)), []);
    let rescues = last.overdue(&idle, at(45));
    assert_eq!(rescues.len(), idle.len());
    let mut waits = Vec::new();
    for (rescued, node) in rescues.into_iter().zip(&idle) {
        let Move::Rescue(name, wait) = rescued else {
            panic!("{rescued:?}");
        };
        assert_eq!(name.as_str(), *node);
        // A twentieth of a resolution.
        assert!(wait < Duration::from_millis(750), "{wait:?}");
        waits.push(wait);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 30, "all at once: {waits:?}");
}

#[test]
fn one_whose_last_scrape_succeeded_rescues_at_the_first_report() {
    let mut former = Ownership::new(1, RESOLUTION);
    follow(&mut former, &view("a", &[], true), 0);
    for node in ["n4", "n5"] {
        assert_eq!(former.scraped(&node.into(), node == "n4", at(1)), None);
    }
    // Last in rank for both from now on.
    follow(&mut former, &view("a", &["b", "c"], true), 10);
    former.tick(at(40));
    assert_eq!(former.overdue(&["n4", "n5"], at(60)), rescue("n4"));
    assert!(former.is_trial(&"n4".into()));
    assert_eq!(former.scraped(&"n4".into(), true, at(61)), None);
    assert!(!former.is_trial(&"n4".into()));
}

#[test]
fn rescues_last_longer_if_they_are_needed_again_and_again() {
    let mut standby = member("a");
    let mut now = 0;
    for lasts in [60, 120, 240, 480, 480] {
        now += 23;
        assert_eq!(standby.overdue(&["n2"], at(now)), rescue("n2"));
        assert_eq!(standby.next(), Some(at(now + lasts)));
        assert_eq!(standby.scraped(&"n2".into(), true, at(now)), None);
        now += lasts;
        assert_eq!(standby.tick(at(now)), [release("n2")]);
    }
    // It was well for long: forgotten.
    now += 64 * 15 + 500;
    assert_eq!(standby.overdue(&["n2"], at(now)), rescue("n2"));
    assert_eq!(standby.next(), Some(at(now + 60)));
}

#[test]
fn one_who_cannot_reach_the_node_either_leaves_off_and_waits_longer_each_time() {
    let mut standby = member("a");
    let (mut now, mut tries) = (0, Vec::new());
    while now < 600 {
        now += 15;
        if standby.overdue(&["n2"], at(now)) == rescue("n2") {
            tries.push(now);
            let left = standby.scraped(&"n2".into(), false, at(now));
            assert_eq!(left, Some(release("n2")));
        }
    }
    assert_eq!(tries, [15, 30, 60, 120, 240, 360, 480, 600]);
}

#[test]
fn a_rescue_survives_one_failed_scrape_but_not_two() {
    let mut standby = member("a");
    let node = NodeName::from("n2");
    standby.overdue(&["n2"], at(0));
    assert_eq!(standby.scraped(&node, true, at(1)), None);
    assert_eq!(standby.scraped(&node, false, at(16)), None);
    assert_eq!(standby.scraped(&node, true, at(31)), None);
    assert_eq!(standby.scraped(&node, false, at(46)), None);
    assert_eq!(standby.scraped(&node, false, at(61)), Some(release("n2")));
}

#[test]
fn a_rescuer_that_becomes_the_owner_just_goes_on() {
    let mut standby = member("a");
    standby.overdue(&["n2"], at(0));
    assert_eq!(follow(&mut standby, &view("a", &["c"], true), 10), []);
    assert_eq!(standby.tick(at(1_000)), []);
    assert_eq!(standby.counts().owned, 1);
}

#[test]
fn an_owner_that_waits_for_the_phase_is_scraped_early_once() {
    let mut owner = member("b");
    let expedite = vec![Move::Expedite("n2".into())];
    assert_eq!(owner.overdue(&["n2"], at(5)), expedite);
    assert_eq!(owner.overdue(&["n2"], at(20)), []);
    // One that has asked knows best.
    assert_eq!(owner.scraped(&"n4".into(), false, at(6)), None);
    assert_eq!(owner.overdue(&["n4"], at(7)), []);
}

/// What `ownership` has become to which nodes since this was asked last.
fn news(ownership: &mut Ownership) -> Vec<(String, NodeRole)> {
    let mut news: Vec<_> = ownership.news().into_iter().collect();
    news.sort_by(|a, b| a.0.cmp(&b.0));
    news.dedup();
    news.into_iter()
        .map(|(node, standing)| (node.to_string(), standing))
        .collect()
}

#[test]
fn what_we_are_to_a_node_is_news_when_it_changes() {
    let expected = |all: &[(&str, NodeRole)]| -> Vec<(String, NodeRole)> {
        all.iter()
            .map(|(node, standing)| ((*node).to_owned(), *standing))
            .collect()
    };
    let mut a = member("a");
    assert_eq!(
        news(&mut a),
        expected(&[
            ("n2", NodeRole::Standby),
            ("n4", NodeRole::None),
            ("n5", NodeRole::None)
        ])
    );
    assert_eq!(news(&mut a), []);
    a.overdue(&["n2"], at(20));
    assert_eq!(news(&mut a), expected(&[("n2", NodeRole::Rescuer)]));
    assert_eq!(a.scraped(&"n2".into(), true, at(21)), None);
    assert_eq!(news(&mut a), []);
    a.tick(at(90));
    assert_eq!(news(&mut a), expected(&[("n2", NodeRole::Standby)]));
    follow(&mut a, &view("a", &["a", "c"], true), 100);
    assert_eq!(
        news(&mut a),
        expected(&[
            ("n2", NodeRole::Owner),
            ("n4", NodeRole::Standby),
            ("n5", NodeRole::Standby)
        ])
    );
    follow(&mut a, &view("a", &["a", "b", "c"], true), 110);
    let leaving = news(&mut a);
    assert_eq!(leaving[0], ("n2".to_owned(), NodeRole::Leaving));
    a.follow(&[], &view("a", &["a", "b", "c"], true), at(120));
    assert_eq!(news(&mut a)[0], ("n2".to_owned(), NodeRole::None));
}

#[test]
fn who_comes_to_own_a_node_that_is_overdue_asks_it_at_once() {
    let mut third = member("c");
    assert_eq!(third.overdue(&["n2"], at(25)), []);
    // Both before it leave, and it is the next report that would make it ask.
    let alone = view("c", &["c"], true);
    let moves = follow(&mut third, &alone, 30);
    assert_eq!(moves, [own("n2", When::AtOnce), own("n4", When::AtPhase)]);
}
