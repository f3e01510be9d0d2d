//! Who may publish and how much, with real publishers over real sockets.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

#[path = "bus/admission.rs"]
mod admission;
#[path = "auth/caller.rs"]
#[expect(dead_code, reason = "the tests of the API need more of it")]
mod caller;
#[path = "bus/containment.rs"]
mod containment;
#[path = "bus/hostile.rs"]
mod hostile;
#[path = "bus/publisher.rs"]
mod publisher;
#[path = "bus/stage.rs"]
mod stage;
