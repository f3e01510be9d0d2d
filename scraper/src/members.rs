//! Our lease, and the watch of those of our group.

mod read;
mod spaced;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
    jiff,
};
use kube::{
    Client, Error, Resource as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions, Request},
};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tributary_model::Timestamp;
use tributary_runtime::{
    clock::Clock,
    kube::{Change, Watched, keep},
};

pub(crate) use self::read::BadLease;
use self::{
    read::{Object, Read},
    spaced::Spaced,
};
use crate::{
    membership::{LEASE, MOST_LEASES, Membership, RENEW_EVERY},
    metrics::ShareMetrics,
    ownership::{Member, View},
    steady::Steady,
};

/// The label by which the leases of a group are found.
const GROUP: &str = "tributary.dev/group";

/// Leases begin with this, followed by the name of their source.
const PREFIX: &str = "tributary-";

/// How long the API may take to take or delete our lease.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How soon a renewal that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Leases of the dead are deleted one by one, this far apart.
const CLEAN_EVERY: Duration = LEASE;

/// Leases are listed in pages of so many. A group has fewer, and one Lease may
/// have more than a megabyte if whoever wrote it means us harm.
const PAGE: u32 = 50;

/// After the view has changed it rests for so long: all nodes are ranked anew by
/// it, and leases can be made to come and go without end.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the API may take to delete our lease when we leave. If it does not,
/// the lease runs out.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The leases of our group.
#[derive(Clone)]
pub(crate) struct Leases {
    client: Client,
    /// Where they are.
    path: String,
    group: String,
    source: Member,
    /// The pod of that name.
    owner: Option<OwnerReference>,
    clock: Clock,
    metrics: ShareMetrics,
    ignored: Arc<Spaced>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, source, .. } = self;
        write!(f, "Leases({group}/{source})")
    }
}

impl Leases {
    /// Those of `group` in `namespace`, among which ours is that of `source`.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        (group, source): (&str, &str),
        clock: Clock,
        metrics: ShareMetrics,
    ) -> Self {
        Self {
            client,
            path: Lease::url_path(&(), Some(namespace)),
            group: group.to_owned(),
            source: source.into(),
            owner: None,
            clock,
            metrics,
            ignored: Arc::default(),
        }
    }

    /// The same, with our lease deleted by Kubernetes when the pod of this UID is,
    /// which has the name of the source and is in the namespace of the leases.
    pub(crate) fn owned_by(self, pod_uid: Option<String>) -> Self {
        let owner = pod_uid.map(|uid| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: self.source.to_string(),
            uid,
            ..OwnerReference::default()
        });
        Self { owner, ..self }
    }

    /// Keeps our lease until `stop`, and at `leave` deletes it, so that others
    /// take over at once. Says when the state changes and not when it lasts.
    ///
    /// A renewal that is under way is finished first: if it were given up, the API
    /// might apply it after the deletion, and we would live on without being there.
    /// None begins after `stop`, so none is under way for long after it; what was
    /// written last is good for much longer than it takes to leave.
    pub(crate) async fn hold(self, stop: CancellationToken, leave: CancellationToken) {
        let acquired = self.clock.now();
        let mut healthy = true;
        while !stop.is_cancelled() {
            let wait = match self.write(acquired).await {
                Ok(()) => {
                    if !healthy {
                        info!("the Lease is renewed again");
                    }
                    healthy = true;
                    RENEW_EVERY
                }
                Err(error) => {
                    self.metrics.lease_failures.inc();
                    if healthy {
                        warn!(
                            error,
                            "failed to renew the Lease, retrying; scraping continues"
                        );
                    }
                    healthy = false;
                    RETRY_AFTER
                }
            };
            stop.run_until_cancelled(sleep(wait)).await;
        }
        leave.cancelled().await;
        let name = self.name();
        let params = DeleteParams::default();
        match within(LEAVE_TIMEOUT, self.delete(&name, &params)).await {
            Ok(()) => info!(lease = name, "deleted the Lease"),
            Err(error) => warn!(
                lease = name,
                error, "failed to delete the Lease; it will expire"
            ),
        }
    }

    fn name(&self) -> String {
        format!("{PREFIX}{}", self.source)
    }

    async fn write(&self, acquired: jiff::Timestamp) -> Result<(), String> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name()),
                labels: Some([(GROUP.to_owned(), self.group.clone())].into()),
                owner_references: self.owner.clone().map(|pod| vec![pod]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.source.to_string()),
                lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
                acquire_time: Some(MicroTime(acquired)),
                renew_time: Some(MicroTime(self.clock.now())),
                ..LeaseSpec::default()
            }),
        };
        let params = PatchParams::apply("tributary-scraper").force();
        let (name, patch) = (self.name(), Patch::Apply(&lease));
        let request = Request::new(&self.path).patch(&name, &params, &patch);
        within(REQUEST_TIMEOUT, self.send(request)).await
    }

    async fn delete(&self, name: &str, params: &DeleteParams) -> Result<(), Error> {
        self.send(Request::new(&self.path).delete(name, params))
            .await
    }

    /// Sends a request. Of the answer only whether it is one counts.
    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<(), Error> {
        let request = request.map_err(Error::BuildRequest)?;
        self.client.request_text(request).await.map(drop)
    }

    /// Keeps `view` current until `stop`. While the API cannot be reached the
    /// last view stays.
    pub(crate) async fn watch(
        self,
        resolution: Duration,
        view: watch::Sender<Option<View>>,
        stop: CancellationToken,
    ) {
        let steady = Steady::new(&self.clock);
        let membership = Membership::new(Arc::clone(&self.source), resolution, steady.now());
        let shared = Shared {
            membership: Mutex::new(membership),
            objects: Mutex::default(),
            changed: Notify::new(),
        };
        let leases = Watched {
            labels: format!("{GROUP}={}", self.group),
            page: PAGE,
            ..Watched::all("leases", self.path.clone())
        };
        let read = |object| self.read(object);
        let apply = |change| {
            let dropped = shared.apply(change, steady.now(), &self.clock);
            self.metrics.lease_ignored(BadLease::TooMany, dropped);
            shared.changed.notify_one();
        };
        let ended = stop.clone();
        let watching = keep(self.client.clone(), leases, read, apply, ended);
        let cleaning = self.clean(&shared, &stop);
        let publishing = self.publish(&shared, steady, &view, &stop);
        tokio::join!(watching, publishing, cleaning);
    }

    /// What matters of a lease, if it counts. One that does not is counted, and
    /// some are named: nobody else would say why a scraper is not believed.
    fn read(&self, object: Object) -> Option<Read> {
        let name = object.metadata.name.clone();
        match Read::of(object, &self.group) {
            Ok(read) => Some(read),
            Err(why) => {
                self.metrics.lease_ignored(why, 1);
                if self.ignored.is_time() {
                    let lease = name.unwrap_or_default();
                    warn!(lease, reason = why.as_str(), error = %why, "ignoring a Lease");
                }
                None
            }
        }
    }

    /// Deletes what those leave behind who die without a word under a name that
    /// does not come again, as pods of a Deployment do.
    async fn clean(&self, shared: &Shared, stop: &CancellationToken) {
        let next = async || {
            sleep(CLEAN_EVERY).await;
            self.clean_one(shared).await;
        };
        while stop.run_until_cancelled(next()).await.is_some() {}
    }

    async fn clean_one(&self, shared: &Shared) {
        let Some((name, version)) = shared.abandoned() else {
            return;
        };
        // Only as we know it: whoever renews it meanwhile is not dead.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: Some(version),
                uid: None,
            }),
            ..DeleteParams::default()
        };
        match within(REQUEST_TIMEOUT, self.delete(&name, &params)).await {
            Ok(()) => {
                self.metrics.leases_cleaned.inc();
                info!(lease = name, "deleted an expired Lease");
            }
            Err(error) => debug!(lease = name, error, "failed to delete an expired Lease"),
        }
    }

    async fn publish(
        &self,
        shared: &Shared,
        steady: Steady,
        view: &watch::Sender<Option<View>>,
        stop: &CancellationToken,
    ) {
        loop {
            let now = steady.now();
            let (seen, next) = {
                let membership = shared.lock();
                let ignored = i64::try_from(membership.ignored(now)).unwrap_or(i64::MAX);
                self.metrics.members_ignored.set(ignored);
                (membership.view(now), membership.next(now))
            };
            let changed = view.send_if_modified(|held| self.changed(held, seen));
            if changed && stop.run_until_cancelled(sleep(SETTLE)).await.is_none() {
                return;
            }
            let now = steady.now();
            let wait = async {
                match next {
                    Some(at) => sleep(at.since(now).unwrap_or_default()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = shared.changed.notified() => {}
                () = wait => {}
            }
        }
    }

    fn changed(&self, held: &mut Option<View>, seen: Option<View>) -> bool {
        if *held == seen {
            return false;
        }
        let count = |view: &Option<View>| match view {
            Some(view) if view.is_sure() => view.len(),
            Some(_) | None => 0,
        };
        let (members, before) = (count(&seen), count(held));
        self.metrics
            .members
            .set(i64::try_from(members).unwrap_or(i64::MAX));
        if let Some(seen) = &seen
            && held.as_ref().is_none_or(|held| !held.same_members(seen))
        {
            if seen.is_sure() {
                info!(group = self.group, members, before, "members of the group");
            } else {
                let group = &self.group;
                warn!(%group, "cannot list leases; only nodes that others lack are scraped");
            }
        }
        *held = seen;
        true
    }
}

/// Whether the leases were listed once, for readiness. Fixed shares need none.
///
/// # Errors
///
/// The sentence for a probe.
pub(crate) fn listed(view: &watch::Receiver<Option<View>>) -> Result<(), String> {
    match &*view.borrow() {
        Some(view) if view.is_sure() => Ok(()),
        Some(_) | None => Err("the leases of the group have not been listed yet".to_owned()),
    }
}

/// The outcome as text: what happened is only ever told.
async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, String> {
    match timeout(limit, pin!(request)).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

struct Shared {
    membership: Mutex<Membership>,
    /// Name and version of each lease.
    objects: Mutex<HashMap<Member, (String, String)>>,
    changed: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Membership> {
        self.membership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<Member, (String, String)>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a change. How many leases were dropped, since they are too many.
    fn apply(&self, change: Change<Option<Read>>, now: Timestamp, clock: &Clock) -> u64 {
        let mut membership = self.lock();
        let mut objects = self.objects();
        match change {
            Change::Replace(leases) => {
                objects.clear();
                let leases = leases.into_iter().flatten();
                let leases = leases.map(|Read { lease, object }| {
                    objects.insert(Arc::clone(&lease.holder), object);
                    lease
                });
                let today = Timestamp::from_millis(clock.now_millis());
                membership.replace(leases.collect(), now, today);
            }
            Change::Put(read) => {
                if let Some(Read { lease, object }) = read {
                    let holder = Arc::clone(&lease.holder);
                    membership.put(lease, now);
                    if membership.holds(&holder) {
                        objects.insert(holder, object);
                    }
                }
            }
            Change::Remove(read) => {
                if let Some(Read { lease, .. }) = read {
                    objects.remove(&lease.holder);
                    membership.remove(&lease.holder);
                }
            }
        }
        if objects.len() > MOST_LEASES {
            objects.retain(|holder, _| membership.holds(holder));
        }
        membership.take_dropped()
    }

    /// Name and version of a lease that we are to delete.
    fn abandoned(&self) -> Option<(String, String)> {
        let membership = self.lock();
        self.objects().get(membership.abandoned()?).cloned()
    }
}

/// The lease in the JSON of an object of `group`, as a watch gives it.
#[cfg(feature = "fuzzing")]
pub(crate) fn read(json: &[u8], group: &str) -> Option<crate::membership::Lease> {
    let json = std::str::from_utf8(json).ok()?;
    let read = Read::of(tributary_runtime::kube::from_json(json).ok()?, group).ok()?;
    Some(read.lease)
}

#[cfg(test)]
mod tests;
