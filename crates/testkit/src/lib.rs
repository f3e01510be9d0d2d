//! What the tests and tools of this workspace share: programs that run, an HTTPS client, trust in any server, collected
//! log lines, and waiting.
//!
//! This crate knows nothing about Kubernetes or Tributary. The simulated cluster is `tributary-sim`.

pub mod https;
pub mod logs;
pub mod patience;
pub mod program;
pub mod trust;
