//! Measures answers per second with `wrk`, in a closed loop over a fixed number of connections.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::process::Command;

use crate::results::Throughput;

/// The duration of one measurement.
const SECONDS: u32 = 5;

/// Requests `path` over this many connections, each time when an answer has arrived.
///
/// # Errors
///
/// `wrk` is missing, or an answer is not a success.
pub(crate) async fn measure(
    (name, path): (&str, &str),
    address: SocketAddr,
    token: &str,
    connections: u32,
) -> anyhow::Result<Throughput> {
    let output = Command::new("wrk")
        .arg(format!("--threads={}", connections.min(2)))
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={SECONDS}"))
        .arg(format!("--header=Authorization: Bearer {token}"))
        .arg("--header=Accept: application/json")
        .arg(format!("https://{address}{path}"))
        .output()
        .await
        .context("start wrk: apt-get install wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(output.status.success(), "wrk: {text}");
    anyhow::ensure!(!text.contains("Non-2xx"), "wrk: {text}");
    Ok(Throughput {
        name: name.to_owned(),
        connections,
        per_second: rate(&text).with_context(|| format!("wrk: {text}"))?,
    })
}

fn rate(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    line?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read() {
        let text = "  3 requests in 1.00s\nRequests/sec:   1234.56\nTransfer/sec: 1MB\n";
        assert_eq!(rate(text), Some(1_234.56));
        assert_eq!(rate("nothing"), None);
    }
}
