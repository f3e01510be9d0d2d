//! Whether the Kubernetes API accepts the credentials of this process.
//!
//! A process whose token has expired continues with what it knows and receives nothing new.
//! Operators must not have to learn that from errors of callers. So it is logged and counted here,
//! the credentials are read again, and after a while the process is not ready.
//!
//! The client itself observes the status of every response. So every kind of request counts.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};

use ::kube::{Client, Config, client::Body};
use arc_swap::ArcSwap;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, StatusCode};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tracing::{info, warn};

use crate::{
    args::KubeArgs,
    exit::Misconfigured,
    kube::{self, Limits},
};

/// How long a client may be refused without a success before the process is not ready. It is longer
/// than kube takes to read a token file again (at most a minute).
const NOT_READY_AFTER: Duration = Duration::from_mins(1);

/// The shortest time between two reads of refused credentials, and between two requests that check
/// whether they are accepted. Those requests are necessary, because a process that is not ready has
/// no callers whose requests would show it.
const AGAIN_EVERY: Duration = Duration::from_secs(10);

/// How long such a request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Reads the configuration again and makes a client from it.
type Read = Box<dyn Fn() -> BoxFuture<'static, Result<Client, Misconfigured>> + Send + Sync>;

/// The credentials of all clients of a process. Cheap to clone; clones share their state.
#[derive(Clone, Debug, Default)]
pub struct KubeCredentials {
    all: Arc<Mutex<Vec<Arc<Credentials>>>>,
    refusals: Family<ClientName, Counter>,
}

/// The credentials of one client.
struct Credentials {
    name: &'static str,
    read: Read,
    client: ArcSwap<Client>,
    refusals: Counter,
    state: Mutex<State>,
}

/// What the responses show.
#[derive(Debug, Default)]
struct State {
    /// The first and the last refusal since the last success.
    refused: Option<Refused>,
    /// When they were last read again.
    read_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Refused {
    first: Instant,
    last: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientName {
    client: &'static str,
}

impl KubeCredentials {
    /// Registers the counter. Its name and help text exist only here.
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "tributary_kube_credentials_refused",
            "Requests that the Kubernetes API answered with 401, by what the client is for",
            new.refusals.clone(),
        );
        new
    }

    /// The client that `read` makes, called `name` in logs. When the Kubernetes API answers it with
    /// 401, `read` makes another one, at most once in 10 s.
    ///
    /// # Errors
    ///
    /// Those of the first `read`.
    pub async fn client(
        &self,
        name: &'static str,
        read: impl Fn() -> BoxFuture<'static, Result<Client, Misconfigured>> + Send + Sync + 'static,
    ) -> Result<Client, Misconfigured> {
        let first = read().await?;
        let namespace = first.default_namespace().to_owned();
        let refusals = self.refusals.get_or_create(&ClientName { client: name });
        let credentials = Arc::new(Credentials {
            name,
            read: Box::new(read),
            client: ArcSwap::from_pointee(first),
            refusals: refusals.clone(),
            state: Mutex::default(),
        });
        lock(&self.all).push(Arc::clone(&credentials));
        let service = service_fn(move |request| {
            let credentials = Arc::clone(&credentials);
            async move { credentials.send(request).await }
        });
        Ok(Client::new(service, namespace))
    }

    /// Whether the credentials are accepted.
    ///
    /// # Errors
    ///
    /// For a minute or more the Kubernetes API has answered a client only with 401.
    pub fn ready(&self) -> Result<(), String> {
        for credentials in lock(&self.all).iter() {
            let Some(Refused { first, last }) = lock(&credentials.state).refused else {
                continue;
            };
            if last - first >= NOT_READY_AFTER {
                return Err(format!(
                    "the Kubernetes API has refused the credentials for {} for {}s (401 Unauthorized)",
                    credentials.name,
                    (last - first).as_secs()
                ));
            }
        }
        Ok(())
    }

    /// Checks until `stop` whether refused credentials are accepted again.
    pub async fn follow(self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(AGAIN_EVERY)).await.is_some() {
            let all: Vec<_> = lock(&self.all).clone();
            for credentials in all {
                if lock(&credentials.state).refused.is_none() {
                    continue;
                }
                let asked = timeout(ANSWER_WITHIN, credentials.ask());
                if stop.run_until_cancelled(asked).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Reads the configuration that `args` name each time, and makes a client from it with `make`: for
/// [`KubeCredentials::client`].
pub fn reading(
    args: &KubeArgs,
    make: fn(Limits, Config) -> Result<Client, Misconfigured>,
) -> impl Fn() -> BoxFuture<'static, Result<Client, Misconfigured>> + Send + Sync + 'static {
    let args = args.clone();
    move || {
        let args = args.clone();
        async move { make(args.limits, kube::config(&args).await?) }.boxed()
    }
}

impl Credentials {
    async fn send(&self, request: Request<Body>) -> ::kube::Result<Response<Body>> {
        let response = self.client.load_full().send(request).await?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            self.refused();
            self.read_again().await;
        } else if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
            // An overloaded API server may answer without checking the credentials.
            self.taken();
        }
        Ok(response)
    }

    /// Sends a request that needs valid credentials and no permission.
    async fn ask(&self) {
        let request = Request::get("/version").body(Body::empty());
        if let Ok(request) = request {
            // Its response has been observed.
            drop(self.send(request).await);
        }
    }

    fn refused(&self) {
        self.refusals.inc();
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Some(refused) = &mut state.refused {
            refused.last = now;
            return;
        }
        state.refused = Some(Refused {
            first: now,
            last: now,
        });
        warn!(
            client = self.name,
            "the Kubernetes API refuses the credentials (401), reading them again"
        );
    }

    fn taken(&self) {
        if lock(&self.state).refused.take().is_some() {
            info!(
                client = self.name,
                "the Kubernetes API accepts the credentials again"
            );
        }
    }

    async fn read_again(&self) {
        let now = Instant::now();
        {
            let mut state = lock(&self.state);
            if state.read_at.is_some_and(|at| now < at + AGAIN_EVERY) {
                return;
            }
            state.read_at = Some(now);
        }
        match (self.read)().await {
            Ok(client) => self.client.store(Arc::new(client)),
            Err(error) => {
                let client = self.name;
                warn!(client, %error, "failed to read the credentials for the Kubernetes API");
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.name).finish()
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

    use tokio::{task::JoinSet, time::advance};

    use super::*;

    /// A Kubernetes API that answers with `status`, and counts how often credentials were read.
    #[derive(Clone, Default)]
    struct Api {
        status: Arc<AtomicU16>,
        reads: Arc<AtomicU32>,
    }

    impl Api {
        async fn client(&self, all: &KubeCredentials) -> Client {
            let api = self.clone();
            let read = move || {
                api.reads.fetch_add(1, Ordering::Relaxed);
                let status = Arc::clone(&api.status);
                let service = service_fn(move |_: Request<Body>| {
                    let status = status.load(Ordering::Relaxed);
                    async move { Response::builder().status(status).body(Body::empty()) }
                });
                async move { Ok(Client::new(service, "default")) }.boxed()
            };
            all.client("reviews", read).await.unwrap()
        }

        fn says(&self, status: u16) {
            self.status.store(status, Ordering::Relaxed);
        }
    }

    async fn ask(client: &Client) -> u16 {
        let request = Request::get("/apis").body(Body::empty()).unwrap();
        client.send(request).await.unwrap().status().as_u16()
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_are_refused_for_a_minute_make_the_process_unready() {
        let (api, all) = (Api::default(), KubeCredentials::default());
        let client = api.client(&all).await;
        api.says(401);
        assert_eq!(ask(&client).await, 401);
        advance(Duration::from_secs(59)).await;
        assert_eq!(ask(&client).await, 401);
        assert_eq!(all.ready(), Ok(()));
        advance(Duration::from_secs(1)).await;
        assert_eq!(ask(&client).await, 401);
        assert_eq!(
            all.ready(),
            Err(
                "the Kubernetes API has refused the credentials for reviews for 60s \
                 (401 Unauthorized)"
                    .to_owned()
            )
        );
        // Other errors say nothing about credentials.
        api.says(503);
        assert_eq!(ask(&client).await, 503);
        assert!(all.ready().is_err());
        api.says(403);
        assert_eq!(ask(&client).await, 403);
        assert_eq!(all.ready(), Ok(()));
        let name = ClientName { client: "reviews" };
        assert_eq!(all.refusals.get_or_create(&name).get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_refusal_that_nothing_follows_is_no_trouble() {
        let (api, all) = (Api::default(), KubeCredentials::default());
        let client = api.client(&all).await;
        api.says(401);
        assert_eq!(ask(&client).await, 401);
        advance(Duration::from_hours(1)).await;
        assert_eq!(all.ready(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_read_again_once_in_ten_seconds() {
        let (api, all) = (Api::default(), KubeCredentials::default());
        let client = api.client(&all).await;
        api.says(401);
        for (seconds, reads) in [(0, 2), (9, 2), (1, 3), (10, 4)] {
            advance(Duration::from_secs(seconds)).await;
            assert_eq!(ask(&client).await, 401);
            assert_eq!(api.reads.load(Ordering::Relaxed), reads);
        }
        api.says(200);
        advance(AGAIN_EVERY).await;
        assert_eq!(ask(&client).await, 200);
        assert_eq!(api.reads.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_without_callers_finds_out_that_it_is_taken_again() {
        let (api, all) = (Api::default(), KubeCredentials::default());
        let client = api.client(&all).await;
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(all.clone().follow(stop.clone()));
        api.says(401);
        assert_eq!(ask(&client).await, 401);
        sleep(Duration::from_secs(71)).await;
        assert!(all.ready().is_err());
        api.says(200);
        sleep(AGAIN_EVERY).await;
        assert_eq!(all.ready(), Ok(()));
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
    }
}
