//! `PodMetrics`: the usage of pods, in one namespace or all.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tributary_model::{NodeName, PodKey, Timestamp};

use super::{
    Api,
    answer::PAGE,
    kind::Kind,
    objects::{self, Amounts, METRICS, Object},
    params::ListParams,
    status::Refusal,
    table::{UsageColumns, Used},
    warning::{Troubled, Warned, Whose},
};
use crate::{
    catalog::{Labels, PodRecord},
    k8s::{
        fields::{Field, Fields},
        json, openapi,
        protobuf::{message, text},
        resource::Resource,
    },
    store::{NoMetrics, PodUsage},
};

/// `spec.nodeName`: the node to which the pod is bound. If that is not known, the first node that reported the pod
/// (docs/parity.md#selection).
pub(super) const NODE_NAME: &str = "spec.nodeName";

/// The resource.
pub(crate) static PODS: Resource = Resource {
    group: METRICS,
    plural: "pods",
    // `pod` would hide the core resource from kubectl (docs/parity.md#discovery).
    singular: "",
    short: &[],
    kind: "PodMetrics",
    namespaced: true,
    protobuf: true,
    watched: false,
    fields: &[NODE_NAME],
    about: "pod",
    // Upstream's message has the name without a group.
    missing: ("pods", ""),
    mark: b'p',
    schemas: |version| openapi::schemas_in(include_str!("openapi/pods.json"), version),
    package: "io.k8s.metrics.pkg.apis.metrics",
};

/// A `PodMetrics`.
#[derive(Debug)]
pub(crate) struct PodMetrics {
    pod: Arc<PodRecord>,
    usage: PodUsage,
}

impl Kind for PodMetrics {
    const RESOURCE: &'static Resource = &PODS;
    type Object = Self;
    const WARNED: Option<Warned<Self>> = Some(Warned {
        whose: Whose::Pods,
        node: |metrics| metrics.pod.node.as_ref(),
        retain: retain_nodes_of_list,
    });

    fn is_synced(api: &Api) -> bool {
        api.catalog.pods_synced()
    }

    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<Self, Refusal> {
        let Some(pod) = api.catalog.pod(&key) else {
            return Err(Refusal::NoObject(&PODS, key.name.as_ref().to_owned()));
        };
        let asked = [(&key, pod.node.as_ref())];
        let usage = api.store.pods(asked, now).pop();
        match usage.unwrap_or(Err(NoMetrics::NeverReported)) {
            Ok(usage) => Ok(Self { pod, usage }),
            Err(why) => Err(Refusal::NoMetrics {
                resource: &PODS,
                by: node_of(api, &pod).and_then(|node| api.scraped_by(&node)),
                name: key.to_string(),
                why,
            }),
        }
    }

    fn node(pod: &Self) -> Option<&NodeName> {
        pod.pod.node.as_ref()
    }

    fn pages(
        api: Arc<Api>,
        namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Self>> + Send + 'static {
        Pages::new(api, namespace, params, now)
    }
}

impl Object for PodMetrics {
    type Columns = UsageColumns;

    fn name(&self) -> &str {
        &self.pod.key.name
    }

    fn namespace(&self) -> &str {
        &self.pod.key.namespace
    }

    fn key(&self) -> PodKey {
        self.pod.key.clone()
    }

    fn labels(&self) -> &Labels {
        &self.pod.labels
    }

    fn measured_at(&self) -> Option<Timestamp> {
        Some(self.usage.at)
    }

    fn fields(&self, out: &mut Vec<u8>) {
        objects::measured(out, self.usage.at, self.usage.window);
        out.extend_from_slice(br#","containers":["#);
        for (at, (name, usage)) in self.usage.containers().enumerate() {
            out.extend_from_slice(if at == 0 {
                br#"{"name":"#
            } else {
                br#",{"name":"#
            });
            json::string(out, name.as_str());
            out.push(b',');
            Amounts::from(usage).write(out);
            out.push(b'}');
        }
        out.push(b']');
    }

    fn protobuf(&self, out: &mut Vec<u8>) {
        objects::measured_protobuf(out, self.usage.at, self.usage.window);
        for (name, container) in self.usage.containers() {
            message(out, 4, |out| {
                text(out, 1, name.as_str());
                Amounts::from(container).protobuf(out, 2);
            });
        }
    }
}

impl Used for PodMetrics {
    fn total(&self) -> Amounts {
        let containers = self.usage.containers();
        containers.fold(Amounts::NONE, |sum, (_, usage)| sum.plus(usage))
    }

    fn window(&self) -> Duration {
        self.usage.window
    }
}

/// The node whose numbers of `pod` are served: the node to which the pod is bound. If that is not known, the first node
/// that reported the pod.
fn node_of(api: &Api, pod: &PodRecord) -> Option<NodeName> {
    let reported = || api.store.nodes_of(&pod.key).into_iter().next();
    pod.node.clone().or_else(reported)
}

/// The most pods that are looked at to find the nodes of a list. That takes a few milliseconds.
const WALKED: usize = 20_000;

/// Retains the nodes to which pods of the list are bound, or may be. A list of all pods has pods of every node. Another
/// one is walked, and that costs less than the list itself.
fn retain_nodes_of_list(
    api: &Arc<Api>,
    namespace: Option<&str>,
    params: &ListParams,
    nodes: &mut Vec<Troubled>,
) {
    // A page with an unusable number of the node has usable ones of pods.
    nodes.retain(|troubled| troubled.reason != Some("unusable"));
    let all =
        namespace.is_none() && params.labels.is_empty() && params.fields.terms().next().is_none();
    if all || nodes.is_empty() {
        return;
    }
    let mut missing: HashSet<NodeName> = nodes.iter().map(|it| it.node.clone()).collect();
    let namespace = namespace.map(str::to_owned);
    let mut pages = Pages::new(
        Arc::clone(api),
        namespace,
        params.clone(),
        Timestamp::from_millis(0),
    );
    let mut walked = 0;
    while !missing.is_empty()
        && let Some(pods) = pages.records()
    {
        walked += pods.len();
        if walked > WALKED {
            return;
        }
        for pod in pods.iter().filter(|pod| pages.wants(pod)) {
            if let Some(node) = &pod.node {
                missing.remove(node);
            }
        }
    }
    nodes.retain(|troubled| !missing.contains(&troubled.node));
}

/// The pods of a list that have metrics, in pages, sorted by namespace and name.
struct Pages {
    api: Arc<Api>,
    namespace: Option<String>,
    params: ListParams,
    now: Timestamp,
    /// The last key of the previous page.
    after: Option<PodKey>,
    /// Whether the last page was read.
    done: bool,
}

impl Pages {
    fn new(
        api: Arc<Api>,
        namespace: Option<String>,
        mut params: ListParams,
        now: Timestamp,
    ) -> Self {
        let selected = params.fields.exact(Field::Namespace).map(str::to_owned);
        let after = params.after.take();
        // If the path and the field selector have different namespaces, the field selector selects no pod.
        Self {
            api,
            namespace: namespace.or(selected),
            params,
            now,
            after,
            done: false,
        }
    }

    /// The next records, selected or not.
    fn records(&mut self) -> Option<Vec<Arc<PodRecord>>> {
        if self.done {
            return None;
        }
        let after = self.after.take();
        let namespace = self.namespace.as_deref();
        if let (Some(namespace), Some(name)) = (namespace, self.params.fields.exact(Field::Name)) {
            let key = PodKey::new(namespace, name);
            self.done = true;
            let ahead = after.is_none_or(|after| after < key);
            let pod = self.api.catalog.pod(&key).filter(|_| ahead);
            return Some(pod.into_iter().collect());
        }
        let records = self.api.catalog.pods_after(namespace, after.as_ref(), PAGE);
        self.done = records.len() < PAGE;
        self.after = records.last().map(|pod| pod.key.clone());
        Some(records)
    }

    fn wants(&self, pod: &PodRecord) -> bool {
        let fields = &self.params.fields;
        fields.matches(&pod.key.name, &pod.key.namespace)
            && pod.labels.meet(&self.params.labels)
            && (!fields.needs_more() || self.runs_on(pod, fields))
    }

    /// Whether `pod` meets the conditions on its node.
    fn runs_on(&self, pod: &PodRecord, fields: &Fields) -> bool {
        let node = node_of(&self.api, pod);
        let node = node.as_ref().map(NodeName::as_str).unwrap_or_default();
        fields.matches_more(|_, value| value == node)
    }
}

impl Iterator for Pages {
    type Item = Vec<PodMetrics>;

    fn next(&mut self) -> Option<Vec<PodMetrics>> {
        let mut pods = self.records()?;
        pods.retain(|pod| self.wants(pod));
        let asked = pods.iter().map(|pod| (&pod.key, pod.node.as_ref()));
        let usages = self.api.store.pods(asked, self.now);
        let items = pods.iter().zip(usages).filter_map(|(pod, usage)| {
            Some(PodMetrics {
                pod: Arc::clone(pod),
                usage: usage.ok()?,
            })
        });
        Some(items.collect())
    }
}
