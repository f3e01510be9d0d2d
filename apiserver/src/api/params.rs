//! The query of a request, read once.
//!
//! It follows the conversion of `ListOptions` upstream: the first of several values counts, unknown
//! parameters are ignored, and errors have Go's words (docs/parity.md#selection).

use std::time::Duration;

use axum::{extract::Query, http::Uri};
use tributary_model::PodKey;
use tributary_runtime::selector::Selector;

use super::{
    page::{self, MAX_LIMIT},
    status::Refusal,
};
use crate::k8s::{fields::Fields, resource::Resource, status::Cause};

/// The parameters of a LIST.
#[derive(Clone, Debug)]
pub(crate) struct ListParams {
    /// `labelSelector`
    pub(crate) labels: Selector,
    /// `fieldSelector`
    pub(crate) fields: Fields,
    /// `limit`, at most [`MAX_LIMIT`]; `None` for all.
    pub(crate) limit: Option<usize>,
    /// The key in `continue`, after which the list starts.
    pub(crate) after: Option<PodKey>,
    /// The parameters of the watch, if the list is watched.
    pub(crate) watch: Option<WatchParams>,
}

/// The parameters of a watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchParams {
    /// `resourceVersion`: the version of the list that the client has.
    pub(crate) version: String,
    /// `timeoutSeconds`; `None` if the client sets none.
    pub(crate) timeout: Option<Duration>,
    /// `allowWatchBookmarks`
    pub(crate) bookmarks: bool,
    /// `sendInitialEvents`: the list is sent as events, with a bookmark after it.
    pub(crate) initial: bool,
}

/// The most requirements of a label selector. Each is compared with each label of each pod.
const MAX_REQUIREMENTS: usize = 128;

/// What a row of a table has besides its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// The metadata.
    Metadata,
    /// The whole object.
    Object,
}

impl ListParams {
    /// Reads the query of a LIST of `resource`.
    pub(crate) fn read(uri: &Uri, resource: &'static Resource) -> Result<Self, Refusal> {
        let query = Pairs::of(uri)?;
        // This is checked first: clients that try to watch (also by WatchList) use lists after a refusal, and should do
        // so at once.
        let watch = query.flag("watch");
        if watch && !resource.watched {
            return Err(Refusal::Watch(resource));
        }
        let labels: Selector = query
            .text("labelSelector")
            .parse()
            .map_err(|error| bad_request(&error))?;
        if labels.len() > MAX_REQUIREMENTS {
            return Err(Refusal::BadRequest(format!(
                "the label selector has {} requirements, at most {MAX_REQUIREMENTS} are allowed",
                labels.len()
            )));
        }
        let fields = Fields::parse(query.text("fieldSelector"), resource)
            .map_err(|error| bad_request(&error))?;
        let timeout = query.number("timeoutSeconds")?;
        let limit = query.number("limit")?;
        if !watch {
            query.check_versions()?;
        }
        let after = match query.text("continue") {
            "" => None,
            token => Some(page::key(resource, token).map_err(|error| bad_request(&error))?),
        };
        Ok(Self {
            labels,
            fields,
            // Zero and negative numbers mean no limit, as upstream.
            limit: usize::try_from(limit)
                .ok()
                .filter(|limit| *limit > 0)
                .map(|limit| limit.min(MAX_LIMIT)),
            after,
            watch: watch.then(|| WatchParams {
                version: query.text("resourceVersion").to_owned(),
                timeout: u64::try_from(timeout)
                    .ok()
                    .filter(|seconds| *seconds > 0)
                    .map(Duration::from_secs),
                bookmarks: query.flag("allowWatchBookmarks"),
                initial: query.flag("sendInitialEvents"),
            }),
        })
    }
}

impl Include {
    /// Reads `includeObject`, which only tables use.
    pub(crate) fn read(uri: &Uri) -> Result<Self, Refusal> {
        match Pairs::of(uri)?.text("includeObject") {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(Refusal::BadRequest(format!(
                "Unable to convert to Table as requested: includeObject: \
                 Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// Whether the client wants indented JSON: `pretty` says so, or else the user agent is curl, Wget or a browser
/// (docs/parity.md#encodings).
pub(crate) fn wants_pretty(uri: &Uri, user_agent: &str) -> bool {
    // This runs for every request, so other parameters are not decoded.
    let mut pairs = uri.query().unwrap_or_default().split('&');
    let asked = pairs.find_map(|pair| match pair.split_once('=').unwrap_or((pair, "")) {
        ("pretty", value) => Some(value),
        _ => None,
    });
    if let Some(value) = asked.filter(|value| !value.is_empty()) {
        return matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True");
    }
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|name| user_agent.starts_with(name))
}

fn bad_request(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::BadRequest(error.to_string())
}

/// Names and values in the order of the query.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn of(uri: &Uri) -> Result<Self, Refusal> {
        let Query(pairs) = Query::try_from_uri(uri).map_err(|error| bad_request(&error))?;
        Ok(Self(pairs))
    }

    fn first(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(have, _)| have == name)?;
        Some(value)
    }

    fn text(&self, name: &str) -> &str {
        self.first(name).unwrap_or_default()
    }

    /// Reads a flag like Go: any value except `0` and `false` is true, also an empty one.
    fn flag(&self, name: &str) -> bool {
        self.first(name)
            .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    fn number(&self, name: &str) -> Result<i64, Refusal> {
        let Some(text) = self.first(name) else {
            return Ok(0);
        };
        text.parse::<i64>().map_err(|error| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    "value out of range"
                }
                _ => "invalid syntax",
            };
            Refusal::BadRequest(format!("strconv.ParseInt: parsing {text:?}: {why}"))
        })
    }

    /// Checks the rules of `ValidateListOptions` about versions. Lists have no versions here, so parameters that fit
    /// together are accepted and ignored.
    fn check_versions(&self) -> Result<(), Refusal> {
        let mut causes = Vec::new();
        let wanted = self.text("resourceVersionMatch");
        let mut forbid = |field, why: &str| {
            causes.push(Cause {
                reason: "FieldValueForbidden",
                message: format!("Forbidden: {why}"),
                field,
            });
        };
        if !wanted.is_empty() && self.text("resourceVersion").is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            forbid("resourceVersionMatch", why);
        }
        if !wanted.is_empty() && !self.text("continue").is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            forbid("resourceVersionMatch", why);
        }
        if wanted == "Exact" && self.text("resourceVersion") == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            forbid("resourceVersionMatch", why);
        }
        if self.first("sendInitialEvents").is_some() {
            forbid(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        if !matches!(wanted, "" | "Exact" | "NotOlderThan") {
            let supported = r#""Exact", "NotOlderThan", """#;
            // The order of upstream: this follows the other causes of its field, and precedes the causes of the next
            // field.
            let at = causes
                .iter()
                .take_while(|cause| cause.field == "resourceVersionMatch")
                .count();
            let cause = Cause {
                reason: "FieldValueNotSupported",
                message: format!("Unsupported value: {wanted:?}: supported values: {supported}"),
                field: "resourceVersionMatch",
            };
            causes.insert(at, cause);
        }
        if causes.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid(causes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pods::PODS;

    fn list(query: &str) -> Result<ListParams, String> {
        let uri = format!("/pods?{query}").parse().unwrap();
        ListParams::read(&uri, &PODS).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn watching_is_refused_before_anything_else() {
        let refused = "watch is not supported on resources of kind \"pods.metrics.k8s.io\"";
        for query in [
            "watch=true",
            "watch=1",
            "watch",
            "watch=yes&labelSelector=!!!",
            "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        ] {
            assert_eq!(list(query).unwrap_err(), refused, "{query}");
        }
        list("watch=false&watch=true").unwrap();
        list("watch=0").unwrap();
        list("watch=False").unwrap();
    }

    #[test]
    fn limits_count_from_one_and_have_a_maximum() {
        assert_eq!(list("").unwrap().limit, None);
        assert_eq!(list("limit=0").unwrap().limit, None);
        assert_eq!(list("limit=-1").unwrap().limit, None);
        assert_eq!(list("limit=7").unwrap().limit, Some(7));
        assert_eq!(list("limit=1000000").unwrap().limit, Some(10_000));
    }

    #[test]
    fn a_selector_has_a_maximum_of_requirements() {
        let of = |count: usize| format!("labelSelector={}", vec!["!a"; count].join(","));
        assert_eq!(list(&of(128)).unwrap().labels.len(), 128);
        assert_eq!(
            list(&of(129)).unwrap_err(),
            "the label selector has 129 requirements, at most 128 are allowed"
        );
    }

    #[test]
    fn numbers_that_are_none_are_refused_in_gos_words() {
        for (query, message) in [
            (
                "timeoutSeconds=abc",
                r#"strconv.ParseInt: parsing "abc": invalid syntax"#,
            ),
            ("limit=", r#"strconv.ParseInt: parsing "": invalid syntax"#),
            (
                "limit=9223372036854775808",
                r#"strconv.ParseInt: parsing "9223372036854775808": value out of range"#,
            ),
        ] {
            assert_eq!(list(query).unwrap_err(), message);
        }
    }

    #[test]
    fn versions_must_fit_together() {
        for query in [
            "resourceVersion=abc",
            "resourceVersion=5&resourceVersionMatch=Exact",
            "resourceVersion=0&resourceVersionMatch=NotOlderThan",
        ] {
            list(query).unwrap();
        }
        assert_eq!(
            list("resourceVersionMatch=Bogus&sendInitialEvents=true").unwrap_err(),
            "ListOptions.meta.k8s.io \"\" is invalid: [\
             resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
             resourceVersion is provided, \
             resourceVersionMatch: Unsupported value: \"Bogus\": supported values: \"Exact\", \
             \"NotOlderThan\", \"\", \
             sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list]"
        );
        list("resourceVersion=0&resourceVersionMatch=Exact").unwrap_err();
    }

    #[test]
    fn a_query_is_decoded() {
        let params = list("labelSelector=app%20in+(web)&fieldSelector=metadata.name%3Dx").unwrap();
        assert_eq!(params.labels, "app in (web)".parse().unwrap());
        assert_eq!(
            params.fields,
            Fields::parse("metadata.name=x", &PODS).unwrap()
        );
        let params = list("continue=AXBkZWZhdWx0L3dlYi0x").unwrap();
        assert_eq!(params.after, Some(PodKey::new("default", "web-1")));
        assert_eq!(
            list("continue=abc").unwrap_err(),
            "continue key is not valid: not a token of this server"
        );
    }

    #[test]
    fn people_get_json_to_read() {
        for (query, agent, pretty) in [
            ("", "kubectl/v1.33", false),
            ("", "curl/8.5", true),
            ("", "Wget/1.21", true),
            ("", "Mozilla/5.0 (X11)", true),
            ("?pretty=false", "curl/8.5", false),
            ("?pretty=true", "kubectl/v1.33", true),
            ("?pretty=1", "", true),
            ("?pretty=", "curl/8.5", true),
            ("?pretty=nonsense", "curl/8.5", false),
        ] {
            let uri = format!("/pods{query}").parse().unwrap();
            assert_eq!(wants_pretty(&uri, agent), pretty, "{query} {agent}");
        }
    }
}
