//! What the accounts of the components may do: asked by `SubjectAccessReview`s, which change nothing.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Container};
use serde_json::{Value, json};

use super::Read;
use crate::kube_api::{Failure, KubeApi};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// Reviews in flight.
const AT_ONCE: usize = 8;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Frontends, or metrics-server.
    Frontend,
    /// Scrapers.
    Scraper,
    /// Its tokens go to kubelets.
    KubeletReader,
}

/// What an account may not do and should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What the account is for.
    pub role: Role,
    /// Its namespace and name, joined by a colon as in its user name.
    pub account: String,
    /// What it should be able to do.
    pub need: Need,
}

/// One permission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Such as `list`.
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: &'static str,
    /// With the subresource: `nodes/metrics`.
    pub resource: &'static str,
    /// Empty: in the whole cluster.
    pub namespace: String,
    /// Empty: of any name.
    pub name: String,
}

impl Need {
    /// As `kubectl auth can-i` names the resource.
    #[must_use]
    pub fn qualified(&self) -> String {
        let (resource, sub) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let dot = if self.group.is_empty() { "" } else { "." };
        let slash = if sub.is_empty() { "" } else { "/" };
        format!("{resource}{dot}{}{slash}{sub}", self.group)
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.qualified())?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        match &*self.namespace {
            "" => Ok(()),
            namespace => write!(f, " in {namespace}"),
        }
    }
}

/// What one account needs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    role: Role,
    namespace: String,
    name: String,
    needs: Vec<Need>,
}

/// What the accounts of these Deployments may not do and should.
pub(super) async fn denied(
    api: &KubeApi,
    deployments: Result<&[Deployment], &Failure>,
) -> Read<Vec<Denied>> {
    let deployments = deployments.map_err(Clone::clone)?;
    let mut accounts: Vec<Account> = deployments.iter().flat_map(accounts_of).collect();
    accounts.dedup();
    let mut asked = Vec::new();
    for account in &accounts {
        for need in &account.needs {
            let denied = Denied {
                role: account.role,
                account: format!("{}:{}", account.namespace, account.name),
                need: need.clone(),
            };
            asked.push((denied, review(account, need)));
        }
    }
    let reviews = stream::iter(asked).map(|(denied, review)| async move {
        let answer = api.review(REVIEWS, &review).await?;
        let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
        Ok((!allowed.unwrap_or(false)).then_some(denied))
    });
    let answers: Vec<Option<Denied>> = reviews.buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

fn review(account: &Account, need: &Need) -> Value {
    let Account {
        namespace, name, ..
    } = account;
    let (resource, sub) = need.resource.split_once('/').unwrap_or((need.resource, ""));
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{namespace}:{name}"),
            "groups": [
                "system:serviceaccounts",
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated",
            ],
            "resourceAttributes": {
                "verb": need.verb, "group": need.group, "resource": resource, "subresource": sub,
                "namespace": need.namespace, "name": need.name,
            },
        },
    })
}

fn need(verb: &'static str, group: &'static str, resource: &'static str) -> Need {
    Need {
        verb,
        group,
        resource,
        ..Need::default()
    }
}

/// The accounts of a Deployment, with what its components need (deploy/README.md).
fn accounts_of(deployment: &Deployment) -> Vec<Account> {
    let namespace = deployment.metadata.namespace.clone().unwrap_or_default();
    let spec = deployment.spec.as_ref();
    let Some(pod) = spec.and_then(|spec| spec.template.spec.as_ref()) else {
        return Vec::new();
    };
    let account = |role, needs| Account {
        role,
        namespace: namespace.clone(),
        name: pod
            .service_account_name
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        needs,
    };
    let mut accounts = Vec::new();
    for container in &pod.containers {
        match &*container.name {
            "frontend" => accounts.push(account(Role::Frontend, frontend(container, &namespace))),
            "metrics-server" => {
                accounts.push(account(Role::Frontend, metrics_server()));
                accounts.push(account(
                    Role::KubeletReader,
                    vec![need("get", "", "nodes/metrics")],
                ));
            }
            "scraper" => {
                accounts.push(account(Role::Scraper, scraper(container, &namespace)));
                accounts.extend(kubelet_reader(container, &namespace, account));
            }
            _ => {}
        }
    }
    accounts
}

/// The value of a flag: `--name=value`.
fn flag<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    let words = container.command.iter().chain(&container.args).flatten();
    let mut values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    values.next_back()
}

/// What any server of the metrics needs to serve requests.
fn server() -> Vec<Need> {
    let proxy = Need {
        namespace: "kube-system".to_owned(),
        name: "extension-apiserver-authentication".to_owned(),
        ..need("get", "", "configmaps")
    };
    vec![
        need("list", "", "nodes"),
        need("watch", "", "nodes"),
        need("list", "", "pods"),
        need("watch", "", "pods"),
        need("create", "authentication.k8s.io", "tokenreviews"),
        need("create", "authorization.k8s.io", "subjectaccessreviews"),
        proxy,
    ]
}

fn metrics_server() -> Vec<Need> {
    server()
}

fn frontend(container: &Container, namespace: &str) -> Vec<Need> {
    let mut needs = server();
    if flag(container, "--tls-auto").is_some() {
        let written = ["get", "create", "patch"].map(|verb| Need {
            namespace: namespace.to_owned(),
            name: "tributary-serving".to_owned(),
            ..need(verb, "", "secrets")
        });
        needs.extend(written);
        needs.push(Need {
            name: crate::api_services::METRICS.to_owned(),
            ..need("patch", "apiregistration.k8s.io", "apiservices")
        });
    }
    needs
}

fn scraper(container: &Container, namespace: &str) -> Vec<Need> {
    let within = |need: Need| Need {
        namespace: namespace.to_owned(),
        ..need
    };
    let mut needs = vec![need("list", "", "nodes"), need("watch", "", "nodes")];
    if flag(container, "--bus-token-file").is_some() {
        needs.push(need("create", "bus.tributary.dev", "samplestreams"));
    }
    if flag(container, "--shard-count").is_none() {
        let verbs = ["list", "watch", "create", "patch"];
        let leases = verbs.map(|verb| within(need(verb, "coordination.k8s.io", "leases")));
        needs.extend(leases);
    }
    let frontend = flag(container, "--frontend").unwrap_or_default();
    if frontend.starts_with("k8s:") {
        let slices = |verb| within(need(verb, "discovery.k8s.io", "endpointslices"));
        needs.extend([slices("list"), slices("watch")]);
    }
    let delay = flag(container, "--node-event-delay");
    if delay.is_none_or(|delay| delay.contains(|digit| matches!(digit, '1'..='9'))) {
        // Events about nodes are in this namespace, as nodes have none.
        let events = ["create", "patch"].map(|verb| Need {
            namespace: "default".to_owned(),
            ..need(verb, "events.k8s.io", "events")
        });
        needs.extend(events);
    }
    if let Some((namespace, name)) = reader(container, namespace) {
        needs.push(Need {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..need("create", "", "serviceaccounts/token")
        });
    }
    needs
}

/// The account whose tokens kubelets see, if it is another one. Manifests have the namespace of the pod as a variable.
fn reader<'a>(container: &'a Container, own: &'a str) -> Option<(&'a str, &'a str)> {
    let account = flag(container, "--kubelet-token-service-account")?;
    let (namespace, name) = account.split_once('/')?;
    let namespace = if namespace == "$(POD_NAMESPACE)" {
        own
    } else {
        namespace
    };
    Some((namespace, name))
}

fn kubelet_reader(
    container: &Container,
    namespace: &str,
    own: impl Fn(Role, Vec<Need>) -> Account,
) -> Option<Account> {
    if flag(container, "--kubelet-client-certificate").is_some() {
        return None;
    }
    let account = own(Role::KubeletReader, vec![need("get", "", "nodes/metrics")]);
    let other = |(namespace, name): (&str, &str)| Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..account.clone()
    };
    Some(reader(container, namespace).map_or(account.clone(), other))
}

#[cfg(test)]
mod tests;
