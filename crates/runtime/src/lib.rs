//! What any daemon of ours needs, whatever it measures.
//!
//! - [`args`]: flag groups that both binaries flatten
//! - [`backoff`]: jittered exponential delays
//! - [`clock`]: the date, as a value
//! - [`duration`]: durations as Go's flags have them
//! - [`exit`]: error to exit code, the only place
//! - [`health`]: named checks behind `/livez`, `/readyz`, `/healthz`
//! - [`kube`]: a client from flags, and a watch that keeps a set
//! - [`kube_credentials`]: whether the Kubernetes API takes our credentials
//! - [`log`]: the tracing subscriber
//! - [`metrics`]: the registry, build and process metrics
//! - [`reload`]: files that change while a process runs
//! - [`selector`]: label selectors, as `kubectl -l` takes them
//! - [`serve`]: the accept loop: TCP or Unix socket, TLS, HTTP, a cap, a drain
//! - [`signal`]: SIGTERM and SIGINT
//! - [`log_limiter`]: log lines at most so often
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
