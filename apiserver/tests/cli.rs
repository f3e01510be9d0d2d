//! The real binary: exit codes, signals, what it says.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary-apiserver"));
    command
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOSTNAME", "front-0")
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

/// A CA file, which has to be there.
fn ca(dir: &std::path::Path) -> String {
    let path = dir.join("ca.crt");
    std::fs::write(&path, include_bytes!("ca.crt")).unwrap();
    format!("--requestheader-client-ca-file={}", path.display())
}

const BUS: &str = "--bus-address=unix:///tmp/nowhere/bus.sock";

#[test]
fn a_duration_with_which_nothing_would_work_is_refused() {
    for (flag, sentence) in [
        (
            "--bus-recheck-interval=0s",
            "error: invalid value '0s' for '--bus-recheck-interval <DURATION>': must be at least \
             1s\n",
        ),
        (
            "--min-window=999ms",
            "error: invalid value '999ms' for '--min-window <DURATION>': must be 1s to 1m\n",
        ),
        (
            "--max-sample-age=0s",
            "error: invalid value '0s' for '--max-sample-age <DURATION>': must be longer than 0s: \
             with it nothing would ever be served\n",
        ),
    ] {
        assert_eq!(refusal(&[BUS, flag]), (Some(2), sentence.to_owned()));
    }
}

#[test]
fn bad_flags_are_exit_code_2_and_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(dir.path());
    for (flags, sentence) in [
        (
            &[BUS, "--authorization-always-allow-paths=/a*b"][..],
            "error: --authorization-always-allow-paths: only trailing * allowed in \"a*b\"\n",
        ),
        (
            &[BUS, "--requestheader-uid-headers=X-Remote-Uid,X Y"],
            "error: --requestheader-uid-headers: no header is named \"X Y\"\n",
        ),
        (
            &[&ca, "--bus-allow=scraper"],
            "error: invalid value 'scraper' for '--bus-allow <RULE>': should be \
             PUBLISHER=SELECTOR\n",
        ),
        (
            &[&ca, "--bus-client-ca-file=/nonexistent"],
            "error: --bus-client-ca-file: /nonexistent: No such file or directory (os error 2)\n",
        ),
        (
            &[&ca, "--bus-address=localhost:1"],
            "error: invalid value 'localhost:1' for '--bus-address <ADDRESS>': \"localhost:1\" is \
             neither IP:PORT nor unix:///PATH\n",
        ),
        (
            &[&ca, BUS, "--tls-cert-file=/x"],
            "error: the following required arguments were not provided: --tls-private-key-file \
             <FILE>\n",
        ),
        (
            &[&ca, BUS, "--tls-cert-file=/x", "--tls-private-key-file=/y"],
            "error: --tls-cert-file, --tls-private-key-file: /x: No such file or directory (os error \
             2)\n",
        ),
        (
            &[&ca, BUS, "--node-selector=!!!"],
            "error: --node-selector: unable to parse requirement: found '!', expected: \
             identifier\n",
        ),
        (
            &[&ca, BUS, "--client-ca-file=/nonexistent"],
            "error: --client-ca-file: /nonexistent: No such file or directory (os error 2)\n",
        ),
        (
            &["--no-such-flag"],
            "error: unexpected argument '--no-such-flag' found\n",
        ),
        (
            &["--metric-resolution=15s"],
            "error: --metric-resolution: belongs to tributary-scraper, which scrapes kubelets\n",
        ),
        (
            &[&ca, BUS, "--tls-min-version=VersionTLS10"],
            "error: --tls-min-version VersionTLS10: TLS versions before 1.2 are not \
             supported; use VersionTLS12\n",
        ),
    ] {
        assert_eq!(refusal(flags), (Some(2), sentence.to_owned()), "{flags:?}");
    }
}

#[test]
fn values_that_nothing_can_have_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(dir.path());
    for (flags, sentence) in [
        (
            &[&ca, BUS, "--cert-dir=/dev/null/x"][..],
            "error: --cert-dir /dev/null/x: Not a directory (os error 20)\n",
        ),
        (
            &[&ca, BUS, "--bus-token-audience="],
            "error: a value is required for '--bus-token-audience <AUDIENCE>' but none was supplied\n",
        ),
        (
            &[&ca, BUS, "--frontend-name=a b"],
            "error: invalid value 'a b' for '--frontend-name <NAME>': should be 1 to 253 visible \
             characters of ASCII without blanks\n",
        ),
        (
            &[&ca, BUS, "--tls-auto=a/b", "--tls-auto-secret=../x"],
            "error: invalid value '../x' for '--tls-auto-secret <NAME>': should be the name of an \
             object\n",
        ),
        (
            &[&ca, BUS, "--tls-auto=a/b", "--tls-auto-names=a,b c"],
            "error: invalid value 'b c' for '--tls-auto-names <NAMES>': should be a DNS name\n",
        ),
        (
            &[&ca, BUS, "--tls-auto-api-services=metrics"],
            "error: invalid value 'metrics' for '--tls-auto-api-services <NAMES>': should be \
             VERSION.GROUP, the name of an APIService\n",
        ),
        (
            &[&ca, BUS, "--shutdown-grace-period=-1s"],
            "error: invalid value '-1s' for '--shutdown-grace-period <DURATION>': `-1s` is negative\n",
        ),
    ] {
        assert_eq!(refusal(flags), (Some(2), sentence.to_owned()), "{flags:?}");
    }
}

#[test]
fn help_and_version_are_no_failure() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in ["--secure-port", "--bus-address", "--max-sample-age"] {
        assert!(text.contains(flag), "{flag}");
    }
    let version = run(&["--version"]);
    let expected = concat!("tributary-apiserver ", env!("CARGO_PKG_VERSION"), "\n");
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

/// Starts with an API server at `address`, and goes on for `delay` once it leaves.
fn start(dir: &std::path::Path, address: SocketAddr, delay: &str) -> Running {
    let kubeconfig = dir.join("kubeconfig");
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        ),
    )
    .unwrap();
    let child = binary()
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .args([&ca(dir), "--bind-address=127.0.0.1", "--secure-port=0"])
        .arg(format!("--bus-address=unix://{}/bus.sock", dir.display()))
        .arg(format!("--shutdown-delay-duration={delay}"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Running(child)
}

/// After this many attempts the first complaint about each kind of object is old.
const ATTEMPTS: usize = 8;

#[test]
fn an_unreachable_api_is_said_once_and_sigterm_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    // One that hangs up at once, so that it is seen how often it is tried.
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut process = start(dir.path(), api.local_addr().unwrap(), "0s");
    for _ in 0..ATTEMPTS {
        drop(api.accept().unwrap());
    }
    assert!(process.0.try_wait().unwrap().is_none(), "it goes on");
    kill_process(Pid::from_child(&process.0), Signal::TERM).unwrap();
    let mut said = String::new();
    let mut stderr = process.0.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(process.0.wait().unwrap().code(), Some(0), "{said}");
    for kind in ["nodes", "pods"] {
        let about = |line: &&str| line.contains("failed to watch") && line.contains(kind);
        assert_eq!(said.lines().filter(about).count(), 1, "{kind}: {said}");
    }
    assert!(!said.contains("watching again"), "{said}");
}

/// Reads lines until one has `text` in it.
fn until(said: &mut impl std::io::BufRead, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "never said: {text}");
    }
}

#[test]
fn a_second_signal_cuts_the_delay_short() {
    let dir = tempfile::tempdir().unwrap();
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut process = start(dir.path(), api.local_addr().unwrap(), "1h");
    let mut said = std::io::BufReader::new(process.0.stderr.take().unwrap());
    let pid = Pid::from_child(&process.0);
    until(&mut said, "serving the API");
    kill_process(pid, Signal::TERM).unwrap();
    until(&mut said, "shutting down: not ready, still serving");
    assert!(process.0.try_wait().unwrap().is_none(), "it goes on");
    kill_process(pid, Signal::TERM).unwrap();
    until(&mut said, "stopping at once");
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}
