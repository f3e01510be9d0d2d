# Sourced by the scripts that build our crates optimized: tests/instructions/run, tests/faults/run, tests/fuzz/run. All else is
# as the tests have built it (Cargo.toml), so that this takes a few minutes and not another build of everything.
# Incremental builds divide a crate into more units, which are optimized by themselves. A release is not built so.
export CARGO_INCREMENTAL=0
ours=(tributary-{kubeconfig,model,proto,runtime,scraper,apiserver})
flags() { # setting crate...
  local crate
  for crate in "${@:2}"; do printf '%s\n' --config "profile.dev.package.$crate.$1"; done
}
mapfile -t optimized < <(flags opt-level=3 "${ours[@]}")
optimized+=(--profile dev --locked --workspace)
# Overflow goes unseen, as in a release.
mapfile -t unchecked < <(
  flags overflow-checks=false "${ours[@]}"
  flags debug-assertions=false "${ours[@]}"
)
