//! One client per frontend, for as long as the frontend exists.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};
use tributary_runtime::backoff::Backoff;

use super::{
    client::Client,
    doors::{Door, Naming},
    endpoints::Found,
};
use crate::{config::Frontend, metrics::BusMetrics};

/// More frontends than this are a mistake; each is a stream with a mailbox. The
/// first by address are fed.
const MOST_FRONTENDS: usize = 64;

/// How often names are resolved again: frontends come and go with rollouts.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// Delays between dials. The longest is short: a frontend that was restarted
/// has to be full again within two seconds (DESIGN D8).
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// How long a frontend may take to take in what is left when we leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Publishes to everything behind `frontends` until `stop`; then what is there
/// is sent, and streams are closed. `found` is what watches know of Services.
pub(crate) async fn supervise(
    (frontends, naming): (Vec<Frontend>, Naming),
    mut found: watch::Receiver<Found>,
    client: Client,
    stop: CancellationToken,
) {
    let mut resolver = Resolver::new(frontends, naming);
    // A client ends when its guard is dropped.
    let mut clients: BTreeMap<Door, DropGuard> = BTreeMap::new();
    let mut running = JoinSet::new();
    loop {
        let known = found.borrow_and_update().clone();
        let doors = resolver.doors(&known).await;
        let doors = at_most(MOST_FRONTENDS, doors, &client.metrics);
        clients.retain(|door, _| doors.contains(door));
        for door in doors {
            clients.entry(door.clone()).or_insert_with(|| {
                let gone = CancellationToken::new();
                running.spawn(keep_publishing(door, client.clone(), gone.clone()));
                gone.drop_guard()
            });
        }
        while running.try_join_next().is_some() {}
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = found.changed() => {}
            () = tokio::time::sleep(RESOLVE_EVERY) => {}
        }
    }
    clients.clear();
    while running.join_next().await.is_some() {}
}

/// The first `most` of these, each once. What is left out is counted.
fn at_most(most: usize, mut doors: Vec<Door>, metrics: &BusMetrics) -> Vec<Door> {
    doors.sort_unstable();
    doors.dedup();
    let left_out = doors.len().saturating_sub(most);
    let told = metrics.frontends_left_out(left_out);
    if left_out > 0 && told != left_out {
        warn!(left_out, most, "more frontends than there may be");
    }
    doors.truncate(most);
    metrics.frontends_known(doors.len());
    doors
}

/// Publishes to `door`, again and again, until `gone`. Says when the state
/// changes and not when it lasts.
async fn keep_publishing(door: Door, client: Client, gone: CancellationToken) {
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    let mut last_error = None;
    loop {
        let mut welcomed = false;
        let publishing = client.publish(&door, gone.clone(), || {
            welcomed = true;
            client.metrics.connected.inc();
        });
        let ended = tokio::select! {
            () = too_late(&gone) => None,
            ended = publishing => ended.err().filter(|_| !gone.is_cancelled()),
        };
        if welcomed {
            client.metrics.connected.dec();
            backoff.reset();
            last_error = None;
        }
        let Some(error) = ended else {
            info!(%door, "frontend left");
            return;
        };
        let error = error.to_string();
        if last_error.as_ref() != Some(&error) {
            warn!(%door, error, "no stream to the frontend; trying on");
            last_error = Some(error);
        }
        let delay = tokio::time::sleep(backoff.next_delay());
        if gone.run_until_cancelled(delay).await.is_none() {
            return;
        }
    }
}

/// Ends some time after `gone`.
async fn too_late(gone: &CancellationToken) {
    gone.cancelled().await;
    tokio::time::sleep(LEAVE_WITHIN).await;
}

/// What was found behind each name the last time that it could be resolved.
struct Resolver {
    known: Vec<(Frontend, Vec<Door>)>,
    naming: Naming,
    failing: bool,
}

impl Resolver {
    fn new(frontends: Vec<Frontend>, naming: Naming) -> Self {
        let unknown = |frontend| (frontend, Vec::new());
        Self {
            known: frontends.into_iter().map(unknown).collect(),
            naming,
            failing: false,
        }
    }

    /// Every frontend there is. A name that cannot be resolved keeps what it
    /// had: a fault of DNS must not cut streams that work.
    async fn doors(&mut self, found: &Found) -> Vec<Door> {
        let mut all = Vec::new();
        let mut failed = false;
        for (frontend, known) in &mut self.known {
            match self.naming.doors(frontend, found).await {
                Ok(doors) => *known = doors,
                Err(error) => {
                    failed = true;
                    if !self.failing {
                        warn!(%frontend, %error, "cannot resolve; what is known stays in force");
                    }
                }
            }
            all.extend(known.iter().cloned());
        }
        if self.failing && !failed {
            info!("every frontend can be resolved again");
        }
        self.failing = failed;
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_resolved_keeps_what_it_had() {
        let naming = Naming {
            server_name: None,
            tls: true,
        };
        let gone = "dns:///no.such.name.invalid:1".parse().unwrap();
        let mut resolver = Resolver::new(vec![gone], naming);
        let door = Door::Unix("/run/bus.sock".into());
        resolver.known[0].1 = vec![door.clone()];
        assert_eq!(resolver.doors(&Found::new()).await, [door]);
        assert!(resolver.failing);
    }

    #[test]
    fn frontends_beyond_the_most_are_counted_and_not_fed() {
        let metrics = BusMetrics::default();
        let door = |name: &str| Door::Unix(name.into());
        let doors = vec![door("/c"), door("/a"), door("/b"), door("/a")];
        let fed = at_most(2, doors.clone(), &metrics);
        assert_eq!(fed, [door("/a"), door("/b")]);
        assert_eq!(metrics.frontends_left_out(0), 1);
        assert_eq!(at_most(3, doors, &metrics).len(), 3);
        assert_eq!(metrics.frontends_left_out(0), 0);
    }
}
