//! How long a message is, before it is sent.
//!
//! The model's limits on a node are such that nothing of one can be too long. This
//! is the second line: a frontend, or the encoder on the way to it, ends the whole
//! stream for one message that is.

use crate::v1::{self, publish_request::Message};

/// The most bytes of a row of a reading: a varint of ten in each of six columns, and
/// four to say why it has no value.
const ROW: usize = 64;

/// The most bytes of the name of a pod that cannot be read: of its namespace and
/// itself, with their lengths.
const POD: usize = 330;

/// The most bytes of a reading without its rows: names, times, the node's point.
const REST: usize = 1 << 10;

/// How long a request with `message` is if that is longer than `longest`.
///
/// Readings are nearly all that is sent, so those that cannot be too long by the
/// number of their rows are not measured.
pub fn too_long(message: &Message, longest: usize) -> Option<usize> {
    if let Message::Reading(reading) = message
        && most_of(reading) <= longest
    {
        return None;
    }
    let bytes = message.encoded_len();
    (bytes > longest).then_some(bytes)
}

fn most_of(reading: &v1::Reading) -> usize {
    let columns = [
        reading.cpu_nanos_plus_one.len(),
        reading.cpu_at_ms.len(),
        reading.working_set_bytes_plus_one.len(),
        reading.memory_after_cpu_ms.len(),
        reading.started_before_ms_plus_one.len(),
        reading.swap_bytes_plus_one.len(),
        reading.withheld_rows.len(),
    ];
    let rows = columns.into_iter().max().unwrap_or_default();
    let pods = reading.unreadable_pods.len().saturating_mul(POD);
    rows.saturating_mul(ROW)
        .saturating_add(REST)
        .saturating_add(pods)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tributary_model::{NodeName, PodKey, Remarks, Roster, RosterBuilder};

    use super::*;
    use crate::{
        convert::roster_to_wire,
        limits::{FAILURE_TEXT, MESSAGE_BYTES, SHARE_NODES},
        v1::{NodePoint, PublishRequest, Reading, ScrapeFailure, Share, reading::PodName},
    };

    fn node() -> NodeName {
        "n".repeat(253).as_str().into()
    }

    /// Numbers of which every one takes as many bytes as there can be.
    fn longest_reading(rows: usize) -> Message {
        Message::Reading(Reading {
            node: node().to_string(),
            roster: u64::MAX,
            asked_at_ms: -1,
            base_ms: -1,
            point: Some(NodePoint {
                cpu_nanos: Some(u64::MAX),
                cpu_at_ms: i64::MIN,
                working_set_bytes: Some(u64::MAX),
                memory_at_ms: i64::MIN,
                swap_bytes: Some(u64::MAX),
            }),
            cpu_nanos_plus_one: vec![u64::MAX; rows],
            cpu_at_ms: vec![i64::MIN; rows],
            working_set_bytes_plus_one: vec![u64::MAX; rows],
            memory_after_cpu_ms: vec![i64::MIN; rows],
            started_before_ms_plus_one: vec![u64::MAX; rows],
            swap_bytes_plus_one: vec![u64::MAX; rows],
            node_cpu_millis: u64::MAX,
            stamped_by_publisher: true,
            withheld_rows: vec![19_999; rows],
            withheld_reasons: vec![2; rows],
            endpoint: 2,
            unreadable_pods: vec![
                PodName {
                    namespace: "n".repeat(63),
                    name: "p".repeat(253),
                };
                Remarks::MAX_UNREADABLE
            ],
        })
    }

    fn request_bytes(message: Message) -> usize {
        let message = Some(message);
        PublishRequest { message }.encoded_len()
    }

    #[test]
    fn whatever_one_node_may_have_fits_into_a_message() {
        // 20,000 pods of one container: 52 bytes of names each.
        let mut builder = RosterBuilder::default();
        for pod in 0..20_000 {
            // Every namespace is another than the one before.
            let key = PodKey::new(format!("{pod:025}"), format!("{pod:026}"));
            builder.add(key, "c".into()).unwrap();
        }
        let roster = roster_to_wire(&node(), &builder.build(), u64::MAX);
        let bytes = request_bytes(Message::Roster(roster));
        assert!((1_000_000..1_400_000).contains(&bytes), "{bytes}");

        let reading = longest_reading(Roster::MAX_CONTAINERS);
        assert_eq!(too_long(&reading, MESSAGE_BYTES), None);
        assert_eq!(request_bytes(reading), 1_301_196);

        let nodes = vec![node().to_string(); SHARE_NODES];
        let share = Message::Share(Share { role: 4, nodes });
        assert_eq!(too_long(&share, MESSAGE_BYTES), None);
        let failure = Message::ScrapeFailure(ScrapeFailure {
            node: node().to_string(),
            message: "x".repeat(FAILURE_TEXT),
            ..ScrapeFailure::default()
        });
        assert_eq!(too_long(&failure, MESSAGE_BYTES), None);
    }

    #[test]
    fn what_is_too_long_is_measured_to_the_byte() {
        for rows in [0, 1, 100] {
            let reading = longest_reading(rows);
            let bytes = request_bytes(reading.clone());
            assert_eq!(too_long(&reading, bytes), None, "{rows}");
            assert_eq!(too_long(&reading, bytes - 1), Some(bytes), "{rows}");
        }
    }
}
