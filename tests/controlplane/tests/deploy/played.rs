//! The part of cert-manager, played: what the objects that the chart renders ask for is made, and nothing else.
//!
//! cert-manager's own controllers are in Go modules that no other module can require, so they cannot be pinned as a tool.

use std::time::Duration;

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use tributary_controlplane::objects::{apply, set_status};
use tributary_runtime::clock::Clock;

use crate::site::{Site, items};

/// Fields of a Certificate that are carried out here.
const KNOWN: [&str; 8] = [
    "commonName",
    "dnsNames",
    "duration",
    "isCA",
    "issuerRef",
    "privateKey",
    "secretName",
    "usages",
];

/// How long a certificate is good that does not say so.
const DEFAULT_HOURS: u64 = 90 * 24;

async fn all(site: &Site, kind: &str) -> anyhow::Result<Vec<Value>> {
    items(&site.kubectl.ok(&["get", kind, "-A", "-o", "json"]).await?)
}

fn text<'a>(object: &'a Value, at: &str) -> anyhow::Result<&'a str> {
    let found = object.pointer(at).and_then(Value::as_str);
    found.with_context(|| format!("no {at} in {object}"))
}

/// Issues every Certificate again, those that sign others first, and says how many.
pub(crate) async fn issue(site: &Site) -> anyhow::Result<usize> {
    let mut certificates = all(site, "certificates.cert-manager.io").await?;
    certificates.sort_by_key(|certificate| certificate["spec"]["isCA"] != true);
    for certificate in &certificates {
        let name = text(certificate, "/metadata/name")?;
        let issued = issue_one(site, certificate).await;
        issued.with_context(|| format!("issue {name}"))?;
    }
    Ok(certificates.len())
}

/// Issues a Certificate of the release again.
pub(crate) async fn renew(site: &Site, name: &str) -> anyhow::Result<()> {
    let certificates = all(site, "certificates.cert-manager.io").await?;
    let mut named = certificates
        .iter()
        .filter(|one| one["metadata"]["name"] == name);
    issue_one(site, named.next().context("a Certificate by that name")?).await
}

async fn issue_one(site: &Site, certificate: &Value) -> anyhow::Result<()> {
    let spec = &certificate["spec"];
    for field in spec.as_object().context("a spec")?.keys() {
        anyhow::ensure!(KNOWN.contains(&field.as_str()), "{field} is not played");
    }
    let key = spec["privateKey"].clone();
    anyhow::ensure!(
        (key["algorithm"].as_str(), key["size"].as_u64()) == (Some("ECDSA"), Some(256)),
        "{key}"
    );
    let namespace = text(certificate, "/metadata/namespace")?;
    let key = KeyPair::generate()?;
    let params = params(spec)?;
    let (made, ca) = match signer(site, namespace, spec).await? {
        None => {
            let made = params.self_signed(&key)?.pem();
            (made.clone(), made)
        }
        Some((ca, ca_key)) => {
            let issuer = Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&ca_key)?)?;
            (params.signed_by(&key, &issuer)?.pem(), ca)
        }
    };
    let data = json!({
        "ca.crt": BASE64_STANDARD.encode(ca),
        "tls.crt": BASE64_STANDARD.encode(made),
        "tls.key": BASE64_STANDARD.encode(key.serialize_pem()),
    });
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "namespace": namespace, "name": text(spec, "/secretName")? },
        "type": "kubernetes.io/tls",
        "data": data,
    });
    apply(&site.client, &secret).await?;
    let now = Clock::system()
        .now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let ready = json!([{
        "type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": now,
    }]);
    let mut status = certificate.clone();
    status["status"] = json!({ "conditions": ready });
    set_status(&site.client, &status).await
}

/// The CA's certificate and key; none for what signs itself.
async fn signer(
    site: &Site,
    namespace: &str,
    spec: &Value,
) -> anyhow::Result<Option<(String, String)>> {
    anyhow::ensure!(text(spec, "/issuerRef/kind")? == "Issuer", "{spec}");
    let name = text(spec, "/issuerRef/name")?;
    let get = [
        "get",
        "issuers.cert-manager.io",
        name,
        "-n",
        namespace,
        "-o",
        "json",
    ];
    let issuer: Value = serde_json::from_str(&site.kubectl.ok(&get).await?)?;
    if issuer["spec"] == json!({ "selfSigned": {} }) {
        return Ok(None);
    }
    let secret = text(&issuer, "/spec/ca/secretName")?;
    let stored = async |key: &str| -> anyhow::Result<String> {
        let path = format!("jsonpath={{.data.{}}}", key.replace('.', "\\."));
        let get = ["get", "secret", secret, "-n", namespace, "-o", &path];
        let text = BASE64_STANDARD.decode(site.kubectl.ok(&get).await?)?;
        Ok(String::from_utf8(text)?)
    };
    Ok(Some((stored("tls.crt").await?, stored("tls.key").await?)))
}

fn params(spec: &Value) -> anyhow::Result<CertificateParams> {
    let words = |field: &str| -> Vec<String> {
        let words = spec[field].as_array().into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut params = CertificateParams::new(words("dnsNames"))?;
    params
        .distinguished_name
        .push(DnType::CommonName, text(spec, "/commonName")?);
    if spec["isCA"] == true {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }
    for usage in words("usages") {
        anyhow::ensure!(usage == "server auth", "{usage} is not played");
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    let hours = match spec["duration"].as_str() {
        None => DEFAULT_HOURS,
        // As the API writes it.
        Some(text) => text.split('h').next().context("hours")?.parse()?,
    };
    let now = Duration::from_millis(Clock::system().now_millis().try_into()?);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now;
    params.not_after = epoch + now + Duration::from_hours(hours);
    Ok(params)
}

/// Gives each APIService the CA of the Certificate that its annotation names, and says how many.
pub(crate) async fn inject(site: &Site) -> anyhow::Result<usize> {
    let mut injected = 0;
    for service in all(site, "apiservices").await? {
        let from = service.pointer("/metadata/annotations/cert-manager.io~1inject-ca-from");
        let Some(from) = from.and_then(Value::as_str) else {
            continue;
        };
        let (namespace, name) = from.split_once('/').context("NAMESPACE/NAME")?;
        let wanted = "jsonpath={.spec.secretName}";
        let get = [
            "get",
            "certificates.cert-manager.io",
            name,
            "-n",
            namespace,
            "-o",
            wanted,
        ];
        let secret = site.kubectl.ok(&get).await?;
        let wanted = "jsonpath={.data.ca\\.crt}";
        let get = ["get", "secret", &secret, "-n", namespace, "-o", wanted];
        let ca = site.kubectl.ok(&get).await?;
        let patch = json!({ "spec": { "caBundle": ca } }).to_string();
        let name = text(&service, "/metadata/name")?;
        let patch = ["patch", "apiservice", name, "--type=merge", "-p", &patch];
        site.kubectl.ok(&patch).await?;
        injected += 1;
    }
    Ok(injected)
}
