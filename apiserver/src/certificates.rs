//! Serving certificates without an issuer: all frontends of a Service share one certificate in a
//! Secret, renew it, and write its CA where clients read it
//! (docs/decisions/0030-certificates-that-run-themselves.md).
//!
//! [`rules`] decides the next step and calls no API. [`bundle`] reads and writes the Secret. [`publication`] writes the
//! CA to where clients read it. [`keeper`] reads, decides, writes, and serves the certificate. [`readiness`] is the check
//! for readiness.

mod api;
mod bundle;
mod keeper;
mod metrics;
mod pem;
mod publication;
mod readiness;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    keeper::Keeper, metrics::Metrics, readiness::CertificateReadiness, settings::Settings,
};
