//! What any of our daemons needs, whatever it measures.
//!
//! - [`args`]: flag groups of both binaries
//! - [`backoff`]: exponential delays with jitter
//! - [`clock`]: the date, as a value
//! - [`duration`]: durations in the format of Go's flags
//! - [`exit`]: the only mapping of errors to exit codes
//! - [`health`]: named checks behind `/livez`, `/readyz`, `/healthz`
//! - [`kube`]: clients of the Kubernetes API, and watches that keep a set
//! - [`kube_credentials`]: whether the Kubernetes API accepts our credentials
//! - [`log`]: the tracing subscriber
//! - [`metrics`]: the registry, build and process metrics
//! - [`reload`]: files that change while a process runs
//! - [`selector`]: label selectors, as in `kubectl -l`
//! - [`serve`]: a server on TCP or a Unix socket: TLS, HTTP, limits, draining
//! - [`signal`]: SIGTERM and SIGINT
//! - [`log_limiter`]: a limit on how often a line is logged
//! - [`tasks`]: the owner of every task
//! - [`tls`]: certificates and CAs from files

pub mod args;
pub mod backoff;
pub mod clock;
pub mod duration;
pub mod exit;
pub mod health;
pub mod kube;
pub mod kube_credentials;
pub mod log;
pub mod log_limiter;
pub mod metrics;
pub mod reload;
pub mod selector;
pub mod serve;
pub mod signal;
pub mod tasks;
pub mod tls;
