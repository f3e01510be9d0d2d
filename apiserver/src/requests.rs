//! What every request needs, whatever its path: limits, counters, and the end of the process.

pub(crate) mod limits;
pub(crate) mod metrics;
pub(crate) mod shutdown;
