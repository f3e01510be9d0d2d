//! Answers in Kubernetes protobuf (docs/parity.md#encodings).

use tributary_model::Timestamp;

use super::super::{
    accept::Form,
    kinds::{Resource, Version},
    objects::{Amounts, Item},
    protobuf::{self, Envelope, long_message, message, number, text},
    quantity,
};

/// Writes one answer as the message that goes into the envelope.
#[derive(Debug)]
pub(crate) struct ProtobufWriter {
    version: Version,
    resource: Resource,
    form: Form,
    /// The time of the request, as it is written.
    created: Vec<u8>,
    /// Continues the list.
    token: String,
    /// The metadata of the list is written.
    begun: bool,
    /// What is written is one object.
    single: bool,
}

impl ProtobufWriter {
    /// A writer of the answer to a request of `now`.
    pub(crate) fn new(
        (version, resource): (Version, Resource),
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
        }
    }

    /// See [`super::Writer::set_token`].
    pub(crate) fn set_token(&mut self, token: String) {
        self.token = token;
    }

    /// See [`super::Writer::items`].
    pub(crate) fn items(&mut self, out: &mut Vec<u8>, items: &[Item]) {
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
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &Item) {
        self.single = true;
        self.object(out, item);
    }

    /// See [`super::Writer::envelope`].
    pub(crate) fn envelope(&self, length: usize) -> Envelope {
        // There are no tables in protobuf.
        let (version, kind) = match self.form {
            Form::Plain | Form::Table(_) => (self.version.api_version(), self.resource.kind()),
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

    fn object(&self, out: &mut Vec<u8>, item: &Item) {
        message(out, 1, |out| self.metadata(out, item));
        if matches!(self.form, Form::Partial(_)) {
            return;
        }
        message(out, 2, |out| moment(out, item.at()));
        let window = i64::try_from(item.window().as_nanos()).unwrap_or(i64::MAX);
        message(out, 3, |out| number(out, 1, window));
        match item {
            Item::Node(_, node) => usage(out, 4, node.into()),
            Item::Pod(_, pod) => {
                for (name, container) in pod.containers() {
                    message(out, 4, |out| {
                        text(out, 1, name.as_str());
                        usage(out, 2, container.into());
                    });
                }
            }
        }
    }

    /// An `ObjectMeta`. The fields that metrics never have are required.
    fn metadata(&self, out: &mut Vec<u8>, item: &Item) {
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

/// A `Time`: whole seconds, as in JSON.
fn moment(out: &mut Vec<u8>, at: Timestamp) {
    number(out, 1, at.as_seconds());
    number(out, 2, 0);
}

/// A map of quantities, by name.
fn usage(out: &mut Vec<u8>, field: u8, usage: Amounts) {
    amount(out, field, "cpu", |out| quantity::cpu(out, usage.cpu));
    let memory = |out: &mut Vec<u8>| quantity::bytes(out, usage.memory);
    amount(out, field, "memory", memory);
    if let Some(swap) = usage.swap {
        amount(out, field, "swap", |out| quantity::bytes(out, swap));
    }
}

/// An entry of that map: a name, and a message of one text, which is the quantity.
fn amount(out: &mut Vec<u8>, field: u8, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |out| {
        text(out, 1, name);
        message(out, 2, |out| message(out, 1, write));
    });
}
