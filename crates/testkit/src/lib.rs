//! What the tests and tools of this workspace share: programs that run, an HTTPS client, trust in any server, collected
//! log lines, and waiting.
//!
//! This crate knows nothing about Kubernetes or Tributary, except what the tests of several crates expect ([`checks`]). The
//! simulated cluster is `tributary-sim`.

pub mod checks;
pub mod https;
pub mod logs;
pub mod patience;
pub mod program;
pub mod trust;
