//! What holds for every request, whatever it asks for: limits, counters, and the end of the
//! process.

pub(crate) mod limits;
pub(crate) mod metrics;
pub(crate) mod shutdown;
