//! What became of each node, in the log: one line for each change of state, and
//! one for all if there are many.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_model::{NodeName, Timestamp};

use crate::{
    Held,
    facts::Facts,
    store::{Report, State},
};

/// How often nodes are looked at. Each look asks the store for every node, and a
/// state lasts for many seconds.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// So many lines are written in a [`SPAN`]. What changes beyond is summed up at
/// its end: with a whole pool of nodes the first say enough.
const LINES: usize = 20;
const SPAN: Duration = Duration::from_mins(1);

/// Writes a line when a node changes its state, until `stop`.
pub(crate) async fn tell(held: Held, stop: CancellationToken) {
    let mut watch = Watch::default();
    let sleep = || tokio::time::sleep(LOOK_EVERY);
    while stop.run_until_cancelled(sleep()).await.is_some() {
        if !held.catalog.nodes_synced() {
            continue;
        }
        let now = Timestamp::from_millis(held.clock.now_millis());
        let nodes = held.catalog.node_names();
        let states = held.store.states(&nodes, now);
        let states = states.into_iter().map(|(state, _)| state);
        let seen: Vec<_> = nodes.into_iter().zip(states).collect();
        let (changes, untold) = watch.look(&seen, now);
        for change in changes {
            let report = held.store.reports(std::slice::from_ref(&change.node), now);
            if let Some(report) = report.into_iter().next() {
                say(&change, &report, &held.facts, now);
            }
        }
        if untold > 0 {
            sum_up(untold, &watch);
        }
    }
}

fn say(change: &Change, report: &Report, facts: &Facts, now: Timestamp) {
    let Change {
        node,
        before,
        state,
    } = change;
    let scrapers = facts.of(node.as_str());
    let age = report.sampled_at.and_then(|at| now.since(at));
    let age_s = age.map(|age| age.as_secs());
    let lost = matches!(state, State::Failing | State::Expired | State::Unreported);
    if let Some(error) = report.why_not.as_ref().filter(|_| lost) {
        warn!(%node, %before, %state, age_s, %scrapers, %error, "node no longer has metrics");
    } else {
        info!(%node, %before, %state, age_s, %scrapers, "state of the node");
    }
}

fn sum_up(untold: usize, watch: &Watch) {
    let count = |state| {
        watch
            .known
            .values()
            .filter(|known| **known == state)
            .count()
    };
    let (served, late, incomplete, unreported, expired, failing) = (
        count(State::Served),
        count(State::Late),
        count(State::Incomplete),
        count(State::Unreported),
        count(State::Expired),
        count(State::Failing),
    );
    info!(
        changes = untold,
        served, late, incomplete, unreported, expired, failing, "more nodes changed their state"
    );
}

/// A node became something else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    node: NodeName,
    before: State,
    state: State,
}

/// What was seen of all nodes. Pure: the date is an argument.
#[derive(Debug, Default)]
struct Watch {
    known: HashMap<NodeName, State>,
    /// When the span began, and what it had so far.
    span: Option<Timestamp>,
    told: usize,
    untold: usize,
}

impl Watch {
    /// Takes in how all nodes are now. Returns the changes to tell one by one, and
    /// how many others there were in a span that is over.
    fn look(&mut self, seen: &[(NodeName, State)], now: Timestamp) -> (Vec<Change>, usize) {
        let over = self
            .span
            .is_none_or(|from| now.since(from).is_none_or(|age| age >= SPAN));
        let mut untold = 0;
        if over {
            self.span = Some(now);
            self.told = 0;
            untold = std::mem::take(&mut self.untold);
        }
        let mut changes = Vec::new();
        let all = seen.len();
        for (node, state) in seen {
            let before = self.known.get(node).copied();
            if before == Some(*state) {
                continue;
            }
            self.known.insert(node.clone(), *state);
            // A node begins without metrics, and that they are not complete yet
            // is the way to having them.
            let before = before.unwrap_or(State::Unreported);
            let begins = before == State::Unreported && *state == State::Incomplete;
            if before == *state || begins {
                continue;
            }
            if self.told < LINES {
                self.told += 1;
                changes.push(Change {
                    node: node.clone(),
                    before,
                    state: *state,
                });
            } else {
                self.untold += 1;
            }
        }
        if self.known.len() > all {
            let there: HashSet<&NodeName> = seen.iter().map(|(node, _)| node).collect();
            self.known.retain(|node, _| there.contains(node));
        }
        (changes, untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn look(watch: &mut Watch, states: &[(&str, State)], seconds: i64) -> Vec<String> {
        let seen = states.iter().map(|(node, state)| ((*node).into(), *state));
        let seen: Vec<_> = seen.collect();
        let (changes, _) = watch.look(&seen, at(seconds));
        let line = |change: &Change| {
            let Change {
                node,
                before,
                state,
            } = change;
            format!("{node}: {before} to {state}")
        };
        changes.iter().map(line).collect()
    }

    #[test]
    fn a_change_is_told_once() {
        use State::{Failing, Incomplete, Late, Served, Unreported};
        let mut watch = Watch::default();
        let start = [("n1", Unreported), ("n2", Served)];
        assert_eq!(look(&mut watch, &start, 0), ["n2: unreported to served"]);
        let next = [("n1", Incomplete), ("n2", Served)];
        assert_eq!(look(&mut watch, &next, 1), [""; 0]);
        let next = [("n1", Served), ("n2", Late)];
        let lines = ["n1: incomplete to served", "n2: served to late"];
        assert_eq!(look(&mut watch, &next, 2), lines);
        assert_eq!(look(&mut watch, &next, 3), [""; 0]);
        let next = [("n2", Failing)];
        assert_eq!(look(&mut watch, &next, 4), ["n2: late to failing"]);
        // One that went and came back begins anew.
        let next = [("n1", Served), ("n2", Failing)];
        assert_eq!(look(&mut watch, &next, 5), ["n1: unreported to served"]);
    }

    #[test]
    fn a_flood_is_summed_up_when_its_minute_is_over() {
        let mut watch = Watch::default();
        let all = |state| -> Vec<(NodeName, State)> {
            let names = (0..5_000).map(|n| NodeName::from(format!("n{n}").as_str()));
            names.map(|node| (node, state)).collect()
        };
        let (changes, untold) = watch.look(&all(State::Served), at(0));
        assert_eq!((changes.len(), untold), (20, 0));
        let (changes, untold) = watch.look(&all(State::Late), at(30));
        assert_eq!((changes.len(), untold), (0, 0));
        let (changes, untold) = watch.look(&all(State::Late), at(60));
        assert_eq!((changes.len(), untold), (0, 4_980 + 5_000));
        let (changes, untold) = watch.look(&all(State::Served), at(61));
        assert_eq!((changes.len(), untold), (20, 0));
    }
}
