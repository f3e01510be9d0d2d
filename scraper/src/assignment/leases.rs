//! The Lease of this scraper, and the watch of the Leases of its group.

mod once_a_minute;
mod read;

use std::{collections::HashMap, fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
    jiff,
};
use kube::{
    Client, Error, Resource as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions, Request},
};
use parking_lot::{Mutex, MutexGuard};
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

use self::{
    once_a_minute::OnceAMinute,
    read::{Object, Read},
};
use super::{
    bad_lease::BadLease,
    membership::{LEASE, MOST_LEASES, Membership, RENEW_EVERY},
    metrics::AssignmentMetrics,
    monotonic::MonotonicClock,
    ownership::{Member, View},
};

/// The label that all Leases of a group have.
const GROUP: &str = "tributary.dev/group";

/// The prefix of the name of a Lease. The name of its source follows.
const PREFIX: &str = "tributary-";

/// How long the API may take to write or delete the Lease.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The wait before a failed renewal is retried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The shortest time between two deletions of expired Leases.
const CLEAN_EVERY: Duration = LEASE;

/// The page size for Leases. A group has fewer, and a hostile Lease may have more than a megabyte.
const PAGE: u32 = 50;

/// The shortest time between two changes of the view: each change ranks all nodes again, and Leases
/// can be created and deleted without end.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the API may take to delete the Lease at the end. If it takes longer, the Lease expires.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The Leases of the group.
#[derive(Clone)]
pub(crate) struct Leases {
    client: Client,
    /// Their path.
    path: String,
    group: String,
    source: Member,
    /// The pod of this scraper.
    owner: Option<OwnerReference>,
    clock: Clock,
    metrics: AssignmentMetrics,
    ignored: Arc<OnceAMinute>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, source, .. } = self;
        write!(f, "Leases({group}/{source})")
    }
}

impl Leases {
    /// The Leases of `group` in `namespace`. The one of `source` is this scraper's.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        group: &str,
        source: &str,
        clock: Clock,
        metrics: AssignmentMetrics,
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

    /// The same, and Kubernetes deletes this scraper's Lease with the pod of this UID. The pod has
    /// the name of the source and is in the namespace of the Leases.
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

    /// Renews the Lease until `stop`, and deletes it at `leave`, so that others take over at once.
    /// It logs changes of the state only.
    ///
    /// A renewal in flight is finished first. If it were dropped, the API might apply it after the
    /// deletion, and the Lease would exist without a scraper. No renewal begins after `stop`, so
    /// none is in flight for long after it. The last renewal is valid for much longer than the rest
    /// of the shutdown.
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

    /// Sends a request. Only the success of the response matters.
    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<(), Error> {
        let request = request.map_err(Error::BuildRequest)?;
        self.client.request_text(request).await.map(drop)
    }

    /// Keeps `view` current until `stop`. While the API cannot be reached the last view stays.
    pub(crate) async fn watch(
        self,
        resolution: Duration,
        view: watch::Sender<Option<View>>,
        stop: CancellationToken,
    ) {
        let monotonic = MonotonicClock::new(&self.clock);
        let membership = Membership::new(Arc::clone(&self.source), resolution, monotonic.now());
        let shared = LeaseState {
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
            let dropped = shared.apply(change, monotonic.now(), &self.clock);
            self.metrics.lease_ignored(BadLease::TooMany, dropped);
            shared.changed.notify_one();
        };
        let ended = stop.clone();
        let watching = keep(self.client.clone(), leases, read, apply, ended);
        let cleaning = self.clean(&shared, &stop);
        let publishing = self.publish(&shared, monotonic, &view, &stop);
        tokio::join!(watching, publishing, cleaning);
    }

    /// The relevant fields of a Lease, if it counts. Otherwise it is counted, and some are named in
    /// the log, because no other log says why a scraper is ignored.
    fn read(&self, object: Object) -> Option<Read> {
        let name = object.metadata.name.clone();
        match Read::of(object, &self.group) {
            Ok(read) => Some(read),
            Err(why) => {
                self.metrics.lease_ignored(why, 1);
                if self.ignored.allow() {
                    let lease = name.unwrap_or_default();
                    warn!(lease, reason = why.as_str(), error = %why, "ignoring a Lease");
                }
                None
            }
        }
    }

    /// Deletes Leases of scrapers that ended without deleting them and whose name does not return,
    /// as with pods of a Deployment.
    async fn clean(&self, shared: &LeaseState, stop: &CancellationToken) {
        let next = async || {
            sleep(CLEAN_EVERY).await;
            self.clean_one(shared).await;
        };
        while stop.run_until_cancelled(next()).await.is_some() {}
    }

    async fn clean_one(&self, shared: &LeaseState) {
        let Some((name, version)) = shared.abandoned() else {
            return;
        };
        // Only the version that is known: a holder that renews it meanwhile is alive.
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
        shared: &LeaseState,
        monotonic: MonotonicClock,
        view: &watch::Sender<Option<View>>,
        stop: &CancellationToken,
    ) {
        loop {
            let now = monotonic.now();
            let (seen, next) = {
                let membership = shared.lock();
                let ignored = i64::try_from(membership.ignored(now)).unwrap_or(i64::MAX);
                self.metrics.members_ignored.set(ignored);
                (membership.view(now), membership.next(now))
            };
            let changed = view.send_if_modified(|stored| self.changed(stored, seen));
            if changed && stop.run_until_cancelled(sleep(SETTLE)).await.is_none() {
                return;
            }
            let now = monotonic.now();
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

    fn changed(&self, stored: &mut Option<View>, seen: Option<View>) -> bool {
        if *stored == seen {
            return false;
        }
        let count = |view: &Option<View>| match view {
            Some(view) if view.is_sure() => view.len(),
            Some(_) | None => 0,
        };
        let (members, before) = (count(&seen), count(stored));
        self.metrics
            .members
            .set(i64::try_from(members).unwrap_or(i64::MAX));
        if let Some(seen) = &seen
            && stored
                .as_ref()
                .is_none_or(|stored| !stored.same_members(seen))
        {
            if seen.is_sure() {
                info!(
                    group = self.group,
                    members,
                    members_before = before,
                    "members of the group"
                );
            } else {
                let group = &self.group;
                warn!(%group, "cannot list leases; only nodes that others lack are scraped");
            }
        }
        *stored = seen;
        true
    }
}

/// Whether the Leases were listed once, for readiness. Fixed shards need no list.
///
/// # Errors
///
/// The message for a probe.
pub(crate) fn listed(view: &watch::Receiver<Option<View>>) -> Result<(), String> {
    match &*view.borrow() {
        Some(view) if view.is_sure() => Ok(()),
        Some(_) | None => Err("the leases of the group have not been listed yet".to_owned()),
    }
}

/// The result as text, because it is only logged.
async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, String> {
    match timeout(limit, pin!(request)).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

struct LeaseState {
    membership: Mutex<Membership>,
    /// Name and version of each lease.
    objects: Mutex<HashMap<Member, (String, String)>>,
    changed: Notify,
}

impl LeaseState {
    fn lock(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock()
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<Member, (String, String)>> {
        self.objects.lock()
    }

    /// Applies a change. Returns how many Leases were dropped, because there are too many.
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

    /// Name and version of a Lease that this scraper should delete.
    fn abandoned(&self) -> Option<(String, String)> {
        let membership = self.lock();
        self.objects().get(membership.abandoned()?).cloned()
    }
}

/// The Lease in the JSON of an object of `group`, as a watch returns it.
#[cfg(feature = "fuzzing")]
pub(crate) fn read(json: &[u8], group: &str) -> Option<super::membership::Lease> {
    let json = std::str::from_utf8(json).ok()?;
    let read = Read::of(tributary_runtime::kube::from_json(json).ok()?, group).ok()?;
    Some(read.lease)
}

#[cfg(test)]
mod tests;
