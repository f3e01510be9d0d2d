//! Changes of nodes and pods at run time. Every change is an event for watches.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Cluster, State};
use crate::Error;
use crate::cadvisor;
use crate::encode::uid;
use crate::kube_api::{Written, find_kind, render};
use crate::kubelet::Kubelet;
use crate::objects::{Container, Node, NodeSpec, Phase, Pod, PodSpec, since};
use crate::pki::{Ca, Pki};
use crate::store::{Key, NODES, PODS};
use crate::tls;

impl Cluster {
    /// The names of all nodes, sorted.
    pub fn nodes(&self) -> Vec<String> {
        self.shared
            .state()
            .store
            .range(&NODES, None)
            .map(|(key, _)| key.1.clone())
            .collect()
    }

    /// Namespace and name of all pods, sorted.
    pub fn pods(&self) -> Vec<(String, String)> {
        self.shared
            .state()
            .store
            .range(&PODS, None)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Namespace and name of the pods of a node, sorted.
    pub fn pods_on(&self, node: &str) -> Vec<(String, String)> {
        self.shared.state().pods_on(node)
    }

    /// Adds a node and starts its kubelet, on the same port as all others.
    pub async fn add_node(&self, spec: NodeSpec) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let node = made_node(spec, &mut self.shared.state(), self.kubelet_port, now);
        let address = SocketAddr::from((node.address, node.port));
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen {
                address: address.to_string(),
                source,
            })?;
        let names = [node.name.clone(), node.address.to_string()];
        let credential = self.shared.pki.server(Ca::Cluster, &names)?;
        let tls = tls::server_config(&credential, Some(self.shared.pki.ca_der(Ca::Cluster)))?;
        let kubelet = Kubelet::new(&node.name, address, tls, Arc::clone(&self.shared));
        if let Some(before) = self
            .kubelets()
            .insert(node.name.clone(), Arc::clone(&kubelet))
        {
            before.stop();
        }
        self.tasks.lock().spawn(kubelet.run(listener));
        self.shared.state().put_node(node);
        Ok(())
    }

    /// Gives every kubelet a certificate of another authority for new connections. The authority that verifies its
    /// clients stays the same.
    pub fn certify_kubelets(&self, pki: &Pki) -> Result<(), Error> {
        self.kubelets()
            .values()
            .try_for_each(|kubelet| kubelet.show(pki))
    }

    /// Removes a node and ends its kubelet. Its pods stay in the API, as they do until they are evicted.
    pub fn remove_node(&self, name: &str) -> Result<(), Error> {
        if let Some(kubelet) = self.kubelets().remove(name) {
            kubelet.stop();
        }
        let removed = self.shared.state().remove_node(name);
        removed
            .then_some(())
            .ok_or_else(|| Error::Missing(format!("node {name}")))
    }

    /// Sets or removes a node's label.
    pub fn label_node(&self, name: &str, key: &str, value: Option<&str>) -> Result<(), Error> {
        self.change_node(name, |node| set(&mut node.labels, key, value))
    }

    /// Sets or removes a node's annotation.
    pub fn annotate_node(&self, name: &str, key: &str, value: Option<&str>) -> Result<(), Error> {
        self.change_node(name, |node| set(&mut node.annotations, key, value))
    }

    /// Sets a node's Ready condition.
    pub fn set_ready(&self, name: &str, ready: bool) -> Result<(), Error> {
        self.change_node(name, |node| node.ready = ready)
    }

    /// From now on every added container is measured at its own times, like in cAdvisor, whatever
    /// [`Builder::housekeeping`](crate::Builder::housekeeping) says. Nodes and pods are still measured as that says.
    pub fn measure_as_cadvisor(&self) {
        self.measure_every(cadvisor::INTERVAL);
    }

    /// The same with a kubelet's `--housekeeping-interval`, instead of 10 s. A container that changes is measured after once to
    /// twice of it.
    pub fn measure_every(&self, interval: Duration) {
        self.shared.state().cadvisor = Some(interval);
    }

    /// Adds a pod, or replaces one of the same name.
    pub fn add_pod(&self, spec: PodSpec) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let key = (spec.namespace.clone(), spec.name.clone());
        state.remove_pod(&key, now.as_millisecond());
        state.put_pod(made_pod(spec, now));
    }

    /// Makes a kubelet report a pod that is not bound to its node in the API: one that moved away, or was deleted.
    pub fn add_ghost(&self, spec: PodSpec) {
        let pod = made_pod(spec, self.shared.clock.now());
        self.shared.state().put_ghost(pod);
    }

    /// Removes such pods of a node.
    pub fn remove_ghosts(&self, node: &str) {
        self.shared.state().remove_ghosts(node);
    }

    /// Deletes a pod.
    pub fn remove_pod(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let now = self.shared.clock.now().as_millisecond();
        let removed = self.shared.state().remove_pod(&key(namespace, name), now);
        removed.map(drop).ok_or_else(|| missing(namespace, name))
    }

    /// Deletes a pod and creates one with the same name on another node, like a `StatefulSet`: with a new UID and
    /// start.
    pub fn move_pod(&self, namespace: &str, name: &str, node: &str) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let removed = state.remove_pod(&key(namespace, name), now.as_millisecond());
        let mut pod = Arc::unwrap_or_clone(removed.ok_or_else(|| missing(namespace, name))?);
        pod.uid = uid(&[&pod.uid, node]);
        node.clone_into(&mut pod.node);
        pod.created = now;
        pod.spent = 0;
        for container in &mut pod.containers {
            container.started = now.as_millisecond();
            container.restarts = 0;
            container.measured = None;
        }
        state.put_pod(pod);
        Ok(())
    }

    /// Restarts a container. Its counter begins at zero. Those of its pod and node continue.
    pub fn restart_container(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
    ) -> Result<(), Error> {
        let now = self.shared.clock.now().as_millisecond();
        let mut spent = None;
        self.change_pod(namespace, name, |pod| {
            if let Some(found) = pod
                .containers
                .iter_mut()
                .find(|found| found.name == container)
            {
                let nanos = found.cpu_nanos(now);
                spent = Some((pod.node.clone(), nanos));
                pod.spent = pod.spent.saturating_add(nanos);
                found.started = now;
                found.restarts += 1;
                found.measured = None;
            }
        })?;
        let (node, nanos) =
            spent.ok_or_else(|| Error::Missing(format!("container {container}")))?;
        self.shared.state().spend(&node, nanos);
        Ok(())
    }

    /// From now on a container uses `millis` millicores and `memory` bytes. Its counter continues.
    pub fn set_usage(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        millis: u64,
        memory: u64,
    ) -> Result<(), Error> {
        let now = self.shared.clock.now().as_millisecond();
        let mut known = false;
        self.change_pod(namespace, name, |pod| {
            let mut containers = pod.containers.iter_mut();
            if let Some(found) = containers.find(|found| found.name == container) {
                found.measure(now);
                let at = since(found.started, now);
                found.usage.cpu = found.usage.cpu.then(at, millis);
                found.usage.memory = found.usage.memory.then(at, memory);
                known = true;
            }
        })?;
        let missing = || Error::Missing(format!("container {container}"));
        known.then_some(()).ok_or_else(missing)
    }

    /// Adds a container that starts now to a running pod, like an ephemeral container.
    pub fn add_container(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        usage: crate::Usage,
    ) -> Result<(), Error> {
        let started = self.shared.clock.now().as_millisecond();
        self.change_pod(namespace, name, |pod| {
            pod.containers.push(Container {
                name: container.to_owned(),
                usage,
                started,
                restarts: 0,
                measured: None,
            });
        })
    }

    /// Sets or removes a pod's label.
    pub fn label_pod(
        &self,
        namespace: &str,
        name: &str,
        label: &str,
        value: Option<&str>,
    ) -> Result<(), Error> {
        self.change_pod(namespace, name, |pod| set(&mut pod.labels, label, value))
    }

    /// Sets a pod's phase. Only running pods are on the kubelet's page.
    pub fn set_phase(&self, namespace: &str, name: &str, phase: Phase) -> Result<(), Error> {
        self.change_pod(namespace, name, |pod| pod.phase = phase)
    }

    /// Creates or replaces an object of another kind (lease, config map, endpoint slice, ..), in the JSON of the API.
    pub fn put_object(&self, object: Value) -> Result<(), Error> {
        let written = Written::new(object, self.shared.clock.now());
        let (kind, object) = written
            .ok_or_else(|| Error::Missing("a writable kind of this apiVersion".to_owned()))?
            .into();
        self.shared.state().store.put(kind, object);
        Ok(())
    }

    /// Deletes such an object, named by its kind's plural (`leases`).
    pub fn remove_object(&self, plural: &str, namespace: &str, name: &str) -> Result<(), Error> {
        let missing = || Error::Missing(format!("{plural} {namespace}/{name}"));
        let kind = find_kind(plural).ok_or_else(missing)?;
        self.shared
            .state()
            .store
            .remove(kind, &key(namespace, name))
            .map(drop)
            .ok_or_else(missing)
    }

    /// An object as the API gives it, named by its kind's plural.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = find_kind(plural)?;
        let state = self.shared.state();
        let stored = state.store.get(kind, &key(namespace, name))?;
        Some(render::value(kind, &stored.object, stored.version))
    }

    fn change_node(&self, name: &str, change: impl FnOnce(&mut Node)) -> Result<(), Error> {
        let mut state = self.shared.state();
        let node = state
            .node(name)
            .ok_or_else(|| Error::Missing(format!("node {name}")))?;
        let mut node = Node::clone(node);
        change(&mut node);
        state.put_node(node);
        Ok(())
    }

    fn change_pod(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Pod),
    ) -> Result<(), Error> {
        let mut state = self.shared.state();
        let pod = state
            .pod(&key(namespace, name))
            .ok_or_else(|| missing(namespace, name))?;
        let mut pod = Pod::clone(pod);
        change(&mut pod);
        state.put_pod(pod);
        Ok(())
    }
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_owned(), name.to_owned())
}

fn missing(namespace: &str, name: &str) -> Error {
    Error::Missing(format!("pod {namespace}/{name}"))
}

fn set(map: &mut crate::objects::Map, key: &str, value: Option<&str>) {
    match value {
        Some(value) => map.insert(key.to_owned(), value.to_owned()),
        None => map.remove(key),
    };
}

/// The node of a description, with defaults.
pub(super) fn made_node(spec: NodeSpec, state: &mut State, port: u16, now: Timestamp) -> Node {
    let address = spec.address.unwrap_or_else(|| state.next_address());
    let mut labels = spec.labels;
    for (key, value) in [
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/hostname", spec.name.as_str()),
        ("node.kubernetes.io/instance-type", "simulated.2xlarge"),
    ] {
        labels
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    let hour_ago = now.checked_sub(Duration::from_hours(1)).unwrap_or(now);
    Node {
        uid: uid(&["node", &spec.name]),
        name: spec.name,
        address,
        port,
        labels,
        annotations: spec.annotations,
        ready: spec.ready,
        usage: spec.usage,
        created: spec.booted.unwrap_or(hour_ago),
        booted: spec.booted.unwrap_or(hour_ago).as_millisecond(),
    }
}

/// The pod of a description, with defaults.
pub(super) fn made_pod(spec: PodSpec, now: Timestamp) -> Pod {
    let started = |at: Option<Timestamp>| at.unwrap_or(now).as_millisecond();
    let containers = spec.containers.into_iter().map(|container| Container {
        started: started(container.started),
        name: container.name,
        usage: container.usage,
        restarts: 0,
        measured: None,
    });
    let containers: Vec<Container> = containers.collect();
    let first = containers.iter().map(|container| container.started).min();
    Pod {
        uid: uid(&["pod", &spec.namespace, &spec.name, &now.to_string()]),
        namespace: spec.namespace,
        name: spec.name,
        node: spec.node,
        labels: spec.labels,
        annotations: spec.annotations,
        phase: spec.phase,
        created: first
            .and_then(|first| Timestamp::from_millisecond(first).ok())
            .unwrap_or(now),
        containers,
        spent: 0,
    }
}
