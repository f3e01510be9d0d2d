//! One client per frontend, for as long as the frontend exists.

use std::collections::BTreeMap;

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::{
    client::Client,
    endpoints::Found,
    frontend::Frontend,
    frontend_address::{FrontendAddress, TlsNaming},
    frontend_link::keep_publishing,
    metrics::BusMetrics,
    names::{self, Addresses, Lookup, Name},
};

/// More frontends than this are a mistake; each is a stream with a mailbox. The
/// first by address are fed.
const MOST_FRONTENDS: usize = 64;

/// What flags say about frontends.
pub(crate) struct Frontends {
    pub(crate) urls: Vec<Frontend>,
    pub(crate) naming: TlsNaming,
    /// How the names among them become addresses.
    pub(crate) lookup: Lookup,
}

impl Frontends {
    fn names(&self) -> impl Iterator<Item = Name> {
        self.urls.iter().filter_map(|url| match url {
            Frontend::Dns { name, port } => Some((name.clone(), *port)),
            _ => None,
        })
    }

    fn frontend_addresses(&self, found: &Found, resolved: &Addresses) -> Vec<FrontendAddress> {
        let frontend_addresses = |url| self.naming.frontend_addresses(url, found, resolved);
        self.urls.iter().flat_map(frontend_addresses).collect()
    }
}

/// Publishes to everything behind `frontends` until `stop`; then what is there
/// is sent, and streams are closed. `found` is what watches know of Services.
pub(crate) async fn supervise(
    frontends: Frontends,
    mut found: watch::Receiver<Found>,
    client: Client,
    stop: CancellationToken,
) {
    let names = frontends.names();
    let (_lookups, mut resolved) = names::follow(names, &frontends.lookup, &client.metrics);
    // A client ends when its guard is dropped.
    let mut clients: BTreeMap<FrontendAddress, DropGuard> = BTreeMap::new();
    let mut running = JoinSet::new();
    loop {
        let frontend_addresses =
            frontends.frontend_addresses(&found.borrow_and_update(), &resolved.borrow_and_update());
        let frontend_addresses = at_most(MOST_FRONTENDS, frontend_addresses, &client.metrics);
        clients.retain(|frontend_address, _| frontend_addresses.contains(frontend_address));
        for frontend_address in frontend_addresses {
            clients.entry(frontend_address.clone()).or_insert_with(|| {
                let gone = CancellationToken::new();
                running.spawn(keep_publishing(
                    frontend_address,
                    client.clone(),
                    gone.clone(),
                ));
                gone.drop_guard()
            });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = found.changed() => {}
            Ok(()) = resolved.changed() => {}
            Some(_) = running.join_next() => {}
        }
    }
    clients.clear();
    while running.join_next().await.is_some() {}
}

/// The first `most` of these, each once. What is left out is counted.
fn at_most(
    most: usize,
    mut frontend_addresses: Vec<FrontendAddress>,
    metrics: &BusMetrics,
) -> Vec<FrontendAddress> {
    frontend_addresses.sort_unstable();
    frontend_addresses.dedup();
    let left_out = frontend_addresses.len().saturating_sub(most);
    let previous = metrics.frontends_left_out(left_out);
    if left_out > 0 && previous != left_out {
        warn!(left_out, most, "too many frontends, skipping some");
    }
    frontend_addresses.truncate(most);
    metrics.frontends_known(frontend_addresses.len());
    frontend_addresses
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::{sync::mpsc, time::Instant};
    use tributary_runtime::clock::Clock;

    use super::*;
    use crate::{
        assignment::metrics::AssignmentMetrics,
        bus::{
            client::Identity,
            credentials::{Credentials, Files},
            hub::Hub,
        },
    };

    /// A scraper's client that has nothing to say.
    fn client() -> Client {
        let files = Files {
            ca: None,
            pair: None,
            token: None,
        };
        Client {
            hub: Hub::new(BusMetrics::default()),
            identity: Identity {
                source: "s".to_owned(),
                instance: "1".to_owned(),
                group: "default".to_owned(),
                resolution_ms: 60_000,
            },
            credentials: Credentials::new(files),
            clock: Clock::system(),
            metrics: BusMetrics::default(),
            reports: mpsc::channel(1).0,
            assignment: AssignmentMetrics::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_dns_hangs_services_are_followed_and_a_stop_is_heard() {
        let urls = ["dns:///front.example:1", "k8s:///ns/bus:1"];
        let urls = urls.map(|url| url.parse().unwrap());
        let Frontend::Service(service) = &urls[1] else {
            panic!("not a service");
        };
        let service = service.clone();
        let frontends = Frontends {
            urls: urls.into(),
            naming: TlsNaming {
                server_name: None,
                tls: true,
            },
            lookup: Arc::new(|_| Box::pin(std::future::pending())),
        };
        let (sender, found) = watch::channel(Found::new());
        let (client, stop) = (client(), CancellationToken::new());
        let metrics = client.metrics.clone();
        let mut supervising = JoinSet::new();
        supervising.spawn(supervise(frontends, found, client, stop.clone()));
        let start = Instant::now();
        let changed = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|it| ((*it).to_owned(), 1));
            sender.send_replace([(service.clone(), addresses.collect())].into());
        };
        changed(&["127.0.0.1", "127.0.0.2"]);
        while metrics.known() != 2 {
            tokio::task::yield_now().await;
        }
        changed(&["127.0.0.2"]);
        while metrics.known() != 1 {
            tokio::task::yield_now().await;
        }
        assert!(start.elapsed() < Duration::from_secs(1));
        // The lookup fails meanwhile, which changes nothing.
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(metrics.lookup_failures.get(), 1);
        assert_eq!(metrics.known(), 1);
        let start = Instant::now();
        stop.cancel();
        supervising.join_next().await.unwrap().unwrap();
        assert!(
            start.elapsed() <= Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn frontends_beyond_the_most_are_counted_and_not_fed() {
        let metrics = BusMetrics::default();
        let frontend_address = |name: &str| FrontendAddress::Unix(name.into());
        let frontend_addresses = vec![
            frontend_address("/c"),
            frontend_address("/a"),
            frontend_address("/b"),
            frontend_address("/a"),
        ];
        let fed = at_most(2, frontend_addresses.clone(), &metrics);
        assert_eq!(fed, [frontend_address("/a"), frontend_address("/b")]);
        assert_eq!(metrics.frontends_left_out(0), 1);
        assert_eq!(at_most(3, frontend_addresses, &metrics).len(), 3);
        assert_eq!(metrics.frontends_left_out(0), 0);
    }
}
