//! A Kubernetes API with a Secret, a ConfigMap and two APIServices.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::time::Instant;
use tributary_runtime::tls::in_pem;

pub(super) const SECRET: &str = "/api/v1/namespaces/ns/secrets/t-serving";
pub(super) const BEFORE: &str = "/api/v1/namespaces/ns/secrets/t-tls";
pub(super) const CONFIG_MAP: &str = "/api/v1/namespaces/ns/configmaps/t-ca";

/// The path of an APIService of a version.
pub(super) fn api_service(version: &str) -> String {
    format!("/apis/apiregistration.k8s.io/v1/apiservices/{version}.metrics.k8s.io")
}

#[derive(Clone)]
pub(super) struct Cluster(Arc<Mutex<State>>);

struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// The date when the test began, and by how much the clock was set since.
    began: (Timestamp, Instant),
    set: i64,
    /// The paths to which writes are denied.
    closed: Vec<String>,
    /// The paths from which reads are denied.
    hidden: Vec<String>,
    /// Each write: path and body.
    written: Vec<(String, Value)>,
    /// Earlier contents of the ConfigMap, each with its time: a kubelet delivers a change late.
    published: Vec<(Instant, Vec<CertificateDer<'static>>)>,
    /// The path that another client has always just written.
    busy: Option<String>,
}

/// How long a kubelet takes to deliver a changed ConfigMap.
pub(super) const KUBELET: Duration = Duration::from_mins(30);

impl Cluster {
    /// As the chart creates them: Secret and ConfigMap without data, APIServices without a CA.
    pub(super) fn new() -> Self {
        // 2030-01-01.
        let began = Timestamp::from_second(1_893_456_000).unwrap();
        let new = Self(Arc::new(Mutex::new(State {
            objects: BTreeMap::new(),
            version: 1,
            began: (began, Instant::now()),
            set: 0,
            closed: Vec::new(),
            hidden: Vec::new(),
            written: Vec::new(),
            published: Vec::new(),
            busy: None,
        })));
        new.put(SECRET, json!({ "metadata": {} }));
        new.put(CONFIG_MAP, json!({ "metadata": {} }));
        for version in ["v1beta1", "v1"] {
            new.put(&api_service(version), leading_to("ns", "t"));
        }
        new
    }

    pub(super) fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move {
                // Other clients run before, and between a read and a write.
                tokio::task::yield_now().await;
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (status, object) = cluster.answer(&head, &body);
                let date = DateTimePrinter::new();
                let date = date.timestamp_to_rfc9110_string(&cluster.now()).unwrap();
                let response = Response::builder().status(status).header("date", date);
                let body = Body::from(object.to_string().into_bytes());
                Ok::<_, Infallible>(response.body(body).unwrap())
            }
        });
        Client::new(service, "ns")
    }

    fn answer(&self, head: &http::request::Parts, body: &[u8]) -> (u16, Value) {
        let path = head.uri.path();
        let mut state = self.0.lock();
        let found = state.objects.get(path).cloned();
        if state.hidden.iter().any(|hidden| hidden == path) {
            return (403, json!({ "message": "not allowed here" }));
        }
        if head.method == Method::GET {
            return found.map_or((404, json!({})), |found| (200, found));
        }
        assert_eq!(head.method, Method::PATCH, "{path}");
        if state.closed.iter().any(|closed| closed == path) {
            return (403, json!({ "message": "not allowed here" }));
        }
        if state.busy.as_deref() == Some(path) {
            return (409, json!({}));
        }
        let body: Value = serde_json::from_slice(body).unwrap();
        let kind = head.headers["content-type"].to_str().unwrap();
        let object = match (kind, found) {
            ("application/merge-patch+json", Some(mut found)) => {
                assert_eq!(head.uri.query(), Some("fieldManager=tributary"));
                let version = &found["metadata"]["resourceVersion"];
                if *version != body["metadata"]["resourceVersion"] {
                    return (409, json!({}));
                }
                merge(&mut found, &body);
                found
            }
            ("application/merge-patch+json", None) => return (404, json!({})),
            // Managers of fields must differ: two clients that create an object under one name
            // would overwrite each other.
            ("application/apply-patch+yaml", Some(_)) => return (409, json!({})),
            ("application/apply-patch+yaml", None) => {
                let query = head.uri.query().unwrap();
                assert!(query.starts_with("fieldManager=tributary-"), "{query}");
                body.clone()
            }
            other => panic!("{other:?}"),
        };
        state.written.push((path.to_owned(), body));
        state.keep(path, object.clone());
        (200, object)
    }

    pub(super) fn put(&self, path: &str, object: Value) {
        self.0.lock().keep(path, object);
    }

    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().objects.get(path).cloned()
    }

    pub(super) fn delete(&self, path: &str) {
        self.0.lock().objects.remove(path);
    }

    /// Applies a merge patch to an object.
    pub(super) fn change(&self, path: &str, by: &Value) {
        let mut object = self.get(path).unwrap();
        merge(&mut object, by);
        self.put(path, object);
    }

    /// Denies writes to this path from now on.
    pub(super) fn close(&self, path: &str) {
        self.0.lock().closed.push(path.to_owned());
    }

    /// Denies reads from this path from now on.
    pub(super) fn hide(&self, path: &str) {
        self.0.lock().hidden.push(path.to_owned());
    }

    pub(super) fn open(&self) {
        let mut state = self.0.lock();
        state.closed.clear();
        state.hidden.clear();
    }

    /// From now on another client writes this path first. `None`: no path.
    pub(super) fn occupy(&self, path: Option<&str>) {
        self.0.lock().busy = path.map(str::to_owned);
    }

    /// The writes since the last call.
    pub(super) fn written(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.0.lock().written)
    }

    pub(super) fn now(&self) -> Timestamp {
        let state = self.0.lock();
        let (date, began) = state.began;
        let past = i64::try_from(began.elapsed().as_secs()).unwrap();
        Timestamp::from_second(date.as_second() + past + state.set).unwrap()
    }

    /// Moves the clock of the API by this many seconds.
    pub(super) fn set_clock(&self, by: i64) {
        self.0.lock().set += by;
    }

    /// The CAs that kube-apiserver trusts.
    pub(super) fn bundle(&self, version: &str) -> Vec<CertificateDer<'static>> {
        let object = self.get(&api_service(version)).unwrap();
        let bundle = object["spec"]["caBundle"].as_str().unwrap_or_default();
        in_pem(&BASE64_STANDARD.decode(bundle).unwrap())
    }

    /// The CAs that scrapers trust: what the kubelet has delivered.
    pub(super) fn mounted(&self) -> Vec<CertificateDer<'static>> {
        let state = self.0.lock();
        let brought = |(at, _): &&(Instant, _)| at.elapsed() >= KUBELET;
        let newest = state.published.iter().rev().find(brought);
        // The first content is present when the pod starts.
        let found = newest.or(state.published.first());
        found.map(|(_, cas)| cas.clone()).unwrap_or_default()
    }

    /// A value of the Secret, decoded.
    pub(super) fn stored(&self, key: &str) -> Option<Vec<u8>> {
        let secret = self.get(SECRET)?;
        let value = secret["data"].get(key)?.as_str()?;
        Some(BASE64_STANDARD.decode(value).unwrap())
    }

    /// How many CAs the Secret has.
    pub(super) fn cas(&self) -> usize {
        in_pem(&self.stored("ca.crt").unwrap_or_default()).len()
    }
}

impl State {
    fn keep(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if path == CONFIG_MAP {
            let text = object["data"]["ca.crt"].as_str().unwrap_or_default();
            let cas = in_pem(text.as_bytes());
            if !cas.is_empty() {
                self.published.push((Instant::now(), cas));
            }
        }
        self.objects.insert(path.to_owned(), object);
    }
}

/// An APIService with this Service.
pub(super) fn leading_to(namespace: &str, name: &str) -> Value {
    let service = json!({ "namespace": namespace, "name": name, "port": 443 });
    json!({
        "metadata": {},
        "spec": { "groupPriorityMinimum": 100, "versionPriority": 100, "service": service },
    })
}

/// Merges as in RFC 7386.
fn merge(object: &mut Value, by: &Value) {
    let Value::Object(fields) = by else {
        *object = by.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    let object = object.as_object_mut().unwrap();
    for (name, value) in fields {
        if value.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
