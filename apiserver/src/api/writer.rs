//! Writes an answer in pieces: whole objects, a table, or metadata only, in the negotiated encoding.

mod json;
mod protobuf;
mod yaml;

use tributary_model::Timestamp;

pub(crate) use self::json::JsonWriter;
use self::{protobuf::ProtobufWriter, yaml::YamlWriter};
use super::{objects::Object, params::Include};
use crate::k8s::{
    accept::{Encoding, Negotiated},
    protobuf::Envelope,
    resource::{Resource, Version},
};

/// Writes one answer in the negotiated form.
///
/// # Invariants
///
/// A list is any number of calls of [`Writer::items`] and then one of [`Writer::finish`]. A single object is one call of
/// [`Writer::one`].
#[derive(Debug)]
pub(crate) enum Writer<T: Object> {
    /// JSON.
    Json(JsonWriter<T>),
    /// YAML.
    Yaml(YamlWriter<T>),
    /// Kubernetes protobuf, without the [`Writer::envelope`].
    Protobuf(ProtobufWriter<T>),
}

impl<T: Object> Writer<T> {
    /// A writer for the answer to a request at the time `now`.
    pub(crate) fn new(
        version: Version,
        resource: &'static Resource,
        negotiated: Negotiated,
        include: Include,
        now: Timestamp,
    ) -> Self {
        let Negotiated { encoding, form, .. } = negotiated;
        let json = || JsonWriter::new(version, resource, form, include, now);
        match encoding {
            Encoding::Json => Self::Json(json()),
            Encoding::Yaml => Self::Yaml(YamlWriter::new(json())),
            Encoding::Protobuf => Self::Protobuf(ProtobufWriter::new(version, resource, form, now)),
        }
    }

    /// Sets the token that continues the list. It must be called before anything is written.
    pub(crate) fn set_token(&mut self, token: String) {
        match self {
            Self::Json(writer) => writer.set_token(token),
            Self::Yaml(writer) => writer.set_token(token),
            Self::Protobuf(writer) => writer.set_token(token),
        }
    }

    /// Sets the version of the list. It must be called before anything is written.
    pub(crate) fn set_version(&mut self, version: String) {
        match self {
            Self::Json(writer) => writer.set_version(version),
            Self::Yaml(writer) => writer.set_version(version),
            // No kind with versions is served in protobuf.
            Self::Protobuf(_) => {}
        }
    }

    /// Appends the next items of a list.
    pub(crate) fn items(&mut self, out: &mut Vec<u8>, items: &[T]) {
        match self {
            Self::Json(writer) => writer.items(out, items),
            Self::Yaml(writer) => writer.items(out, items),
            Self::Protobuf(writer) => writer.items(out, items),
        }
    }

    /// Appends the end of a list, and its beginning if it has no items.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Json(writer) => writer.finish(out),
            Self::Yaml(writer) => writer.finish(out),
            Self::Protobuf(writer) => writer.finish(out),
        }
    }

    /// Appends a single object. A table has one row.
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &T) {
        match self {
            Self::Json(writer) => writer.one(out, item),
            Self::Yaml(writer) => writer.one(out, item),
            Self::Protobuf(writer) => writer.one(out, item),
        }
    }

    /// The envelope around the `length` bytes that were written, in an encoding that has one.
    pub(crate) fn envelope(&self, length: usize) -> Option<Envelope> {
        match self {
            Self::Json(_) | Self::Yaml(_) => None,
            Self::Protobuf(writer) => Some(writer.envelope(length)),
        }
    }

    /// The encoding of the answer.
    pub(crate) fn encoding(&self) -> Encoding {
        match self {
            Self::Json(_) => Encoding::Json,
            Self::Yaml(_) => Encoding::Yaml,
            Self::Protobuf(_) => Encoding::Protobuf,
        }
    }
}
