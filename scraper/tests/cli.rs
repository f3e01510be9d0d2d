//! The real binary: exit codes, signals, what it says.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary-scraper"));
    command
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOSTNAME", "scraper-0")
        .stdin(Stdio::null());
    command
}

fn run(flags: &[&str]) -> Output {
    binary().args(flags).output().unwrap()
}

/// Code and stderr of a start that must fail.
fn refusal(flags: &[&str]) -> (Option<i32>, String) {
    let output = run(flags);
    assert!(output.stdout.is_empty());
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

const FRONTEND: &str = "--frontend=unix:///run/bus.sock";

#[test]
fn bad_flags_are_exit_code_2_and_one_sentence() {
    for (flags, sentence) in [
        (
            &["--metric-resolution=500ms", FRONTEND][..],
            "error: metric-resolution should be a time duration at least 1s, but value 500ms provided\n",
        ),
        (
            &["--metric-resolution=10s", FRONTEND],
            "error: metric-resolution should be larger than kubelet-request-timeout, but \
             metric-resolution value 10s kubelet-request-timeout value 10s provided; \
             kubelet-request-timeout may be at most nine tenths of metric-resolution\n",
        ),
        (
            &["--metric-resolution=2h", FRONTEND],
            "error: metric-resolution should be a time duration at most 1h0m0s, which is what \
             frontends take, but value 2h0m0s provided\n",
        ),
        (
            &["--kubelet-max-page-size=1Ki", FRONTEND],
            "error: kubelet-max-page-size should be 64Ki to 64Mi, but value 1Ki provided\n",
        ),
        (
            &["--kubelet-max-page-size=4MB", FRONTEND],
            "error: invalid value '4MB' for '--kubelet-max-page-size <SIZE>': `4MB` is not an \
             amount of memory such as 65536, 64Ki or 4Mi\n",
        ),
        (
            &["--kubelet-client-key=/x", FRONTEND],
            "error: need both --kubelet-client-key and --kubelet-client-certificate\n",
        ),
        (&[], "error: need at least one --frontend to publish to\n"),
        (
            &["--shard-index=3", "--shard-count=3", FRONTEND],
            "error: --shard-index 3 is not below --shard-count 3\n",
        ),
        (
            &["--frontend=front:1"],
            "error: --frontend front:1 should be https://HOST:PORT, dns:///NAME:PORT, \
             k8s:///NAMESPACE/SERVICE:PORT, unix:///PATH or http://HOST:PORT\n",
        ),
        (
            &["--kubeconfig=/nonexistent", FRONTEND],
            "error: --kubeconfig /nonexistent: No such file or directory (os error 2)\n",
        ),
        (
            &["--no-such-flag"],
            "error: unexpected argument '--no-such-flag' found\n",
        ),
        (
            &["--log-level=a=b=c", FRONTEND],
            "error: --log-level: error parsing level filter: expected one of \"off\", \"error\", \
             \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5\n",
        ),
        (
            &["--node-selector=a,,b", FRONTEND],
            "error: --node-selector: found ',', expected: identifier after ','\n",
        ),
    ] {
        assert_eq!(refusal(flags), (Some(2), sentence.to_owned()), "{flags:?}");
    }
}

#[test]
fn values_that_nothing_can_have_are_refused() {
    for (flags, sentence) in [
        (
            &["--kubelet-port=0", FRONTEND],
            "error: invalid value '0' for '--kubelet-port <PORT>': 0 is not in 1..=65535\n",
        ),
        (
            &["--lease-namespace=a/b", FRONTEND],
            "error: invalid value 'a/b' for '--lease-namespace <NAMESPACE>': should be the name of a \
             namespace\n",
        ),
        (
            &["--bus-server-name=a b", FRONTEND],
            "error: invalid value 'a b' for '--bus-server-name <NAME>': should be a DNS name or an \
             IP address, as in a certificate\n",
        ),
    ] {
        assert_eq!(refusal(flags), (Some(2), sentence.to_owned()), "{flags:?}");
    }
}

#[test]
fn outside_a_cluster_a_kubeconfig_is_needed() {
    let (code, said) = refusal(&[FRONTEND]);
    assert_eq!(code, Some(2));
    let expected = "error: no --kubeconfig given and the in-cluster configuration cannot be loaded";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn help_and_version_are_no_failure() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "--kubelet-preferred-address-types",
        "--frontend",
        "--metric-resolution",
    ] {
        assert!(text.contains(flag), "{flag}");
    }
    let version = run(&["--version"]);
    let expected = concat!("tributary-scraper ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
}

/// Ends the process, come what may.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, which is what it should.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts as `user` with an API server at `address`.
fn start(dir: &std::path::Path, address: SocketAddr, user: &str) -> Running {
    start_with_log(dir, address, user, Stdio::piped())
}

/// The same, with logs to `log`.
fn start_with_log(dir: &std::path::Path, address: SocketAddr, user: &str, log: Stdio) -> Running {
    let kubeconfig = dir.join("kubeconfig");
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: u, user: {user}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        ),
    )
    .unwrap();
    let child = binary()
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .args([FRONTEND, "--admin-address=127.0.0.1:0"])
        // Of metrics-server.
        .args(["--profiling=false", "--log-flush-frequency=5s"])
        .stderr(log)
        .spawn()
        .unwrap();
    Running(child)
}

/// After this many attempts of three clients the first complaints are old.
const ATTEMPTS: usize = 9;

#[test]
fn an_unreachable_api_is_said_once_and_sigterm_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    // One that hangs up at once, so that it is seen how often it is tried.
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut process = start(dir.path(), api.local_addr().unwrap(), "{}");
    for _ in 0..ATTEMPTS {
        drop(api.accept().unwrap());
    }
    assert!(process.0.try_wait().unwrap().is_none(), "it goes on");
    kill_process(Pid::from_child(&process.0), Signal::TERM).unwrap();
    let mut said = String::new();
    let mut stderr = process.0.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(process.0.wait().unwrap().code(), Some(0), "{said}");
    for what in [
        "kind=nodes",
        "kind=leases",
        "failed to renew the Lease",
        "--profiling has no effect; --help says why",
        "--log-flush-frequency has no effect; --help says why",
    ] {
        let about = |line: &&str| line.contains(what);
        assert_eq!(said.lines().filter(about).count(), 1, "{said}");
    }
    assert!(!said.contains("watching again"), "{said}");
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full");
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let log = Stdio::from(full.unwrap());
    let mut process = start_with_log(dir.path(), api.local_addr().unwrap(), "{}", log);
    for _ in 0..ATTEMPTS {
        drop(api.accept().unwrap());
    }
    kill_process(Pid::from_child(&process.0), Signal::TERM).unwrap();
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn credentials_that_a_program_makes_are_not_for_kubelets_which_is_said() {
    const PROGRAM: &str = r#"{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: echo, args: ['{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}']}}"#;
    const WARNING: &str = "unable to show kubelets the credentials of the kubeconfig";
    for (user, is_warned) in [(PROGRAM, true), ("{token: t}", false)] {
        let dir = tempfile::tempdir().unwrap();
        let api = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut process = start(dir.path(), api.local_addr().unwrap(), user);
        // It has started when it asks for something.
        drop(api.accept().unwrap());
        kill_process(Pid::from_child(&process.0), Signal::TERM).unwrap();
        let mut said = String::new();
        let mut stderr = process.0.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(process.0.wait().unwrap().code(), Some(0), "{said}");
        assert_eq!(said.contains(WARNING), is_warned, "{said}");
    }
}
