//! Handlers of GET and LIST for every kind.

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use futures::future::BoxFuture;
use tokio::time::Instant;
use tributary_model::{PodKey, Timestamp};

use super::{
    Api, Served,
    answer::Answer,
    kind::Kind,
    params::ListParams,
    status::Refusal,
    warning::{self, Troubled},
    watch,
};
use crate::{auth::User, k8s::accept::Subject, scrapers::demand::Question};

/// Lists the objects of a kind in a namespace, or all.
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
            return watch::answer::<K>(served, namespace, params, watch, request).await;
        }
        let subject = Subject::List(K::RESOURCE);
        let answer = Answer::<K>::to(&request, &served, subject)?;
        let (limit, from_start) = (params.limit, params.after.is_none());
        // A list of all objects does not show for which nodes fresh samples are wanted.
        let query = request.uri().query().filter(|_| !params.labels.is_empty());
        let wanted = query.is_some_and(|which| {
            is_asked_again(&served.api, &request, namespace.as_deref(), which)
        });
        let demand = wanted.then(|| served.api.demand.clone());
        let troubled = troubled::<K>(&served, &request, namespace.as_deref(), &params, answer.now);
        let pages = K::pages(served.api, namespace, params, answer.now);
        let pages = pages.inspect(move |page| {
            if let Some(demand) = &demand {
                demand.want(page.iter().filter_map(K::node), Instant::now());
            }
        });
        if K::RESOURCE.watched {
            return Ok(answer.versioned(pages, limit, from_start).await);
        }
        let mut response = answer.list(pages, limit).await;
        if let Some(warned) = K::WARNED {
            warning::add(response.headers_mut(), warned.whose, &troubled);
        }
        Ok(response)
    })
}

/// The nodes of which a list warns: of its objects, and of those that it lacks.
fn troubled<K: Kind>(
    served: &Served,
    request: &Request,
    namespace: Option<&str>,
    params: &ListParams,
    now: Timestamp,
) -> Vec<Troubled> {
    let Some(warned) = K::WARNED.filter(|_| warning::is_shown_by(request.headers())) else {
        return Vec::new();
    };
    // A list in parts warns once.
    if params.after.is_some() {
        return Vec::new();
    }
    let mut troubled = served.warnings.troubled(&served.api, now).to_vec();
    if !troubled.is_empty() {
        (warned.retain)(&served.api, namespace, params, &mut troubled);
    }
    troubled
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
    let late = K::WARNED
        .filter(|_| warning::is_shown_by(request.headers()))
        .and_then(|warned| {
            let node = (warned.node)(&object)?;
            Some((warned.whose, warning::late(api, node, answer.now)))
        });
    let mut response = answer.one(&object);
    if let Some((whose, troubled)) = late {
        warning::add(response.headers_mut(), whose, &troubled);
    }
    Ok(response)
}

/// Whether the user repeats this request, as an autoscaler does.
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
