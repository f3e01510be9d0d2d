//! Leases of scrapers who do not exist, written by somebody who may: however many
//! there are and whatever they are called, every node is served.

use super::*;
use crate::assignment::{
    ownership::{Member, Peer, View},
    simulation::world::RESOLUTION,
};

/// Samples are served for so long.
const SERVED: Duration = Duration::from_secs(45);

/// The second report, the look that makes it, the delay of a scraper, and what the
/// rescues of everybody are spread over.
const ALL_RESCUED_WITHIN: Duration = Duration::from_secs(37 + 1 + 1 + 2);

fn fakes(count: u32) -> impl Iterator<Item = Member> {
    (0..count).map(|n| format!("0-fake-{n:04}").into())
}

/// Runs on for a while; the age of the oldest sample meanwhile.
fn oldest_in(world: &mut World, resolutions: u32) -> Duration {
    let mut worst = Duration::ZERO;
    run(world, RESOLUTION * resolutions, |world| {
        let (node, age) = world.oldest();
        assert!(age < SERVED, "{node} is {age:?} old");
        worst = worst.max(age);
    });
    worst
}

#[test]
fn a_thousand_members_who_do_not_exist_leave_no_gap() {
    let worst = for_seeds(0..2, |seed| {
        let mut world = settled(seed, 3, NODES, FRONTENDS);
        world.flood(fakes(1_024));
        // Those who scraped the nodes until now know that they can.
        let mut worst = oldest_in(&mut world, 20);
        let most = RESOLUTION * 2 + Duration::from_secs(2);
        assert!(worst <= most, "{worst:?}");
        world.begin(Trouble::Crash);
        worst = worst.max(oldest_in(&mut world, 10));
        world.join();
        in_resolutions(worst.max(oldest_in(&mut world, 10)))
    });
    println!("with a thousand fakes: the oldest sample was {worst:.2} resolutions old");
}

#[test]
fn scrapers_that_start_among_a_thousand_who_do_not_exist_serve_every_node() {
    let worst = for_seeds(0..2, |seed| {
        let mut world = World::new(Dice::new(seed), NODES, FRONTENDS);
        world.flood(fakes(1_024));
        run(&mut world, Duration::from_secs(5), |_| {});
        for _ in 0..3 {
            world.join();
        }
        let worst = oldest_in(&mut world, 30);
        assert!(
            worst <= ALL_RESCUED_WITHIN + Duration::from_secs(5),
            "{worst:?}"
        );
        in_resolutions(worst)
    });
    println!("started among fakes: the oldest sample was {worst:.2} resolutions old");
}

#[test]
fn a_thousand_members_who_do_not_exist_and_kubelets_that_are_slow_leave_no_gap() {
    let worst = for_seeds(0..2, |seed| {
        let mut world = settled(seed, 3, NODES, FRONTENDS);
        world.slowest = Duration::from_secs(4);
        run(&mut world, RESOLUTION * 4, |_| {});
        world.flood(fakes(1_024));
        in_resolutions(oldest_in(&mut world, 20))
    });
    println!("with fakes and slow kubelets: the oldest sample was {worst:.2} resolutions old");
}

/// Names that rank before `members` for `node`.
fn winners<'a>(members: &'a [Member], node: &'a str) -> impl Iterator<Item = Member> {
    let wins = move |name: &Member| {
        let peer = |name: &Member| Peer {
            name: Member::clone(name),
            established: true,
        };
        let others = members.iter().map(peer).collect();
        View::new(Member::clone(name), others).rank(node) == 0
    };
    (0..).map(|n| format!("tidy-{n}").into()).filter(wins)
}

#[test]
fn a_handful_of_names_chosen_for_one_node_do_not_take_it_away() {
    for_seeds(0..6, |seed| {
        let mut world = settled(seed, 3, NODES, FRONTENDS);
        let (members, nodes) = world.names();
        let chosen: Vec<Member> = winners(&members, nodes[3].as_str()).take(8).collect();
        world.flood(chosen);
        let worst = oldest_in(&mut world, 30);
        let most = RESOLUTION * 2 + Duration::from_secs(2);
        assert!(worst <= most, "{worst:?}");
        in_resolutions(worst)
    });
}
