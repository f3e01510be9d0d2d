//! The router without sockets: one request, one whole answer.

#[cfg(test)]
#[path = "api/bound.rs"]
mod bound;
#[cfg(test)]
#[path = "api/cluster.rs"]
mod cluster;
#[cfg(test)]
#[path = "api/debug.rs"]
mod debug;
#[cfg(test)]
#[path = "api/discovery.rs"]
mod discovery;
#[cfg(test)]
#[path = "api/encodings.rs"]
mod encodings;
#[cfg(test)]
#[path = "api/fleet.rs"]
mod fleet;
#[cfg(test)]
#[path = "api/forms.rs"]
mod forms;
#[cfg(test)]
#[path = "api/golden.rs"]
mod golden;
#[cfg(test)]
#[path = "api/objects.rs"]
mod objects;
#[cfg(test)]
#[path = "api/openapi.rs"]
mod openapi;
#[cfg(test)]
#[path = "api/paging.rs"]
mod paging;
#[cfg(test)]
#[path = "api/refusals.rs"]
mod refusals;
#[cfg(test)]
#[path = "api/requests.rs"]
mod requests;
#[cfg(test)]
#[path = "api/selection.rs"]
mod selection;
#[cfg(test)]
#[path = "api/usages.rs"]
mod usages;
#[cfg(test)]
#[path = "api/warnings.rs"]
mod warnings;
