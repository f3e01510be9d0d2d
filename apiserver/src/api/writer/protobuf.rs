//! Answers in Kubernetes protobuf (PARITY 5.6).

use tributary_model::Timestamp;

use super::super::{
    accept::Form,
    kinds::{Resource, Version},
    objects::{Amounts, Item},
    protobuf::{self, Envelope, begin, bytes, field_length, long_message, message, number, text},
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
        let mut quantity = Vec::new();
        for item in items {
            long_message(out, 2, |out| self.object(out, item, &mut quantity));
        }
    }

    /// See [`super::Writer::finish`].
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
    }

    /// See [`super::Writer::one`].
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &Item) {
        self.single = true;
        self.object(out, item, &mut Vec::new());
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

    /// `quantity` is room for the text of one.
    fn object(&self, out: &mut Vec<u8>, item: &Item, quantity: &mut Vec<u8>) {
        message(out, 1, |out| self.metadata(out, item));
        if matches!(self.form, Form::Partial(_)) {
            return;
        }
        message(out, 2, |out| moment(out, item.at()));
        let window = i64::try_from(item.window().as_nanos()).unwrap_or(i64::MAX);
        message(out, 3, |out| number(out, 1, window));
        match item {
            Item::Node(_, node) => usage(out, 4, node.into(), quantity),
            Item::Pod(_, pod) => {
                for (name, container) in pod.containers() {
                    message(out, 4, |out| {
                        text(out, 1, name.as_str());
                        usage(out, 2, container.into(), quantity);
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
            begin(out, 11, field_length(key.len()) + field_length(value.len()));
            text(out, 1, key);
            text(out, 2, value);
        }
    }
}

/// A `Time`: whole seconds, as in JSON.
fn moment(out: &mut Vec<u8>, at: Timestamp) {
    number(out, 1, at.as_seconds());
    number(out, 2, 0);
}

/// A map of quantities, by name. `quantity` is room for the text of one.
fn usage(out: &mut Vec<u8>, field: u8, usage: Amounts, quantity: &mut Vec<u8>) {
    let mut add = |name, write: &dyn Fn(&mut Vec<u8>)| {
        quantity.clear();
        write(quantity);
        amount(out, field, name, quantity);
    };
    add("cpu", &|out| quantity::cpu(out, usage.cpu));
    add("memory", &|out| quantity::bytes(out, usage.memory));
    if let Some(swap) = usage.swap {
        add("swap", &|out| quantity::bytes(out, swap));
    }
}

/// An entry of that map: the quantity is a message of one text.
fn amount(out: &mut Vec<u8>, field: u8, name: &str, quantity: &[u8]) {
    let value = field_length(quantity.len());
    begin(out, field, field_length(name.len()) + field_length(value));
    text(out, 1, name);
    begin(out, 2, value);
    bytes(out, 1, quantity);
}
