//! Heads that go on, frame by frame and line by line.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::{
    super::handle::{Patience, TrustLevel, Trusted},
    *,
};

/// A frame of stream 1 with a payload of `length` bytes that look like frames.
fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
    of_stream(1, kind, flags, length)
}

fn of_stream(stream: u8, kind: u8, flags: u8, length: u8) -> Vec<u8> {
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    frame.extend(std::iter::repeat_n(1, usize::from(length)));
    frame
}

/// Whether a head is incomplete after each of `pieces`. Checks that the result does not depend on how the bytes are
/// split.
fn goes_on(pieces: &[Vec<u8>]) -> Vec<bool> {
    let mut seen: Option<Vec<bool>> = None;
    for size in [1, 2, 7, 1_000] {
        let mut scanner = Scanner::default();
        let after = pieces.iter().map(|piece| {
            for part in piece.chunks(size) {
                scanner.scan(part);
            }
            scanner.goes_on()
        });
        let after: Vec<bool> = after.collect();
        assert!(seen.is_none_or(|seen| seen == after), "in parts of {size}");
        seen = Some(after);
    }
    seen.unwrap()
}

#[test]
fn a_head_goes_on_until_a_frame_ends_it() {
    let pieces = [
        PREFACE.to_vec(),
        frame(4, 0, 6),
        frame(HEADERS, END_HEADERS | 1, 40),
        of_stream(3, HEADERS, 1, 40),
        frame(CONTINUATION, 0, 200),
        frame(CONTINUATION, END_HEADERS, 0),
        frame(0, 1, 90),
    ];
    assert_eq!(
        goes_on(&pieces),
        [false, false, false, true, true, false, false]
    );
}

#[test]
fn another_head_of_a_stream_is_trailers() {
    let mut scanner = Scanner::default();
    scanner.scan(PREFACE);
    for stream in [1, 3, 7] {
        scanner.scan(&of_stream(stream, HEADERS, END_HEADERS, 9));
        scanner.scan(&of_stream(stream, 0, 0, 9));
        assert_eq!(scanner.fault(), None, "{stream}");
    }
    scanner.scan(&of_stream(3, HEADERS, END_HEADERS | 1, 9));
    assert_eq!(scanner.fault(), Some("a request has trailers"));
}

#[test]
fn a_client_that_promises_a_request_is_at_fault() {
    for flags in [0, END_HEADERS] {
        let mut scanner = Scanner::default();
        scanner.scan(PREFACE);
        // The frame header is enough to detect it.
        let promise = of_stream(1, PUSH_PROMISE, flags, 200);
        let (header, _) = promise.split_at(FRAME_HEADER);
        scanner.scan(header);
        assert_eq!(scanner.fault(), Some("a client promises a request"));
    }
}

#[test]
fn frames_that_are_neither_requests_nor_content_cost_something() {
    let frames = [
        (of_stream(1, HEADERS, END_HEADERS, 9), (0, 1)),
        (of_stream(1, DATA, 0, 255), (4, 0)),
        (of_stream(1, DATA, 0, 7), (256, 0)),
        (of_stream(3, HEADERS, 0, 9), (0, 1)),
        (of_stream(3, CONTINUATION, END_HEADERS, 9), (256, 0)),
        (of_stream(0, 6, 0, 8), (256, 0)),
    ];
    let mut long = vec![0, 1, 0, DATA, 0, 0, 0, 0, 1];
    long.extend([1; 256]);
    for size in [1, 7, 1_000] {
        let mut scanner = Scanner::default();
        scanner.scan(PREFACE);
        for (frame, (cost, requests)) in frames.iter().chain(&[(long.clone(), (4, 0))]) {
            let Scanner::Two(before) = &mut scanner else {
                panic!("HTTP/2");
            };
            before.spent = Spent::default();
            for part in frame.chunks(size) {
                scanner.scan(part);
            }
            let Scanner::Two(after) = &scanner else {
                panic!("HTTP/2");
            };
            let (cost, requests) = (*cost, *requests);
            assert_eq!(after.spent, Spent { cost, requests }, "{frame:?}");
        }
        let content = Spent {
            cost: 4,
            requests: 0,
        };
        assert_eq!(scanner.spent(), Some(content));
        assert_eq!(scanner.spent(), None);
        scanner.scan(&of_stream(0, 6, 0, 8));
        let ping = Spent {
            cost: 256,
            requests: 0,
        };
        assert_eq!((scanner.spent(), scanner.spent()), (Some(ping), None));
    }
}

#[test]
fn what_an_http1_peer_sends_counts_until_it_is_answered() {
    let mut scanner = Scanner::default();
    scanner.scan(b"PRI ");
    scanner.scan(&vec![b'x'; SMALL - 4]);
    assert!(!scanner.goes_on());
    scanner.scan(b"x");
    assert!(scanner.goes_on());
    scanner.answered();
    // All bytes belong to a head that has not ended.
    assert!(scanner.goes_on());
    scanner.scan(b"\r\n\r\n");
    scanner.answered();
    assert!(!scanner.goes_on());
}

#[test]
fn what_follows_a_whole_head_is_left_when_that_is_answered() {
    let begins = |length: usize| [b"GET /2 HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; length]].concat();
    for end in ["\r\n\r\n", "\n\n", "\r\n\n"] {
        for size in [1, 3, 100_000] {
            let mut scanner = Scanner::default();
            let whole = format!("GET / HTTP/1.1\r\nHost: a{end}");
            for part in [whole.into_bytes(), begins(SMALL - 20)]
                .concat()
                .chunks(size)
            {
                scanner.scan(part);
            }
            assert!(scanner.goes_on());
            scanner.answered();
            assert!(!scanner.goes_on(), "{end:?} in parts of {size}");
            scanner.scan(b"a");
            scanner.answered();
            assert!(scanner.goes_on(), "{end:?} in parts of {size}");
        }
    }
}

/// How reading ends when the peer begins a head that goes on, and is silent then, if there are `permits`.
async fn end_of_endless_head(handle: &ConnectionHandle, permits: usize) -> Result<(), String> {
    let (mut peer, stream) = duplex(1_000);
    let room = Arc::new(Semaphore::new(permits));
    let mut heads = Heads::new(stream, handle.clone(), ServeMetrics::default(), room);
    peer.write_all(PREFACE).await.unwrap();
    peer.write_all(&frame(HEADERS, 0, 1)).await.unwrap();
    let mut sent = vec![0; PREFACE.len() + FRAME_HEADER + 1];
    let reading = async {
        heads.read_exact(&mut sent).await?;
        heads.read_u8().await
    };
    // No limit of a head is an hour.
    match tokio::time::timeout(Duration::from_hours(1), reading).await {
        Ok(ended) => Err(ended.unwrap_err().to_string()),
        Err(_) => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_front_proxy_needs_no_permit_for_a_long_head() {
    let handle = || {
        let patience = Patience {
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(90),
        };
        ConnectionHandle::new(patience, ServeMetrics::default())
    };
    let full = Err("there is no room for the head of a request".to_owned());
    let late = Err("the head of a request was not whole in time".to_owned());

    let proxy = handle();
    proxy.verified(TrustLevel::Trusted);
    assert_eq!(end_of_endless_head(&proxy, 0).await, Ok(()));

    // An admitted publisher.
    let publisher = handle();
    let _trusted = Trusted::new(publisher.clone());
    assert_eq!(publisher.trust(), TrustLevel::Trusted);
    for handle in [publisher.clone(), handle()] {
        assert_eq!(end_of_endless_head(&handle, 0).await, full);
        assert_eq!(end_of_endless_head(&handle, 1).await, late);
    }
}
