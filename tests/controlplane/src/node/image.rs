//! The only image there is: no registry is asked for one.

use std::{env, path::Path};

use anyhow::Context as _;
use tokio::{fs, process::Command, sync::OnceCell};

const LOAD: &str = include_str!("load.rs");
const PACK: &str = include_str!("image.sh");

/// A docker archive that holds `localhost/load:1`, which is `localhost/pause:1` too. Made once; `dir` is to work in.
pub(super) async fn archive(dir: &Path) -> anyhow::Result<&'static [u8]> {
    static MADE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let made = MADE.get_or_try_init(|| make(dir)).await?;
    Ok(made)
}

async fn make(dir: &Path) -> anyhow::Result<Vec<u8>> {
    let (source, program) = (dir.join("load.rs"), dir.join("load"));
    let archive = dir.join("made.tar");
    fs::write(&source, LOAD).await?;
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compile = Command::new(compiler);
    compile.args(["--edition=2024", "-O", "-Cstrip=symbols"]);
    compile.args(["-Ctarget-feature=+crt-static", "-o"]);
    run(compile.arg(&program).arg(&source)).await?;
    let mut pack = Command::new("sh");
    pack.args(["-c", PACK, "image.sh"]).arg(&program);
    run(pack.arg(&archive).arg(dir.join("packed"))).await?;
    Ok(fs::read(&archive).await?)
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}
