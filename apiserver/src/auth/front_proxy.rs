//! `X-Remote-*` headers. They count only if the caller shows the certificate of the front proxy.
//!
//! kube-aggregator sends them, and `request/headerrequest` of k8s.io/apiserver reads them
//! (docs/parity.md#authentication).

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{
    user::User,
    x509::{BadCertificate, Pool, Subject},
};

/// Names of headers, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    /// The first of these headers that is not empty has the user's name.
    pub(crate) user: Vec<HeaderName>,
    /// The first of these headers that is not empty has the user's identifier.
    pub(crate) uid: Vec<HeaderName>,
    /// Every value of each of these headers is a group.
    pub(crate) groups: Vec<HeaderName>,
    /// Prefixes of headers. The rest of such a header's name is a key, percent-encoded.
    pub(crate) extra: Vec<String>,
}

impl Headers {
    /// Reads the names from the flags or the config map. The error is the first name that no header can have.
    pub(crate) fn new(
        user: &[String],
        uid: &[String],
        groups: &[String],
        extra: &[String],
    ) -> Result<Self, String> {
        let names = |names: &[String]| -> Result<Vec<HeaderName>, String> {
            let parse = |name: &String| name.trim().parse().map_err(|_| name.clone());
            names.iter().map(parse).collect()
        };
        Ok(Self {
            user: names(user)?,
            uid: names(uid)?,
            groups: names(groups)?,
            extra: extra
                .iter()
                .map(|prefix| prefix.trim().to_ascii_lowercase())
                // Every header begins with an empty prefix.
                .filter(|prefix| !prefix.is_empty())
                .collect(),
        })
    }

    /// The user that the headers name. `None` if they name none.
    pub(crate) fn user(&self, headers: &HeaderMap) -> Option<User> {
        let first = |names: &[HeaderName]| {
            let mut found = names.iter().filter_map(|name| text(headers.get(name)?));
            found.find(|value| !value.is_empty())
        };
        let mut user = User {
            name: first(&self.user)?,
            uid: first(&self.uid).unwrap_or_default(),
            ..User::default()
        };
        for name in &self.groups {
            let values = headers.get_all(name).iter();
            user.groups.extend(values.filter_map(text));
        }
        for (name, value) in headers {
            let Some(key) = self.extra_key(name) else {
                continue;
            };
            user.extra.entry(key).or_default().extend(text(value));
        }
        Some(user.authenticated())
    }

    /// Removes the headers, so that no later code reads them.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        let extra: Vec<HeaderName> = headers
            .keys()
            .filter(|name| self.extra_key(name).is_some())
            .cloned()
            .collect();
        for name in self.user.iter().chain(&self.uid).chain(&self.groups) {
            headers.remove(name);
        }
        for name in extra {
            headers.remove(name);
        }
    }

    fn extra_key(&self, name: &HeaderName) -> Option<String> {
        let mut keys = self.extra.iter().filter_map(|prefix| {
            let key = name.as_str().strip_prefix(prefix.as_str())?;
            let decoded = percent_decode_str(key).decode_utf8();
            Some(decoded.map_or_else(|_| key.to_owned(), std::borrow::Cow::into_owned))
        });
        keys.next()
    }
}

/// A value as text. Go accepts any bytes. A review cannot contain a value that is not UTF-8, so such a value is
/// ignored.
fn text(value: &http::HeaderValue) -> Option<String> {
    std::str::from_utf8(value.as_bytes())
        .ok()
        .map(str::to_owned)
}

/// How to recognize the front proxy, and which headers it sets.
#[derive(Clone, Debug)]
pub(crate) struct FrontProxy {
    /// The CAs that sign its certificate.
    pub(crate) pool: Pool,
    /// The common names that its certificate may have. If empty, any.
    pub(crate) allowed_names: Vec<String>,
    /// The headers that it sets.
    pub(crate) headers: Headers,
}

impl FrontProxy {
    /// Checks that this chain is the front proxy's.
    pub(crate) fn check(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), BadCertificate> {
        self.pool.verify(chain, now)?;
        if self.allowed_names.is_empty() {
            return Ok(());
        }
        let own = chain.first().ok_or(BadCertificate::Subject)?;
        let name = Subject::of(own)?.common_name;
        if self.allowed_names.contains(&name) {
            Ok(())
        } else {
            Err(BadCertificate::Name(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn usual() -> Headers {
        let one = |name: &str| vec![name.to_owned()];
        Headers::new(
            &one("X-Remote-User"),
            &one("X-Remote-Uid"),
            &one("X-Remote-Group"),
            &one("X-Remote-Extra-"),
        )
        .unwrap()
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn one_group_a_line_and_keys_decoded() {
        let sent = headers(&[
            ("X-Remote-User", "system:serviceaccount:a:b"),
            ("X-Remote-Uid", "defc152c"),
            ("X-Remote-Group", "dev"),
            ("X-Remote-Group", "ops, and more"),
            (
                "X-Remote-Extra-Authentication.kubernetes.io%2fcredential-Id",
                "JTI=1",
            ),
            ("X-Remote-Extra-scopes", "a"),
            ("X-Remote-Extra-Scopes", "b"),
        ]);
        let extra = |key: &str, values: &[&str]| {
            let values = values.iter().map(ToString::to_string).collect();
            (key.to_owned(), values)
        };
        let expected = User {
            name: "system:serviceaccount:a:b".to_owned(),
            uid: "defc152c".to_owned(),
            groups: ["dev", "ops, and more", "system:authenticated"]
                .map(str::to_owned)
                .to_vec(),
            extra: [
                extra("authentication.kubernetes.io/credential-id", &["JTI=1"]),
                extra("scopes", &["a", "b"]),
            ]
            .into(),
        };
        assert_eq!(usual().user(&sent), Some(expected));
    }

    #[test]
    fn without_a_name_no_user_is_known() {
        assert_eq!(usual().user(&headers(&[("X-Remote-Group", "dev")])), None);
        assert_eq!(usual().user(&headers(&[("X-Remote-User", "")])), None);
    }

    #[test]
    fn a_name_is_taken_from_the_first_header_that_has_one() {
        let names = ["X-One".to_owned(), "X-Two".to_owned()];
        let configured = Headers::new(&names, &[], &[], &[]).unwrap();
        let sent = headers(&[("X-One", ""), ("X-Two", "jane"), ("X-Remote-User", "root")]);
        assert_eq!(configured.user(&sent).unwrap().name, "jane");
        assert_eq!(
            Headers::new(&["no name".to_owned()], &[], &[], &[]),
            Err("no name".to_owned())
        );
    }

    #[test]
    fn what_is_stripped_is_gone_and_the_rest_stays() {
        let mut sent = headers(&[
            ("X-Remote-User", "root"),
            ("X-Remote-Uid", "1"),
            ("X-Remote-Group", "a"),
            ("X-Remote-Group", "b"),
            ("X-Remote-Extra-Scopes", "a"),
            ("Accept", "*/*"),
        ]);
        usual().strip(&mut sent);
        assert_eq!(sent, headers(&[("Accept", "*/*")]));
    }
}
