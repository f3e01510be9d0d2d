//! Control frames of HTTP/2, in proportion to requests and answers or not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;

/// The first bytes of a client. `settings` is the payload of its SETTINGS.
pub(super) fn begin(settings: &[u8]) -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, settings),
    ]
    .concat()
}

/// The HEADERS of a GET of `path`, with `END_HEADERS`, and `END_STREAM` if nothing follows.
pub(super) fn get_of(stream: u32, path: &str, flags: u8) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    // :method GET and :scheme http. :path and :authority follow as literals.
    let mut head = vec![0x82, 0x86, 0x04, length];
    head.extend(path.as_bytes());
    head.extend([0x01, 1, b'h']);
    frame(HEADERS, 4 | flags, stream, &head)
}

/// The next frame: kind, flags and payload. `None` when the connection has ended.
pub(super) async fn next(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [_, high, low, kind, flags, ..] = head;
    let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, flags, payload))
}

#[tokio::test]
async fn control_frames_without_requests_end_their_connection_and_no_other() {
    let metrics = ServeMetrics::default();
    let (address, _running) = counted(Limits::default(), metrics.clone()).await;
    let one = 1_u32.to_be_bytes();
    let floods = [
        frame(PING, 0, 0, &[0; 8]),
        frame(PING, ACK, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(WINDOW_UPDATE, 0, 0, &one),
        frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 16]),
        frame(0xbe, 0, 0, &[]),
        // Content of a request, without an end.
        frame(DATA, 0, 1, &[]),
        frame(DATA, 0, 1, b"x"),
    ];
    let mut connections = JoinSet::new();
    for (before, flood) in floods.iter().enumerate() {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut sent = begin(&[]);
        sent.extend(get_of(1, "/", 0));
        sent.extend(flood.repeat(20_000));
        let (mut reading, mut writing) = stream.split();
        // The server may end the connection before all is written.
        let write = async { drop(writing.write_all(&sent).await) };
        let read = async {
            let mut answers = Vec::new();
            drop(reading.read_to_end(&mut answers).await);
            answers
        };
        let ((), answers) = timeout(Duration::from_secs(30), async { tokio::join!(write, read) })
            .await
            .unwrap();
        // 100 pongs, and the answer to the request.
        assert!(answers.len() < 5_000, "{flood:?}: {}", answers.len());
        let ended = metrics.control_frames_refused.get();
        assert_eq!(ended, u64::try_from(before + 1).unwrap(), "{flood:?}");
        let mut other = http2_to(address, &mut connections).await;
        let answer = other.send_request(request("/")).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn what_comes_with_requests_is_in_proportion() {
    let metrics = ServeMetrics::default();
    let (address, _running) = counted(Limits::default(), metrics.clone()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&begin(&[])).await.unwrap();
    let (mut answers, mut pongs) = (0, 0);
    for number in 0..300 {
        let of = 2 * number + 1;
        // More than any client sends with a request.
        let mut sent = get_of(of, "/", 0);
        sent.extend(frame(PRIORITY, 0, of, &[0, 0, 0, 0, 16]));
        sent.extend(frame(DATA, 1, of, &[]));
        sent.extend(frame(PING, 0, 0, &[0; 8]).repeat(4));
        stream.write_all(&sent).await.unwrap();
        while answers <= number || pongs < 4 * (number + 1) {
            match next(&mut stream).await.expect("it goes on") {
                (HEADERS, ..) => answers += 1,
                (PING, ACK, _) => pongs += 1,
                _ => {}
            }
        }
    }
    assert_eq!(metrics.control_frames_refused.get(), 0);
}

#[tokio::test]
async fn a_list_may_be_read_in_small_windows() {
    let metrics = ServeMetrics::default();
    let (address, _running) = counted(Limits::default(), metrics.clone()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE is 16 KiB.
    let mut sent = begin(&[0, 4, 0, 0, 0x40, 0]);
    sent.extend(get_of(1, "/list", 1));
    stream.write_all(&sent).await.unwrap();
    let mut read = 0;
    while read < LIST {
        let (kind, _, payload) = next(&mut stream).await.expect("it goes on");
        if kind != DATA {
            continue;
        }
        read += payload.len();
        // As Go's client: an update of the stream and one of the connection for each 4 KiB.
        let mut updates = Vec::new();
        for piece in payload.chunks(4_096) {
            let more = u32::try_from(piece.len()).unwrap().to_be_bytes();
            updates.extend(frame(WINDOW_UPDATE, 0, 0, &more));
            updates.extend(frame(WINDOW_UPDATE, 0, 1, &more));
        }
        stream.write_all(&updates).await.unwrap();
    }
    assert_eq!((read, metrics.control_frames_refused.get()), (LIST, 0));
    // The connection is still good.
    stream.write_all(&get_of(3, "/", 1)).await.unwrap();
    while next(&mut stream).await.expect("it goes on").0 != HEADERS {}
}
