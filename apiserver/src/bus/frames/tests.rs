use futures::stream;
use tonic::Code;

use super::*;

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// Frames of these chunks, followed by the end of the stream or by silence.
fn frames(chunks: Vec<Vec<u8>>, room: &Room, ends: bool) -> Frames {
    let chunks = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
    let body = if ends {
        Body::from_stream(chunks)
    } else {
        Body::from_stream(futures::StreamExt::chain(chunks, stream::pending()))
    };
    Frames::new(body, room)
}

async fn all(mut frames: Frames) -> (Vec<Bytes>, Option<Status>) {
    let mut messages = Vec::new();
    loop {
        match frames.next().await {
            Ok(Some(frame)) => messages.push(frame.bytes),
            Ok(None) => return (messages, None),
            Err(status) => return (messages, Some(status)),
        }
    }
}

#[tokio::test]
async fn messages_are_found_however_they_are_cut() {
    let messages = [&b""[..], b"a", &[7; 1_000], &vec![9; 300_000], b"end"];
    let sent: Vec<u8> = messages.iter().flat_map(|it| frame(it)).collect();
    for size in [1, 2, 5, 6, 16_384, 1_000_000] {
        let chunks = sent.chunks(size).map(<[u8]>::to_vec).collect();
        let (read, error) = all(frames(chunks, &Room::default(), true)).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(read, messages, "chunks of {size}");
    }
}

#[tokio::test]
async fn what_is_no_message_ends_the_stream_with_a_reason() {
    let long = [&[0][..], &4_194_305_u32.to_be_bytes()].concat();
    for (sent, code, text) in [
        (
            long,
            Code::OutOfRange,
            "a message of 4194305 bytes, allowed are 4194304",
        ),
        (
            vec![1, 0, 0, 0, 0],
            Code::Internal,
            "a compressed message, which was not negotiated",
        ),
        (
            vec![0, 0],
            Code::Internal,
            "the stream ends within a message",
        ),
        (
            vec![0, 0, 0, 0, 2, 7],
            Code::Internal,
            "the stream ends within a message",
        ),
    ] {
        let (read, error) = all(frames(vec![frame(b"good"), sent], &Room::default(), true)).await;
        assert_eq!(read, [&b"good"[..]]);
        let error = error.unwrap();
        assert_eq!((error.code(), error.message()), (code, text));
    }
}

/// A large message of which one byte is missing.
fn unfinished() -> Vec<Vec<u8>> {
    let mut sent = frame(&vec![1; 300_000]);
    sent.pop();
    vec![sent]
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_stalls_keeps_no_other_out_and_is_cut_off() {
    let room = Room::default();
    let mut stalled = tokio::task::JoinSet::new();
    for _ in 0..8 {
        stalled.spawn(all(frames(unfinished(), &room, false)));
    }
    // The readers take their permits.
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::task::yield_now().await;
    let other = room.of_another();
    let large = vec![frame(&vec![2; 300_000])];
    let start = Instant::now();
    let (read, _) = all(frames(large.clone(), &other, true)).await;
    assert_eq!(read.len(), 1);
    assert_eq!(start.elapsed(), Duration::ZERO);
    // Four of them have room at a time, for ten seconds each.
    let (read, _) = all(frames(large, &room, true)).await;
    assert_eq!(read.len(), 1);
    assert!(start.elapsed() >= Duration::from_secs(18));
    let text = "a large message took more than 10 s to arrive";
    while let Some(ended) = stalled.join_next().await {
        let (read, error) = ended.unwrap();
        assert_eq!((read.len(), error.unwrap().message()), (0, text));
    }
}

#[tokio::test(start_paused = true)]
async fn room_is_taken_until_the_message_is_dropped() {
    let room = Room::default();
    let large = || vec![frame(&vec![2; 300_000])];
    let mut stored = Vec::new();
    for _ in 0..4 {
        let mut frames = frames(large(), &room, true);
        stored.push(frames.next().await.unwrap().unwrap());
    }
    let mut fifth = frames(large(), &room, true);
    let waits = tokio::time::timeout(Duration::from_mins(1), fifth.next()).await;
    assert!(waits.is_err());
    // Small messages are read meanwhile.
    let (read, _) = all(frames(vec![frame(b"small")], &room, true)).await;
    assert_eq!(read.len(), 1);
    stored.pop();
    assert!(fifth.next().await.unwrap().is_some());
}
