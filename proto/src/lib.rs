//! The contract between the components: bus v1.
//!
//! - [`v1`]: the messages and the service, generated from `bus/v1/bus.proto`
//! - [`convert`]: the model's types to messages and back, side by side so that
//!   they cannot drift
//! - [`limits`]: the limits of a stream, and the protocol version
//! - [`measure`]: how long a message is, before it is sent

pub mod convert;
pub mod limits;
pub mod measure;

/// Generated from `bus/v1/bus.proto`, where every field is described.
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::clone_on_ref_ptr,
    clippy::large_enum_variant,
    clippy::pedantic,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("tributary.bus.v1");
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::v1::{PublishRequest, Released, publish_request::Message};

    #[test]
    fn fields_and_messages_of_later_versions_are_skipped() {
        // Field 1000 with a text, which nothing here has.
        let later = [&[0xc2, 0x3e, 2][..], b"hi"].concat();
        let released = Released {
            node: "n1".to_owned(),
        };
        let inner = [released.encode_to_vec(), later.clone()].concat();
        let tag = [0x2a, u8::try_from(inner.len()).unwrap()];
        let outer = [&tag[..], &inner, &later].concat();
        let decoded = PublishRequest::decode(&*outer).unwrap();
        assert_eq!(decoded.message, Some(Message::Released(released)));
        let decoded = PublishRequest::decode(&*later).unwrap();
        assert_eq!(decoded.message, None);
    }
}
