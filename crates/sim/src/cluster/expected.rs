//! The expected numbers, computed from the formulas. Tests compare the answers of the API with them.

use jiff::Timestamp;

use super::Cluster;
use crate::kubelet::Moment;
use crate::load::rate;
use crate::objects::since;

impl Cluster {
    /// A container's mean rate between two times, in nanocores. `None` if there is no such container.
    ///
    /// It is right for times after its last start.
    pub fn expected_cpu_nanocores(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<u64> {
        let state = self.shared.state();
        let pod = state.pod(&(namespace.to_owned(), pod.to_owned()))?;
        let found = pod
            .containers
            .iter()
            .find(|found| found.name == container)?;
        let age = |at: Timestamp| since(found.started, at.as_millisecond());
        Some(found.usage.nanocores(age(from), age(to)))
    }

    /// A container's working set in bytes at a moment.
    pub fn expected_memory_bytes(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        at: Timestamp,
    ) -> Option<u64> {
        let state = self.shared.state();
        let pod = state.pod(&(namespace.to_owned(), pod.to_owned()))?;
        let found = pod
            .containers
            .iter()
            .find(|found| found.name == container)?;
        Some(
            found
                .usage
                .memory_bytes(since(found.started, at.as_millisecond())),
        )
    }

    /// A node's mean rate between two times in nanocores, including its containers.
    pub fn expected_node_cpu_nanocores(
        &self,
        node: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<u64> {
        let page = self.shared.page(node)?;
        let (from, to) = (from.as_millisecond(), to.as_millisecond());
        Some(rate(
            page.node_cpu(from),
            page.node_cpu(to),
            since(from, to),
        ))
    }

    /// A node's working set in bytes at a time, including its containers.
    pub fn expected_node_memory_bytes(&self, node: &str, at: Timestamp) -> Option<u64> {
        Some(self.shared.page(node)?.node_memory(at.as_millisecond()))
    }

    /// The page that a node's kubelet, without a fault, returns at the cluster's date.
    pub fn kubelet_page(&self, node: &str) -> Option<String> {
        let mut text = Vec::new();
        let moment = Moment::new(
            self.shared.clock.now().as_millisecond(),
            self.shared.housekeeping,
        );
        self.shared.page(node)?.write(moment, &mut text);
        String::from_utf8(text).ok()
    }
}
