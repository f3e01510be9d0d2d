use super::*;
use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use http::HeaderValue;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn headers(encoding: &'static str) -> HeaderMap {
    let value = HeaderValue::from_static(encoding);
    [(header::CONTENT_ENCODING, value)].into_iter().collect()
}

/// Of a body whose end HTTP tells.
fn chunked() -> HeaderMap {
    let value = HeaderValue::from_static("chunked");
    [(header::TRANSFER_ENCODING, value)].into_iter().collect()
}

const MIB: usize = 1 << 20;

async fn read_up_to(
    limit: usize,
    headers: &HeaderMap,
    pieces: &[&[u8]],
) -> Result<Vec<u8>, ScrapeError> {
    let pages = Pages::new(limit);
    let mut incoming = Incoming::new(headers, &pages)?;
    let mut stage = Stage::Body;
    for piece in pieces {
        incoming.take(piece, &mut stage).await?;
    }
    Ok(incoming.finish()?.bytes)
}

async fn read(headers: &HeaderMap, pieces: &[&[u8]]) -> Result<Vec<u8>, ScrapeError> {
    read_up_to(4 * MIB, headers, pieces).await
}

#[tokio::test]
async fn gzip_comes_in_pieces() {
    let sent = gzip(b"hello kubelet");
    let (one, two) = sent.split_at(7);
    assert_eq!(
        read(&headers("gzip"), &[one, two]).await.unwrap(),
        b"hello kubelet"
    );
    for coding in ["GZIP", "X-Gzip"] {
        assert!(read(&headers(coding), &[&sent]).await.is_ok(), "{coding}");
    }
    assert_eq!(
        read(&HeaderMap::new(), &[b"a", b"b\n"]).await.unwrap(),
        b"ab\n"
    );
}

#[tokio::test]
async fn a_page_of_unknown_length_ends_with_a_line() {
    let cut = read(&HeaderMap::new(), &[b"a 1\n", b"b 419"]).await;
    assert_eq!(cut.unwrap_err(), ScrapeError::cut_short());
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        let headers = [(name.clone(), HeaderValue::from_static("9"))];
        let headers: HeaderMap = headers.into_iter().collect();
        let page = read(&headers, &[b"a 1\nb 419"]).await;
        assert_eq!(page.unwrap(), b"a 1\nb 419", "{name}");
    }
    assert_eq!(read(&HeaderMap::new(), &[]).await.unwrap(), b"");
}

#[tokio::test]
async fn gzip_of_several_members_is_one_page() {
    let sent = [gzip(b"hello "), gzip(b""), gzip(b"kubelet")].concat();
    assert_eq!(
        read(&headers("gzip"), &[&sent]).await.unwrap(),
        b"hello kubelet"
    );
    let bytes: Vec<&[u8]> = sent.chunks(1).collect();
    assert_eq!(
        read(&headers("gzip"), &bytes).await.unwrap(),
        b"hello kubelet"
    );
    let mut more = sent;
    more.extend_from_slice(b"trailing");
    let error = read(&headers("gzip"), &[&more]).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Malformed);
}

#[tokio::test]
async fn a_checksum_that_is_wrong_is_malformed() {
    let mut sent = gzip(b"hello kubelet");
    let crc = sent.len() - 8;
    sent[crc] ^= 1;
    let error = read(&headers("gzip"), &[&sent]).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Malformed);
}

#[tokio::test]
async fn gzip_grows_into_any_room() {
    let page: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let sent = gzip(&page);
    let pages = Pages::new(4 * MIB);
    for capacity in [0, 1, 799_999, 800_000, 800_001] {
        let mut incoming = Incoming::new(&headers("gzip"), &pages).unwrap();
        incoming.page = Vec::with_capacity(capacity);
        for piece in sent.chunks(10_000) {
            incoming.take(piece, &mut Stage::Body).await.unwrap();
        }
        let read = incoming.finish().unwrap();
        assert_eq!(read.bytes, page, "{capacity}");
        assert!(read.room.is_none());
    }
}

#[tokio::test]
async fn a_large_page_is_read_whole_and_takes_up_room() {
    let page: Vec<u8> = (0..900_000_u32).flat_map(u32::to_le_bytes).collect();
    let plain = chunked();
    let zipped = gzip(&page);
    let pages = Pages::new(4 * MIB);
    for (headers, sent) in [(&plain, &page), (&headers("gzip"), &zipped)] {
        for piece in [8_192, sent.len()] {
            let mut incoming = Incoming::new(headers, &pages).unwrap();
            for piece in sent.chunks(piece) {
                incoming.take(piece, &mut Stage::Body).await.unwrap();
            }
            let read = incoming.finish().unwrap();
            assert!(read.bytes == page && read.room.is_some());
            // A page of any length has no more memory than the limit, and a byte.
            assert!(read.bytes.capacity() <= 4 * MIB + 1);
        }
    }
}

#[tokio::test]
async fn a_page_waits_for_room_only_where_it_becomes_large() {
    let pages = Pages::new(4 * MIB);
    let mut others = Vec::new();
    for _ in 0..16 {
        others.push(pages.room().await.unwrap());
    }
    let plain = chunked();
    let mut small = Incoming::new(&plain, &pages).unwrap();
    small
        .take(&vec![b'a'; MIB], &mut Stage::Body)
        .await
        .unwrap();
    assert_eq!(small.finish().unwrap().bytes.len(), MIB);

    let mut large = Incoming::new(&plain, &pages).unwrap();
    let (piece, mut stage) = (vec![b'a'; MIB + 1], Stage::Body);
    {
        let mut waiting = std::pin::pin!(large.take(&piece, &mut stage));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        others.pop();
        waiting.await.unwrap();
    }
    assert_eq!(stage, Stage::Body);
    assert_eq!(large.finish().unwrap().bytes.len(), MIB + 1);
}

#[tokio::test]
async fn gzip_that_ends_early_is_cut_short() {
    let sent = gzip(b"hello kubelet");
    for length in 1..sent.len() {
        let error = read(&headers("gzip"), &[&sent[..length]])
            .await
            .unwrap_err();
        assert_eq!(error, ScrapeError::cut_short(), "{length}");
    }
}

#[tokio::test]
async fn what_is_no_gzip_is_malformed() {
    let error = read(&headers("gzip"), &[b"# HELP a page of metrics"])
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Malformed);
    let error = read(&headers("br"), &[]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer is encoded as `br`, which was not asked for"
    );
}

#[tokio::test]
async fn no_page_grows_over_its_limit() {
    let plain = chunked();
    for (limit, message) in [
        (
            4 * MIB,
            "the page is larger than 4194304 bytes: --kubelet-max-page-size",
        ),
        (
            MIB / 2,
            "the page is larger than 524288 bytes: --kubelet-max-page-size",
        ),
    ] {
        let piece = vec![b'a'; limit / 4];
        let exact: Vec<&[u8]> = vec![&piece; 4];
        let page = read_up_to(limit, &plain, &exact).await.unwrap();
        assert_eq!(page.len(), limit);
        let over: Vec<&[u8]> = vec![&piece, &piece, &piece, &piece, b"a"];
        let error = read_up_to(limit, &plain, &over).await.unwrap_err();
        assert_eq!(
            (error.reason(), error.to_string().as_str()),
            (Reason::TooLarge, message)
        );

        let bomb = gzip(&vec![0; limit + 1]);
        assert!(bomb.len() < 200_000, "{}", bomb.len());
        let read = read_up_to(limit, &headers("gzip"), &[&bomb]).await;
        assert_eq!(read.unwrap_err(), error);
        let exact = gzip(&vec![0; limit]);
        let page = read_up_to(limit, &headers("gzip"), &[&exact]).await;
        assert_eq!(page.unwrap().len(), limit);

        let length = HeaderValue::from_str(&(limit + 1).to_string()).unwrap();
        let announced = [(header::CONTENT_LENGTH, length)].into_iter().collect();
        let read = read_up_to(limit, &announced, &[]).await;
        assert_eq!(read.unwrap_err(), error);
    }
}
