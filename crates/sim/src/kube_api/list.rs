//! GET of one object and LIST, with `limit` and `continue`.

use std::io;

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};

use super::render::{self, Shape};
use super::route::{Query, Route};
use super::selector::Selection;
use super::status::{Refusal, answer, json_response};
use super::table;
use crate::cluster::State;
use crate::encode::{base64_url, base64_url_decode};
use crate::store::{Key, Kind, Stored};
use crate::tls::Body;

/// How many objects are rendered at once. So a list of 150,000 pods is never in memory as text.
const CHUNK: usize = 256;

const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can \
    start a new list without the continue parameter.";

pub(super) fn get(
    state: &State,
    kind: &Kind,
    route: &Route,
    shape: Shape,
) -> Result<Response<Body>, Refusal> {
    let key = (route.namespace.clone(), route.name.clone());
    let stored = state
        .store
        .get(kind, &key)
        .ok_or_else(|| Refusal::not_found(kind, &route.name))?;
    if shape == Shape::Full {
        return Ok(answer(
            StatusCode::OK,
            &render::value(kind, &stored.object, stored.version),
        ));
    }
    let mut text = Vec::new();
    if let Shape::Table(include) = shape {
        let mut row = Vec::new();
        table::write_row(kind, &stored.object, stored.version, include, &mut row);
        table::write_table(Some(table::columns(kind)), stored.version, &row, &mut text);
    } else {
        render::write(kind, &stored.object, stored.version, shape, &mut text);
    }
    Ok(json_response(StatusCode::OK, crate::tls::full(text)))
}

/// A page of a list. Later pages have the current objects with the version of the first page. So a watch from that
/// version reports all changes that happened in between.
pub(super) fn list(
    state: &State,
    kind: &'static Kind,
    namespace: &str,
    query: &Query,
    shape: Shape,
) -> Result<Response<Body>, Refusal> {
    let selection = Selection::new(kind, namespace, query)?;
    check_version(state, query)?;
    let (version, after) = match query.get("continue") {
        "" => (state.store.version(), None),
        token => parse_token(token).map(|(version, key)| (version, Some(key)))?,
    };
    if state.store.watch(kind, version).is_none() {
        return Err(Refusal::gone(CONTINUE_TOO_OLD));
    }
    let limit = match query.get("limit") {
        "" | "0" => usize::MAX,
        text => text
            .parse()
            .map_err(|_| Refusal::bad_request(format!("invalid limit {text:?}")))?,
    };
    let (mut page, left) = select(state, kind, &selection, after.as_ref(), limit);
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let (true, Some((last, _)), Some(metadata)) =
        (left > 0, page.last(), metadata.as_object_mut())
    {
        metadata.insert("continue".to_owned(), json!(token(version, last)));
        // With a selector the number is not known, as in a real API.
        if selection.is_everything() {
            metadata.insert("remainingItemCount".to_owned(), json!(left));
        }
    }
    let items = page.drain(..).map(|(_, stored)| stored).collect();
    Ok(json_response(
        StatusCode::OK,
        body(kind, shape, &metadata, items),
    ))
}

/// The selected objects, at most `limit`, and the number of remaining ones. With a selector only whether there are any.
pub(super) fn select(
    state: &State,
    kind: &Kind,
    selection: &Selection,
    after: Option<&Key>,
    limit: usize,
) -> (Vec<(Key, Stored)>, usize) {
    let matching = |found: &(&Key, &Stored)| selection.matches(&found.1.object);
    if selection.namespace.is_empty() {
        split(
            state.store.range(kind, after).filter(matching),
            limit,
            selection,
        )
    } else {
        split(
            state
                .store
                .namespace(kind, &selection.namespace, after)
                .filter(matching),
            limit,
            selection,
        )
    }
}

fn split<'a>(
    mut found: impl Iterator<Item = (&'a Key, &'a Stored)>,
    limit: usize,
    selection: &Selection,
) -> (Vec<(Key, Stored)>, usize) {
    let mut page = Vec::new();
    for (key, stored) in found.by_ref().take(limit) {
        page.push((key.clone(), stored.clone()));
    }
    let left = if selection.is_everything() {
        found.count()
    } else {
        found.take(1).count()
    };
    (page, left)
}

/// Refuses a version in the future.
pub(super) fn check_version(state: &State, query: &Query) -> Result<u64, Refusal> {
    let text = query.get("resourceVersion");
    if text.is_empty() {
        return Ok(0);
    }
    let version: u64 = text
        .parse()
        .map_err(|_| Refusal::bad_request(format!("invalid resource version {text:?}")))?;
    if version > state.store.version() {
        Err(Refusal::too_large_version())
    } else {
        Ok(version)
    }
}

fn token(version: u64, last: &Key) -> String {
    base64_url(json!([version, last.0, last.1]).to_string().as_bytes())
}

fn parse_token(token: &str) -> Result<(u64, Key), Refusal> {
    let parsed = base64_url_decode(token)
        .and_then(|bytes| serde_json::from_slice::<(u64, String, String)>(&bytes).ok());
    let (version, namespace, name) =
        parsed.ok_or_else(|| Refusal::bad_request("continue key is not valid"))?;
    Ok((version, (namespace, name)))
}

/// The list's text, rendered piece by piece as the client takes it.
fn body(kind: &'static Kind, shape: Shape, metadata: &Value, items: Vec<Stored>) -> Body {
    let (list_kind, version) = match shape {
        Shape::Full => (format!("{}List", kind.name), kind.api_version()),
        Shape::Metadata => (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        ),
        Shape::Table(_) => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
    };
    let items_are = match shape {
        Shape::Table(_) => format!("\"columnDefinitions\":{},\"rows\"", table::columns(kind)),
        Shape::Full | Shape::Metadata => "\"items\"".to_owned(),
    };
    let head = format!(
        "{{\"kind\":\"{list_kind}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},{items_are}:["
    );
    let mut items = items.into_iter().enumerate().peekable();
    let middle = std::iter::from_fn(move || {
        items.peek()?;
        let mut text = Vec::with_capacity(CHUNK * 1_024);
        for (index, stored) in items.by_ref().take(CHUNK) {
            if index > 0 {
                text.push(b',');
            }
            render::write(kind, &stored.object, stored.version, shape, &mut text);
        }
        Some(Bytes::from(text))
    });
    let chunks = std::iter::once(Bytes::from(head))
        .chain(middle)
        .chain(std::iter::once(Bytes::from_static(b"]}\n")));
    StreamBody::new(stream::iter(
        chunks.map(|chunk| Ok::<_, io::Error>(Frame::data(chunk))),
    ))
    .boxed_unsync()
}
