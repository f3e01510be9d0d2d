//! What a kind that is served consists of.

use std::sync::Arc;

use tributary_model::{NodeName, PodKey, Timestamp};

use super::{Api, objects::Object, params::ListParams, status::Refusal};
use crate::k8s::resource::Resource;

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
