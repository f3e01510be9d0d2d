//! Reads the Secret, decides, writes, and serves the certificate.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use rustls_pki_types::CertificateDer;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_runtime::{clock::Clock, tls::ServingCertificate};

use super::{
    api::{Api, Failed, Write},
    bundle::{Bundle, Found, capped},
    metrics::Metrics,
    publication::{Place, Publication, Published},
    readiness::CertificateReadiness,
    rules::{self, CannotMake, Step},
    settings::Settings,
};

/// How often the keeper checks.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// How long the start waits for the first check.
const FIRST_WITHIN: Duration = Duration::from_secs(5);

/// How many steps follow each other at once, including retries after a conflict.
const AT_ONCE: u32 = 6;

/// The log has said that the Secret is damaged.
const DAMAGED: &str = "damaged";

/// The log has said that the certificate to adopt cannot be used.
const NOT_GOOD: &str = "not good";

/// Bytes of the field manager of a frontend. The API accepts 128.
const MOST_OF_NAME: usize = 100;

/// Keeps the serving certificate.
pub(crate) struct Keeper {
    settings: Settings,
    api: Api,
    publication: Publication,
    manager: String,
    certificate: Arc<ServingCertificate>,
    clock: Clock,
    metrics: Metrics,
    readiness: CertificateReadiness,
    /// The last valid certificates that were read or written.
    remembered: Option<Bundle>,
    /// Failures that were already logged, and APIServices that verify nothing.
    said: HashSet<String>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// Why a check failed.
enum Trouble {
    Api(Failed),
    Make(CannotMake),
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        Self::Api(failed)
    }
}

impl From<CannotMake> for Trouble {
    fn from(cannot: CannotMake) -> Self {
        Self::Make(cannot)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(failed) => failed.fmt(f),
            Self::Make(cannot) => cannot.fmt(f),
        }
    }
}

impl Keeper {
    /// A keeper that serves its certificate through `certificate`.
    pub(crate) fn new(
        settings: Settings,
        frontend: &str,
        client: Client,
        certificate: Arc<ServingCertificate>,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let api = Api::new(client);
        let manager = manager(frontend);
        Self {
            publication: Publication::new(api.clone(), manager.clone()),
            manager,
            settings,
            api,
            certificate,
            clock,
            metrics,
            readiness: CertificateReadiness::default(),
            remembered: None,
            said: HashSet::new(),
        }
    }

    /// The check for readiness.
    pub(crate) fn readiness(&self) -> CertificateReadiness {
        self.readiness.clone()
    }

    /// Checks for the first time, before any client can connect. If the Kubernetes API is slow, the
    /// check is given up; [`Self::follow`] begins another one.
    pub(crate) async fn begin(&mut self) {
        drop(timeout(FIRST_WITHIN, self.look()).await);
    }

    /// Checks repeatedly until `stop`.
    pub(crate) async fn follow(mut self, stop: CancellationToken) {
        // Tests have an overlap of seconds, for which ten seconds would be too long.
        let every = POLL_INTERVAL.min(self.settings.overlap / 4);
        while stop.run_until_cancelled(sleep(every)).await.is_some() {
            if stop.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    /// Checks once, and takes all steps that need no wait.
    pub(crate) async fn look(&mut self) {
        let name = self.settings.secret.clone();
        let mut step = Ok(true);
        for _ in 0..AT_ONCE {
            step = self.step().await;
            let again = matches!(step, Ok(true) | Err(Trouble::Api(Failed::Conflict)));
            if !again {
                break;
            }
        }
        match step {
            Ok(_) => self.succeeded("secret", &name),
            // The error may be that another frontend was faster each time.
            Err(trouble) => self.failed("secret", &name, &trouble),
        }
    }

    /// Whether another step may follow at once.
    async fn step(&mut self) -> Result<bool, Trouble> {
        let path = self.path(&self.settings.secret);
        let (secret, date) = self.api.get::<Secret>(&path).await?;
        let now = date.unwrap_or_else(|| self.clock.date());
        self.record_validity(now);
        let bundle = match Bundle::read(secret.as_ref()) {
            Found::Good(bundle) => bundle,
            lost => {
                let (bundle, step) = self.without(lost, now).await?;
                self.write(secret.as_ref(), bundle, step).await?;
                return Ok(true);
            }
        };
        self.said.remove(DAMAGED);
        // A frontend shows an unusable certificate only if it has no better one.
        let good = rules::is_good(&bundle, now, &self.settings);
        if good || self.remembered.is_none() {
            self.show(&bundle);
            self.record_validity(now);
        }
        if !good && let Some(restored) = self.restored(&bundle.cas, now) {
            self.write(secret.as_ref(), restored, Step::Restore).await?;
            return Ok(true);
        }
        let published = good && self.publish(&bundle, now).await;
        if published {
            self.readiness.set_published();
        }
        match rules::next(&bundle, now, published, &self.settings)? {
            None => Ok(false),
            Some((next, step)) => {
                self.write(secret.as_ref(), next, step).await?;
                Ok(true)
            }
        }
    }

    /// What to write if the Secret has nothing that can be used.
    async fn without(&mut self, lost: Found, now: Timestamp) -> Result<(Bundle, Step), Trouble> {
        let cas = match lost {
            Found::Damaged(error, cas) => {
                if self.said.insert(DAMAGED.to_owned()) {
                    warn!(secret = self.settings.secret, %error, "the Secret is damaged");
                }
                cas
            }
            Found::Nothing | Found::Good(_) => Vec::new(),
        };
        if let Some(bundle) = self.restored(&cas, now) {
            return Ok((bundle, Step::Restore));
        }
        if let Some(bundle) = self.adopted(now).await? {
            let cas = capped([bundle.cas.clone(), cas].concat());
            return Ok((Bundle { cas, ..bundle }, Step::Adopt));
        }
        let new = rules::replacement(cas, now, &self.settings)?;
        Ok((new, Step::Replace))
    }

    /// The certificate that `--tls-auto-adopt` names, if it exists and is valid.
    async fn adopted(&mut self, now: Timestamp) -> Result<Option<Bundle>, Failed> {
        let Some(name) = self.settings.adopted.clone() else {
            return Ok(None);
        };
        let (secret, _) = self.api.get::<Secret>(&self.path(&name)).await?;
        let adopted = rules::adopted(Bundle::read(secret.as_ref()), now, &self.settings);
        if secret.is_some() && adopted.is_none() && self.said.insert(NOT_GOOD.to_owned()) {
            warn!(
                secret = name,
                "failed to adopt the earlier certificate: it is not valid"
            );
        }
        Ok(adopted)
    }

    /// The remembered certificates, if they are still valid, with the CAs from the Secret in addition. The overlap of
    /// those CAs starts now, because another frontend may still serve a certificate of theirs.
    fn restored(&self, there: &[CertificateDer<'static>], now: Timestamp) -> Option<Bundle> {
        let good = |bundle: &&Bundle| rules::is_good(bundle, now, &self.settings);
        let bundle = self.remembered.as_ref().filter(good)?;
        let others = there.iter().any(|ca| !bundle.cas.contains(ca));
        Some(Bundle {
            cas: capped([&bundle.cas[..], there].concat()),
            serving_since: if others {
                Some(now)
            } else {
                bundle.serving_since
            },
            ..bundle.clone()
        })
    }

    /// Writes `bundle` if the Secret has not changed since it was read, and serves it.
    async fn write(
        &mut self,
        read: Option<&Secret>,
        bundle: Bundle,
        step: Step,
    ) -> Result<(), Failed> {
        let path = self.path(&self.settings.secret);
        let (annotations, data) = bundle.written();
        if let Some(read) = read {
            let version = &read.metadata.resource_version;
            let metadata = json!({ "resourceVersion": version, "annotations": annotations });
            let change = json!({ "metadata": metadata, "data": data });
            self.api.patch(&path, Write::Merge, &change).await?;
        } else {
            let new = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "namespace": self.settings.service.namespace,
                    "name": self.settings.secret,
                    "annotations": present(annotations),
                },
                "data": present(data),
            });
            let how = Write::Apply(&self.manager);
            self.api.patch(&path, how, &new).await?;
        }
        self.metrics.took(step);
        info!(
            secret = self.settings.secret,
            step = step.name(),
            "serving certificate: the Secret is written"
        );
        self.show(&bundle);
        Ok(())
    }

    fn show(&mut self, bundle: &Bundle) {
        if self.certificate.show(Arc::clone(&bundle.serving.certified)) {
            info!("serving certificate replaced");
        }
        self.remembered = Some(bundle.clone());
    }

    /// Records how long the served certificate is still valid.
    fn record_validity(&self, now: Timestamp) {
        let lasts = |bundle| rules::lasts(bundle, now, &self.settings);
        self.readiness
            .set_valid_for(self.remembered.as_ref().and_then(lasts));
    }

    /// Publishes the CAs. Returns whether all clients have them.
    async fn publish(&mut self, bundle: &Bundle, now: Timestamp) -> bool {
        let mut all = true;
        let settings = self.settings.clone();
        for name in &settings.api_services {
            let target = Place::ApiService(name);
            let published = self
                .publication
                .publish(target, &bundle.cas, now, &settings)
                .await;
            if matches!(published, Ok(Published::VerifiesNothing))
                && self.said.insert(format!("{name} verifies nothing"))
            {
                warn!(
                    "apiservice {name} has insecureSkipTLSVerify: kube-apiserver does not verify frontends"
                );
            }
            all &= self.record_publication(published, "apiservice", name);
        }
        let target = Place::ConfigMap;
        let published = self
            .publication
            .publish(target, &bundle.cas, now, &settings)
            .await;
        all & self.record_publication(published, "configmap", &settings.config_map)
    }

    fn record_publication(
        &mut self,
        published: Result<Published, Failed>,
        kind: &'static str,
        name: &str,
    ) -> bool {
        match published {
            Ok(_) => self.succeeded(kind, name),
            Err(failed) => {
                self.failed(kind, name, &failed.into());
                return false;
            }
        }
        true
    }

    fn failed(&mut self, kind: &'static str, name: &str, trouble: &Trouble) {
        self.metrics.failed(kind);
        if self.said.insert(format!("{kind} {name}")) {
            warn!(kind, name, error = %trouble, "failed to update the serving certificate, the current one stays");
        }
    }

    fn succeeded(&mut self, kind: &'static str, name: &str) {
        if self.said.remove(&format!("{kind} {name}")) {
            info!("{kind} {name} can be read and written again");
        }
    }

    fn path(&self, secret: &str) -> String {
        let namespace = &self.settings.service.namespace;
        format!("/api/v1/namespaces/{namespace}/secrets/{secret}")
    }
}

/// A name per pod: of two frontends that create an object at the same time, the API refuses one.
/// Pod names differ at their end.
fn manager(frontend: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let name: Vec<char> = frontend.chars().filter(allowed).collect();
    let end = name.iter().skip(name.len().saturating_sub(MOST_OF_NAME));
    format!("tributary-{}", end.collect::<String>())
}

/// Without null values: a new object has nothing to remove.
fn present(object: Value) -> Value {
    match object {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other,
    }
}
