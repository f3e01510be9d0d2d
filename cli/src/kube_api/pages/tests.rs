use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use super::*;
use crate::kube_api::fake::{Fake, Reply, answering};

/// What a server without an end sends in each page.
#[derive(Clone, Copy, Debug)]
enum Filler {
    Nothing,
    Objects,
    Bytes,
    /// What is short as text and not in memory.
    Lists,
}

/// Always one more page, and the time that each takes. `tokens` gives the token of the next one.
fn without_end(
    filler: Filler,
    takes: Duration,
    token: fn(usize) -> String,
) -> (KubeApi, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let api = answering(move |_, _, _| {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let items = match filler {
            Filler::Nothing => json!([]),
            Filler::Objects => json!(vec![json!({}); 10]),
            Filler::Bytes => json!(["x".repeat(1_000)]),
            Filler::Lists => json!([vec![json!([]); 130]]),
        };
        let body = json!({ "metadata": { "continue": token(number) }, "items": items });
        Some(Reply {
            status: 200,
            from_tributary: true,
            body,
            takes,
        })
    });
    (api, asked)
}

/// Small ones. A request of the API of these tests may take 15 s.
const SMALL: Limits = Limits {
    pages: Limit::of(50, "pages"),
    objects: Limit::of(100, "objects"),
    bytes: Limit::of(5_000, "bytes"),
    memory: Limit::of(50_000, "bytes of memory"),
    requests: 2,
};

/// Reads all pages, and returns why that failed.
async fn failure(api: &KubeApi) -> String {
    let mut pages = Pages::within(api, "/list", 500, SMALL);
    loop {
        match pages.next::<Value>().await {
            Ok(Some(_)) => {}
            Ok(None) => return String::new(),
            Err(failure) => return failure.to_string(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_an_end_reaches_a_limit_whatever_is_in_its_pages() {
    let another: fn(usize) -> String = |number| number.to_string();
    let turns: fn(usize) -> String = |number| (number % 2).to_string();
    let same: fn(usize) -> String = |_| "same".to_owned();
    let quick = Duration::ZERO;
    let slow = Duration::from_secs(14);
    let pages = "/list has more than 50 pages, which is the limit";
    for (filler, takes, token, why, most) in [
        (Filler::Nothing, quick, another, pages, 50),
        (Filler::Nothing, quick, turns, pages, 50),
        (
            Filler::Nothing,
            quick,
            same,
            "/list has no end: a page is followed by itself",
            2,
        ),
        (
            Filler::Objects,
            quick,
            another,
            "/list has more than 100 objects, which is the limit",
            11,
        ),
        (
            Filler::Bytes,
            quick,
            another,
            "/list has more than 5000 bytes, which is the limit",
            5,
        ),
        (
            Filler::Lists,
            quick,
            another,
            "failed to read https://fake/list: it takes more than 50000 bytes of memory, which is the limit",
            3,
        ),
        (
            Filler::Nothing,
            slow,
            another,
            "/list has no end: not read in 30s",
            3,
        ),
    ] {
        let (api, asked) = without_end(filler, takes, token);
        let failure = failure(&api).await;
        assert!(failure.starts_with(why), "{failure}");
        assert_eq!(asked.load(Ordering::Relaxed), most, "{why}");
    }
}

#[tokio::test]
async fn a_list_as_long_as_it_may_be_is_read_also_with_empty_pages_in_it() {
    let page = |count: usize, token: &str| json!({ "metadata": { "continue": token }, "items": vec![json!({}); count] });
    let api = Fake::default()
        .with("/list", 200, page(0, "a"))
        .with("/list?continue=a", 200, page(60, "b"))
        .with("/list?continue=b", 200, page(0, "c"))
        .with("/list?continue=c", 200, page(40, ""))
        .api();
    assert_eq!(failure(&api).await, "");
}
