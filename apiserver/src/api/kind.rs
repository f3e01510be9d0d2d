//! What is the same for every kind that is served: GET and LIST.

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use futures::future::BoxFuture;
use tokio::time::Instant;
use tributary_model::{NodeName, PodKey, Timestamp};

use super::{
    Api, Served, accept::Subject, answer::Answer, kinds::Resource, objects::Object,
    params::ListParams, status::Refusal, watch,
};
use crate::{auth::User, demand::Question};

/// A kind: what its objects are, and where they come from.
pub(crate) trait Kind: 'static {
    /// Its names.
    const RESOURCE: &'static Resource;

    /// An object.
    type Object: Object;

    /// Whether it is known which objects there are. If not, an empty answer would
    /// be a lie.
    fn is_synced(api: &Api) -> bool;

    /// The object of this namespace and name, as of `now`.
    ///
    /// # Errors
    ///
    /// There is none, or nothing can be said of it.
    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<Self::Object, Refusal>;

    /// The objects that `params` select, as of `now`, of one namespace or all, page
    /// by page and in the order of their keys. They begin after the key that
    /// `params` name. The limit is the caller's.
    fn pages(
        api: Arc<Api>,
        namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Self::Object>> + Send + 'static;

    /// The node whose samples the metrics of an object are from, where autoscalers ask
    /// for its kind.
    fn node(_object: &Self::Object) -> Option<&NodeName> {
        None
    }

    /// What a watch sends for an object that no longer exists; `None` of kinds that cannot be
    /// watched.
    fn gone(_key: &PodKey) -> Option<Self::Object> {
        None
    }
}

/// Lists the objects of a kind, of a namespace or all.
pub(super) type List =
    fn(Served, Option<String>, Request) -> BoxFuture<'static, Result<Response, Refusal>>;

/// Answers with the object of this namespace and name.
pub(super) type One = fn(&Served, PodKey, &Request) -> Result<Response, Refusal>;

/// `GET .../{plural}` and `GET .../namespaces/{namespace}/{plural}`
pub(super) fn list<K: Kind>(
    served: Served,
    namespace: Option<String>,
    request: Request,
) -> BoxFuture<'static, Result<Response, Refusal>> {
    Box::pin(async move {
        let mut params = ListParams::read(request.uri(), K::RESOURCE)?;
        if let Some(watch) = params.watch.take() {
            return watch::answer::<K>(served, namespace, (params, watch), request).await;
        }
        let subject = Subject::List(K::RESOURCE);
        let answer = Answer::<K>::to(&request, &served, subject)?;
        let (limit, from_start) = (params.limit, params.after.is_none());
        // A list of everything says nothing of where fresh metrics are needed.
        let query = request.uri().query().filter(|_| !params.labels.is_empty());
        let wanted = query.is_some_and(|which| {
            is_asked_again(&served.api, &request, namespace.as_deref(), which)
        });
        let demand = wanted.then(|| served.api.demand.clone());
        let pages = K::pages(served.api, namespace, params, answer.now);
        let pages = pages.inspect(move |page| {
            if let Some(demand) = &demand {
                demand.want(page.iter().filter_map(K::node), Instant::now());
            }
        });
        if K::RESOURCE.watched {
            return Ok(answer.versioned(pages, limit, from_start).await);
        }
        Ok(answer.list(pages, limit).await)
    })
}

/// `GET .../{plural}/{name}` and `GET .../namespaces/{namespace}/{plural}/{name}`
pub(super) fn one<K: Kind>(
    served: &Served,
    key: PodKey,
    request: &Request,
) -> Result<Response, Refusal> {
    let subject = Subject::Object(K::RESOURCE);
    let answer = Answer::<K>::to(request, served, subject)?;
    let api = &served.api;
    let namespace = Some(key.namespace.as_ref());
    let asked_again = is_asked_again(api, request, namespace, key.name.as_ref());
    let object = K::get(api, key, answer.now)?;
    if asked_again && let Some(node) = K::node(&object) {
        api.demand.want([node], Instant::now());
    }
    Ok(answer.one(&object))
}

/// Whether the user asks this again and again, as an autoscaler does.
fn is_asked_again(api: &Api, request: &Request, namespace: Option<&str>, which: &str) -> bool {
    let Some(user) = request.extensions().get::<Arc<User>>() else {
        return false;
    };
    let question = Question {
        user: &user.name,
        namespace,
        which,
    };
    api.demand.asked(question, Instant::now())
}
