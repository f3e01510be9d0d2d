//! The endpoints of Services, as the controller of a real cluster writes them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::Cluster;
use crate::Error;
use crate::store::ENDPOINT_SLICES;

/// The label that names the Service of a slice.
const SERVICE: &str = "kubernetes.io/service-name";

/// The address of a pod of a Service, and its readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address, with the port of the pod.
    pub address: SocketAddr,
    /// Whether it accepts requests.
    pub ready: bool,
}

impl Cluster {
    /// Makes these all the endpoints of a Service, on its port `port`. Each gets an `EndpointSlice`, because all
    /// endpoints of a slice have the same ports. Unchanged slices are not written.
    pub fn set_endpoints(
        &self,
        (namespace, service): (&str, &str),
        port: &str,
        endpoints: &[Endpoint],
    ) -> Result<(), Error> {
        let wanted: BTreeMap<String, Endpoint> = endpoints
            .iter()
            .map(|endpoint| (slice_name(service, endpoint.address), *endpoint))
            .collect();
        for name in self.slices(namespace, service) {
            if !wanted.contains_key(&name) {
                self.remove_object(ENDPOINT_SLICES.plural, namespace, &name)?;
            }
        }
        for (name, endpoint) in wanted {
            let new = slice((namespace, service), port, endpoint);
            let stored = self.object(ENDPOINT_SLICES.plural, namespace, &name);
            if stored.is_none_or(|stored| stored.get("endpoints") != new.get("endpoints")) {
                self.put_object(new)?;
            }
        }
        Ok(())
    }

    /// The names of the slices of a Service.
    fn slices(&self, namespace: &str, service: &str) -> Vec<String> {
        let state = self.shared.state();
        let slices = state.store.namespace(&ENDPOINT_SLICES, namespace, None);
        let ours = slices.filter(|(_, stored)| stored.object.label(SERVICE) == Some(service));
        ours.map(|(key, _)| key.1.clone()).collect()
    }
}

/// Addresses contain letters, digits and these characters.
fn slice_name(service: &str, address: SocketAddr) -> String {
    let address = address.to_string().replace(['.', ':', '[', ']'], "-");
    format!("{service}-{address}")
}

fn slice((namespace, service): (&str, &str), port: &str, endpoint: Endpoint) -> Value {
    let Endpoint { address, ready } = endpoint;
    let name = slice_name(service, address);
    json!({
        "apiVersion": ENDPOINT_SLICES.api_version(),
        "kind": ENDPOINT_SLICES.name,
        "metadata": { "namespace": namespace, "name": name, "labels": { SERVICE: service } },
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "ports": [{ "name": port, "port": address.port(), "protocol": "TCP" }],
        "endpoints": [{
            "addresses": [address.ip().to_string()],
            "conditions": { "ready": ready, "serving": ready, "terminating": false },
        }],
    })
}
