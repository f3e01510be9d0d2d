//! What a frontend knows about scrapers, and what it wants from them.
//!
//! The bus and the API use both. Neither of them uses the other.

pub mod demand;
pub mod node_roles;
