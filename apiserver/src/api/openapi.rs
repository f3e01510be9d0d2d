//! OpenAPI documents, which `kubectl explain` reads (docs/parity.md#openapi).
//!
//! Version 2 is one document, which the aggregator merges into its own. Version 3 has one document for each path, and
//! an index with hashes. All documents are made once.

mod operations;
mod schemas;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Path, Request, State},
    http::{
        HeaderValue, StatusCode, Uri,
        header::{CACHE_CONTROL, LOCATION, VARY},
    },
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};

use self::{
    operations::{Dialect, Operation},
    schemas::Schemas,
};
use super::{document::Document, status::Refusal};
use crate::k8s::accept::{self, Subject};

/// Every document.
#[derive(Debug)]
pub(crate) struct OpenApi {
    v2: Document,
    index: Document,
    /// The documents by path, without the leading slash.
    groups: BTreeMap<String, Document>,
}

impl OpenApi {
    /// Makes the documents.
    pub(crate) fn new() -> Self {
        let schemas = Schemas::new();
        let operations = Operation::all();
        let mut by_group: BTreeMap<String, Vec<&Operation>> = BTreeMap::new();
        for operation in &operations {
            by_group
                .entry(operation.document())
                .or_default()
                .push(operation);
        }
        let groups: BTreeMap<String, Document> = by_group
            .into_iter()
            .map(|(name, operations)| (name, Document::new(v3(&operations, &schemas))))
            .collect();
        let paths: Map<String, Value> = groups
            .iter()
            .map(|(name, document)| {
                let url = url(name, document);
                (name.clone(), json!({ "serverRelativeURL": url }))
            })
            .collect();
        let index = json!({ "paths": paths });
        Self {
            v2: Document::new(v2(&operations.iter().collect::<Vec<_>>(), &schemas)),
            index: Document::new(index.to_string().into_bytes()),
            groups,
        }
    }
}

/// The path of a document, with its hash, so that clients may cache it forever.
fn url(name: &str, document: &Document) -> String {
    format!("/openapi/v3/{name}?hash={}", document.hash())
}

fn info() -> Value {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    json!({ "title": "Tributary", "version": version })
}

fn v2(operations: &[&Operation], schemas: &Schemas) -> Vec<u8> {
    let document = json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths(operations, Dialect::V2),
        "definitions": schemas.all(),
    });
    document.to_string().into_bytes()
}

fn v3(operations: &[&Operation], schemas: &Schemas) -> Vec<u8> {
    let answers = operations.iter().map(|operation| operation.schema());
    let document = json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths(operations, Dialect::V3),
        "components": { "schemas": schemas.reachable(answers) },
    });
    document.to_string().into_bytes()
}

fn paths(operations: &[&Operation], dialect: Dialect) -> Value {
    operations
        .iter()
        .map(|operation| (operation.path().to_owned(), operation.described(dialect)))
        .collect::<Map<_, _>>()
        .into()
}

/// `GET /openapi/v2`
pub(crate) async fn v2_document(
    State(openapi): State<Arc<OpenApi>>,
    request: Request,
) -> Result<Response, Refusal> {
    respond(&openapi.v2, &request)
}

/// `GET /openapi/v3`: the index.
pub(crate) async fn v3_index(
    State(openapi): State<Arc<OpenApi>>,
    request: Request,
) -> Result<Response, Refusal> {
    respond(&openapi.index, &request)
}

/// `GET /openapi/v3/{path}`: the document of a path. With the current hash, clients may cache it forever. With an old
/// hash, the client is redirected to the current one.
pub(crate) async fn v3_document(
    State(openapi): State<Arc<OpenApi>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let document = openapi.groups.get(&name).ok_or(Refusal::NoSuchPath)?;
    let Some(hash) = hash(request.uri()) else {
        return respond(document, &request);
    };
    if hash != document.hash() {
        let to = [(LOCATION, url(&name, document))];
        return Ok((StatusCode::MOVED_PERMANENTLY, to).into_response());
    }
    let mut response = respond(document, &request)?;
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, forever);
    Ok(response)
}

/// The value of `hash`, which has no characters that need escapes.
fn hash(uri: &Uri) -> Option<&str> {
    let mut parameters = uri.query()?.split('&');
    parameters
        .find_map(|parameter| parameter.strip_prefix("hash="))
        .filter(|hash| !hash.is_empty())
}

fn respond(document: &Document, request: &Request) -> Result<Response, Refusal> {
    accept::negotiate(request.headers(), Subject::Document)?;
    let mut response = document.response(request.headers());
    let accept = HeaderValue::from_static("Accept");
    response.headers_mut().insert(VARY, accept);
    Ok(response)
}
