//! Both components on a real control plane: etcd, kube-apiserver and kube-controller-manager are the programs that
//! Kubernetes ships, nodes and pods are real objects, and the kubelets are those of the simulator.
//!
//! - [`assets`]: where the programs are
//! - [`plane`]: the three of them, and who may do what
//! - [`node`]: a real node, whose containers are processes
//! - [`token`]: tokens of service accounts that nobody issues
//! - [`workloads`]: what a scheduler and kubelets do: pods get a node, run, use CPU, end
//! - [`components`]: our scrapers and our frontend, behind real `APIService`s
//! - [`rig`]: all of that together, shared by the tests
//! - [`reaction`]: how soon the autoscaler reacts, with our components and with metrics-server
//! - [`kubectl`]: the real client
//! - [`patience`]: the only place that polls

pub mod assets;
pub mod components;
pub mod kubectl;
pub mod node;
pub mod objects;
pub mod patience;
pub mod peer;
pub mod plane;
pub mod reaction;
pub mod rig;
pub mod token;
pub mod workloads;
