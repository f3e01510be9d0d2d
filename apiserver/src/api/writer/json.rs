//! Answers in JSON.

use tributary_model::Timestamp;

use super::super::{
    accept::Form,
    json,
    kinds::{Resource, Version},
    objects::Item,
    params::Include,
    table, time,
};

/// Writes one answer in JSON, in the form that was asked for.
#[derive(Debug)]
pub(crate) struct JsonWriter {
    version: Version,
    resource: Resource,
    form: Form,
    include: Include,
    /// The time of the request, as it is written.
    created: Vec<u8>,
    /// Continues the list.
    token: Option<String>,
    /// The columns, fixed by the first item; `None` before it.
    columns: Option<table::Columns>,
}

impl JsonWriter {
    /// A writer of the answer to a request of `now`.
    pub(crate) fn new(
        (version, resource): (Version, Resource),
        (form, include): (Form, Include),
        now: Timestamp,
    ) -> Self {
        let mut created = Vec::with_capacity(20);
        time::moment(&mut created, now);
        Self {
            version,
            resource,
            form,
            include,
            created,
            token: None,
            columns: None,
        }
    }

    /// Says that the list goes on after this part of it.
    pub(crate) fn set_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// Appends the next items of a list.
    pub(crate) fn items(&mut self, out: &mut Vec<u8>, items: &[Item]) {
        for item in items {
            let columns = if let Some(columns) = self.columns {
                out.push(b',');
                columns
            } else {
                let columns = table::Columns::of(item);
                self.columns = Some(columns);
                self.begin(out, Some(columns));
                columns
            };
            self.element(out, item, columns);
        }
    }

    /// Appends an item as it stands in a list.
    pub(super) fn element(&self, out: &mut Vec<u8>, item: &Item, columns: table::Columns) {
        match self.form {
            Form::Table(_) => self.row(out, item, columns),
            Form::Partial(_) => self.partial(out, item),
            Form::Plain => {
                out.push(b'{');
                item.fields(out, &self.created);
                out.push(b'}');
            }
        }
    }

    /// A list of these columns without its items, as a document.
    pub(super) fn shell(&self, columns: Option<table::Columns>) -> Vec<u8> {
        let mut out = Vec::new();
        self.begin(&mut out, columns);
        self.end(&mut out, columns);
        out
    }

    /// Appends the end of a list, and its beginning if it has no items.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        if self.columns.is_none() {
            self.begin(out, None);
        }
        self.end(out, self.columns);
        out.push(b'\n');
    }

    fn end(&self, out: &mut Vec<u8>, columns: Option<table::Columns>) {
        let empty = matches!(self.form, Form::Table(_)) && columns.is_none();
        out.extend_from_slice(if empty { b"null}" } else { b"]}" });
    }

    /// Appends a single object; a table of one row if a table was asked for.
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &Item) {
        match self.form {
            Form::Plain => self.object(out, item),
            Form::Partial(_) => self.partial(out, item),
            Form::Table(_) => {
                self.items(out, std::slice::from_ref(item));
                self.finish(out);
                return;
            }
        }
        out.push(b'\n');
    }

    fn begin(&self, out: &mut Vec<u8>, columns: Option<table::Columns>) {
        let list = match self.form {
            Form::Plain => format!("{}List", self.resource.kind()),
            Form::Table(_) => "Table".to_owned(),
            Form::Partial(_) => "PartialObjectMetadataList".to_owned(),
        };
        self.head(out, &list);
        out.extend_from_slice(br#","metadata":{"#);
        if let Some(token) = &self.token {
            out.extend_from_slice(br#""continue":"#);
            json::string(out, token);
        }
        out.extend_from_slice(b"},");
        match (self.form, columns) {
            (Form::Plain | Form::Partial(_), _) => out.extend_from_slice(br#""items":["#),
            (Form::Table(_), None) => {
                out.extend_from_slice(br#""columnDefinitions":null,"rows":"#);
            }
            (Form::Table(_), Some(columns)) => {
                columns.definitions(out);
                out.extend_from_slice(br#","rows":["#);
            }
        }
    }

    /// Appends `{"kind":..,"apiVersion":..`.
    fn head(&self, out: &mut Vec<u8>, kind: &str) {
        let version = match self.form {
            Form::Plain => self.version.api_version(),
            Form::Table(meta) | Form::Partial(meta) => meta.api_version(),
        };
        head(out, kind, version);
    }

    fn object(&self, out: &mut Vec<u8>, item: &Item) {
        head(out, self.resource.kind(), self.version.api_version());
        out.push(b',');
        item.fields(out, &self.created);
        out.push(b'}');
    }

    fn partial(&self, out: &mut Vec<u8>, item: &Item) {
        self.head(out, "PartialObjectMetadata");
        out.push(b',');
        item.metadata(out, &self.created);
        out.push(b'}');
    }

    fn row(&self, out: &mut Vec<u8>, item: &Item, columns: table::Columns) {
        columns.cells(out, item);
        out.extend_from_slice(br#","object":"#);
        match self.include {
            Include::None => out.extend_from_slice(b"null"),
            Include::Metadata => self.partial(out, item),
            Include::Object => self.object(out, item),
        }
        out.push(b'}');
    }
}

fn head(out: &mut Vec<u8>, kind: &str, version: &str) {
    out.extend_from_slice(br#"{"kind":""#);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(br#"","apiVersion":""#);
    out.extend_from_slice(version.as_bytes());
    out.push(b'"');
}
