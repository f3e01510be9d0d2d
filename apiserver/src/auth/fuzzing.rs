//! The functions that read the identity of a caller, public for the fuzz targets in `tests/fuzz`.
//!
//! They are compiled with the feature `fuzzing` only, and are not a part of the product.

use std::time::Duration;

use http::HeaderMap;
use rustls_pki_types::{CertificateDer, UnixTime};
use tributary_runtime::tls;

use super::{
    front_proxy::Headers,
    impersonate,
    user::User,
    x509::{Pool, Subject},
};

/// The user that headers name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name of the user.
    pub name: String,
    /// The groups of the user.
    pub groups: Vec<String>,
    /// The number of values of the extra fields.
    pub extras: usize,
}

/// The user that a caller wants to impersonate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonated {
    /// The user.
    pub user: Named,
    /// The number of reviews that this takes.
    pub questions: usize,
}

impl From<User> for Named {
    fn from(user: User) -> Self {
        Self {
            extras: user.extra.values().map(Vec::len).sum(),
            name: user.name,
            groups: user.groups,
        }
    }
}

/// The user that the headers of a front proxy name.
pub fn front_proxied(headers: &HeaderMap) -> Option<Named> {
    usual()?.user(headers).map(Named::from)
}

/// The user that a direct caller wants to impersonate. `None` without such headers.
pub fn impersonated(headers: &HeaderMap) -> Option<Result<Impersonated, &'static str>> {
    let requested = impersonate::requested(headers).transpose()?;
    Some(requested.map(|requested| Impersonated {
        user: requested.user.into(),
        questions: requested.questions.len(),
    }))
}

/// The headers without those that name a user.
pub fn without_identity(mut headers: HeaderMap) -> HeaderMap {
    if let Some(names) = usual() {
        names.strip(&mut headers);
    }
    impersonate::strip(&mut headers);
    headers
}

/// Whether the CAs in `ca` verify a chain, `at` seconds after the Unix epoch. Also reads the subject of the chain.
pub fn is_trusted(ca: &[u8], chain: &[Vec<u8>], at: u64) -> bool {
    let chain: Vec<CertificateDer<'_>> = chain
        .iter()
        .map(|it| CertificateDer::from(it.as_slice()))
        .collect();
    if let Some(own) = chain.first() {
        // Only the end of the read matters, not the name.
        drop(Subject::of(own));
        drop(tls::subject(own));
    }
    let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
    Pool::from_pem(ca).is_ok_and(|pool| pool.verify(&chain, now).is_ok())
}

fn usual() -> Option<Headers> {
    let one = |name: &str| [name.to_owned()];
    Headers::new(
        &one("X-Remote-User"),
        &one("X-Remote-Uid"),
        &one("X-Remote-Group"),
        &one("X-Remote-Extra-"),
    )
    .ok()
}
