//! Answers in Kubernetes protobuf (docs/parity.md#encodings).

use std::marker::PhantomData;

use tributary_model::Timestamp;

use super::super::objects::{Object, moment};
use crate::k8s::{
    accept::Form,
    protobuf::{self, Envelope, long_message, message, text},
    resource::{Resource, Version},
};

/// Writes one answer as the message inside the envelope.
#[derive(Debug)]
pub(crate) struct ProtobufWriter<T> {
    version: Version,
    resource: &'static Resource,
    form: Form,
    /// The time of the request, encoded.
    created: Vec<u8>,
    /// The token that continues the list.
    token: String,
    /// Whether the metadata of the list was written.
    begun: bool,
    /// Whether the answer is a single object.
    single: bool,
    objects: PhantomData<fn(&T)>,
}

impl<T: Object> ProtobufWriter<T> {
    /// A writer for the answer to a request at the time `now`.
    pub(crate) fn new(
        version: Version,
        resource: &'static Resource,
        form: Form,
        now: Timestamp,
    ) -> Self {
        let mut created = Vec::with_capacity(16);
        message(&mut created, 8, |out| moment(out, now));
        Self {
            version,
            resource,
            form,
            created,
            token: String::new(),
            begun: false,
            single: false,
            objects: PhantomData,
        }
    }

    /// See [`super::Writer::set_token`].
    pub(crate) fn set_token(&mut self, token: String) {
        self.token = token;
    }

    /// See [`super::Writer::items`].
    pub(crate) fn items(&mut self, out: &mut Vec<u8>, items: &[T]) {
        self.begin(out);
        for item in items {
            long_message(out, 2, |out| self.object(out, item));
        }
    }

    /// See [`super::Writer::finish`].
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
    }

    /// See [`super::Writer::one`].
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &T) {
        self.single = true;
        self.object(out, item);
    }

    /// See [`super::Writer::envelope`].
    pub(crate) fn envelope(&self, length: usize) -> Envelope {
        // Tables have no protobuf encoding.
        let (version, kind) = match self.form {
            Form::Plain | Form::Table(_) => (self.version.api_version, self.resource.kind),
            Form::Partial(meta) => (meta.api_version(), "PartialObjectMetadata"),
        };
        let list = if self.single { "" } else { "List" };
        protobuf::envelope(version, &format!("{kind}{list}"), length)
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            protobuf::list_meta(out, &self.token);
        }
    }

    fn object(&self, out: &mut Vec<u8>, item: &T) {
        message(out, 1, |out| self.metadata(out, item));
        if !matches!(self.form, Form::Partial(_)) {
            item.protobuf(out);
        }
    }

    /// Appends an `ObjectMeta`. It has required fields that metrics never set.
    fn metadata(&self, out: &mut Vec<u8>, item: &T) {
        text(out, 1, item.name());
        // generateName
        out.extend_from_slice(&[0x12, 0]);
        text(out, 3, item.namespace());
        // selfLink, uid, resourceVersion, generation
        out.extend_from_slice(&[0x22, 0, 0x2a, 0, 0x32, 0, 0x38, 0]);
        out.extend_from_slice(&self.created);
        for (key, value) in item.labels().iter() {
            message(out, 11, |out| {
                text(out, 1, key);
                text(out, 2, value);
            });
        }
    }
}
