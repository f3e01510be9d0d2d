//! Tokens of service accounts as kube-apiserver signs them, for times at which it would not.

use anyhow::Context as _;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::plane::ISSUER;

/// Signs a token of the service account (namespace, name, uid), good from one time to another.
///
/// # Errors
///
/// The key is none for P-256.
pub fn sign(
    key: &rcgen::KeyPair,
    (namespace, name, uid): (&str, &str, &str),
    from: Timestamp,
    until: Timestamp,
) -> anyhow::Result<String> {
    let claims = json!({
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "iat": from.as_second(),
        "nbf": from.as_second(),
        "exp": until.as_second(),
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": { "name": name, "uid": uid },
        },
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "ES256" })), part(&claims));
    let der = key.serialize_der();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
        .ok()
        .context("a key for P-256")?;
    let signature = key
        .sign(&SystemRandom::new(), signed.as_bytes())
        .ok()
        .context("sign a token")?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
