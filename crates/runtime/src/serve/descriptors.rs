//! File descriptors: each connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// Raises the limit of open files to the hard limit. Container runtimes leave the soft limit at
/// 1,024 for programs that use `select`, which is less than the connections of a server. Go
/// programs raise it at their start.
pub(super) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        debug!(%error, "unable to raise the limit of open files");
    }
}
