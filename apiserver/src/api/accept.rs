//! Content negotiation: which of our representations a client wants.
//!
//! Follows `NegotiateMediaTypeOptions` of k8s.io/apiserver: the clauses of
//! `Accept` by falling quality, the more exact first, and a clause that asks for
//! a transformation we cannot do is passed over. JSON is what we have; a client
//! that prefers protobuf says `*/*` too and gets JSON.

use axum::http::{HeaderMap, header::ACCEPT};

use super::status::Refusal;

/// What is asked for, which decides what may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Discovery: as it is, or not at all.
    Document,
    /// One object.
    Object,
    /// A list of objects.
    List,
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// What `kubectl get` shows.
    Table(MetaVersion),
    /// Metadata alone.
    Partial(MetaVersion),
}

/// A version of `meta.k8s.io`, the group of tables and partial objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaVersion {
    /// `meta.k8s.io/v1`
    V1,
    /// `meta.k8s.io/v1beta1`
    V1Beta1,
}

impl MetaVersion {
    /// The API version of an object of this group.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }

    fn parse(version: &str) -> Option<Self> {
        match version {
            "v1" => Some(Self::V1),
            "v1beta1" => Some(Self::V1Beta1),
            _ => None,
        }
    }
}

/// The form in which a client that sent `headers` gets `subject`.
pub(crate) fn negotiate(headers: &HeaderMap, subject: Subject) -> Result<Form, Refusal> {
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut clauses: Vec<Clause<'_>> = values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|clause| !clause.is_empty())
        .map(Clause::parse)
        .collect();
    if clauses.is_empty() {
        return Ok(Form::Plain);
    }
    // Stable: of equals, the one that the client named first.
    clauses.sort_by_key(|clause| (std::cmp::Reverse(clause.quality), clause.wildcards));
    clauses
        .iter()
        .filter(|clause| clause.quality > 0)
        .find_map(|clause| clause.form(subject))
        .ok_or(Refusal::NotAcceptable)
}

/// One media range of an `Accept` header.
#[derive(Debug, Default)]
struct Clause<'a> {
    /// Whether JSON is in the range.
    json: bool,
    /// How many parts of the range are `*`.
    wildcards: u8,
    /// In thousandths.
    quality: u16,
    kind: Option<&'a str>,
    group: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let (kind, subtype) = range.split_once('/').unwrap_or((range, ""));
        let mut clause = Self {
            json: matches!((kind, subtype), ("application", "json" | "*") | ("*", "*")),
            wildcards: u8::from(kind == "*") + u8::from(subtype == "*"),
            quality: 1000,
            ..Self::default()
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "q" => clause.quality = quality(value),
                "as" => clause.kind = Some(value),
                "g" => clause.group = Some(value),
                "v" => clause.version = Some(value),
                // Upstream ignores what it does not know, `stream=watch` too.
                _ => {}
            }
        }
        clause
    }

    /// What this clause gets, if we have it.
    fn form(&self, subject: Subject) -> Option<Form> {
        if !self.json {
            return None;
        }
        if self.kind.or(self.group).or(self.version).is_none() {
            return Some(Form::Plain);
        }
        if self.group != Some("meta.k8s.io") {
            return None;
        }
        let version = MetaVersion::parse(self.version?)?;
        match (self.kind?, subject) {
            ("Table", Subject::Object | Subject::List) => Some(Form::Table(version)),
            ("PartialObjectMetadata", Subject::Object)
            | ("PartialObjectMetadataList", Subject::List) => Some(Form::Partial(version)),
            _ => None,
        }
    }
}

/// A quality value in thousandths; what is not a number counts as 1, as in Go.
fn quality(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole != "0" || !digits(fraction) {
        return 1000;
    }
    let thousandths = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    thousandths.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str, subject: Subject) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        negotiate(&headers, subject).ok()
    }

    const TABLES: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
        application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

    #[test]
    fn whoever_asks_for_nothing_gets_json() {
        assert_eq!(
            negotiate(&HeaderMap::new(), Subject::List).unwrap(),
            Form::Plain
        );
        assert_eq!(asked("", Subject::List), Some(Form::Plain));
    }

    #[test]
    fn real_clients_get_what_they_can_read() {
        for (accept, subject, form) in [
            ("application/json", Subject::List, Some(Form::Plain)),
            ("*/*", Subject::List, Some(Form::Plain)),
            ("application/*", Subject::List, Some(Form::Plain)),
            (
                "application/json, */*",
                Subject::Document,
                Some(Form::Plain),
            ),
            (
                "application/vnd.kubernetes.protobuf, */*",
                Subject::Object,
                Some(Form::Plain),
            ),
            ("application/vnd.kubernetes.protobuf", Subject::Object, None),
            (
                "application/json;stream=watch",
                Subject::List,
                Some(Form::Plain),
            ),
            ("application/cbor", Subject::List, None),
            ("text/html", Subject::List, None),
            (TABLES, Subject::List, Some(Form::Table(MetaVersion::V1))),
            (TABLES, Subject::Object, Some(Form::Table(MetaVersion::V1))),
            (TABLES, Subject::Document, Some(Form::Plain)),
        ] {
            assert_eq!(asked(accept, subject), form, "{accept}");
        }
    }

    #[test]
    fn a_transformation_that_does_not_fit_is_passed_over() {
        let partial = Some(Form::Partial(MetaVersion::V1Beta1));
        for (accept, subject, form) in [
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io",
                Subject::List,
                None,
            ),
            (
                "application/json;as=Table;v=v1;g=other",
                Subject::List,
                None,
            ),
            ("application/json;as=Table", Subject::List, None),
            (
                "application/json;as=Nonsense;v=v1;g=meta.k8s.io,*/*",
                Subject::List,
                Some(Form::Plain),
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
                Subject::List,
                None,
            ),
            (
                "application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io",
                Subject::List,
                partial,
            ),
            (
                "application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io",
                Subject::Object,
                partial,
            ),
            (
                "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                Subject::List,
                None,
            ),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                Subject::Document,
                None,
            ),
        ] {
            assert_eq!(asked(accept, subject), form, "{accept}");
        }
    }

    #[test]
    fn quality_decides_and_zero_is_a_refusal() {
        let table = Some(Form::Table(MetaVersion::V1));
        for (accept, form) in [
            (
                "application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io",
                table,
            ),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.1,application/json",
                Some(Form::Plain),
            ),
            ("*/*,application/json;as=Table;v=v1;g=meta.k8s.io", table),
            ("application/json;q=0", None),
            ("application/json;q=0.0004", None),
            ("application/json;q=nonsense", Some(Form::Plain)),
        ] {
            assert_eq!(asked(accept, Subject::List), form, "{accept}");
        }
    }
}
