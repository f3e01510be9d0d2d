//! File descriptors: each connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// Raises the limit of open files to what this process may have. Container
/// runtimes leave it at 1,024 for programs that use `select`, fewer than the
/// connections that a server takes; Go programs raise it as they start.
pub(super) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        debug!(%error, "unable to raise the limit of open files");
    }
}
