//! Records the bytes that a scraper sends to a frontend, and sends them again.
//!
//! A recording is one direction of a connection without TLS: the preface of HTTP/2, headers, messages. A frontend
//! corrects the times in it by the difference between the clock in `Hello` and its own. So a recording does not become
//! too old.

use std::{path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tributary_sim::{Builder, Cluster, Usage};

use crate::stack::Stack;

/// The cluster of recordings. Every container uses a quarter of a core and 64 MiB.
pub fn cluster() -> Builder {
    let usage = Usage::steady(250, 64 << 20);
    Cluster::builder().nodes(2).pods_per_node(2).usage(usage)
}

/// The length of a recording: a replay and some scrapes of every node.
const LENGTH: Duration = Duration::from_secs(3);

/// Records what a scraper of this version sends.
///
/// # Errors
///
/// A socket fails.
pub async fn record() -> anyhow::Result<Vec<u8>> {
    let (mut stack, frontend) = Stack::alone(cluster()).await;
    let tap = stack.cluster.paths().dir.join("tap.sock");
    let listener = UnixListener::bind(&tap)?;
    stack.feed_through(&tap).await;
    let (mut scraper, _) = listener.accept().await?;
    let mut frontend = UnixStream::connect(frontend).await?;
    let mut recording = Vec::new();
    let copied = timeout(LENGTH, async {
        let (mut from_scraper, mut to_scraper) = scraper.split();
        let (mut from_frontend, mut to_frontend) = frontend.split();
        let forth = async {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let read = from_scraper.read(&mut buffer).await?;
                let bytes = buffer.get(..read).unwrap_or_default();
                recording.extend_from_slice(bytes);
                to_frontend.write_all(bytes).await?;
                if read == 0 {
                    return std::io::Result::Ok(());
                }
            }
        };
        let back = tokio::io::copy(&mut from_frontend, &mut to_scraper);
        tokio::try_join!(forth, back).map(drop)
    });
    // The recording should end by the timeout. Any other end is an error.
    if let Ok(ended) = copied.await {
        ended?;
        anyhow::bail!("the stream ended by itself");
    }
    drop((scraper, frontend));
    stack.stop().await;
    Ok(recording)
}

/// Sends a recording to the frontend behind `socket`. The connection is open until the result is dropped.
///
/// # Errors
///
/// The connection cannot be opened.
pub async fn replay(socket: &Path, recording: &[u8]) -> anyhow::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(recording).await?;
    Ok(stream)
}
