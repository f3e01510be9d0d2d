//! The simulated cluster: its servers, its state, and changes at run time.

mod api_services;
mod builder;
mod changes;
mod endpoints;
mod expected;
mod kubeconfig;
mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::aggregator::Aggregator;
use crate::clock::SimClock;
use crate::gate::Gate;
use crate::identity::{Attributes, Identity, TokenSpec};
use crate::kubelet::{Fault, Gzip, Kubelet, KubeletAuth, KubeletStats, Page, Serves};
use crate::pki::{Paths, Pki};

pub use builder::Builder;
pub use endpoints::Endpoint;
pub(crate) use state::State;

/// How the aggregator verifies a frontend's serving certificate, as in an `APIService`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FrontendTrust {
    /// Not at all: `insecureSkipTLSVerify`.
    #[default]
    Unverified,
    /// Against this authority and name: `caBundle` and the service's name.
    Ca {
        /// The authority's certificate.
        pem: String,
        /// The name the certificate must be for.
        server_name: String,
    },
}

/// A fault of the Kubernetes API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiFault {
    /// Nothing.
    #[default]
    None,
    /// Every answer has this status.
    Status(u16),
    /// Requests are accepted and not answered.
    Hang,
    /// Connections are refused.
    Refuse,
}

/// The number of reviews that were requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReviewCounts {
    /// TokenReview.
    pub tokens: u64,
    /// SubjectAccessReview and `SelfSubjectAccessReview`.
    pub accesses: u64,
}

/// The state that the servers share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: SimClock,
    pub(crate) started: Timestamp,
    pub(crate) pki: Pki,
    pub(crate) housekeeping: Duration,
    pub(crate) gzip: Gzip,
    pub(crate) kubelet_auth: KubeletAuth,
    /// A certificate of an unknown authority, for [`Fault::WrongCertificate`].
    pub(crate) wrong_tls: Arc<ServerConfig>,
    pub(crate) aggregator: Aggregator,
    pub(crate) api_fault: Mutex<ApiFault>,
    /// Whether lists and watches of pods answer with metadata only.
    pub(crate) metadata_only: bool,
    /// Changes when every watch must end.
    pub(crate) watches: watch::Sender<u64>,
    /// Changes when every watch must be silent from then on.
    pub(crate) silence: watch::Sender<u64>,
    /// For each kind, how many of the next lists and watches are accepted and never answered.
    pub(crate) unanswered: Mutex<BTreeMap<String, u32>>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether this list or watch must never be answered.
    pub(crate) fn is_unanswered(&self, plural: &str) -> bool {
        let mut unanswered = self.unanswered.lock();
        let left = unanswered.get_mut(plural).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// The page of a node's kubelet, without a time.
    pub(crate) fn page(&self, node: &str) -> Option<Arc<Page>> {
        self.state().page(node)
    }

    /// The path of a node's page, if it is not the usual one.
    pub(crate) fn metrics_path(&self, node: &str) -> Option<String> {
        self.state()
            .node(node)
            .and_then(|node| crate::kubelet::path_of(&node.annotations))
    }

    /// The identity of this token for the Kubernetes API, if the token is valid.
    pub(crate) fn bearer(&self, token: &str) -> Option<Arc<Identity>> {
        self.state()
            .access
            .check(token, &[], self.clock.now())
            .ok()
            .map(|(identity, _)| identity)
    }

    pub(crate) fn allows(&self, caller: &Identity, wanted: &Attributes) -> bool {
        self.state()
            .access
            .allows(&caller.user, &caller.groups, wanted)
    }
}

/// A running cluster. Dropping it ends everything. [`Cluster::stop`] also waits for the end.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    kubelets: Mutex<BTreeMap<String, Arc<Kubelet>>>,
    kubelet_port: u16,
    /// Reserves the port of the kubelets on its own address, so that no other cluster uses it.
    _port: TcpListener,
    api: SocketAddr,
    api_gate: Arc<Gate>,
    paths: Paths,
    tasks: Mutex<JoinSet<()>>,
    /// The temporary directory, unless the caller named one.
    _dir: Option<TempDir>,
}

impl Cluster {
    /// A builder. By default the cluster has three nodes with two pods each.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The cluster's date.
    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    /// The cluster's authorities, which can sign more certificates.
    pub fn pki(&self) -> &Pki {
        &self.shared.pki
    }

    /// The files in the cluster's directory.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The address of the Kubernetes API.
    pub fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// The Kubernetes API as kubeconfig files name it.
    pub fn api_url(&self) -> String {
        format!("https://{}", self.api)
    }

    /// The port of every kubelet.
    pub fn kubelet_port(&self) -> u16 {
        self.kubelet_port
    }

    /// The address of a node's kubelet.
    pub fn kubelet_address(&self, node: &str) -> Option<SocketAddr> {
        self.kubelet(node).ok().map(|kubelet| kubelet.address())
    }

    /// Sets the fault of a node's kubelet. Returns when it applies to new connections and requests.
    pub async fn set_fault(&self, node: &str, fault: Fault) -> Result<(), Error> {
        let kubelet = self.kubelet(node)?;
        kubelet.set_fault(fault).await;
        Ok(())
    }

    /// Sets the page of a node's kubelet, which belongs to another version.
    pub fn set_serves(&self, node: &str, serves: Serves) -> Result<(), Error> {
        self.kubelet(node)?.set_serves(serves);
        Ok(())
    }

    /// What a node's kubelet has received so far.
    pub fn kubelet_stats(&self, node: &str) -> Result<KubeletStats, Error> {
        Ok(self.kubelet(node)?.stats())
    }

    /// Requests to all kubelets so far.
    pub fn kubelet_requests(&self) -> u64 {
        self.kubelets()
            .values()
            .map(|kubelet| kubelet.requests())
            .sum()
    }

    /// Sets the fault of the Kubernetes API, and cuts its connections.
    pub async fn set_api_fault(&self, fault: ApiFault) {
        *self.shared.api_fault.lock() = fault;
        self.api_gate.set(fault != ApiFault::Refuse).await;
    }

    /// Ends every watch, as a kube-apiserver does from time to time.
    pub fn close_watches(&self) {
        self.shared.watches.send_modify(|count| *count += 1);
    }

    /// Makes every open watch silent from now on, as if the connection were lost. New watches work.
    pub fn silence_watches(&self) {
        self.shared.silence.send_modify(|count| *count += 1);
    }

    /// The next `count` lists and watches of `plural` are accepted and never answered.
    pub fn leave_unanswered(&self, plural: &str, count: u32) {
        let mut unanswered = self.shared.unanswered.lock();
        unanswered.insert(plural.to_owned(), count);
    }

    /// The number of those that have not arrived yet.
    pub fn still_to_be_unanswered(&self, plural: &str) -> u32 {
        let unanswered = self.shared.unanswered.lock();
        let unanswered = unanswered;
        unanswered.get(plural).copied().unwrap_or_default()
    }

    /// Forgets all events, so that a watch from an older version gets 410 and must list again.
    pub fn expire_history(&self) {
        self.shared.state().store.compact();
    }

    /// A token for the Kubernetes API that does not expire. `user` is for example
    /// `system:serviceaccount:kube-system:scraper`.
    pub fn token(&self, user: &str) -> String {
        self.mint(TokenSpec::new(user))
    }

    /// A token as specified.
    pub fn mint(&self, spec: TokenSpec) -> String {
        let now = self.shared.clock.now();
        self.shared.state().access.mint(spec, now)
    }

    /// Makes a token invalid.
    pub fn revoke(&self, token: &str) {
        self.shared.state().access.revoke(token);
    }

    /// Allows a user or group a verb on a resource of a group (or on a path). `*` stands for any.
    ///
    /// The group `system:masters`, and `ServiceAccounts` that are not [restricted](Self::restrict), may do everything.
    pub fn allow(&self, who: &str, verb: &str, group: &str, resource: &str) {
        self.shared.state().access.allow(who, verb, group, resource);
    }

    /// Removes the default permissions of a user.
    pub fn restrict(&self, user: &str) {
        self.shared.state().access.restrict(user);
    }

    /// The number of reviews that were requested so far.
    pub fn reviews(&self) -> ReviewCounts {
        self.shared.state().reviews
    }

    /// Sets the frontends to which the aggregator forwards `metrics.k8s.io` and `fleet.tributary.dev`. The first one
    /// [registers](Self::register) these groups. From then on requests without a frontend are answered with 503.
    pub fn set_frontends(&self, frontends: Vec<SocketAddr>) {
        let is_available = !frontends.is_empty();
        self.shared.aggregator.set_frontends(frontends);
        if self.shared.aggregator.serves() {
            self.write_api_services(is_available);
        }
    }

    /// Sets how the aggregator verifies the frontends.
    pub fn set_frontend_trust(&self, trust: &FrontendTrust) -> Result<(), Error> {
        self.shared.aggregator.set_trust(&self.shared.pki, trust)
    }

    /// Writes an administrator's kubeconfig with inline credentials.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), Error> {
        kubeconfig::write_admin(&self.shared.pki, &self.api_url(), path)
    }

    /// A kubeconfig with this token.
    pub fn kubeconfig_for_token(&self, token: &str) -> String {
        kubeconfig::with_token(&self.shared.pki, &self.api_url(), token)
    }

    /// Ends everything and waits until every task has ended.
    pub async fn stop(self) {
        self.close_watches();
        self.shared.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }

    fn kubelets(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Kubelet>>> {
        self.kubelets.lock()
    }

    fn kubelet(&self, node: &str) -> Result<Arc<Kubelet>, Error> {
        self.kubelets()
            .get(node)
            .cloned()
            .ok_or_else(|| Error::Missing(format!("node {node}")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.close_watches();
        // Dropping the set of tasks aborts them. This ends what they own.
        self.shared.stop.cancel();
    }
}
