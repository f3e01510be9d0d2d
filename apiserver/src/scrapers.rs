//! What a frontend knows of scrapers, and what it wants of them.
//!
//! Both are written by the bus and by the API, and neither knows the other.

pub mod demand;
pub mod node_roles;
