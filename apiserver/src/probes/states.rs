//! Logs the states of nodes: one line for each change, and one line for all if there are many.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_model::{NodeName, Timestamp};

use super::Known;
use crate::{
    scrapers::node_roles::NodeRoles,
    store::{Report, State},
};

/// How often nodes are checked. Each check reads every node, and a state lasts for many seconds.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The most lines in a [`SPAN`]. Other changes are counted in one line at its end. With a whole pool of nodes the first
/// lines say enough.
const LINES: usize = 20;
const SPAN: Duration = Duration::from_mins(1);

/// Writes a line when a node changes its state, until `stop`.
pub(crate) async fn log_changes(known: Known, stop: CancellationToken) {
    let mut watch = Watch::default();
    let sleep = || tokio::time::sleep(POLL_INTERVAL);
    while stop.run_until_cancelled(sleep()).await.is_some() {
        if !known.catalog.nodes_synced() {
            continue;
        }
        let now = known.now();
        let nodes = known.catalog.node_names();
        let states = known.store.states(&nodes, now);
        let states = states.into_iter().map(|(state, _)| state);
        let seen: Vec<_> = nodes.into_iter().zip(states).collect();
        let (changes, suppressed) = watch.changes(&seen, now);
        for change in changes {
            let report = known.store.reports(std::slice::from_ref(&change.node), now);
            if let Some(report) = report.into_iter().next() {
                log_change(&change, &report, &known.node_roles, now);
            }
        }
        if suppressed > 0 {
            log_summary(suppressed, &watch);
        }
    }
}

fn log_change(change: &Change, report: &Report, node_roles: &NodeRoles, now: Timestamp) {
    let Change {
        node,
        before,
        state,
    } = change;
    let scrapers = node_roles.of(node.as_str());
    let age = report.sampled_at.and_then(|at| now.since(at));
    let age_s = age.map(|age| age.as_secs());
    let lost = matches!(state, State::Failing | State::Expired | State::Unreported);
    if let Some(error) = report.why_not.as_ref().filter(|_| lost) {
        warn!(%node, state_before = %before, %state, age_s, %scrapers, %error, "node no longer has metrics");
    } else {
        info!(%node, state_before = %before, %state, age_s, %scrapers, "state of the node");
    }
}

fn log_summary(suppressed: usize, watch: &Watch) {
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
        changes = suppressed,
        served, late, incomplete, unreported, expired, failing, "more nodes changed their state"
    );
}

/// A node has changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    node: NodeName,
    before: State,
    state: State,
}

/// The last states of all nodes. Pure: the date is an argument.
#[derive(Debug, Default)]
struct Watch {
    known: HashMap<NodeName, State>,
    /// When the span began, and its changes so far.
    span: Option<Timestamp>,
    logged: usize,
    suppressed: usize,
}

impl Watch {
    /// Takes the current states. Returns the changes to log one by one, and the number of other changes in a span that
    /// has ended.
    fn changes(&mut self, seen: &[(NodeName, State)], now: Timestamp) -> (Vec<Change>, usize) {
        let over = self
            .span
            .is_none_or(|from| now.since(from).is_none_or(|age| age >= SPAN));
        let mut suppressed = 0;
        if over {
            self.span = Some(now);
            self.logged = 0;
            suppressed = std::mem::take(&mut self.suppressed);
        }
        let mut changes = Vec::new();
        let all = seen.len();
        for (node, state) in seen {
            let before = self.known.get(node).copied();
            if before == Some(*state) {
                continue;
            }
            self.known.insert(node.clone(), *state);
            // A node begins without metrics. Then `incomplete` is no news, because it leads to `served`.
            let before = before.unwrap_or(State::Unreported);
            let begins = before == State::Unreported && *state == State::Incomplete;
            if before == *state || begins {
                continue;
            }
            if self.logged < LINES {
                self.logged += 1;
                changes.push(Change {
                    node: node.clone(),
                    before,
                    state: *state,
                });
            } else {
                self.suppressed += 1;
            }
        }
        if self.known.len() > all {
            let there: HashSet<&NodeName> = seen.iter().map(|(node, _)| node).collect();
            self.known.retain(|node, _| there.contains(node));
        }
        (changes, suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn changes(watch: &mut Watch, states: &[(&str, State)], seconds: i64) -> Vec<String> {
        let seen = states.iter().map(|(node, state)| ((*node).into(), *state));
        let seen: Vec<_> = seen.collect();
        let (changes, _) = watch.changes(&seen, at(seconds));
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
    fn a_change_is_reported_once() {
        use State::{Failing, Incomplete, Late, Served, Unreported};
        let mut watch = Watch::default();
        let start = [("n1", Unreported), ("n2", Served)];
        assert_eq!(changes(&mut watch, &start, 0), ["n2: unreported to served"]);
        let next = [("n1", Incomplete), ("n2", Served)];
        assert_eq!(changes(&mut watch, &next, 1), [""; 0]);
        let next = [("n1", Served), ("n2", Late)];
        let lines = ["n1: incomplete to served", "n2: served to late"];
        assert_eq!(changes(&mut watch, &next, 2), lines);
        assert_eq!(changes(&mut watch, &next, 3), [""; 0]);
        let next = [("n2", Failing)];
        assert_eq!(changes(&mut watch, &next, 4), ["n2: late to failing"]);
        // A node that was deleted and created again begins again.
        let next = [("n1", Served), ("n2", Failing)];
        assert_eq!(changes(&mut watch, &next, 5), ["n1: unreported to served"]);
    }

    #[test]
    fn a_flood_is_summed_up_when_its_minute_is_over() {
        let mut watch = Watch::default();
        let all = |state| -> Vec<(NodeName, State)> {
            let names = (0..5_000).map(|n| NodeName::from(format!("n{n}").as_str()));
            names.map(|node| (node, state)).collect()
        };
        let (changes, suppressed) = watch.changes(&all(State::Served), at(0));
        assert_eq!((changes.len(), suppressed), (20, 0));
        let (changes, suppressed) = watch.changes(&all(State::Late), at(30));
        assert_eq!((changes.len(), suppressed), (0, 0));
        let (changes, suppressed) = watch.changes(&all(State::Late), at(60));
        assert_eq!((changes.len(), suppressed), (0, 4_980 + 5_000));
        let (changes, suppressed) = watch.changes(&all(State::Served), at(61));
        assert_eq!((changes.len(), suppressed), (20, 0));
    }
}
