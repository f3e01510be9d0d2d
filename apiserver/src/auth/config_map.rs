//! The config map `kube-system/extension-apiserver-authentication`: the CAs that kube-apiserver
//! publishes for aggregated API servers (docs/parity.md#authentication).

use std::collections::BTreeMap;

use serde::Deserialize;
use tributary_runtime::kube::from_json;

use super::front_proxy::Headers;

pub(crate) const NAMESPACE: &str = "kube-system";
pub(crate) const NAME: &str = "extension-apiserver-authentication";
pub(crate) const FULL_NAME: &str = "configmap kube-system/extension-apiserver-authentication";

/// The fields of a config map that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigMap {
    pub(crate) data: BTreeMap<String, String>,
}

/// The content of the config map. Certificates are not parsed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The CAs of client certificates.
    pub(crate) client_ca: Option<Vec<u8>>,
    /// The front proxy.
    pub(crate) proxy: Option<ProxySource>,
}

/// How the front proxy is recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxySource {
    /// PEM.
    pub(crate) ca: Vec<u8>,
    /// Any name if empty.
    pub(crate) allowed_names: Vec<String>,
    /// The headers that it sets.
    pub(crate) headers: Headers,
}

/// A value that is not valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadConfigMap {
    #[error("{0} is not a JSON list of strings: {1}")]
    List(&'static str, String),
    #[error("no header can be named {0:?}")]
    Header(String),
}

/// Reads the config map. Missing keys are `None`.
pub(crate) fn read(map: &ConfigMap) -> Result<Found, BadConfigMap> {
    let text = |key: &str| {
        let found = map.data.get(key)?;
        (!found.is_empty()).then_some(found.as_str())
    };
    let list = |key: &'static str| match text(key) {
        None => Ok(Vec::new()),
        Some(text) => from_json::<Vec<String>>(text)
            .map_err(|error| BadConfigMap::List(key, error.to_string())),
    };
    let proxy = match text("requestheader-client-ca-file") {
        None => None,
        Some(ca) => Some(ProxySource {
            ca: ca.as_bytes().to_vec(),
            allowed_names: list("requestheader-allowed-names")?,
            headers: Headers::new(
                &list("requestheader-username-headers")?,
                &list("requestheader-uid-headers")?,
                &list("requestheader-group-headers")?,
                &list("requestheader-extra-headers-prefix")?,
            )
            .map_err(BadConfigMap::Header)?,
        }),
    };
    Ok(Found {
        client_ca: text("client-ca-file").map(|ca| ca.as_bytes().to_vec()),
        proxy,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tributary_sim::nulled;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        ConfigMap {
            data: pairs.iter().map(own).collect(),
        }
    }

    #[test]
    fn every_key_is_read() {
        let found = read(&map(&[
            ("client-ca-file", "CLIENTS"),
            ("requestheader-client-ca-file", "PROXY"),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            (
                "requestheader-extra-headers-prefix",
                r#"["X-Remote-Extra-"]"#,
            ),
        ]));
        let one = |name: &str| vec![name.to_owned()];
        let headers = Headers::new(
            &one("x-remote-user"),
            &one("x-remote-uid"),
            &one("x-remote-group"),
            &one("x-remote-extra-"),
        );
        assert_eq!(
            found.unwrap(),
            Found {
                client_ca: Some(b"CLIENTS".to_vec()),
                proxy: Some(ProxySource {
                    ca: b"PROXY".to_vec(),
                    allowed_names: one("front-proxy-client"),
                    headers: headers.unwrap(),
                }),
            }
        );
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        assert_eq!(read(&ConfigMap::default()), Ok(Found::default()));
        assert_eq!(read(&map(&[("client-ca-file", "")])), Ok(Found::default()));
    }

    #[test]
    fn a_list_that_is_none_is_named() {
        let error = read(&map(&[
            ("requestheader-client-ca-file", "PROXY"),
            ("requestheader-allowed-names", "front-proxy-client"),
        ]));
        let text = error.unwrap_err().to_string();
        let start = "requestheader-allowed-names is not a JSON list of strings: ";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn a_config_map_in_which_anything_is_null_is_read() {
        let whole = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"},
            "data": {"client-ca-file": "CLIENTS", "requestheader-client-ca-file": "PROXY"}});
        for (at, json) in nulled(&whole) {
            let map = from_json::<ConfigMap>(&json);
            let map = map.unwrap_or_else(|error| panic!("{at}: {error}"));
            read(&map).unwrap();
        }
        let found = read(&map(&[
            ("requestheader-client-ca-file", "PROXY"),
            ("requestheader-allowed-names", "null"),
        ]));
        let names = found.unwrap().proxy.unwrap().allowed_names;
        assert_eq!(names, Vec::<String>::new(), "as Go reads a list");
    }
}
