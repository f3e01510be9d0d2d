//! Tokens that continue a list. A token is the last key that was served.
//!
//! It needs no state, so any frontend can continue where another one stopped. It stays valid when objects before the
//! key are added or deleted. It is not signed, because it only says where to start, and a caller that may list may
//! start anywhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tributary_model::PodKey;

use crate::k8s::resource::Resource;

/// The version of the layout of tokens, so that a later layout can be recognized.
const LAYOUT: u8 = 1;

/// The most items in one answer with `limit`, whatever the limit is. They are in memory until it is known whether more
/// follow. Clients continue with the token.
pub(crate) const MAX_LIMIT: usize = 10_000;

/// Why a token does not continue this list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    /// It is not a token of this server.
    #[error("continue key is not valid: not a token of this server")]
    Unreadable,
    /// It continues a list of another resource.
    #[error("continue key is not valid: it continues another resource")]
    Resource,
}

/// The token that continues after `key`. A node has no namespace.
pub(crate) fn token(resource: &Resource, key: &PodKey) -> String {
    let mut bytes = vec![LAYOUT, resource.mark];
    bytes.extend_from_slice(key.namespace.as_bytes());
    bytes.push(b'/');
    bytes.extend_from_slice(key.name.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key after which the list continues.
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
        // The bytes are 0x01, `p` and `default/web-1`.
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
