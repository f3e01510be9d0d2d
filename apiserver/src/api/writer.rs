//! One answer, written piece by piece: plain, as a table, or metadata alone, in
//! the encoding that the client wants.

mod json;
mod protobuf;
mod yaml;

use tributary_model::Timestamp;

pub(crate) use self::json::JsonWriter;
use self::{protobuf::ProtobufWriter, yaml::YamlWriter};
use super::{objects::Object, params::Include};
use crate::k8s::{
    accept::{Encoding, Wanted},
    protobuf::Envelope,
    resource::{Resource, Version},
};

/// Writes one answer in the form that was asked for.
///
/// # Invariants
///
/// [`Writer::items`] any number of times and then [`Writer::finish`] once make a
/// whole list, whatever the pieces; or [`Writer::one`] once, an object.
#[derive(Debug)]
pub(crate) enum Writer<T: Object> {
    /// In JSON.
    Json(JsonWriter<T>),
    /// In YAML.
    Yaml(YamlWriter<T>),
    /// In Kubernetes protobuf, the [`Writer::envelope`] apart.
    Protobuf(ProtobufWriter<T>),
}

impl<T: Object> Writer<T> {
    /// A writer of the answer to a request of `now`.
    pub(crate) fn new(
        version: Version,
        resource: &'static Resource,
        wanted: Wanted,
        include: Include,
        now: Timestamp,
    ) -> Self {
        let Wanted { encoding, form, .. } = wanted;
        let json = || JsonWriter::new(version, resource, form, include, now);
        match encoding {
            Encoding::Json => Self::Json(json()),
            Encoding::Yaml => Self::Yaml(YamlWriter::new(json())),
            Encoding::Protobuf => Self::Protobuf(ProtobufWriter::new(version, resource, form, now)),
        }
    }

    /// Says that the list goes on after this part of it, before anything is
    /// written.
    pub(crate) fn set_token(&mut self, token: String) {
        match self {
            Self::Json(writer) => writer.set_token(token),
            Self::Yaml(writer) => writer.set_token(token),
            Self::Protobuf(writer) => writer.set_token(token),
        }
    }

    /// Says the version of the list, before anything is written.
    pub(crate) fn set_version(&mut self, version: String) {
        match self {
            Self::Json(writer) => writer.set_version(version),
            Self::Yaml(writer) => writer.set_version(version),
            // Of no kind that has versions.
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

    /// Appends a single object; a table of one row if a table was asked for.
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &T) {
        match self {
            Self::Json(writer) => writer.one(out, item),
            Self::Yaml(writer) => writer.one(out, item),
            Self::Protobuf(writer) => writer.one(out, item),
        }
    }

    /// What stands around the `length` bytes that were written, if it depends on their number.
    pub(crate) fn envelope(&self, length: usize) -> Option<Envelope> {
        match self {
            Self::Json(_) | Self::Yaml(_) => None,
            Self::Protobuf(writer) => Some(writer.envelope(length)),
        }
    }

    /// In which encoding it writes.
    pub(crate) fn encoding(&self) -> Encoding {
        match self {
            Self::Json(_) => Encoding::Json,
            Self::Yaml(_) => Encoding::Yaml,
            Self::Protobuf(_) => Encoding::Protobuf,
        }
    }
}
