//! Schedules of joins, crashes, partitions, delays and clocks that are set, over
//! the real membership, ownership and schedule, in simulated time. What happens
//! follows from a seed; a seed that fails is printed and fails again.

mod fakes;
mod world;

use std::{ops::Range, time::Duration};

use self::world::{Dice, RESOLUTION, Trouble, World};

const STEP_MS: i64 = 500;

const NODES: u64 = 12;

const FRONTENDS: usize = 3;

/// How often it is checked that ranks agree and nothing grows.
const CHECK_EVERY_MS: i64 = 5_000;

/// `--kubelet-request-timeout`.
const SLOWEST: Duration = Duration::from_secs(10);

/// Lets a cluster run until the samples of all nodes are there.
fn settled(seed: u64, scrapers: usize, nodes: u64, frontends: usize) -> World {
    let mut world = World::new(Dice::new(seed), nodes, frontends);
    for _ in 0..scrapers {
        world.join();
    }
    run(&mut world, RESOLUTION * 4, |_| {});
    world
}

fn run(world: &mut World, span: Duration, mut check: impl FnMut(&World)) {
    let end = world.now().plus(span);
    while world.now() < end {
        world.step(STEP_MS);
        check(world);
        if world.now().as_millis() % CHECK_EVERY_MS == 0 {
            assert!(world.ranks_agree(), "ranks differ");
            assert!(world.is_bounded(), "something grows");
        }
    }
}

fn in_resolutions(age: Duration) -> f64 {
    age.as_secs_f64() / RESOLUTION.as_secs_f64()
}

/// Runs a test for many seeds and says which one fails.
fn for_seeds(seeds: Range<u64>, test: impl Fn(u64) -> f64) -> f64 {
    let mut worst = 0.0_f64;
    for seed in seeds {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        match outcome {
            Ok(age) => worst = worst.max(age),
            Err(reason) => {
                println!("seed {seed} fails");
                std::panic::resume_unwind(reason);
            }
        }
    }
    worst
}

#[test]
fn one_trouble_at_a_time_is_seen_by_no_client() {
    one_trouble_at_a_time(0..100);
}

#[test]
fn a_kubelet_is_asked_once_at_a_time_and_served_if_scrapes_take_long() {
    let worst = for_seeds(0..40, |seed| {
        let mut world = settled(seed, 3, NODES, FRONTENDS);
        world.slowest = SLOWEST;
        let mut worst = Duration::ZERO;
        for _ in 0..4 {
            let trouble = Trouble::random(&mut world.dice);
            world.begin(trouble);
            run(&mut world, RESOLUTION * 5, |world| {
                let (node, age) = world.oldest();
                worst = worst.max(age);
                assert!(age <= RESOLUTION * 3, "{trouble:?}: {node} is {age:?} old");
            });
            world.heal();
            while world.alive() < 3 {
                world.join();
            }
            run(&mut world, RESOLUTION * 3, |world| {
                let (node, age) = world.oldest();
                worst = worst.max(age);
                assert!(
                    age <= RESOLUTION * 3,
                    "after {trouble:?}: {node} is {age:?} old"
                );
            });
        }
        in_resolutions(worst)
    });
    println!("long scrapes: the oldest sample was {worst:.2} resolutions old");
}

#[test]
fn a_member_that_can_reach_a_node_scrapes_it_in_the_end_whatever_happens() {
    storms(0..100);
}

/// `cargo test --release -p tributary-scraper --features soak simulation`: half a
/// minute so, minutes without optimisation.
#[cfg(feature = "soak")]
#[test]
fn neither_happens_in_thousands_of_schedules() {
    one_trouble_at_a_time(100..2_000);
    storms(100..2_000);
}

fn one_trouble_at_a_time(seeds: Range<u64>) {
    // A dead scraper: 2 resolutions and 2 seconds.
    let most = RESOLUTION * 2 + Duration::from_secs(2);
    let worst = for_seeds(seeds, |seed| {
        let mut world = settled(seed, 3, NODES, FRONTENDS);
        let mut worst = Duration::ZERO;
        for _ in 0..4 {
            let trouble = Trouble::random(&mut world.dice);
            world.begin(trouble);
            run(&mut world, RESOLUTION * 5, |world| {
                let (node, age) = world.oldest();
                worst = worst.max(age);
                assert!(age <= most, "{trouble:?}: {node} is {age:?} old");
            });
            world.heal();
            while world.alive() < 3 {
                world.join();
            }
            run(&mut world, RESOLUTION * 3, |world| {
                let (node, age) = world.oldest();
                worst = worst.max(age);
                assert!(age <= most, "after {trouble:?}: {node} is {age:?} old");
            });
        }
        in_resolutions(worst)
    });
    println!("one trouble at a time: the oldest sample was {worst:.2} resolutions old");
}

fn storms(seeds: Range<u64>) {
    // Each rank has its turn, one report after another, and one that failed
    // before waits up to eight resolutions.
    let deadline = RESOLUTION * 16;
    let worst = for_seeds(seeds, |seed| {
        let mut world = settled(seed, 4, NODES, FRONTENDS);
        // In every other one, scrapes take long.
        world.slowest = SLOWEST * u32::try_from(seed % 2).unwrap();
        let mut worst = Duration::ZERO;
        for _ in 0..20 {
            let trouble = Trouble::random(&mut world.dice);
            match world.dice.below(4) {
                0 => world.heal(),
                1 if world.alive() < 6 => world.join(),
                _ => world.begin(trouble),
            }
            let span = RESOLUTION * u32::try_from(world.dice.below(4)).unwrap();
            run(&mut world, span, |world| {
                assert_eq!(world.unattended(deadline), [], "{trouble:?}");
                worst = worst.max(world.oldest().1);
            });
        }
        // Left alone, it comes to rest with as many owners as wanted.
        world.heal();
        world.slowest = Duration::ZERO;
        run(&mut world, RESOLUTION * 40, |_| {});
        assert_eq!(world.owners(), vec![1; world.owners().len()]);
        let most = RESOLUTION + Duration::from_secs(2);
        assert!(
            world.oldest().1 <= most,
            "not at rest: {:?}",
            world.oldest()
        );
        in_resolutions(worst)
    });
    println!("in storms: the oldest sample was {worst:.2} resolutions old");
}

/// Requests for each that is needed, in an hour in which every ten minutes
/// somebody leaves, dies or comes.
fn an_hour_of_churn(seed: u64, frontends: usize) -> f64 {
    const NODES: u64 = 24;
    let mut world = settled(seed, 4, NODES, frontends);
    let before = world.requests();
    for round in 0..6 {
        match round % 3 {
            0 => world.begin(Trouble::Leave),
            1 => world.begin(Trouble::Crash),
            _ => {
                world.join();
                world.join();
            }
        }
        run(&mut world, Duration::from_mins(10), |_| {});
    }
    let needed = NODES * 3_600 / RESOLUTION.as_secs();
    let asked = world.requests() - before;
    f64::from(u32::try_from(asked).unwrap()) / f64::from(u32::try_from(needed).unwrap())
}

#[test]
fn an_hour_of_churn_costs_kubelets_little_however_many_frontends_there_are() {
    for frontends in [1, 10] {
        let worst = for_seeds(0..2, |seed| {
            let cost = an_hour_of_churn(seed, frontends);
            assert!(cost <= 1.05, "{cost} requests for each that is needed");
            cost
        });
        println!(
            "an hour of churn, {frontends} frontends: at most {worst:.3} requests per node and cycle"
        );
    }
}
