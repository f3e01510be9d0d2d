//! Records a stream of this version of the protocol: `record FILE`.

use anyhow::Context as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).context("which file?")?;
    let recording = tributary_e2e::recording::record().await?;
    std::fs::write(file, recording)?;
    Ok(())
}
