//! A cluster that answers as kube-apiserver does, with a Tributary that misbehaves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::object::KEPT;
use crate::kube_api::{
    KubeApi,
    fake::{Reply, answering},
};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
pub(super) const V1BETA1: &str = "v1beta1.metrics.k8s.io";
pub(super) const V1: &str = "v1.metrics.k8s.io";

/// What Tributary does with requests for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    Everything,
    OneNodeOfTen,
    Nothing,
    Silence,
    /// Always one more page, each after four seconds.
    OneMorePage,
}

/// What goes wrong once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// Before the first write a frontend writes.
    Conflict,
    /// After so many answers for metrics an owner writes `v1beta1` back.
    WrittenBack(usize),
    /// With so many answers for metrics another writer leads `v1beta1` to Tributary.
    LedByAnother(usize),
    /// The current server serves no node.
    NoNode,
    /// kube-apiserver does not know `v1` for this many requests after it was created.
    UnknownAtFirst(usize),
    /// The answers for metrics with these numbers are those of a kube-apiserver that does not know of the change.
    NotKnownElsewhere {
        from: usize,
        to: usize,
        /// Whether it knows the version.
        knows_version: bool,
    },
    /// The current server does not answer, and the nodes cannot be listed.
    NothingToCount,
}

/// A write that is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// Which one: 1 is the first.
    pub(super) write: usize,
    /// Before which request after it it is done: 1 is the next one.
    pub(super) done_before: usize,
}

/// A write on its way.
struct Late {
    method: Method,
    name: String,
    body: Value,
    /// How many requests come before it.
    requests: usize,
}

pub(super) struct Cluster {
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) lost: Option<Lost>,
    late: Option<Late>,
    version: u64,
    metrics: Serves,
    fleet: Serves,
    trouble: Trouble,
    answers: usize,
    pub(super) writes: usize,
}

pub(super) type Shared = Arc<Mutex<Cluster>>;

pub(super) fn spec(service: &str) -> Value {
    json!({
        "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "insecureSkipTLSVerify": true,
        "service": { "namespace": "kube-system", "name": service, "port": 443 },
    })
}

/// metrics-server behind `v1beta1`, Tributary behind the fleet.
pub(super) fn cluster(metrics: Serves, fleet: Serves, trouble: Trouble) -> Shared {
    let object = |name: &str, spec: Value| {
        let metadata = json!({ "name": name, "resourceVersion": "1", "uid": "u" });
        (
            name.to_owned(),
            json!({ "metadata": metadata, "spec": spec }),
        )
    };
    let of_fleet = json!({
        "group": "fleet.tributary.dev", "version": "v1alpha1", "caBundle": "Q0E=",
        "service": { "namespace": "kube-system", "name": "tributary", "port": 443 },
    });
    let objects = [
        object(V1BETA1, spec("metrics-server")),
        object("v1alpha1.fleet.tributary.dev", of_fleet),
    ];
    Arc::new(Mutex::new(Cluster {
        objects: objects.into(),
        lost: None,
        late: None,
        version: 1,
        metrics,
        fleet,
        trouble,
        answers: 0,
        writes: 0,
    }))
}

pub(super) fn api(cluster: &Shared) -> KubeApi {
    let cluster = Arc::clone(cluster);
    answering(move |method, path, body| cluster.lock().answer(method, path, body))
}

fn reply(status: u16, body: Value) -> Reply {
    Reply {
        status,
        from_tributary: false,
        body,
        takes: Duration::ZERO,
    }
}

fn refused(status: u16) -> Reply {
    let message = format!("refused with {status}");
    reply(status, json!({ "message": message }))
}

impl Cluster {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> Option<Reply> {
        if let Some(late) = &mut self.late {
            late.requests -= 1;
            if late.requests == 0 {
                self.deliver();
            }
        }
        let path = path.split('?').next().unwrap();
        if path == SERVICES && method == Method::GET {
            let items: Vec<Value> = self.objects.values().cloned().collect();
            return Some(reply(200, json!({ "items": items })));
        }
        if let Some(rest) = path.strip_prefix(SERVICES) {
            let name = rest.trim_start_matches('/');
            if method == Method::GET {
                let object = self.objects.get(name).cloned();
                return Some(object.map_or_else(|| refused(404), |object| reply(200, object)));
            }
            return self.write(method, name, body);
        }
        if let Some(rest) = path.strip_prefix("/apis/metrics.k8s.io/") {
            let (version, kind) = rest.split_once('/').unwrap();
            return self.metrics(&format!("{version}.metrics.k8s.io"), kind);
        }
        match path.strip_prefix("/apis/fleet.tributary.dev/v1alpha1/") {
            Some("nodeusages") => serve(self.fleet, "nodes"),
            Some("podusages") => serve(self.fleet, "pods"),
            _ => Some(refused(404)),
        }
    }

    fn metrics(&mut self, name: &str, kind: &str) -> Option<Reply> {
        self.answers += 1;
        if self.trouble == Trouble::WrittenBack(self.answers) {
            let object = self.objects.get_mut(V1BETA1).unwrap();
            object["spec"] = spec("metrics-server");
            object["metadata"]["managedFields"] = json!([{ "manager": "kube-addon-manager" }]);
        }
        if self.trouble == Trouble::LedByAnother(self.answers) {
            let object = self.objects.get_mut(V1BETA1).unwrap();
            object["spec"] = spec("tributary");
        }
        let Some(object) = self.objects.get(name) else {
            return Some(refused(404));
        };
        if let Trouble::UnknownAtFirst(left) = &mut self.trouble
            && name == V1
            && *left > 0
        {
            *left -= 1;
            return Some(refused(404));
        }
        let mut is_ours = object["spec"]["service"]["name"] == "tributary";
        if let Trouble::NotKnownElsewhere {
            from,
            to,
            knows_version,
        } = self.trouble
            && (from..to).contains(&self.answers)
        {
            if !knows_version {
                return Some(refused(404));
            }
            is_ours = false;
        }
        if is_ours && self.metrics == Serves::OneMorePage {
            let token = self.answers.to_string();
            return Some(Reply {
                status: 200,
                from_tributary: true,
                body: json!({ "metadata": { "continue": token }, "items": [] }),
                takes: Duration::from_secs(4),
            });
        }
        if is_ours {
            return serve(self.metrics, kind);
        }
        if self.trouble == Trouble::NothingToCount {
            return Some(refused(503));
        }
        let mut theirs = serve(Serves::Everything, kind).unwrap();
        if self.trouble == Trouble::NoNode {
            theirs.body = json!({ "items": [] });
        }
        theirs.from_tributary = false;
        Some(theirs)
    }

    fn write(&mut self, method: &Method, name: &str, body: Value) -> Option<Reply> {
        self.writes += 1;
        if self.trouble == Trouble::Conflict && self.writes == 1 {
            self.version += 1;
            let object = self.objects.get_mut(name).unwrap();
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        }
        if let Some(lost) = self.lost.filter(|lost| lost.write == self.writes) {
            self.late = Some(Late {
                method: method.clone(),
                name: name.to_owned(),
                body,
                requests: lost.done_before,
            });
            return None;
        }
        Some(self.done(method, name, body))
    }

    /// Does the write that is on its way.
    pub(super) fn deliver(&mut self) {
        if let Some(late) = self.late.take() {
            self.done(&late.method, &late.name, late.body);
        }
    }

    /// As kube-apiserver does it: a write of another version is a conflict, and one that changes nothing makes no version.
    fn done(&mut self, method: &Method, name: &str, mut body: Value) -> Reply {
        let now = self.objects.get(name);
        let version = now.map(|now| now["metadata"]["resourceVersion"].clone());
        match *method {
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                if self.objects.contains_key(&name) {
                    return refused(409);
                }
                self.version += 1;
                body["metadata"]["resourceVersion"] = json!(self.version.to_string());
                self.objects.insert(name, body);
            }
            Method::PUT => {
                if version.is_none() {
                    return refused(404);
                }
                if version.as_ref() != Some(&body["metadata"]["resourceVersion"]) {
                    return refused(409);
                }
                if now != Some(&body) {
                    self.version += 1;
                    body["metadata"]["resourceVersion"] = json!(self.version.to_string());
                    self.objects.insert(name.to_owned(), body);
                }
            }
            Method::DELETE => {
                let of = &body["preconditions"]["resourceVersion"];
                match version {
                    None => return refused(404),
                    Some(version) if version != *of => return refused(409),
                    Some(_) => drop(self.objects.remove(name)),
                }
            }
            _ => return refused(405),
        }
        reply(200, json!({}))
    }
}

fn serve(serves: Serves, kind: &str) -> Option<Reply> {
    let count = match (serves, kind) {
        (Serves::Silence | Serves::OneMorePage, _) => return None,
        (Serves::Nothing, _) => return Some(refused(503)),
        (Serves::OneNodeOfTen, _) => 1,
        (Serves::Everything, "nodes") => 10,
        (Serves::Everything, _) => 30,
    };
    let item = |index| json!({ "metadata": { "name": format!("x{index}") }, "usage": { "cpu": "1", "memory": "1Gi" } });
    let items: Vec<Value> = (0..count).map(item).collect();
    Some(Reply {
        status: 200,
        from_tributary: true,
        body: json!({ "items": items }),
        takes: Duration::ZERO,
    })
}

/// Where the versions lead: `v1beta1`, `v1`. Empty if there is no such version.
pub(super) fn leads(cluster: &Shared) -> [String; 2] {
    let objects = &cluster.lock().objects;
    [V1BETA1, V1].map(|name| {
        let object = objects.get(name);
        let name = object.map(|object| &object["spec"]["service"]["name"]);
        name.and_then(Value::as_str).unwrap_or_default().to_owned()
    })
}

pub(super) const OURS: &str = "tributary";
pub(super) const THEIRS: &str = "metrics-server";

/// The `spec` and the annotations are what they were.
pub(super) fn is_untouched(cluster: &Shared) {
    assert_eq!(leads(cluster), [THEIRS, ""]);
    let object = cluster.lock().objects[V1BETA1].clone();
    assert_eq!(object["spec"], spec("metrics-server"));
    assert!(
        object["metadata"]["annotations"][KEPT].is_null(),
        "{object}"
    );
}
