//! Holds the newest samples of every node and serves `metrics.k8s.io`.

pub mod api;
pub mod catalog;
pub mod store;
