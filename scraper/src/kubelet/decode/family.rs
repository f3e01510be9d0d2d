//! The series that are read, by name.

/// What a series is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    NodeCpu,
    NodeMemory,
    NodeSwap,
    ContainerCpu,
    ContainerMemory,
    ContainerStart,
    ContainerSwap,
    ScrapeError,
}

impl Family {
    /// The family of this name, exactly this (docs/parity.md#decoding).
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"node_cpu_usage_seconds_total" => Self::NodeCpu,
            b"node_memory_working_set_bytes" => Self::NodeMemory,
            b"node_swap_usage_bytes" => Self::NodeSwap,
            b"container_cpu_usage_seconds_total" => Self::ContainerCpu,
            b"container_memory_working_set_bytes" => Self::ContainerMemory,
            b"container_start_time_seconds" => Self::ContainerStart,
            b"container_swap_usage_bytes" => Self::ContainerSwap,
            // The second is its name up to Kubernetes 1.28.
            b"resource_scrape_error" | b"scrape_error" => Self::ScrapeError,
            _ => return None,
        })
    }

    /// Whether one of its series makes a container; the others are about one that has
    /// such a series, too.
    pub(super) fn makes_a_row(self) -> bool {
        matches!(self, Self::ContainerCpu | Self::ContainerMemory)
    }

    /// Whether its series are about containers, one each.
    pub(super) fn is_of_containers(self) -> bool {
        matches!(
            self,
            Self::ContainerCpu | Self::ContainerMemory | Self::ContainerStart | Self::ContainerSwap
        )
    }
}
