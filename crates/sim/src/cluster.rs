//! The simulated cluster: what runs, what it holds, and how it is changed while it runs.

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

/// How the aggregator checks a frontend's serving certificate, as an `APIService` says it.
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

/// What is wrong with the Kubernetes API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiFault {
    /// Nothing.
    #[default]
    None,
    /// Every answer has this status.
    Status(u16),
    /// Requests are taken and not answered.
    Hang,
    /// Nobody listens.
    Refuse,
}

/// How many reviews the Kubernetes API was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReviewCounts {
    /// TokenReview.
    pub tokens: u64,
    /// SubjectAccessReview and `SelfSubjectAccessReview`.
    pub accesses: u64,
}

/// What the servers share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: SimClock,
    pub(crate) started: Timestamp,
    pub(crate) pki: Pki,
    pub(crate) housekeeping: Duration,
    pub(crate) gzip: Gzip,
    pub(crate) kubelet_auth: KubeletAuth,
    /// Of an unknown authority, for [`Fault::WrongCertificate`].
    pub(crate) wrong_tls: Arc<ServerConfig>,
    pub(crate) aggregator: Aggregator,
    pub(crate) api_fault: Mutex<ApiFault>,
    /// Lists and watches of pods answer with metadata.
    pub(crate) metadata_only: bool,
    /// Grows when every watch shall end.
    pub(crate) watches: watch::Sender<u64>,
    /// Grows when every watch shall be silent from then on.
    pub(crate) silence: watch::Sender<u64>,
    /// How many of the next lists and watches of each kind are taken and never answered.
    pub(crate) unanswered: Mutex<BTreeMap<String, u32>>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether this list or watch is one that is never answered.
    pub(crate) fn is_unanswered(&self, plural: &str) -> bool {
        let mut unanswered = self.unanswered.lock();
        let left = unanswered.get_mut(plural).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// What a node's kubelet reports, without the moment.
    pub(crate) fn page(&self, node: &str) -> Option<Arc<Page>> {
        self.state().page(node)
    }

    /// Where a node's page is, if not at the usual place.
    pub(crate) fn metrics_path(&self, node: &str) -> Option<String> {
        self.state()
            .node(node)
            .and_then(|node| crate::kubelet::path_of(&node.annotations))
    }

    /// Who brings this token for the Kubernetes API, if it is good.
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

/// A cluster that runs. Dropping it ends everything; [`Cluster::stop`] also waits for the end.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    kubelets: Mutex<BTreeMap<String, Arc<Kubelet>>>,
    kubelet_port: u16,
    /// Holds the kubelets' port on an address of its own, so that no other cluster takes it.
    _port: TcpListener,
    api: SocketAddr,
    api_gate: Arc<Gate>,
    paths: Paths,
    tasks: Mutex<JoinSet<()>>,
    /// Keeps the directory unless the caller named one.
    _dir: Option<TempDir>,
}

impl Cluster {
    /// A cluster to be described; three nodes with two pods each if nothing is said.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The cluster's date.
    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    /// The cluster's authorities, to sign more with.
    pub fn pki(&self) -> &Pki {
        &self.shared.pki
    }

    /// The files in the cluster's directory.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Where the Kubernetes API listens.
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

    /// Where a node's kubelet listens.
    pub fn kubelet_address(&self, node: &str) -> Option<SocketAddr> {
        self.kubelet(node).ok().map(|kubelet| kubelet.address())
    }

    /// Changes what is wrong with a node's kubelet, and returns when that is in force for new connections and requests.
    pub async fn set_fault(&self, node: &str, fault: Fault) -> Result<(), Error> {
        let kubelet = self.kubelet(node)?;
        kubelet.set_fault(fault).await;
        Ok(())
    }

    /// Changes which page a node's kubelet has: another version of it.
    pub fn set_serves(&self, node: &str, serves: Serves) -> Result<(), Error> {
        self.kubelet(node)?.set_serves(serves);
        Ok(())
    }

    /// What a node's kubelet saw so far.
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

    /// Changes what is wrong with the Kubernetes API, cutting its connections.
    pub async fn set_api_fault(&self, fault: ApiFault) {
        *self.shared.api_fault.lock() = fault;
        self.api_gate.set(fault != ApiFault::Refuse).await;
    }

    /// Ends every watch, as a kube-apiserver does from time to time.
    pub fn close_watches(&self) {
        self.shared.watches.send_modify(|count| *count += 1);
    }

    /// Every open watch stays open and sends nothing from now on, like a connection whose other end is gone. New
    /// watches work.
    pub fn silence_watches(&self) {
        self.shared.silence.send_modify(|count| *count += 1);
    }

    /// The next `count` lists and watches of `plural` are taken and never answered, whatever happens later.
    pub fn leave_unanswered(&self, plural: &str, count: u32) {
        let mut unanswered = self.shared.unanswered.lock();
        unanswered.insert(plural.to_owned(), count);
    }

    /// How many of those have not come yet.
    pub fn still_to_be_unanswered(&self, plural: &str) -> u32 {
        let unanswered = self.shared.unanswered.lock();
        let unanswered = unanswered;
        unanswered.get(plural).copied().unwrap_or_default()
    }

    /// Forgets all events, so that a watch from an older version gets 410 and must list again.
    pub fn expire_history(&self) {
        self.shared.state().store.compact();
    }

    /// A token for the Kubernetes API without end. `user` is for example `system:serviceaccount:kube-system:scraper`.
    pub fn token(&self, user: &str) -> String {
        self.mint(TokenSpec::new(user))
    }

    /// A token as specified.
    pub fn mint(&self, spec: TokenSpec) -> String {
        let now = self.shared.clock.now();
        self.shared.state().access.mint(spec, now)
    }

    /// Makes a token count for nothing.
    pub fn revoke(&self, token: &str) {
        self.shared.state().access.revoke(token);
    }

    /// Allows a user or group a verb on a resource of a group (or a path); `*` stands for any.
    ///
    /// Group `system:masters`, and service accounts that are not [restricted](Self::restrict), may do everything.
    pub fn allow(&self, who: &str, verb: &str, group: &str, resource: &str) {
        self.shared.state().access.allow(who, verb, group, resource);
    }

    /// Takes the default permissions from a user.
    pub fn restrict(&self, user: &str) {
        self.shared.state().access.restrict(user);
    }

    /// How many reviews were asked for so far.
    pub fn reviews(&self) -> ReviewCounts {
        self.shared.state().reviews
    }

    /// Where the aggregator proxies `metrics.k8s.io` to; the group is served when there is one at least.
    pub fn set_frontends(&self, frontends: Vec<SocketAddr>) {
        self.shared.aggregator.set_frontends(frontends);
    }

    /// How the aggregator checks the frontends from now on.
    pub fn set_frontend_trust(&self, trust: &FrontendTrust) -> Result<(), Error> {
        self.shared.aggregator.set_trust(&self.shared.pki, trust)
    }

    /// Writes an administrator's kubeconfig with everything inside.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), Error> {
        kubeconfig::write_admin(&self.shared.pki, &self.api_url(), path)
    }

    /// A kubeconfig with this token.
    pub fn kubeconfig_for_token(&self, token: &str) -> String {
        kubeconfig::with_token(&self.shared.pki, &self.api_url(), token)
    }

    /// Ends everything and waits until every task is gone.
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
        // The set of tasks aborts them by being dropped; this is for what they own.
        self.shared.stop.cancel();
    }
}
