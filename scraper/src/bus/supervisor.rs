//! One client per frontend, for as long as the frontend exists.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::{
    client::Client,
    doors::{Door, Naming},
    endpoints::Found,
    line::keep_publishing,
};
use crate::{config::Frontend, metrics::BusMetrics};

/// More frontends than this are a mistake; each is a stream with a mailbox. The
/// first by address are fed.
const MOST_FRONTENDS: usize = 64;

/// How often names are resolved again: frontends come and go with rollouts.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

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
