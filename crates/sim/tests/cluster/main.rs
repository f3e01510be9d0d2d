//! The simulated cluster, used over real sockets.

// The attribute is what tells clippy that helpers in there are test code too.
#[cfg(test)]
mod aggregator;
#[cfg(test)]
mod https;
#[cfg(test)]
mod kube_api;
#[cfg(test)]
mod kubelet;
#[cfg(test)]
mod table;
