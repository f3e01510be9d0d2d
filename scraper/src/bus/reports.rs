//! What frontends say about nodes.

use std::time::Duration;

/// What a frontend says about nodes.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// It lacks samples of these.
    Overdue(Vec<String>),
    /// It wants these fresh.
    Wanted(Wanted),
}

/// Nodes that a frontend wants fresh.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) nodes: Vec<String>,
    /// For how long from now on.
    pub(crate) lasts: Duration,
}
