//! The addresses behind names, looked up again and again.
//!
//! DNS may take half a minute to say that it is gone, so each name is looked up
//! by a task of its own, and nobody waits for it: frontends that are known go on
//! being fed, those of Services come and go, and a scraper that is told to stop
//! stops.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::metrics::BusMetrics;

/// How often names are looked up again: frontends come and go with rollouts.
const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

/// After so long a lookup counts as failed. What it says later still counts.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// A name and a port.
pub(crate) type Name = (String, u16);

/// The addresses behind each name, each once and in order.
pub(crate) type Addresses = BTreeMap<Name, Vec<SocketAddr>>;

/// How a name becomes addresses.
pub(crate) type Lookup =
    Arc<dyn Fn(Name) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// As this machine does it.
pub(crate) fn system() -> Lookup {
    Arc::new(|(name, port)| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), port)).await?;
            Ok(found.collect())
        })
    })
}

/// Looks up `names` as long as the tasks live. A name that cannot be looked up
/// keeps what it had: a fault of DNS must not cut streams that work.
pub(super) fn follow(
    names: impl IntoIterator<Item = Name>,
    lookup: &Lookup,
    metrics: &BusMetrics,
) -> (JoinSet<()>, watch::Receiver<Addresses>) {
    let (sender, addresses) = watch::channel(Addresses::new());
    let mut tasks = JoinSet::new();
    for name in names {
        tasks.spawn(follow_one(Following {
            name,
            lookup: Arc::clone(lookup),
            addresses: sender.clone(),
            metrics: metrics.clone(),
            failing: false,
        }));
    }
    (tasks, addresses)
}

struct Following {
    name: Name,
    lookup: Lookup,
    addresses: watch::Sender<Addresses>,
    metrics: BusMetrics,
    failing: bool,
}

async fn follow_one(mut following: Following) {
    // As long as somebody wants to know.
    while !following.addresses.is_closed() {
        let mut answer = (following.lookup)(following.name.clone());
        let found = if let Ok(found) = timeout(LOOKUP_LIMIT, &mut answer).await {
            found
        } else {
            following.failed(&format!("no answer within {LOOKUP_LIMIT:?}"));
            // A thread is busy with it. Another would be busy, too.
            answer.await
        };
        match found {
            Ok(addresses) => following.found(addresses),
            Err(error) => following.failed(&error.to_string()),
        }
        sleep(LOOK_UP_EVERY).await;
    }
}

impl Following {
    fn found(&mut self, mut found: Vec<SocketAddr>) {
        found.sort_unstable();
        found.dedup();
        if std::mem::take(&mut self.failing) {
            info!(name = self.name.0, "the name can be resolved again");
        }
        self.addresses.send_if_modified(|addresses| {
            if addresses.get(&self.name) == Some(&found) {
                return false;
            }
            addresses.insert(self.name.clone(), found);
            true
        });
    }

    fn failed(&mut self, error: &str) {
        self.metrics.lookup_failures.inc();
        if !std::mem::replace(&mut self.failing, true) {
            warn!(
                name = self.name.0,
                error, "failed to resolve; keeping what is known"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use tokio::time::Instant;

    use super::*;

    /// Answers each lookup with the next of these: after how long, and what.
    fn scripted(answers: &[(u64, &[&str])]) -> Lookup {
        let answers: Vec<(Duration, Vec<SocketAddr>)> = answers
            .iter()
            .map(|(after, found)| {
                let found = found.iter().map(|it| it.parse().unwrap());
                (Duration::from_secs(*after), found.collect())
            })
            .collect();
        let answers = Mutex::new(answers.into_iter());
        Arc::new(move |_| {
            let next = answers.lock().next();
            Box::pin(async move {
                let Some((after, found)) = next else {
                    return std::future::pending().await;
                };
                sleep(after).await;
                if found.is_empty() {
                    return Err(io::Error::other("no such name"));
                }
                Ok(found)
            })
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_cannot_be_looked_up_keeps_what_it_had() {
        let metrics = BusMetrics::default();
        let lookup = scripted(&[
            (0, &["10.0.0.2:1", "10.0.0.1:1", "10.0.0.2:1"]),
            (0, &[]),
            (30, &[]),
            (0, &["10.0.0.3:1"]),
        ]);
        let start = Instant::now();
        let name = ("front".to_owned(), 1);
        let (_tasks, mut addresses) = follow([name.clone()], &lookup, &metrics);
        addresses.changed().await.unwrap();
        let known = |it: &watch::Receiver<Addresses>| it.borrow()[&name].clone();
        let expected = ["10.0.0.1:1", "10.0.0.2:1"].map(|it| it.parse().unwrap());
        assert_eq!(known(&addresses), expected);
        // A refusal after 10 s, one after 5 s of silence, and again when it came.
        addresses.changed().await.unwrap();
        assert_eq!(known(&addresses), ["10.0.0.3:1".parse().unwrap()]);
        assert_eq!(start.elapsed().as_secs(), 10 + 10 + 30 + 10);
        assert_eq!(metrics.lookup_failures.get(), 3);
    }
}
