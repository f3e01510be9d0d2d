//! Whether a namespace is there. Kubernetes answers a list in one that is not with an empty list, and a GET as if only the
//! object was not there.

use k8s_openapi::api::core::v1::Namespace;

use super::{Failure, KubeApi, path};

impl KubeApi {
    /// Why nothing is in this namespace, if it is not there. Callers who may not read it are believed.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub async fn has_namespace(&self, name: &str) -> Result<(), Failure> {
        match self
            .get::<Namespace>(&path("/api/v1/namespaces", &[name]))
            .await
        {
            Err(failure @ Failure::NotFound(_)) => Err(failure),
            _ => Ok(()),
        }
    }

    /// The same of an object that was not found in the namespace of the caller: the namespace may be what is not there.
    pub async fn or_no_namespace(&self, failure: Failure) -> Failure {
        if !matches!(failure, Failure::NotFound(_)) {
            return failure;
        }
        let there = self.has_namespace(&self.namespace).await;
        there.err().unwrap_or(failure)
    }
}
