//! The flags whose values are names.

use tributary_model::MAX_NAME;

use super::BadConfig;

/// What Kubernetes itself calls addresses of nodes. A cloud provider may add others.
const ADDRESS_TYPES: [&str; 5] = [
    "Hostname",
    "InternalIP",
    "ExternalIP",
    "InternalDNS",
    "ExternalDNS",
];

/// Which addresses of nodes are used, the first choice first.
pub(super) fn address_types(given: Vec<String>) -> Result<Vec<String>, BadConfig> {
    // An empty list is one empty word to clap.
    let types: Vec<String> = given.into_iter().filter(|kind| !kind.is_empty()).collect();
    if types.is_empty() {
        return Err(BadConfig::NoAddressType);
    }
    for kind in &types {
        let alike = |known: &&str| known.eq_ignore_ascii_case(kind) && *known != kind.as_str();
        if let Some(known) = ADDRESS_TYPES.into_iter().find(alike) {
            let given = kind.clone();
            return Err(BadConfig::AddressType { given, known });
        }
    }
    Ok(types)
}

/// A name that frontends take from a scraper: it is shown to people, on one line.
pub(super) fn name(flag: &'static str, value: String) -> Result<String, BadConfig> {
    let is_visible = value.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible && (1..=MAX_NAME).contains(&value.len()) {
        Ok(value)
    } else {
        Err(BadConfig::Name { flag, value })
    }
}
