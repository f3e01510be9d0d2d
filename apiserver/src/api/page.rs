//! Tokens that continue a list: the last key that was served, and nothing else.
//!
//! It has no state, so any frontend continues what another began. It is stable, because a key keeps
//! its place when objects before it come and go. It is not signed: it only says where to start, and a
//! caller that may list may start anywhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tributary_model::PodKey;

use crate::k8s::resource::Resource;

/// Of this layout of tokens, so that a later one can tell.
const LAYOUT: u8 = 1;

/// The most items in one answer of a paged list, whatever `limit` says: they are
/// kept until it is known whether more follow. Clients go on by the token.
pub(crate) const MAX_LIMIT: usize = 10_000;

/// Why a token does not continue this list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    /// Not ours.
    #[error("continue key is not valid: not a token of this server")]
    Unreadable,
    /// Of a list of something else.
    #[error("continue key is not valid: it continues another resource")]
    Resource,
}

/// The token after `key`; a node has no namespace.
pub(crate) fn token(resource: &Resource, key: &PodKey) -> String {
    let mut bytes = vec![LAYOUT, resource.mark];
    bytes.extend_from_slice(key.namespace.as_bytes());
    bytes.push(b'/');
    bytes.extend_from_slice(key.name.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key after which a list goes on.
pub(crate) fn key(resource: &Resource, token: &str) -> Result<PodKey, BadToken> {
    let bytes = URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|_| BadToken::Unreadable)?;
    let [LAYOUT, marked, key @ ..] = &*bytes else {
        return Err(BadToken::Unreadable);
    };
    if *marked != resource.mark {
        return Err(BadToken::Resource);
    }
    let key = str::from_utf8(key).map_err(|_| BadToken::Unreadable)?;
    let (namespace, name) = key.split_once('/').ok_or(BadToken::Unreadable)?;
    Ok(PodKey::new(namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        kinds::{GROUPS, Group},
        nodes::NODES,
        pods::PODS,
    };

    #[test]
    fn a_token_holds_the_last_key() {
        let token = token(&PODS, &PodKey::new("default", "web-1"));
        // 0x01 p default/web-1
        assert_eq!(token, "AXBkZWZhdWx0L3dlYi0x");
        assert_eq!(key(&PODS, &token), Ok(PodKey::new("default", "web-1")));
    }

    #[test]
    fn no_two_resources_have_the_same_mark() {
        let resources = GROUPS.iter().flat_map(Group::resources);
        let mut marks: Vec<u8> = resources.map(|resource| resource.mark).collect();
        let all = marks.len();
        marks.sort_unstable();
        marks.dedup();
        assert_eq!(marks.len(), all);
    }

    #[test]
    fn a_token_of_something_else_is_refused() {
        let of_node = token(&NODES, &PodKey::new("", "n1"));
        assert_eq!(key(&NODES, &of_node), Ok(PodKey::new("", "n1")));
        assert_eq!(key(&PODS, &of_node), Err(BadToken::Resource));
        for text in ["abc", "", "AQ", "%%%", "AXBub3NsYXNo", "CXBhL2I"] {
            assert_eq!(key(&PODS, text), Err(BadToken::Unreadable), "{text}");
        }
    }
}
