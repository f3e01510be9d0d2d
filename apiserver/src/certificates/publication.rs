//! Writes the CA to where clients read it: the APIServices that lead to this Service, and the
//! ConfigMap.
//!
//! CAs that these objects have from elsewhere stay for one overlap. So pods that still serve an
//! older certificate stay trusted until they are gone.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ConfigMap, kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokio::time::Instant;
use tributary_runtime::tls::{in_pem, last_to_expire};

use super::{
    api::{Api, Failed, Write},
    bundle::distinct,
    pem,
    settings::Settings,
};

/// The objects with the CA, and when CAs of others were first seen in them.
pub(super) struct Publication {
    api: Api,
    /// The field manager of this frontend.
    manager: String,
    /// For each object, the time since which it has each CA that is not ours.
    strangers: HashMap<String, Vec<(CertificateDer<'static>, Instant)>>,
}

/// The attempts to write an object while other frontends are faster. That many frontends may start
/// at the same time.
const TRIES: u32 = 4;

/// Where the CA is published.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// The APIService of this name.
    ApiService(&'a str),
    /// The ConfigMap of the settings.
    ConfigMap,
}

/// The outcome of publishing at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// The object has our CAs.
    Yes,
    /// The object does not exist or is not ours. No client verifies frontends by it.
    NotOurs,
    /// It is ours, and turns verification off (`insecureSkipTLSVerify`).
    VerifiesNothing,
}

impl Publication {
    pub(super) fn new(api: Api, manager: String) -> Self {
        Self {
            api,
            manager,
            strangers: HashMap::new(),
        }
    }

    /// Publishes the CAs at a place.
    ///
    /// # Errors
    ///
    /// The object cannot be read or written.
    pub(super) async fn publish(
        &mut self,
        target: Place<'_>,
        ours: &[CertificateDer<'static>],
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Published, Failed> {
        let mut tries = 0;
        loop {
            tries += 1;
            let published = match target {
                Place::ApiService(name) => self.api_service(name, ours, now, settings).await,
                Place::ConfigMap => self.config_map(ours, now, settings).await,
            };
            if tries == TRIES || !matches!(published, Err(Failed::Conflict)) {
                return published;
            }
        }
    }

    async fn api_service(
        &mut self,
        name: &str,
        ours: &[CertificateDer<'static>],
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Published, Failed> {
        let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}");
        let (found, _) = self.api.get::<APIService>(&path).await?;
        let Some(spec) = found.as_ref().and_then(|found| found.spec.as_ref()) else {
            return Ok(Published::NotOurs);
        };
        let service = spec.service.as_ref();
        let leads_to = service.and_then(|service| {
            let name = service.name.as_deref()?;
            Some((service.namespace.as_deref()?, name))
        });
        if leads_to != Some((&settings.service.namespace, &settings.service.name)) {
            return Ok(Published::NotOurs);
        }
        if spec.insecure_skip_tls_verify == Some(true) {
            return Ok(Published::VerifiesNothing);
        }
        let there = spec.ca_bundle.as_ref().map(|bundle| in_pem(&bundle.0));
        let Some(wanted) = self.wanted(name, there, ours, now, settings) else {
            return Ok(Published::Yes);
        };
        let version = found.and_then(|found| found.metadata.resource_version);
        let change = json!({
            "metadata": { "resourceVersion": version },
            "spec": { "caBundle": BASE64_STANDARD.encode(wanted) },
        });
        self.api.patch(&path, Write::Merge, &change).await?;
        Ok(Published::Yes)
    }

    async fn config_map(
        &mut self,
        ours: &[CertificateDer<'static>],
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Published, Failed> {
        let (namespace, name) = (&settings.service.namespace, &settings.config_map);
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        let (found, _) = self.api.get::<ConfigMap>(&path).await?;
        let there = found
            .as_ref()
            .and_then(|map| map.data.as_ref()?.get("ca.crt"));
        let there = there.map(|text| in_pem(text.as_bytes()));
        let Some(wanted) = self.wanted("", there, ours, now, settings) else {
            return Ok(Published::Yes);
        };
        let data = json!({ "ca.crt": wanted });
        if let Some(found) = found {
            let metadata = json!({ "resourceVersion": found.metadata.resource_version });
            let change = json!({ "metadata": metadata, "data": data });
            self.api.patch(&path, Write::Merge, &change).await?;
        } else {
            let metadata = json!({ "namespace": namespace, "name": name });
            let new = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data,
            });
            let manager = self.manager.clone();
            self.api.patch(&path, Write::Apply(&manager), &new).await?;
        }
        Ok(Published::Yes)
    }

    /// The bundle that the object should have, unless it has that already.
    fn wanted(
        &mut self,
        target: &str,
        there: Option<Vec<CertificateDer<'static>>>,
        ours: &[CertificateDer<'static>],
        now: Timestamp,
        settings: &Settings,
    ) -> Option<String> {
        let there = there.unwrap_or_default();
        let before = self.strangers.remove(target).unwrap_or_default();
        let since = |ca: &CertificateDer<'static>| {
            let known = before.iter().find(|(known, _)| known == ca);
            known.map_or_else(Instant::now, |(_, since)| *since)
        };
        let strangers = there.iter().filter(|ca| !ours.contains(ca));
        let strangers: Vec<_> = strangers.map(|ca| (ca.clone(), since(ca))).collect();
        let stays = |(ca, since): &(CertificateDer<'static>, Instant)| {
            let ends = last_to_expire([ca]).unwrap_or_default();
            since.elapsed() < settings.overlap && ends > now.as_second()
        };
        let staying = strangers.iter().filter(|stranger| stays(stranger));
        let staying = staying.map(|(ca, _)| ca.clone());
        let wanted = distinct(ours.iter().cloned().chain(staying).collect());
        self.strangers.insert(target.to_owned(), strangers);
        let same = there.len() == wanted.len() && there.iter().all(|ca| wanted.contains(ca));
        (!same).then(|| pem::text(&wanted))
    }
}
