//! `PodMetrics`: get, and list in one namespace or all.

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use tributary_model::{NodeName, PodKey, Timestamp};

use super::{
    Api, Served,
    accept::Subject,
    answer::{Answer, PAGE},
    fields::{Field, Fields},
    kinds::Resource,
    objects::Item,
    params::ListParams,
    status::Refusal,
};
use crate::{catalog::PodRecord, store::NoMetrics};

/// `GET .../pods` and `GET .../namespaces/{namespace}/pods`
pub(crate) async fn list(
    served: Served,
    namespace: Option<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let params = ListParams::read(request.uri(), Resource::Pods)?;
    let answer = Answer::to(&request, &served, Resource::Pods, Subject::List)?;
    let limit = params.limit;
    let pages = Pages::new(served.api, namespace, params, answer.now);
    Ok(answer.list(pages, limit).await)
}

/// `GET .../namespaces/{namespace}/pods/{name}`
pub(crate) fn get(
    served: &Served,
    (namespace, name): (String, String),
    request: &Request,
) -> Result<Response, Refusal> {
    let answer = Answer::to(request, served, Resource::Pods, Subject::Object)?;
    let key = PodKey::new(namespace, name.as_str());
    let Some(pod) = served.api.catalog.pod(&key) else {
        return Err(Refusal::NoObject {
            resource: Resource::Pods,
            name,
        });
    };
    let asked = [(&key, pod.node.as_ref())];
    let usage = served.api.store.pods(asked, answer.now).pop();
    match usage.unwrap_or(Err(NoMetrics::NeverReported)) {
        Ok(usage) => Ok(answer.one(&Item::Pod(pod, usage))),
        Err(why) => Err(Refusal::NoMetrics {
            resource: Resource::Pods,
            by: {
                let node = node_of(&served.api, &pod);
                node.and_then(|node| served.api.scraped_by(&node))
            },
            name: key.to_string(),
            why,
        }),
    }
}

/// The node whose numbers of `pod` count: the one that it is bound to, or, where that
/// is not known, the first that reported it.
fn node_of(api: &Api, pod: &PodRecord) -> Option<NodeName> {
    let reported = || api.store.nodes_of(&pod.key).into_iter().next();
    pod.node.clone().or_else(reported)
}

/// The pods of a list that have metrics, page by page, by namespace and name.
struct Pages {
    api: Arc<Api>,
    namespace: Option<String>,
    params: ListParams,
    now: Timestamp,
    /// What the next page comes after.
    after: Option<PodKey>,
    /// There is no next page.
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
        // Where both are given and differ, the fields let no pod pass.
        Self {
            api,
            namespace: namespace.or(selected),
            params,
            now,
            after,
            done: false,
        }
    }

    /// The next records, whether or not they are wanted, and where to go on.
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
            && (!fields.needs_node() || self.runs_on(pod, fields))
    }

    /// Whether `pod` meets the conditions on its node.
    fn runs_on(&self, pod: &PodRecord, fields: &Fields) -> bool {
        fields.matches_node(node_of(&self.api, pod).as_ref())
    }
}

impl Iterator for Pages {
    type Item = Vec<Item>;

    fn next(&mut self) -> Option<Vec<Item>> {
        let mut pods = self.records()?;
        pods.retain(|pod| self.wants(pod));
        let asked = pods.iter().map(|pod| (&pod.key, pod.node.as_ref()));
        let usages = self.api.store.pods(asked, self.now);
        let items = pods
            .iter()
            .zip(usages)
            .filter_map(|(pod, usage)| Some(Item::Pod(Arc::clone(pod), usage.ok()?)));
        Some(items.collect())
    }
}
