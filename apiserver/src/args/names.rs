//! The values of flags that are names.

use tributary_model::{MAX_NAME, is_dns_subdomain};

/// A name that people see on one line, in the logs of scrapers and in the fleet.
pub(super) fn read_visible(text: &str) -> Result<String, &'static str> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible && (1..=MAX_NAME).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("should be 1 to 253 visible characters of ASCII without blanks")
    }
}

/// The name of an object, which becomes a part of URLs.
pub(super) fn read_object(text: &str) -> Result<String, &'static str> {
    if is_dns_subdomain(text) {
        Ok(text.to_owned())
    } else {
        Err("should be the name of an object")
    }
}

/// The name of an `APIService`.
pub(super) fn read_api_service(text: &str) -> Result<String, &'static str> {
    if text.contains('.') && is_dns_subdomain(text) {
        Ok(text.to_owned())
    } else {
        Err("should be VERSION.GROUP, the name of an APIService")
    }
}

/// A name for a certificate, which may begin with `*.`.
pub(super) fn read_dns_name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if is_dns_subdomain(&name.to_ascii_lowercase()) {
        Ok(text.to_owned())
    } else {
        Err("should be a DNS name")
    }
}
