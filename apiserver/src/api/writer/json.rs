//! Answers in JSON.

use tributary_model::Timestamp;

use super::super::{
    objects::{Columns, Object},
    params::Include,
};
use crate::k8s::{
    accept::Form,
    json,
    resource::{Resource, Version},
    time,
};

/// Writes one answer in JSON, in the negotiated form.
#[derive(Debug)]
pub(crate) struct JsonWriter<T: Object> {
    version: Version,
    resource: &'static Resource,
    form: Form,
    include: Include,
    /// The time of the request, as text.
    created: Vec<u8>,
    /// The token that continues the list.
    token: Option<String>,
    /// The version of the list.
    list_version: Option<String>,
    /// Whether the part before the items was written.
    begun: bool,
    /// The columns of a table. The first object decides them.
    columns: Option<T::Columns>,
}

impl<T: Object> JsonWriter<T> {
    /// A writer for the answer to a request at the time `now`.
    pub(crate) fn new(
        version: Version,
        resource: &'static Resource,
        form: Form,
        include: Include,
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
            list_version: None,
            begun: false,
            columns: None,
        }
    }

    /// Sets the token that continues the list.
    pub(crate) fn set_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// Sets the version of the list.
    pub(crate) fn set_version(&mut self, version: String) {
        self.list_version = Some(version);
    }

    /// Appends the next objects of a list.
    pub(crate) fn items(&mut self, out: &mut Vec<u8>, items: &[T]) {
        for item in items {
            if self.begun {
                out.push(b',');
            } else {
                self.begun = true;
                self.fix_columns(Some(item));
                self.begin(out);
            }
            self.element(out, item);
        }
    }

    /// Decides the columns of a table.
    pub(super) fn fix_columns(&mut self, first: Option<&T>) {
        if matches!(self.form, Form::Table(_)) {
            self.columns = T::Columns::of(first);
        }
    }

    /// Appends an object as an element of a list.
    pub(super) fn element(&self, out: &mut Vec<u8>, item: &T) {
        match self.form {
            Form::Table(_) => self.row(out, item),
            Form::Partial(_) => self.partial(out, item),
            Form::Plain => {
                out.push(b'{');
                item.metadata(out, &self.created);
                item.fields(out);
                out.push(b'}');
            }
        }
    }

    /// A list without its items, as a document.
    pub(super) fn shell(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.begin(&mut out);
        self.end(&mut out);
        out
    }

    /// Appends the end of a list, and its beginning if it has no items.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.fix_columns(None);
            self.begin(out);
        }
        self.end(out);
        out.push(b'\n');
    }

    /// Whether it is a table without columns, which has no rows.
    fn is_nothing(&self) -> bool {
        matches!(self.form, Form::Table(_)) && self.columns.is_none()
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.is_nothing() { b"null}" } else { b"]}" });
    }

    /// Appends a single object. A table has one row.
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &T) {
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

    /// Appends an event of a watch. Only the first table has column definitions.
    pub(crate) fn event(&mut self, out: &mut Vec<u8>, event: &str, item: &T) {
        out.extend_from_slice(br#"{"type":""#);
        out.extend_from_slice(event.as_bytes());
        out.extend_from_slice(br#"","object":"#);
        match self.form {
            Form::Plain => self.object(out, item),
            Form::Partial(_) => self.partial(out, item),
            Form::Table(_) => {
                if !self.begun {
                    self.fix_columns(Some(item));
                }
                self.head(out, "Table");
                out.extend_from_slice(br#","metadata":{},"#);
                match self.columns {
                    Some(columns) if !self.begun => columns.definitions(out),
                    _ => out.extend_from_slice(br#""columnDefinitions":null"#),
                }
                self.begun = true;
                out.extend_from_slice(br#","rows":["#);
                self.row(out, item);
                out.extend_from_slice(b"]}");
            }
        }
        out.extend_from_slice(b"}\n");
    }

    /// Appends a bookmark: the client has all changes up to `version`. `initial` marks the end of the objects that
    /// existed when the watch began.
    pub(crate) fn bookmark(&self, out: &mut Vec<u8>, version: &str, initial: bool) {
        out.extend_from_slice(br#"{"type":"BOOKMARK","object":"#);
        match self.form {
            Form::Plain => head(out, self.resource.kind, self.version.api_version),
            Form::Partial(_) => self.head(out, "PartialObjectMetadata"),
            Form::Table(_) => self.head(out, "Table"),
        }
        out.extend_from_slice(br#","metadata":{"resourceVersion":"#);
        json::string(out, version);
        if initial {
            out.extend_from_slice(br#","annotations":{"k8s.io/initial-events-end":"true"}"#);
        }
        out.extend_from_slice(b"}}}\n");
    }

    fn begin(&self, out: &mut Vec<u8>) {
        let list = match self.form {
            Form::Plain => format!("{}List", self.resource.kind),
            Form::Table(_) => "Table".to_owned(),
            Form::Partial(_) => "PartialObjectMetadataList".to_owned(),
        };
        self.head(out, &list);
        out.extend_from_slice(br#","metadata":{"#);
        if let Some(version) = &self.list_version {
            out.extend_from_slice(br#""resourceVersion":"#);
            json::string(out, version);
        }
        if let Some(token) = &self.token {
            out.extend_from_slice(br#""continue":"#);
            json::string(out, token);
        }
        out.extend_from_slice(b"},");
        match (self.form, self.columns) {
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
            Form::Plain => self.version.api_version,
            Form::Table(meta) | Form::Partial(meta) => meta.api_version(),
        };
        head(out, kind, version);
    }

    fn object(&self, out: &mut Vec<u8>, item: &T) {
        head(out, self.resource.kind, self.version.api_version);
        out.push(b',');
        item.metadata(out, &self.created);
        item.fields(out);
        out.push(b'}');
    }

    fn partial(&self, out: &mut Vec<u8>, item: &T) {
        self.head(out, "PartialObjectMetadata");
        out.push(b',');
        item.metadata(out, &self.created);
        out.push(b'}');
    }

    fn row(&self, out: &mut Vec<u8>, item: &T) {
        out.push(b'{');
        if let Some(columns) = self.columns {
            columns.cells(out, item);
            out.push(b',');
        }
        out.extend_from_slice(br#""object":"#);
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
