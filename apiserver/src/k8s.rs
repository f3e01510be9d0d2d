//! Formats of Kubernetes that any API server needs: statuses, content negotiation, field selectors, quantities, and the
//! three encodings.
//!
//! This module knows neither metrics nor requests in flight, and uses no other room of this crate.

pub(crate) mod accept;
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod openapi;
pub(crate) mod path;
pub(crate) mod protobuf;
pub(crate) mod quantity;
pub(crate) mod resource;
pub(crate) mod status;
pub(crate) mod time;
pub(crate) mod yaml;
