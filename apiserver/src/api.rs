//! The metrics API.
