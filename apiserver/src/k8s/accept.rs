//! Content negotiation: selects the encoding and form of an answer.
//!
//! It follows `NegotiateMediaTypeOptions` of k8s.io/apiserver. The clauses of `Accept` are tried by falling quality,
//! more specific ones first. A clause with an unsupported transformation is skipped (docs/parity.md#encodings).

use axum::http::{HeaderMap, header::ACCEPT};

use super::resource::Resource;

/// What is requested. It decides which encodings and forms are possible.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    /// A document in JSON only.
    Document,
    /// A document of discovery.
    Discovery,
    /// The groups, which can be aggregated discovery.
    Groups,
    /// A refusal.
    Status,
    /// One object.
    Object(&'static Resource),
    /// A list of objects.
    List(&'static Resource),
    /// A watch: JSON, object by object.
    Watch,
}

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// JSON, also for clients without a preference.
    Json,
    /// YAML.
    Yaml,
    /// Kubernetes protobuf: a message in an envelope that names its kind.
    Protobuf,
}

impl Encoding {
    /// The content type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// Why a client gets no representation.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum NotAcceptable {
    /// It accepts none of our encodings of the subject.
    #[error("406: Not Acceptable\n\nAvailable representations: {}", available(*.0, .1))]
    Encoding(Subject, &'static [Encoding]),
    /// It accepts our encodings, but in a form that we do not support.
    #[error("only the following media types are accepted: {}", names(.0))]
    Form(&'static [Encoding]),
}

fn names(encodings: &[Encoding]) -> String {
    let names: Vec<&str> = encodings.iter().map(|one| one.media_type()).collect();
    names.join(", ")
}

/// Lists the representations. As upstream, objects have streams in the list, even if they cannot be watched.
fn available(subject: Subject, encodings: &[Encoding]) -> String {
    let mut names = names(encodings);
    if matches!(subject, Subject::Object(_) | Subject::List(_)) {
        names.push_str(", application/json;stream=watch");
        names.push_str(", application/vnd.kubernetes.protobuf;stream=watch");
    }
    names
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object itself.
    Plain,
    /// The table of `kubectl get`.
    Table(MetaVersion),
    /// Metadata only.
    Partial(MetaVersion),
}

/// The result of the negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    /// The encoding.
    pub(crate) encoding: Encoding,
    /// The form.
    pub(crate) form: Form,
    /// For the groups: aggregated discovery in this version of `apidiscovery.k8s.io`.
    pub(crate) aggregated: Option<&'static str>,
}

impl Subject {
    /// The possible encodings. The first is for clients without a preference.
    fn encodings(self) -> &'static [Encoding] {
        match self {
            Self::Document | Self::Watch => &[Encoding::Json],
            // kube-apiserver does the same for custom resources.
            Self::Object(resource) | Self::List(resource) if !resource.protobuf => {
                &[Encoding::Json, Encoding::Yaml]
            }
            Self::Discovery | Self::Groups | Self::Status | Self::Object(_) | Self::List(_) => {
                &[Encoding::Json, Encoding::Yaml, Encoding::Protobuf]
            }
        }
    }

    /// The answer to a clause, if it is possible in `encoding`.
    fn answer(self, clause: &Clause<'_>, encoding: Encoding) -> Option<Negotiated> {
        let plain = Negotiated {
            encoding,
            form: Form::Plain,
            aggregated: None,
        };
        // Only watches are streamed, and they are requested in the query.
        if clause.stream.is_some_and(|stream| stream != "watch") {
            return None;
        }
        if clause.kind.or(clause.group).or(clause.version).is_none() {
            return Some(plain);
        }
        let form = match (clause.kind?, self) {
            ("Table", Self::Object(_) | Self::List(_) | Self::Watch)
                if encoding != Encoding::Protobuf =>
            {
                Form::Table(clause.meta()?)
            }
            ("PartialObjectMetadata", Self::Object(_) | Self::Watch)
            | ("PartialObjectMetadataList", Self::List(_)) => Form::Partial(clause.meta()?),
            ("APIGroupDiscoveryList", Self::Groups) if encoding == Encoding::Json => {
                let aggregated = Some(clause.discovery()?);
                return Some(Negotiated {
                    aggregated,
                    ..plain
                });
            }
            _ => return None,
        };
        Some(Negotiated { form, ..plain })
    }
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

/// The most clauses of `Accept` that are read, and the most bytes of all its values. Clients send at most three
/// clauses. The rest is ignored.
const CLAUSES: usize = 64;
const BYTES: usize = 8 << 10;

/// What a client prefers, for later, when the subject is known. This copy does not keep the buffer of the whole head in
/// memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preference(String);

impl Preference {
    /// Reads `headers`, up to the limits.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut accepted = String::new();
        for value in headers.get_all(ACCEPT).iter().take(CLAUSES) {
            let room = BYTES.saturating_sub(accepted.len());
            let Some(Ok(value)) = within(value.as_bytes(), room).map(std::str::from_utf8) else {
                continue;
            };
            accepted.push_str(value);
            accepted.push(',');
        }
        Self(accepted)
    }

    /// Negotiates the answer for `subject`.
    pub(crate) fn negotiate(&self, subject: Subject) -> Result<Negotiated, NotAcceptable> {
        let encodings = subject.encodings();
        let clauses = self.0.split(',').take(CLAUSES);
        let mut clauses: Vec<Clause<'_>> = clauses
            .map(str::trim)
            .filter(|clause| !clause.is_empty())
            .map(Clause::parse)
            .collect();
        if clauses.is_empty() {
            clauses.push(Clause::parse("*/*"));
        }
        // The sort is stable: of equal clauses, the client's first one wins.
        clauses.sort_by_key(|clause| (std::cmp::Reverse(clause.quality), clause.wildcards));
        clauses.retain(|clause| clause.quality > 0);
        let matching = || {
            clauses.iter().flat_map(|clause| {
                let matching = encodings.iter().filter(|encoding| clause.has(**encoding));
                matching.map(move |encoding| (clause, *encoding))
            })
        };
        let negotiated = matching().find_map(|(clause, encoding)| subject.answer(clause, encoding));
        negotiated.ok_or_else(|| {
            // Upstream refuses the two cases at different places, with different texts.
            if matching().next().is_some() {
                NotAcceptable::Form(encodings)
            } else {
                NotAcceptable::Encoding(subject, encodings)
            }
        })
    }
}

/// Negotiates the answer for `subject` with a client that sent `headers`.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    subject: Subject,
) -> Result<Negotiated, NotAcceptable> {
    Preference::of(headers).negotiate(subject)
}

/// The longest part of `value` that ends with a whole clause and has at most `room` bytes.
fn within(value: &[u8], room: usize) -> Option<&[u8]> {
    if value.len() <= room {
        return Some(value);
    }
    let fitting = value.get(..room)?;
    let end = fitting.iter().rposition(|byte| *byte == b',')?;
    fitting.get(..end)
}

/// One media range of an `Accept` header.
#[derive(Debug, Default)]
struct Clause<'a> {
    /// The text, such as `application/json` or `*/*`.
    range: &'a str,
    /// How many parts of the range are `*`.
    wildcards: u8,
    /// The quality in thousandths.
    quality: u16,
    kind: Option<&'a str>,
    group: Option<&'a str>,
    version: Option<&'a str>,
    stream: Option<&'a str>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let (kind, subtype) = range.split_once('/').unwrap_or((range, ""));
        let mut clause = Self {
            range,
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
                "stream" => clause.stream = Some(value),
                // Upstream ignores unknown parameters.
                _ => {}
            }
        }
        clause
    }

    /// Whether the range includes `encoding`.
    fn has(&self, encoding: Encoding) -> bool {
        matches!(self.range, "*/*" | "application/*") || self.range == encoding.media_type()
    }

    /// The requested version of `meta.k8s.io`.
    fn meta(&self) -> Option<MetaVersion> {
        if self.group != Some("meta.k8s.io") {
            return None;
        }
        MetaVersion::parse(self.version?)
    }

    /// The requested version of `apidiscovery.k8s.io`.
    fn discovery(&self) -> Option<&'static str> {
        if self.group != Some("apidiscovery.k8s.io") {
            return None;
        }
        let mut known = ["v2", "v2beta1"].into_iter();
        known.find(|known| self.version == Some(*known))
    }
}

/// A quality value in thousandths. Text that is not a number counts as 1, as in Go.
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
mod tests;
