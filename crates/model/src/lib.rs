//! What is measured: units, names, rosters, readings, and the arithmetic that
//! turns two points into a usage.
//!
//! This crate does no I/O, reads no clock and holds no lock, and it has no
//! dependency that could. Both components and the wire schema speak its types, so a
//! rule that must hold everywhere (a total is not a rate, missing is not zero,
//! a roster has no duplicate) is written once, here.
//!
//! The shape follows from one observation: what a kubelet reports changes
//! slowly (which containers exist) and quickly (their numbers). A [`Roster`]
//! lists the pods and containers of a node once; a [`Reading`] is columns of
//! numbers in roster order. Taking in a reading is then a copy of arrays.

mod endpoint;
mod freshness;
mod names;
mod reading;
mod resolution;
mod roster;
mod series;
mod units;
mod usage;

pub use self::{
    endpoint::Endpoint,
    freshness::{Freshness, Look, is_first_sample},
    names::{ContainerName, MAX_LABEL, NodeName, PodKey, is_dns_label, is_dns_subdomain},
    reading::{Columns, ContainerPoint, CpuPoint, MemoryPoint, NodePoint, Reading, Remarks},
    resolution::{SHORTEST_RESOLUTION, first_rescue, overdue_after, overlap, served_for},
    roster::{InvalidRoster, MAX_NAME, Roster, RosterBuilder, RosterPod},
    series::{Asked, Between, MIN_WINDOW, SLACK, Series, Sight},
    units::{Bytes, CoreNanos, NanoCores, Timestamp},
    usage::{FRESH_MIN, MOST_CORES, NoUsage, Rules, Usage, most_of},
};
