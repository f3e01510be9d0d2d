//! The functions that read requests, public for the fuzz targets in `tests/fuzz`.
//!
//! They are compiled with the feature `fuzzing` only, and are not a part of the product.

use axum::http::{HeaderMap, Uri};
use tributary_model::PodKey;

use super::{nodes::NODES, page, params::ListParams, pods::PODS};
use crate::k8s::{
    accept::{Subject, negotiate},
    fields::Fields,
    resource::Resource,
};

/// The number of kinds of answers that [`media_type`] has.
pub const ANSWERS: usize = 6;

/// The media type for a client that sent `headers`, for the kind of answer with this number below [`ANSWERS`]. `None`
/// if the client accepts none of ours.
pub fn media_type(headers: &HeaderMap, answer: usize) -> Option<&'static str> {
    let subjects: [Subject; ANSWERS] = [
        Subject::Document,
        Subject::Discovery,
        Subject::Groups,
        Subject::Status,
        Subject::Object(&PODS),
        Subject::List(&PODS),
    ];
    let subject = *subjects.get(answer)?;
    let negotiated = negotiate(headers, subject).ok()?;
    Some(negotiated.encoding.media_type())
}

/// Reads the query of a LIST of nodes and of pods. Returns whether it is accepted.
pub fn list_params(uri: &Uri) -> bool {
    let accepted = |resource| ListParams::read(uri, resource).is_ok();
    accepted(&PODS) & accepted(&NODES)
}

/// The conditions of a field selector: path, whether the operator is `=`, and value.
pub fn field_terms(text: &str, pods: bool) -> Option<Vec<(String, bool, String)>> {
    let fields = Fields::parse(text, resource(pods)).ok()?;
    let terms = fields.terms();
    let owned = terms.map(|(path, equals, value)| (path.to_owned(), equals, value.to_owned()));
    Some(owned.collect())
}

/// The key after which a token continues.
pub fn continue_key(token: &str, pods: bool) -> Option<PodKey> {
    page::key(resource(pods), token).ok()
}

/// The token that continues after `key`.
pub fn continue_token(key: &PodKey, pods: bool) -> String {
    page::token(resource(pods), key)
}

fn resource(pods: bool) -> &'static Resource {
    if pods { &PODS } else { &NODES }
}
