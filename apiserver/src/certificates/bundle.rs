//! Reads and writes the Secret.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use tributary_runtime::tls::{BadPair, Issued, in_pem, pair};

use super::pem;

/// The most CAs in the Secret: a renewal needs three, and damage can add others.
pub(super) const MOST_CAS: usize = 8;

/// The time since which all clients trust the CA of the next pair.
const NEXT_TRUSTED_SINCE: &str = "tributary.dev/next-trusted-since";
/// The time since which the pair is served.
const SERVING_SINCE: &str = "tributary.dev/serving-since";
/// An operator sets this to renew the certificate now.
pub(super) const RENEW: &str = "tributary.dev/renew";

/// A certificate and its key.
#[derive(Clone)]
pub(super) struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
    pub(super) certified: Arc<CertifiedKey>,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key must not be in a log.
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        (&self.certificate, &self.key) == (&other.certificate, &other.key)
    }
}

impl Pair {
    fn read(certificate: &[u8], key: &[u8]) -> Result<Self, BadPair> {
        Ok(Self {
            certified: pair(certificate, key)?,
            certificate: certificate.to_vec(),
            key: key.to_vec(),
        })
    }

    /// A pair that was just issued.
    ///
    /// # Errors
    ///
    /// It cannot be used.
    pub(super) fn of(issued: &Issued) -> Result<Self, BadPair> {
        Self::read(issued.certificate.as_bytes(), issued.key.as_bytes())
    }

    /// The certificate, with its chain.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }
}

/// The certificates of all frontends.
///
/// # Invariants
///
/// `cas` has each once ([`capped`]), and [`MOST_CAS`] at most.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bundle {
    /// The pair that every frontend serves.
    pub(super) serving: Pair,
    /// The pair that they will serve next.
    pub(super) next: Option<Pair>,
    /// The CAs that clients should trust.
    pub(super) cas: Vec<CertificateDer<'static>>,
    /// The time since which all clients trust the CA of `next`.
    pub(super) next_trusted_since: Option<Timestamp>,
    /// The time since which `serving` is served.
    pub(super) serving_since: Option<Timestamp>,
    /// An operator wants a renewal now.
    pub(super) renew: bool,
}

/// What was found in the Secret.
#[derive(Debug)]
pub(super) enum Found {
    /// There is none, or it is still as the chart renders it.
    Nothing,
    /// It has no usable certificate. The CAs are those that can still be read.
    Damaged(BadPair, Vec<CertificateDer<'static>>),
    Good(Bundle),
}

impl Bundle {
    /// Reads the Secret.
    pub(super) fn read(secret: Option<&Secret>) -> Found {
        let none = BTreeMap::new();
        let data = secret.and_then(|secret| secret.data.as_ref());
        let bytes = |key: &str| data.and_then(|data| Some(&*data.get(key)?.0));
        let cas = capped(in_pem(bytes("ca.crt").unwrap_or_default()));
        let (certificate, key) = (bytes("tls.crt"), bytes("tls.key"));
        if certificate.is_none() && key.is_none() && cas.is_empty() {
            return Found::Nothing;
        }
        let pair = Pair::read(certificate.unwrap_or_default(), key.unwrap_or_default());
        let serving = match pair {
            Ok(serving) => serving,
            Err(error) => return Found::Damaged(error, cas),
        };
        let next = bytes("next.crt").zip(bytes("next.key"));
        let annotations = secret.and_then(|secret| secret.metadata.annotations.as_ref());
        let annotations = annotations.unwrap_or(&none);
        let time = |key: &str| annotations.get(key)?.parse().ok();
        Found::Good(Self {
            serving,
            // A damaged next pair is issued again.
            next: next.and_then(|(certificate, key)| Pair::read(certificate, key).ok()),
            cas,
            next_trusted_since: time(NEXT_TRUSTED_SINCE),
            serving_since: time(SERVING_SINCE),
            renew: annotations.contains_key(RENEW),
        })
    }

    /// The Secret for this bundle, as `(annotations, data)` of a merge patch. Null removes a key.
    pub(super) fn written(&self) -> (Value, Value) {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let annotations = json!({
            NEXT_TRUSTED_SINCE: time(self.next_trusted_since),
            SERVING_SINCE: time(self.serving_since),
            RENEW: self.renew.then_some("now"),
        });
        let next = self.next.as_ref();
        let data = json!({
            "ca.crt": BASE64_STANDARD.encode(pem::text(&self.cas)),
            "tls.crt": BASE64_STANDARD.encode(&self.serving.certificate),
            "tls.key": BASE64_STANDARD.encode(&self.serving.key),
            "next.crt": next.map(|next| BASE64_STANDARD.encode(&next.certificate)),
            "next.key": next.map(|next| BASE64_STANDARD.encode(&next.key)),
        });
        (annotations, data)
    }
}

/// Each certificate once, in their order.
pub(super) fn distinct(cas: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    up_to(usize::MAX, cas)
}

/// The same, [`MOST_CAS`] at most. Only for the CAs in the Secret: lists that others write are not
/// cut.
pub(super) fn capped(cas: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    up_to(MOST_CAS, cas)
}

fn up_to(most: usize, cas: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    let mut kept: Vec<CertificateDer<'static>> = Vec::new();
    for ca in cas {
        if kept.len() < most && !kept.contains(&ca) {
            kept.push(ca);
        }
    }
    kept
}
