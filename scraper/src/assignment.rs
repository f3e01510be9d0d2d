//! Which scraper scrapes which node, and when.
//!
//! - [`leases`]: the members of a group, from Leases; the only part that does I/O
//! - [`membership`]: which members live, from the renewals that were seen
//! - [`ownership`]: the nodes of this scraper, and its role for each
//! - [`shard`]: the hash by which members rank for a node, and fixed shards
//! - [`schedule`]: when each node is due
//! - [`monotonic`]: the time by which all of them count

mod bad_lease;
pub(crate) mod leases;
pub(crate) mod membership;
pub(crate) mod metrics;
pub(crate) mod monotonic;
pub(crate) mod ownership;
pub(crate) mod schedule;
pub mod shard;
#[cfg(test)]
mod simulation;
