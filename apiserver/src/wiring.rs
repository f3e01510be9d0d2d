//! Parts of the start of a frontend: what is watched in the Kubernetes API, and which files are
//! read again. Only [`Frontend::start`](crate::Frontend::start) uses it.

pub(crate) mod files;
pub(crate) mod kube_api;
