//! `Impersonate-*` headers: a user with the permission `impersonate` acts as another user.
//!
//! They are for direct callers. kube-apiserver resolves the headers of requests that it forwards.
//! The permissions are those of k8s.io/apiserver `endpoints/filters/impersonation`, without
//! constrained impersonation (Kubernetes 1.36), which only allows more.

use http::{HeaderMap, HeaderName};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use percent_encoding::percent_decode_str;

use super::{attributes::Attributes, user::User};

const PREFIX: &str = "impersonate-";
const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The group of resources that stand for attributes of a user.
const AUTHENTICATION: (&str, &str) = ("authentication.k8s.io", "v1");

/// The user to impersonate, and the necessary permissions.
#[derive(Debug, PartialEq)]
pub(crate) struct ImpersonationRequest {
    pub(crate) user: User,
    pub(crate) questions: Vec<Attributes>,
}

/// The request for impersonation in the headers, if there is one.
///
/// # Errors
///
/// The headers have attributes of a user, and no user.
pub(crate) fn requested(headers: &HeaderMap) -> Result<Option<ImpersonationRequest>, &'static str> {
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        texts.filter(|text| !text.is_empty()).collect()
    };
    if !headers.keys().any(is_ours) {
        return Ok(None);
    }
    let Some(name) = all(USER).into_iter().next() else {
        return Err("requested impersonation without a user to impersonate");
    };
    let mut user = User {
        groups: all(GROUP),
        uid: all(UID).into_iter().next().unwrap_or_default(),
        name,
        ..User::default()
    };
    for key in headers.keys() {
        let Some(encoded) = key.as_str().strip_prefix(EXTRA) else {
            continue;
        };
        let decoded = percent_decode_str(encoded).decode_utf8_lossy().into_owned();
        user.extra
            .entry(decoded)
            .or_default()
            .extend(all(key.as_str()));
    }
    let questions = questions(&user);
    Ok(Some(ImpersonationRequest {
        user: with_usual_groups(user),
        questions,
    }))
}

/// Removes the headers after they were handled.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_ours(name))
        .cloned()
        .collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Whether it is one of these headers.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with(PREFIX)
}

fn questions(user: &User) -> Vec<Attributes> {
    let mut questions = vec![match service_account(&user.name) {
        Some((namespace, name)) => ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            ..of("serviceaccounts", name)
        },
        None => of("users", &user.name),
    }];
    questions.extend(user.groups.iter().map(|group| of("groups", group)));
    if !user.uid.is_empty() {
        questions.push(fact("uids", &user.uid));
    }
    for (key, values) in &user.extra {
        questions.extend(values.iter().map(|value| ResourceAttributes {
            subresource: Some(key.clone()),
            ..fact("userextras", value)
        }));
    }
    questions
        .into_iter()
        .map(|question| Attributes::Resource(Box::new(question)))
        .collect()
}

fn of(resource: &str, name: &str) -> ResourceAttributes {
    ResourceAttributes {
        verb: Some("impersonate".to_owned()),
        resource: Some(resource.to_owned()),
        name: Some(name.to_owned()),
        ..ResourceAttributes::default()
    }
}

fn fact(resource: &str, name: &str) -> ResourceAttributes {
    let (group, version) = AUTHENTICATION;
    ResourceAttributes {
        group: Some(group.to_owned()),
        version: Some(version.to_owned()),
        ..of(resource, name)
    }
}

fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// The groups that a user of this name always has.
fn with_usual_groups(mut user: User) -> User {
    if user.name == User::anonymous().name {
        user.groups.extend(User::anonymous().groups);
        return user;
    }
    if user.groups.is_empty()
        && let Some((namespace, _)) = service_account(&user.name)
    {
        user.groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
    }
    user.authenticated()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn asked(requested: &ImpersonationRequest) -> Vec<Value> {
        let questions = requested.questions.iter();
        questions
            .map(|question| serde_json::to_value(question.resource().unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn every_part_of_a_user_must_be_allowed() {
        let requested = requested(&headers(&[
            ("Impersonate-User", "jane"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Uid", "1"),
            ("Impersonate-Extra-Acme.com%2Fproject", "p"),
        ]))
        .unwrap()
        .unwrap();
        assert_eq!(
            asked(&requested),
            [
                json!({"verb": "impersonate", "resource": "users", "name": "jane"}),
                json!({"verb": "impersonate", "resource": "groups", "name": "dev"}),
                json!({"verb": "impersonate", "resource": "groups", "name": "ops"}),
                json!({"verb": "impersonate", "group": "authentication.k8s.io", "version": "v1",
                    "resource": "uids", "name": "1"}),
                json!({"verb": "impersonate", "group": "authentication.k8s.io", "version": "v1",
                    "resource": "userextras", "subresource": "acme.com/project", "name": "p"}),
            ]
        );
        assert_eq!(
            requested.user,
            User {
                name: "jane".to_owned(),
                uid: "1".to_owned(),
                groups: ["dev", "ops", "system:authenticated"]
                    .map(str::to_owned)
                    .to_vec(),
                extra: [("acme.com/project".to_owned(), vec!["p".to_owned()])].into(),
            }
        );
    }

    #[test]
    fn a_service_account_brings_its_groups() {
        let sent = headers(&[("Impersonate-User", "system:serviceaccount:kube-system:hpa")]);
        let requested = requested(&sent).unwrap().unwrap();
        assert_eq!(
            asked(&requested),
            [json!({"verb": "impersonate", "resource": "serviceaccounts",
                "namespace": "kube-system", "name": "hpa"})]
        );
        assert_eq!(
            requested.user.groups,
            [
                "system:serviceaccounts",
                "system:serviceaccounts:kube-system",
                "system:authenticated"
            ]
        );
    }

    #[test]
    fn headers_without_a_user_are_refused_and_no_headers_impersonate_no_user() {
        assert!(requested(&headers(&[("Impersonate-Group", "system:masters")])).is_err());
        assert!(requested(&headers(&[("Impersonate-Other", "x")])).is_err());
        assert_eq!(requested(&headers(&[("Accept", "*/*")])), Ok(None));
    }
}
