//! Where Tributary is, and with which CA kube-apiserver verifies it.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::Value;

use super::object::{Backend, Object, Service};
use crate::{
    api_services::{API_SERVICES, FLEET},
    catalogue::whole,
    kube_api::{Failure, KubeApi, path},
};

/// An `APIService`, if there is one.
///
/// # Errors
///
/// It cannot be read.
pub(super) async fn object(api: &KubeApi, path: &str) -> Result<Option<Object>, Failure> {
    match api.get::<Value>(path).await {
        Ok(object) => Ok(Some(Object(object))),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The Service of Tributary: that of the fleet, or the one that the operator names.
///
/// # Errors
///
/// It cannot be found; the text says what to do.
pub(super) async fn tributary(api: &KubeApi, named: Option<&str>) -> Result<Service, String> {
    match named {
        Some(named) => service(named),
        None => Ok(of_fleet(api).await?.service),
    }
}

async fn of_fleet(api: &KubeApi) -> Result<Backend, String> {
    let fleet = object(api, &format!("{API_SERVICES}/{FLEET}")).await;
    let fleet = fleet.map_err(|failure| failure.to_string())?;
    let backend = fleet.and_then(|fleet| Backend::of(&fleet.spec()));
    backend.ok_or_else(|| {
        format!(
            "there is no APIService {FLEET}, which says where Tributary is: install Tributary, set apiService.fleet in the \
             values of its chart, or name its Service with --service"
        )
    })
}

/// How kube-apiserver reaches Tributary: as it does for the fleet, which is tried and verified, or the Service that the
/// operator names.
///
/// # Errors
///
/// It cannot be found; the text says what to do.
pub(super) async fn backend(api: &KubeApi, named: Option<&str>) -> Result<Backend, String> {
    if let Some(named) = named {
        return of_service(api, service(named)?).await;
    }
    let backend = of_fleet(api).await?;
    if backend.ca.is_none() && !backend.insecure {
        let namespace = [("namespace", backend.service.namespace)];
        let pods = whole("kubectl get pods -n {namespace}", &namespace);
        let pods = pods.map(|pods| format!(": look at them: {}", api.commands.command(&pods)));
        return Err(format!(
            "the APIService {FLEET} has no caBundle yet. Frontends write it as soon as they run (tls.type auto){}",
            pods.unwrap_or_default()
        ));
    }
    Ok(backend)
}

/// `NAMESPACE/NAME` or `NAMESPACE/NAME:PORT`.
pub(super) fn service(text: &str) -> Result<Service, String> {
    let wrong = || format!("{text} is not NAMESPACE/NAME or NAMESPACE/NAME:PORT");
    let (namespace, rest) = text.split_once('/').ok_or_else(wrong)?;
    let (name, port) = match rest.split_once(':') {
        Some((name, port)) => (name, port.parse::<u16>().map_err(|_| wrong())?),
        None => (rest, 443),
    };
    let is_name = |name: &str, longest: usize| {
        let safe = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
        (1..=longest).contains(&name.len()) && name.chars().all(safe)
    };
    if !is_name(namespace, 63) || !is_name(name, 63) || port == 0 {
        return Err(wrong());
    }
    Ok(Service {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port: port.into(),
    })
}

/// The CA from where Tributary keeps it: the Secret of `tls.type: auto`, that of the other types, or the `ConfigMap` for
/// scrapers.
async fn of_service(api: &KubeApi, service: Service) -> Result<Backend, String> {
    let Service {
        namespace, name, ..
    } = &service;
    let mut refused = None;
    for secret in [format!("{name}-serving"), format!("{name}-tls")] {
        let at = path("/api/v1/namespaces", &[namespace, "secrets", &secret]);
        match api.get::<Secret>(&at).await {
            Ok(found) => {
                let ca = found.data.and_then(|mut data| data.remove("ca.crt"));
                if let Some(ca) = ca.filter(|ca| !ca.0.is_empty()) {
                    return Ok(verified(service, &ca.0));
                }
            }
            Err(Failure::NotFound(_)) => {}
            Err(failure) => refused = Some(failure),
        }
    }
    let map = format!("{name}-ca");
    let at = path("/api/v1/namespaces", &[namespace, "configmaps", &map]);
    let found = api.get::<ConfigMap>(&at).await;
    let ca = found.ok().and_then(|found| found.data?.remove("ca.crt"));
    match ca.filter(|ca| !ca.trim().is_empty()) {
        Some(ca) => Ok(verified(service, ca.as_bytes())),
        None => Err(refused.map_or_else(
            || {
                format!(
                    "no CA of {namespace}/{name} is known: there is no ca.crt in the Secrets {name}-serving and {name}-tls, nor \
                     in the ConfigMap {name}-ca of the namespace {namespace}"
                )
            },
            |failure| format!("the CA of {namespace}/{name} cannot be read: {failure}"),
        )),
    }
}

fn verified(service: Service, pem: &[u8]) -> Backend {
    let ca = serde_json::json!(k8s_openapi::ByteString(pem.to_vec()));
    Backend {
        service,
        ca: ca.as_str().map(str::to_owned),
        insecure: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube_api::fake::Fake;

    const SERVICE: &str =
        "/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.fleet.tributary.dev";

    fn fleet(more: (&str, Value)) -> Fake {
        let mut spec = json!({ "service": { "namespace": "t", "name": "tributary", "port": 443 } });
        spec[more.0] = more.1;
        Fake::default().with(SERVICE, 200, json!({ "metadata": {}, "spec": spec }))
    }

    #[tokio::test]
    async fn kube_apiserver_reaches_it_as_it_reaches_the_fleet() {
        let fake = fleet(("caBundle", json!("Q0E=")));
        let found = backend(&fake.api(), None).await.unwrap();
        assert_eq!(found.service.to_string(), "t/tributary");
        assert_eq!((found.ca.as_deref(), found.insecure), (Some("Q0E="), false));
        let fake = fleet(("insecureSkipTLSVerify", json!(true)));
        assert!(backend(&fake.api(), None).await.unwrap().insecure);
        let fake = fleet(("versionPriority", json!(1)));
        let why = backend(&fake.api(), None).await.unwrap_err();
        assert!(why.contains("has no caBundle yet"), "{why}");
        let why = backend(&Fake::default().api(), None).await.unwrap_err();
        assert!(why.contains("--service"), "{why}");
    }

    #[tokio::test]
    async fn a_service_that_is_named_has_its_ca_where_the_chart_keeps_it() {
        let secret = |ca: &str| json!({ "data": { "ca.crt": ca } });
        let base = "/api/v1/namespaces/t";
        let auto = Fake::default().with(&format!("{base}/secrets/x-serving"), 200, secret("QQ=="));
        let other = Fake::default().with(&format!("{base}/secrets/x-tls"), 200, secret("QQ=="));
        let map = json!({ "data": { "ca.crt": "A" } });
        let map = Fake::default().with(&format!("{base}/configmaps/x-ca"), 200, map);
        for fake in [auto, other, map] {
            let found = backend(&fake.api(), Some("t/x:8443")).await.unwrap();
            assert_eq!(found.ca.as_deref(), Some("QQ=="));
            assert_eq!(found.service.to_string(), "t/x:8443");
        }
        let none = Fake::default().api();
        let why = backend(&none, Some("t/x")).await.unwrap_err();
        assert!(why.starts_with("no CA of t/x is known"), "{why}");
        let long = format!("t/{}", "x".repeat(64));
        for wrong in [
            "x",
            "t/",
            "t/x:0",
            "t/x:y",
            "t/x y",
            "/x",
            "t/x:70000",
            &long,
        ] {
            let why = backend(&none, Some(wrong)).await.unwrap_err();
            assert!(
                why.ends_with("is not NAMESPACE/NAME or NAMESPACE/NAME:PORT"),
                "{why}"
            );
        }
    }
}
