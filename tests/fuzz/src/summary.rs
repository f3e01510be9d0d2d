//! Pages of `/stats/summary` through the whole pipeline, like [`page`](crate::page) for those of `/metrics/resource`.
//!
//! - The length of the page limits the memory.
//! - The reading equals that of a text page with the same numbers.
//! - A reading is unchanged after it was sent, and served numbers are ordered in time.

use std::fmt::Write as _;

use tributary_apiserver::store::Store;
use tributary_model::{ContainerPoint, NodeName, Reading, Timestamp};
use tributary_scraper::kubelet::decode::Layout;

use crate::{
    memory,
    page::{
        BEGIN, BYTES_BESIDE, BYTES_PER_BYTE, MOST_PAGES, RESOLUTION_MS, SEPARATOR, serve,
        through_the_wire,
    },
};

/// Reads the pages of `data`.
pub fn check(data: &[u8]) {
    let node = NodeName::from("n1");
    let mut layout = Layout::default();
    let store = Store::new(None);
    let mut asked_at = BEGIN;
    for page in data.split(|byte| *byte == SEPARATOR).take(MOST_PAGES) {
        let at = Timestamp::from_millis(asked_at);
        let (decoded, peak) = memory::peak(|| layout.decode_summary(page, &node, at));
        let most = page.len() * BYTES_PER_BYTE + BYTES_BESIDE;
        assert!(peak <= most, "{peak} bytes for a page of {}", page.len());
        if let Ok(decoded) = decoded {
            same_as_text(&decoded.reading);
            let reading = through_the_wire(&decoded.reading);
            serve(&store, reading, asked_at);
        }
        asked_at += RESOLUTION_MS;
    }
}

/// Compares a reading with that of a text page with the same numbers.
fn same_as_text(reading: &Reading) {
    let mut text = String::new();
    let node = ContainerPoint {
        cpu: reading.point.cpu,
        memory: reading.point.memory,
        started: None,
        swap: reading.point.swap,
    };
    write_point(&mut text, "node", "", &node);
    for (row, pod, container) in reading.roster.rows() {
        let point = reading.columns.point(row);
        if point.cpu.is_none() && point.memory.is_none() {
            return; // refused, and so not to be written
        }
        let (namespace, pod) = (&pod.namespace, &pod.name);
        let labels =
            format!("{{container=\"{container}\",namespace=\"{namespace}\",pod=\"{pod}\"}}");
        write_point(&mut text, "container", &labels, &point);
    }
    let decoded = Layout::default().decode(text.as_bytes(), &reading.node, reading.asked_at);
    match decoded {
        Ok(decoded) => {
            assert_eq!(decoded.reading.roster, reading.roster);
            assert_eq!(decoded.reading.columns, reading.columns);
            assert_eq!(decoded.reading.point, reading.point);
        }
        Err(error) => unreachable!("{error}: {text}"),
    }
}

fn write_point(text: &mut String, whose: &str, labels: &str, point: &ContainerPoint) {
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        writeln!(text, "{whose}_{name}{labels} {value}").unwrap_or_default();
    };
    if let Some(cpu) = point.cpu {
        let (nanos, at) = (cpu.total.0, cpu.at.as_millis());
        line("cpu_usage_seconds_total", format!("{nanos}e-9 {at}"));
    }
    if let Some(memory) = point.memory {
        let (bytes, at) = (memory.working_set.0, memory.at.as_millis());
        line("memory_working_set_bytes", format!("{bytes} {at}"));
    }
    if let Some(started) = point.started {
        line("start_time_seconds", format!("{}e-3", started.as_millis()));
    }
    if let Some(swap) = point.swap {
        line("swap_usage_bytes", swap.0.to_string());
    }
}
