//! Who is admitted, and how they are served, over real TLS, against a simulated
//! cluster.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

#[path = "auth/answers.rs"]
mod answers;
#[path = "auth/caller.rs"]
mod caller;
#[path = "auth/changes.rs"]
mod changes;
#[path = "auth/forms.rs"]
mod forms;
#[path = "auth/paths.rs"]
mod paths;
#[path = "auth/probes.rs"]
mod probes;
#[path = "auth/recorded.rs"]
mod recorded;
#[path = "auth/serving.rs"]
mod serving;
#[path = "auth/stage.rs"]
mod stage;
