//! The CAs that verify client certificates, and how they are kept up to date: from the files of the
//! flags, and from the config map `kube-system/extension-apiserver-authentication` by a watch.
//!
//! A flag's CA replaces that of the config map (docs/parity.md#authentication). If something cannot
//! be read or parsed, the last valid CAs stay in force. Unlike metrics-server, a frontend that may
//! not read the config map does not exit: it answers 503 to callers with a certificate, logs the
//! reason once, and keeps trying.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_runtime::{
    exit::Misconfigured,
    kube::{Change, Objects, Stale, Watched, follow},
    reload::{POLL_INTERVAL, ReloadReporter},
};

use super::{
    config_map::{self, ConfigMap, ProxySource},
    front_proxy::{FrontProxy, Headers},
    x509::{BadCa, Pool},
};

/// The CAs in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Grows with every change, so that earlier results are recognized as old.
    pub(crate) generation: u64,
    /// The CAs of client certificates.
    pub(crate) clients: Option<Pool>,
    /// The front proxy.
    pub(crate) proxy: Option<FrontProxy>,
    /// Whether the config map is needed and has not been read yet.
    pub(crate) pending: bool,
}

/// The current [`Trust`], for all readers.
pub(crate) type Current = Arc<ArcSwap<Trust>>;

/// The settings from the flags.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `--client-ca-file`
    pub(crate) client_ca: Option<PathBuf>,
    /// `--requestheader-client-ca-file`
    pub(crate) proxy_ca: Option<PathBuf>,
    /// `--requestheader-allowed-names`, which counts only with the file.
    pub(crate) allowed_names: Vec<String>,
    /// The other `--requestheader-*`, which count only with the file.
    pub(crate) headers: Headers,
    /// False with `--authentication-skip-lookup`.
    pub(crate) lookup: bool,
    /// `--authentication-tolerate-lookup-failure`
    pub(crate) tolerate: bool,
}

/// Keeps [`Trust`] up to date.
#[derive(Debug)]
pub(crate) struct Keeper {
    settings: Settings,
    current: Current,
    /// The texts that are in force, or that failed last.
    client_ca: Option<Vec<u8>>,
    proxy: Option<ProxySource>,
    /// The front proxy from the files, even if it is not in force.
    made: Option<FrontProxy>,
    files: ReloadReporter,
    /// Whether the config map could not be read at the last attempt.
    map_failed: bool,
}

impl Keeper {
    /// Reads the files of the flags.
    ///
    /// # Errors
    ///
    /// One of them cannot be used.
    pub(crate) fn start(settings: Settings) -> Result<Self, Misconfigured> {
        let pending = settings.needs_map() && !settings.tolerate;
        let trust = Trust {
            pending,
            ..Trust::default()
        };
        let mut keeper = Self {
            settings,
            current: Arc::new(ArcSwap::from_pointee(trust)),
            client_ca: None,
            proxy: None,
            made: None,
            files: ReloadReporter::new("client CA"),
            map_failed: false,
        };
        keeper.look().map_err(Misconfigured::new)?;
        Ok(keeper)
    }

    /// The CAs in force, now and later.
    pub(crate) fn current(&self) -> Current {
        Arc::clone(&self.current)
    }

    /// Follows the files and the config map until `stop`.
    pub(crate) async fn follow(mut self, client: Client, stop: CancellationToken) {
        let (updates, mut update) = watch::channel(MapUpdate::default());
        let watching = self.settings.needs_map();
        let watching = async {
            if watching {
                watch_map(client, updates, stop.clone()).await;
            } else {
                stop.cancelled().await;
            }
        };
        let taking = async {
            let mut look = tokio::time::interval(POLL_INTERVAL);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    Ok(()) = update.changed() => match &*update.borrow_and_update() {
                        MapUpdate::Nothing => {}
                        MapUpdate::Map(map) => self.take(map),
                        MapUpdate::Failed(error) => self.failed(error),
                    },
                    _ = look.tick() => self.look_again(),
                }
            }
        };
        tokio::join!(watching, taking);
    }

    /// A missing config map is like an empty one.
    pub(super) fn take(&mut self, map: &ConfigMap) {
        let found = match config_map::read(map) {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "failed to read {}; keeping the old content", config_map::FULL_NAME);
                return;
            }
        };
        if self.map_failed {
            info!("{} can be read again", config_map::FULL_NAME);
            self.map_failed = false;
        }
        if self.settings.client_ca.is_none() {
            let taken = self.set_clients(found.client_ca);
            report(taken, "client-ca-file");
        }
        if self.settings.proxy_ca.is_none() {
            let taken = self.set_proxy(found.proxy);
            report(taken, "requestheader-client-ca-file");
        }
        if self.current.load().pending {
            self.publish(|trust| trust.pending = false);
        }
    }

    fn failed(&mut self, error: &str) {
        if !self.map_failed {
            warn!(
                %error,
                "failed to read {}; keeping what is known. If it is forbidden: kubectl create \
                 rolebinding -n kube-system ROLEBINDING_NAME \
                 --role=extension-apiserver-authentication-reader --serviceaccount=YOUR_NS:YOUR_SA",
                config_map::FULL_NAME
            );
        }
        self.map_failed = true;
    }

    pub(super) fn look_again(&mut self) {
        let look = self.look();
        self.files.report(look);
    }

    /// Reads the files of the flags. Returns whether one has changed. If one cannot be used, the
    /// other is still read.
    fn look(&mut self) -> Result<bool, String> {
        let read = |flag: &'static str, path: &PathBuf| {
            let at = format!("{flag}: {}", path.display());
            match std::fs::read(path) {
                Ok(text) => Ok((at, text)),
                Err(error) => Err(format!("{at}: {error}")),
            }
        };
        let clients = self.settings.client_ca.clone().map_or(Ok(false), |path| {
            let (at, text) = read("--client-ca-file", &path)?;
            let set = self.set_clients(Some(text));
            set.map_err(|error| format!("{at}: {error}"))
        });
        let proxy = self.settings.proxy_ca.clone().map_or(Ok(false), |path| {
            let (at, ca) = read("--requestheader-client-ca-file", &path)?;
            let source = ProxySource {
                ca,
                allowed_names: self.settings.allowed_names.clone(),
                headers: self.settings.headers.clone(),
            };
            let set = self.set_proxy(Some(source));
            set.map_err(|error| format!("{at}: {error}"))
        });
        Ok(clients? | proxy?)
    }

    /// Logs the change, if there is one.
    fn set_clients(&mut self, ca: Option<Vec<u8>>) -> Result<bool, BadCa> {
        if self.client_ca == ca {
            return Ok(false);
        }
        let pool = ca.as_deref().map(Pool::from_pem).transpose()?;
        self.client_ca = ca;
        self.publish(|trust| trust.clients = pool);
        Ok(true)
    }

    fn set_proxy(&mut self, source: Option<ProxySource>) -> Result<bool, BadCa> {
        if self.proxy == source {
            return Ok(false);
        }
        let make = |source: &ProxySource| {
            Ok(FrontProxy {
                pool: Pool::from_pem(&source.ca)?,
                allowed_names: source.allowed_names.clone(),
                headers: source.headers.clone(),
            })
        };
        let proxy = source.as_ref().map(make).transpose()?;
        self.proxy = source;
        self.made = proxy;
        self.publish(|_| ());
        Ok(true)
    }

    fn publish(&self, change: impl FnOnce(&mut Trust)) {
        let mut trust = Trust::clone(&self.current.load());
        change(&mut trust);
        trust.generation += 1;
        trust.proxy.clone_from(&self.made);
        if all_are_trusted(trust.proxy.as_ref(), trust.clients.as_ref()) {
            trust.proxy = None;
            warn!(
                "one CA signs the certificates of users and of the front proxy, and any name may be \
                 the front proxy's: every user could speak for every other. No front proxy is \
                 believed; set --requestheader-allowed-names, or use another CA"
            );
        }
        self.current.store(Arc::new(trust));
    }
}

/// The last result of the watch of the config map.
#[derive(Debug, Default)]
enum MapUpdate {
    #[default]
    Nothing,
    /// Its content, which is empty if it does not exist.
    Map(ConfigMap),
    /// Why it cannot be read.
    Failed(String),
}

async fn watch_map(client: Client, updates: watch::Sender<MapUpdate>, stop: CancellationToken) {
    let path = format!("/api/v1/namespaces/{}/configmaps", config_map::NAMESPACE);
    let watched = Watched {
        fields: format!("metadata.name={}", config_map::NAME),
        ..Watched::all("configmaps", path)
    };
    let update = |update: Result<Change<ConfigMap>, Stale>| {
        let now = match update {
            Ok(Change::Replace(maps)) => {
                MapUpdate::Map(maps.into_iter().next().unwrap_or_default())
            }
            Ok(Change::Put(map)) => MapUpdate::Map(map),
            Ok(Change::Remove(_)) => MapUpdate::Map(ConfigMap::default()),
            Err(error) => MapUpdate::Failed(error.to_string()),
        };
        updates.send_replace(now);
    };
    follow(client, watched, Objects::default(), |map| map, update, stop).await;
}

/// Whether every client with a certificate is also the front proxy (kube-apiserver 1.35 refuses to
/// start so).
fn all_are_trusted(proxy: Option<&FrontProxy>, clients: Option<&Pool>) -> bool {
    let (Some(proxy), Some(clients)) = (proxy, clients) else {
        return false;
    };
    proxy.allowed_names.is_empty() && proxy.pool.shares_a_ca_with(clients)
}

impl Settings {
    fn needs_map(&self) -> bool {
        self.lookup && (self.client_ca.is_none() || self.proxy_ca.is_none())
    }
}

fn report(taken: Result<bool, BadCa>, what: &str) {
    match taken {
        Ok(false) => {}
        Ok(true) => info!("{} {what} replaced", config_map::FULL_NAME),
        Err(error) => {
            warn!(%error, "failed to read {} {what}; keeping the old one", config_map::FULL_NAME);
        }
    }
}
