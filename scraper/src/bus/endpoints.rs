//! The frontends behind a Service, as they come and go.
//!
//! All endpoints are fed, whatever their conditions say. One that is not ready
//! becomes ready by being fed, and one that is terminating answers until it is
//! gone. While the API cannot be reached what is known stays.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use kube::{Client, Resource as _};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_runtime::kube::{Change, Watched, keep};

use super::frontend::{Service, ServicePort};

/// By this label the slices of a Service are found.
const SERVICE: &str = "kubernetes.io/service-name";

/// Hosts and ports.
type Addresses = BTreeSet<(String, u16)>;

/// What is known of each Service that a flag names.
pub(crate) type Found = HashMap<Service, Addresses>;

/// Keeps what is `found` of `service` current until `stop`. Slices are looked
/// for in its namespace alone.
pub(crate) fn watch_endpoints(
    client: Client,
    service: Service,
    found: watch::Sender<Found>,
    stop: CancellationToken,
) -> impl Future<Output = ()> {
    let path = EndpointSlice::url_path(&(), Some(&service.namespace));
    let slices = Watched {
        labels: format!("{SERVICE}={}", service.name),
        ..Watched::all("endpointslices", path)
    };
    let port = service.port.clone();
    let mut known = Slices::default();
    let apply = move |change| {
        known.apply(change);
        let addresses = known.addresses();
        let portless = known.portless();
        found.send_if_modified(|found| {
            if found.get(&service) == Some(&addresses) {
                return false;
            }
            info!(%service, count = addresses.len(), "endpoints of the service");
            if addresses.is_empty() && portless > 0 {
                warn!(%service, endpoints = portless, "port of the Service not found in its EndpointSlices");
            }
            found.insert(service.clone(), addresses);
            true
        });
    };
    async move {
        let read = |slice| Slice::read(slice, &port);
        keep(client, slices, read, apply, stop).await;
    }
}

/// What is read of an EndpointSlice.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    metadata: Meta,
    address_type: String,
    endpoints: Vec<Endpoint>,
    ports: Vec<EndpointPort>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
}

/// A part of the endpoints of a Service, all with the same ports.
#[derive(Debug, Default)]
struct Slice {
    name: String,
    ipv6: bool,
    /// `None` if the slice has no such port.
    port: Option<u16>,
    /// Who it is, as far as said, and where.
    endpoints: Vec<(Option<String>, String)>,
}

impl Slice {
    fn read(slice: Wire, port: &ServicePort) -> Self {
        let port = match port {
            ServicePort::Number(number) => Some(*number),
            ServicePort::Name(name) => {
                let mut named = slice
                    .ports
                    .iter()
                    .filter(|port| port.name.as_ref() == Some(name))
                    .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
                named.find_map(|port| u16::try_from(port.port?).ok())
            }
        };
        // Endpoints that are names are a thing that nobody serves.
        let by_address = slice.address_type != "FQDN";
        let endpoints = slice.endpoints.into_iter().filter(|_| by_address);
        Self {
            name: slice.metadata.name,
            ipv6: slice.address_type == "IPv6",
            port,
            endpoints: endpoints.filter_map(place).collect(),
        }
    }
}

/// All addresses of an endpoint are as good as the first.
fn place(endpoint: Endpoint) -> Option<(Option<String>, String)> {
    let mut hosts = endpoint.addresses.into_iter();
    let host = hosts.find(|host| !host.is_empty())?;
    let who = endpoint
        .target_ref
        .and_then(|target| target.uid.or(target.name));
    Some((who, host))
}

/// The slices of one Service.
#[derive(Debug, Default)]
struct Slices(BTreeMap<String, Slice>);

impl Slices {
    fn apply(&mut self, change: Change<Slice>) {
        match change {
            Change::Replace(slices) => {
                let named = slices.into_iter().map(|slice| (slice.name.clone(), slice));
                self.0 = named.collect();
            }
            Change::Put(slice) => {
                self.0.insert(slice.name.clone(), slice);
            }
            Change::Remove(slice) => {
                self.0.remove(&slice.name);
            }
        }
    }

    /// Where the frontends are: one address of each, IPv4 if it has one, though
    /// it may be in several slices.
    fn addresses(&self) -> Addresses {
        let mut best = BTreeMap::new();
        for slice in self.0.values() {
            let Some(port) = slice.port else {
                continue;
            };
            for (who, host) in &slice.endpoints {
                let place = (slice.ipv6, host, port);
                let stored = best.entry(who.as_ref().unwrap_or(host)).or_insert(place);
                *stored = place.min(*stored);
            }
        }
        let best = best.into_values();
        best.map(|(_, host, port)| (host.clone(), port)).collect()
    }

    /// How many endpoints are in slices without the port.
    fn portless(&self) -> usize {
        let portless = self.0.values().filter(|slice| slice.port.is_none());
        portless.map(|slice| slice.endpoints.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tributary_runtime::kube::from_json;
    use tributary_sim::nulled;

    use super::*;

    fn slice(name: &str, port: &str, endpoints: &Value) -> Value {
        json!({
            "metadata": { "name": name },
            "addressType": "IPv4",
            "ports": [
                { "name": "https", "port": 443 },
                { "name": port, "port": 9000, "protocol": "UDP" },
                { "name": port, "port": 8443, "protocol": "TCP" },
            ],
            "endpoints": endpoints,
        })
    }

    fn read(slice: &Value, port: &str) -> Slice {
        let port = match port.parse() {
            Ok(number) => ServicePort::Number(number),
            Err(_) => ServicePort::Name(port.to_owned()),
        };
        Slice::read(from_json(&slice.to_string()).unwrap(), &port)
    }

    fn listed(slices: Vec<Slice>) -> Slices {
        let mut new = Slices::default();
        new.apply(Change::Replace(slices));
        new
    }

    fn addresses(slices: &Slices) -> Vec<String> {
        let addresses = slices.addresses().into_iter();
        addresses
            .map(|(host, port)| format!("{host}:{port}"))
            .collect()
    }

    #[test]
    fn endpoints_count_whatever_their_conditions_say() {
        let endpoints = json!([
            { "addresses": ["10.0.0.1"], "conditions": { "ready": true } },
            { "addresses": ["10.0.0.2"], "conditions": { "ready": false } },
            { "addresses": ["10.0.0.3"], "conditions": { "ready": false, "terminating": true } },
            { "addresses": ["10.0.0.4", "10.0.0.99"] },
        ]);
        let slices = listed(vec![read(&slice("a", "bus", &endpoints), "bus")]);
        let expected = [1, 2, 3, 4].map(|n| format!("10.0.0.{n}:8443"));
        assert_eq!(addresses(&slices), expected);
    }

    #[test]
    fn a_number_is_the_port_of_the_pods_and_a_name_the_tcp_port_of_the_slice() {
        let one = || slice("a", "bus", &json!([{ "addresses": ["10.0.0.1"] }]));
        assert_eq!(
            addresses(&listed(vec![read(&one(), "bus")])),
            ["10.0.0.1:8443"]
        );
        assert_eq!(
            addresses(&listed(vec![read(&one(), "5000")])),
            ["10.0.0.1:5000"]
        );
        let other = listed(vec![read(&one(), "grpc")]);
        assert_eq!((addresses(&other), other.portless()), (Vec::new(), 1));
    }

    #[test]
    fn a_pod_in_several_slices_is_one_frontend() {
        let pod = |address: &str, uid: &str| json!([{ "addresses": [address], "targetRef": { "kind": "Pod", "uid": uid } }]);
        let mut six = slice("a", "bus", &pod("fd00::1", "u1"));
        six["addressType"] = json!("IPv6");
        let mut name = slice("d", "bus", &json!([{ "addresses": ["front.example"] }]));
        name["addressType"] = json!("FQDN");
        let mut lonely = slice("e", "bus", &pod("fd00::2", "u2"));
        lonely["addressType"] = json!("IPv6");
        let slices = [
            six,
            slice("b", "bus", &pod("10.0.0.1", "u1")),
            slice("c", "bus", &pod("10.0.0.1", "u1")),
            name,
            lonely,
        ];
        let slices = slices.map(|slice| read(&slice, "bus"));
        assert_eq!(
            addresses(&listed(slices.into())),
            ["10.0.0.1:8443", "fd00::2:8443"]
        );
    }

    #[test]
    fn slices_come_change_and_go_one_by_one() {
        let one = |name: &str, address: &str| {
            read(
                &slice(name, "bus", &json!([{ "addresses": [address] }])),
                "bus",
            )
        };
        let mut slices = listed(vec![one("a", "10.0.0.1"), one("b", "10.0.0.2")]);
        slices.apply(Change::Put(one("b", "10.0.0.3")));
        slices.apply(Change::Put(one("c", "10.0.0.4")));
        slices.apply(Change::Remove(one("a", "10.0.0.1")));
        assert_eq!(addresses(&slices), ["10.0.0.3:8443", "10.0.0.4:8443"]);
        // Nothing but the list says that there are none.
        slices.apply(Change::Replace(Vec::new()));
        assert_eq!(addresses(&slices), Vec::<String>::new());
        let empty = json!({ "metadata": { "name": "a" }, "addressType": "IPv4", "endpoints": null, "ports": null });
        assert_eq!(
            addresses(&listed(vec![read(&empty, "bus")])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_slice_in_which_anything_is_null_hides_no_other_endpoint() {
        let endpoints = json!([
            {"addresses": ["10.0.0.1", "10.0.0.2"], "conditions": {"ready": true}, "nodeName": "n1",
                "hints": {"forZones": [{"name": "a"}]},
                "targetRef": {"kind": "Pod", "name": "front-1", "uid": "u1"}},
            {"addresses": ["10.0.0.9"]},
        ]);
        let whole = slice("a", "bus", &endpoints);
        for (at, json) in nulled(&whole) {
            let slice = from_json::<Wire>(&json);
            let slice = slice.unwrap_or_else(|error| panic!("{at}: {error}"));
            let port = ServicePort::Name("bus".to_owned());
            let found = addresses(&listed(vec![Slice::read(slice, &port)]));
            if at.starts_with("/endpoints/0") {
                assert!(
                    found.contains(&"10.0.0.9:8443".to_owned()),
                    "{at}: {found:?}"
                );
            }
        }
        let second = json!([{"addresses": [null, "10.0.0.2"]}, null]);
        let found = addresses(&listed(vec![read(&slice("a", "bus", &second), "bus")]));
        assert_eq!(found, ["10.0.0.2:8443"]);
    }
}
