//! The parts of a kind that the API serves.

use std::sync::Arc;

use tributary_model::{NodeName, PodKey, Timestamp};

use super::{Api, objects::Object, params::ListParams, status::Refusal, warning::Warned};
use crate::k8s::resource::Resource;

/// A kind: its objects and their source.
pub(crate) trait Kind: 'static {
    /// Its names.
    const RESOURCE: &'static Resource;

    /// An object.
    type Object: Object;

    /// How answers of this kind warn of nodes without metrics. `None` if they do not.
    const WARNED: Option<Warned<Self::Object>> = None;

    /// Whether the objects are listed. Until then an empty answer would be wrong.
    fn is_synced(api: &Api) -> bool;

    /// The object with this namespace and name, at the time `now`.
    ///
    /// # Errors
    ///
    /// The object does not exist, or has no metrics.
    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<Self::Object, Refusal>;

    /// The objects that `params` select at the time `now`, of one namespace or all, in pages and in the order of their
    /// keys. They begin after the key in `params`. The caller applies the limit.
    fn pages(
        api: Arc<Api>,
        namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Self::Object>> + Send + 'static;

    /// The node whose samples are the object's metrics, for kinds that autoscalers read.
    fn node(_object: &Self::Object) -> Option<&NodeName> {
        None
    }

    /// What a watch sends for a deleted object. `None` for kinds that cannot be watched.
    fn gone(_key: &PodKey) -> Option<Self::Object> {
        None
    }
}
