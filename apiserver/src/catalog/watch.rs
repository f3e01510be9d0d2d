//! Placeholder.
pub(crate) fn watch_nodes() {}
pub(crate) fn watch_pods() {}
