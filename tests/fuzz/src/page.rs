//! Pages of one kubelet through the whole pipeline: bytes, reading, message, store.
//!
//! - Every reading equals what [`plain`] reads of the same page.
//! - The length of the page limits the memory.
//! - A reading is unchanged after it was sent.
//! - Served numbers are finite, ordered in time, and of a container on the pages.

use std::time::Duration;

use prost::Message as _;
use tributary_apiserver::store::{Source, Store};
use tributary_model::{NodeName, PodKey, Reading, Timestamp};
use tributary_proto::{
    convert::{reading_from_wire, reading_to_wire, roster_from_wire, roster_to_wire},
    v1,
};
use tributary_scraper::kubelet::decode::Layout;

use crate::{
    memory,
    plain::{self, Numbers, Page},
};

/// The separator of the pages of an input: the record separator, which no page contains.
pub(crate) const SEPARATOR: u8 = 0x1e;
/// The most pages of an input. More pages would test nothing new.
pub(crate) const MOST_PAGES: usize = 6;
/// The time of the first scrape, in milliseconds.
pub(crate) const BEGIN: i64 = 1_790_000_000_000;
pub(crate) const RESOLUTION_MS: i64 = 15_000;

/// The memory for each byte of a page, and in addition to that.
pub(crate) const BYTES_PER_BYTE: usize = 24;
pub(crate) const BYTES_BESIDE: usize = 64 << 10;

/// Reads the pages of `data`.
pub fn check(data: &[u8]) {
    let node = NodeName::from("n1");
    let mut layout = Layout::default();
    let store = Store::new(None);
    let mut asked_at = BEGIN;
    for page in data.split(|byte| *byte == SEPARATOR).take(MOST_PAGES) {
        let (decoded, peak) =
            memory::peak(|| layout.decode(page, &node, Timestamp::from_millis(asked_at)));
        let most = page.len() * BYTES_PER_BYTE + BYTES_BESIDE;
        assert!(peak <= most, "{peak} bytes for a page of {}", page.len());
        let plain = plain::read(page, asked_at.unsigned_abs());
        match decoded {
            Ok(decoded) => {
                assert_eq!(as_plain(&decoded.reading), without_remarks(plain));
                let reading = through_the_wire(&decoded.reading);
                serve(&store, reading, asked_at);
            }
            Err(error) => assert!(!plain.is_of_use, "{error}, yet the page has {plain:?}"),
        }
        asked_at += RESOLUTION_MS;
    }
}

/// A reading in the format of the plain reader.
fn as_plain(reading: &Reading) -> Page {
    let millis = |at: Timestamp| at.as_millis().unsigned_abs();
    let point = &reading.point;
    let node = Numbers {
        cpu: point.cpu.map(|cpu| (cpu.total.0, millis(cpu.at))),
        memory: point
            .memory
            .map(|memory| (memory.working_set.0, millis(memory.at))),
        started: None,
        swap: point.swap.map(|swap| swap.0),
        ..Numbers::default()
    };
    let containers = reading.roster.rows().map(|(row, pod, container)| {
        let point = reading.columns.point(row);
        let numbers = Numbers {
            cpu: point.cpu.map(|cpu| (cpu.total.0, millis(cpu.at))),
            memory: point
                .memory
                .map(|memory| (memory.working_set.0, millis(memory.at))),
            started: point.started.map(millis),
            swap: point.swap.map(|swap| swap.0),
            ..Numbers::default()
        };
        let name = (
            pod.namespace.to_string(),
            pod.name.to_string(),
            container.to_string(),
        );
        (name, numbers)
    });
    Page {
        node,
        containers: containers.collect(),
        is_of_use: true,
    }
}

/// The page without the parts that a reading represents in another way.
fn without_remarks(mut page: Page) -> Page {
    page.node.differ.clear();
    let containers = page.containers.values_mut();
    containers.for_each(|numbers| numbers.differ.clear());
    page
}

/// The reading as a frontend gets it.
pub(crate) fn through_the_wire(reading: &Reading) -> Reading {
    let sent = roster_to_wire(&reading.node, &reading.roster, 1).encode_to_vec();
    let message = v1::Roster::decode(sent.as_slice());
    let Ok(message) = message else {
        unreachable!("a roster that cannot be decoded");
    };
    let roster = match roster_from_wire(&message) {
        Ok((_, roster)) => roster,
        Err(error) => unreachable!("our own roster is refused: {error}"),
    };
    let sent = reading_to_wire(reading, 1).encode_to_vec();
    let Ok(message) = v1::Reading::decode(sent.as_slice()) else {
        unreachable!("a reading that cannot be decoded");
    };
    match reading_from_wire(&message, &roster) {
        Ok(received) => {
            assert_eq!(received, *reading);
            received
        }
        Err(error) => unreachable!("our own reading is refused: {error}"),
    }
}

/// Stores the reading and requests everything.
pub(crate) fn serve(store: &Store, reading: Reading, asked_at: i64) {
    let source = Source {
        name: "fuzz".into(),
        resolution: Duration::from_millis(RESOLUTION_MS.unsigned_abs()),
    };
    let pods: Vec<PodKey> = reading
        .roster
        .pods()
        .iter()
        .map(|pod| pod.key.clone())
        .collect();
    let node = reading.node.clone();
    store.take(reading, &source);
    let now = Timestamp::from_millis(asked_at + 1_000);
    if let Ok(usage) = store.node(node.as_str(), now) {
        assert!(usage.window > Duration::ZERO);
    }
    let asked = pods.iter().map(|pod| (pod, Some(&node)));
    for usage in store.pods(asked, now).into_iter().flatten() {
        assert!(usage.window > Duration::ZERO);
        let names: Vec<String> = usage
            .containers()
            .map(|(name, _)| name.to_string())
            .collect();
        assert!(!names.is_empty() && names.is_sorted(), "{names:?}");
    }
}
