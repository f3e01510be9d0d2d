use prost::Message as _;
use tributary_proto::v1::{PublishRequest, publish_request::Message, roster::Pod};

use super::*;

fn bytes(message: Message) -> Vec<u8> {
    let message = Some(message);
    PublishRequest { message }.encode_to_vec()
}

fn roster(pods: Vec<Pod>) -> Vec<u8> {
    bytes(Message::Roster(v1::Roster {
        node: "n1".to_owned(),
        id: 7,
        pods,
    }))
}

fn pod(containers: usize) -> Pod {
    Pod {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        containers: vec!["main".to_owned(); containers],
    }
}

#[test]
fn what_is_small_on_the_wire_and_large_in_memory_is_found_out() {
    let empty = roster(vec![Pod::default(); 100_000]);
    // Each has two bytes on the wire and 72 in memory.
    assert!(empty.len() < 200_100);
    let weighed = weigh(&empty).unwrap();
    assert_eq!(weighed.bytes, 7_200_000);
    assert_eq!(weighed.node, b"n1");
    let too_many = weighed.too_many().unwrap();
    let text = "100000 pods in a roster, allowed are 20000";
    assert_eq!(too_many.to_string(), text);
    assert_eq!(too_many.reason(), "containers");
}

#[test]
fn every_bound_is_kept_at_its_border() {
    let over = |message: &[u8]| weigh(message).unwrap().too_many().map(|it| it.to_string());
    assert_eq!(over(&roster(vec![pod(20_000)])), None);
    let text = "20001 containers in a roster, allowed are 20000";
    assert_eq!(
        over(&roster(vec![pod(1), pod(20_000)])),
        Some(text.to_owned())
    );

    let reading = |rows| {
        bytes(Message::Reading(v1::Reading {
            node: "n1".to_owned(),
            cpu_nanos_plus_one: vec![u64::MAX; rows],
            cpu_at_ms: vec![-1; rows],
            ..v1::Reading::default()
        }))
    };
    assert_eq!(over(&reading(20_000)), None);
    let text = "20001 entries in a column, allowed are 20000";
    assert_eq!(over(&reading(20_001)), Some(text.to_owned()));
    assert_eq!(weigh(&reading(1_000)).unwrap().node, b"n1");
    // The two columns have 8 bytes for each entry in memory, and at most that on the wire.
    let small = bytes(Message::Reading(v1::Reading {
        cpu_nanos_plus_one: vec![1; 1_000],
        cpu_at_ms: vec![1; 1_000],
        ..v1::Reading::default()
    }));
    assert_eq!(weigh(&small).unwrap().bytes, 16_000);

    // Each has 48 bytes in memory, and the bytes of its name.
    let named = bytes(Message::Reading(v1::Reading {
        unreadable_pods: vec![v1::reading::PodName::default(); 20_000],
        ..v1::Reading::default()
    }));
    let weighed = weigh(&named).unwrap();
    assert_eq!((weighed.bytes, weighed.too_many()), (960_000, None));
    let more = bytes(Message::Reading(v1::Reading {
        unreadable_pods: vec![v1::reading::PodName::default(); 20_001],
        ..v1::Reading::default()
    }));
    assert!(over(&more).is_some());

    let share = |nodes| {
        bytes(Message::Share(v1::Share {
            role: 1,
            nodes: vec!["n".to_owned(); nodes],
        }))
    };
    assert_eq!(over(&share(4_096)), None);
    let text = "4097 nodes in a share, allowed are 4096";
    assert_eq!(over(&share(4_097)), Some(text.to_owned()));
}

#[test]
fn a_column_that_is_not_packed_counts_as_well() {
    // Field 6 of field 3 has one number each time. The whole field occurs twice.
    let column = [0x30, 1].repeat(15_000);
    let mut reading = vec![0x1a, 0xb0, 0xea, 0x01];
    reading.extend_from_slice(&column);
    assert_eq!(weigh(&reading).unwrap().too_many(), None);
    let twice = [reading.clone(), reading].concat();
    // Each occurrence has a column. The decoder merges the two messages into one.
    let decoded = PublishRequest::decode(&*twice).unwrap();
    let Some(Message::Reading(decoded)) = decoded.message else {
        panic!("{decoded:?}");
    };
    assert_eq!(decoded.cpu_nanos_plus_one.len(), 30_000);
    assert_eq!(
        weigh(&twice).unwrap().too_many(),
        Some(TooMany::Entries(30_000))
    );
}

#[test]
fn a_failure_and_a_later_message_are_weighed_by_their_bytes() {
    let failure = bytes(Message::ScrapeFailure(v1::ScrapeFailure {
        node: "n1".to_owned(),
        message: "x".repeat(5_000),
        ..v1::ScrapeFailure::default()
    }));
    let weighed = weigh(&failure).unwrap();
    assert_eq!((weighed.node, weighed.bytes), (&b"n1"[..], failure.len()));
    // This is field 1000 with a text.
    let later = [0xc2, 0x3e, 2, b'h', b'i'];
    assert_eq!(weigh(&later).unwrap().bytes, 5);
    assert_eq!(weigh(&[]).unwrap(), Weighed::default());
}

#[test]
fn what_is_cut_short_or_has_groups_is_malformed() {
    let whole = roster(vec![pod(3)]);
    for end in 1..whole.len() {
        assert!(weigh(&whole[..end]).is_err(), "{end} bytes");
    }
    for odd in [&[0x13, 0x14][..], &[0x1f], &[0x80; 11], &[0x12, 0xff]] {
        assert_eq!(weigh(odd).unwrap_err(), Malformed, "{odd:x?}");
    }
}
