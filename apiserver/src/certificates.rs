//! Serving certificates without an issuer: all frontends of a Service share one certificate in a
//! Secret, renew it, and write its CA where clients read it
//! (docs/decisions/0030-certificates-that-run-themselves.md).
//!
//! [`rules`] decides and knows no API; [`bundle`] is what the Secret says; [`publication`]
//! are those where the CA is told; [`keeper`] reads, decides, writes and shows; and
//! [`shown`] is what readiness asks.

mod api;
mod bundle;
mod keeper;
mod metrics;
mod pem;
mod publication;
mod rules;
mod settings;
mod shown;
#[cfg(test)]
mod tests;

pub(crate) use self::{keeper::Keeper, metrics::Metrics, settings::Settings, shown::Shown};
