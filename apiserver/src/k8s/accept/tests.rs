use axum::http::HeaderValue;

use super::*;
use crate::k8s::resource::examples::PODS;

const OBJECT: Subject = Subject::Object(&PODS);
const LIST: Subject = Subject::List(&PODS);

/// The answer to a client that sends `accept`, as a short text.
fn asked(accept: &str, subject: Subject) -> String {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, accept.parse().unwrap());
    match negotiate(&headers, subject) {
        Err(NotAcceptable::Encoding(..)) => "unknown type".to_owned(),
        Err(NotAcceptable::Form(..)) => "unknown form".to_owned(),
        Ok(Negotiated {
            encoding,
            form,
            aggregated,
        }) => match (form, aggregated) {
            (Form::Plain, None) => format!("{encoding:?}"),
            (Form::Plain, Some(version)) => format!("{encoding:?} aggregated {version}"),
            (Form::Table(version), _) => format!("{encoding:?} table {version:?}"),
            (Form::Partial(version), _) => format!("{encoding:?} partial {version:?}"),
        },
    }
}

fn check(cases: &[(&str, Subject, &str)]) {
    for (accept, subject, expected) in cases {
        assert_eq!(asked(accept, *subject), *expected, "{accept}");
    }
}

const TABLES: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
    application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

#[test]
fn a_client_without_accept_gets_json() {
    let json = Negotiated {
        encoding: Encoding::Json,
        form: Form::Plain,
        aggregated: None,
    };
    assert_eq!(negotiate(&HeaderMap::new(), LIST).unwrap(), json);
    assert_eq!(asked("", LIST), "Json");
}

#[test]
fn real_clients_get_what_they_prefer() {
    check(&[
        ("application/json", LIST, "Json"),
        ("*/*", LIST, "Json"),
        ("application/*", LIST, "Json"),
        ("application/yaml", LIST, "Yaml"),
        ("application/json, */*", Subject::Discovery, "Json"),
        (
            "application/vnd.kubernetes.protobuf, */*",
            OBJECT,
            "Protobuf",
        ),
        ("application/vnd.kubernetes.protobuf", LIST, "Protobuf"),
        ("application/json;stream=watch", LIST, "Json"),
        (TABLES, LIST, "Json table V1"),
        (TABLES, OBJECT, "Json table V1"),
        (TABLES, Subject::Discovery, "Json"),
        (TABLES, Subject::Status, "Json"),
        (AGGREGATED, Subject::Groups, "Json aggregated v2"),
    ]);
}

#[test]
fn what_is_unknown_differs_from_what_cannot_be_encoded() {
    check(&[
        ("application/cbor", LIST, "unknown type"),
        ("text/html", LIST, "unknown type"),
        ("application/yaml", Subject::Document, "unknown type"),
        (
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
            LIST,
            "unknown form",
        ),
        (
            "application/json;as=Table;v=v2;g=meta.k8s.io",
            LIST,
            "unknown form",
        ),
        (
            "application/json;as=Table;v=v1;g=other",
            LIST,
            "unknown form",
        ),
        ("application/json;as=Table", LIST, "unknown form"),
        ("application/json;stream=nonsense", LIST, "unknown form"),
        (
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            LIST,
            "unknown form",
        ),
        (AGGREGATED, Subject::Discovery, "unknown form"),
        (AGGREGATED, Subject::Status, "unknown form"),
    ]);
}

#[test]
fn a_transformation_that_does_not_fit_is_passed_over() {
    check(&[
        (
            "application/json;as=Nonsense;v=v1;g=meta.k8s.io,*/*",
            LIST,
            "Json",
        ),
        (
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml",
            LIST,
            "Yaml",
        ),
        (
            "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,\
             application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,*/*",
            Subject::Groups,
            "Json aggregated v2beta1",
        ),
        (
            "application/yaml;as=Table;v=v1beta1;g=meta.k8s.io",
            LIST,
            "Yaml table V1Beta1",
        ),
        (
            "application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io",
            LIST,
            "Json partial V1Beta1",
        ),
        (
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            OBJECT,
            "Protobuf partial V1",
        ),
    ]);
}

#[test]
fn quality_decides_and_zero_is_a_refusal() {
    check(&[
        ("application/json;q=0.5,application/yaml", LIST, "Yaml"),
        (
            "application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io",
            LIST,
            "Json table V1",
        ),
        (
            "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.1,application/json",
            LIST,
            "Json",
        ),
        (
            "*/*,application/json;as=Table;v=v1;g=meta.k8s.io",
            LIST,
            "Json table V1",
        ),
        ("application/json;q=0", LIST, "unknown type"),
        ("application/json;q=0.0004", LIST, "unknown type"),
        ("application/json;q=nonsense", LIST, "Json"),
    ]);
}

#[test]
fn what_comes_after_what_is_looked_at_is_as_if_it_was_not_there() {
    // The limit is the same for one value and for many.
    let filled = |clauses: usize| format!("{}application/yaml", "text/html,".repeat(clauses));
    assert_eq!(asked(&filled(63), Subject::Status), "Yaml");
    assert_eq!(asked(&filled(64), Subject::Status), "unknown type");
    let many = |clauses: usize| {
        let mut headers = HeaderMap::new();
        for _ in 0..clauses {
            headers.append(ACCEPT, HeaderValue::from_static("text/html"));
        }
        headers.append(ACCEPT, HeaderValue::from_static("application/yaml"));
        let wanted = Preference::of(&headers).negotiate(Subject::Status);
        wanted.is_ok_and(|wanted| wanted.encoding == Encoding::Yaml)
    };
    assert!(many(63));
    assert!(!many(64));
    // The limit of 8,192 bytes may cut the last clause.
    let long = |bytes: usize| format!("{},application/yaml", "x".repeat(bytes));
    assert_eq!(asked(&long(8_175), Subject::Status), "Yaml");
    assert_eq!(asked(&long(8_176), Subject::Status), "unknown type");
    let after = format!("application/yaml,{}", "x".repeat(100_000));
    assert_eq!(asked(&after, Subject::Status), "Yaml");
}
