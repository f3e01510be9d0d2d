//! The contract between the halves: bus v1.
//!
//! - [`v1`]: the messages and the service, generated from `bus/v1/bus.proto`
//! - [`convert`]: the model's types to messages and back, side by side so that
//!   they cannot drift
//! - [`limits`]: the bounds of a stream, and the protocol version

pub mod convert;
pub mod limits;

/// Generated from `bus/v1/bus.proto`, where every field is described.
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::clone_on_ref_ptr,
    clippy::pedantic,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("tributary.bus.v1");
}
