//! Compiles `proto/**.proto` with protox, so that nobody needs protoc.
//!
//! Attached from `proto/Cargo.toml`: the schema belongs to the project, the
//! generated code to that crate's `OUT_DIR`. It is not committed: the schema is
//! what is reviewed, and the conversions beside it are tested.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=bus");
    let schema = protox::compile(["bus/v1/bus.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(schema)?;
    Ok(())
}
