//! The real demo with plain output: killed processes are restarted, and nothing is left behind.

#[cfg(test)]
mod real {
    use std::{
        path::{Path, PathBuf},
        process::{ExitStatus, Stdio},
        time::Duration,
    };

    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
    use serde_json::Value;
    use tempfile::TempDir;
    use tokio::{
        io::{AsyncBufReadExt as _, BufReader, Lines, unix::AsyncFd},
        process::{Child, ChildStdout, Command},
        time::timeout,
    };

    /// Much longer than any step takes.
    const PATIENCE: Duration = Duration::from_secs(90);

    /// How often the demo scrapes each node, in seconds.
    const RESOLUTION: f64 = 10.0;

    /// A demo of 3 nodes with 2 pods each. Its temporary directory is inside ours.
    struct Demo {
        child: Child,
        lines: Lines<BufReader<ChildStdout>>,
        outer: TempDir,
    }

    impl Demo {
        fn start() -> Self {
            let outer = tempfile::tempdir().unwrap();
            let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
                .args(["--nodes=3", "--pods-per-node=2", "--restart-after=1s"])
                .env("TMPDIR", outer.path())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            Self {
                child,
                lines,
                outer,
            }
        }

        /// The text after `mark` in the first line that contains it.
        async fn line_with(&mut self, mark: &str) -> String {
            let found = async {
                while let Some(line) = self.lines.next_line().await.unwrap() {
                    if let Some((_, rest)) = line.split_once(mark) {
                        return rest.to_owned();
                    }
                }
                panic!("the demo ended without saying `{mark}`");
            };
            timeout(PATIENCE, found).await.expect(mark)
        }

        fn pid(&self) -> i32 {
            i32::try_from(self.child.id().unwrap()).unwrap()
        }

        async fn end(&mut self, signal: Signal) -> ExitStatus {
            send(self.pid(), signal);
            timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
        }
    }

    fn send(pid: i32, signal: Signal) {
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Name, role, pid and restarts of each process.
    fn processes(directory: &Path) -> Vec<(String, String, Option<i32>, u64)> {
        let text = std::fs::read_to_string(directory.join("processes.json")).unwrap();
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pid = |value: &Value| Some(i32::try_from(value.as_i64()?).unwrap());
        all.iter()
            .map(|one| {
                (
                    text(&one["name"]),
                    text(&one["role"]),
                    pid(&one["pid"]),
                    one["restarts"].as_u64().unwrap(),
                )
            })
            .collect()
    }

    fn pids(directory: &Path) -> Vec<i32> {
        let all = processes(directory).into_iter();
        all.map(|(_, _, pid, _)| pid.unwrap()).collect()
    }

    fn parent_of(pid: i32) -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    #[tokio::test]
    async fn who_is_killed_comes_back_and_sigterm_ends_everything() {
        let mut demo = Demo::start();
        let kubeconfig = PathBuf::from(demo.line_with("kubeconfig: ").await);
        assert!(kubeconfig.is_file());
        let directory = kubeconfig.parent().unwrap();

        let before = processes(directory);
        let names: Vec<(&str, &str)> = before
            .iter()
            .map(|(name, role, _, _)| (name.as_str(), role.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("scraper-0", "scraper"),
                ("scraper-1", "scraper"),
                ("scraper-2", "scraper"),
                ("frontend-0", "frontend"),
                ("frontend-1", "frontend"),
            ]
        );
        for pid in pids(directory) {
            assert_eq!(parent_of(pid), Some(demo.pid()), "{pid}");
        }

        let victim = before[3].2.unwrap();
        send(victim, Signal::KILL);
        demo.line_with("frontend-0 (pid ").await;
        let pid = demo.line_with("frontend-0 started again as pid ").await;
        let pid: i32 = pid.parse().unwrap();
        assert_ne!(pid, victim);
        let frontend = ("frontend-0".to_owned(), "frontend".to_owned(), Some(pid), 1);
        assert_eq!(processes(directory)[3], frontend);
        // A ready frontend serves all three nodes, because each is more than a tenth of them.
        let took = demo.line_with("frontend-0 is ready ").await;
        println!("killed with -9, a frontend is full again {took}");
        let seconds = took.strip_suffix(" s after its start").unwrap();
        let seconds: f64 = seconds.parse().unwrap();
        assert!(seconds < RESOLUTION, "not before the next cycle: {took}");

        let last = pids(directory);
        let status = demo.end(Signal::TERM).await;
        assert_eq!(status.code(), Some(0));
        for pid in last {
            assert_eq!(parent_of(pid), None, "{pid} is left");
        }
        assert_eq!(std::fs::read_dir(demo.outer.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_demo_that_is_killed_takes_its_processes_along() {
        let mut demo = Demo::start();
        let directory = PathBuf::from(demo.line_with("working in ").await);
        demo.line_with("started 3 scrapers and 2 frontends").await;
        let pids = pids(&directory);
        #[expect(
            deprecated,
            reason = "unsound for who lies about his descriptor; an OwnedFd does not"
        )]
        let open = |pid: &i32| {
            let pid = Pid::from_raw(*pid).unwrap();
            AsyncFd::new(pidfd_open(pid, PidfdFlags::empty()).unwrap()).unwrap()
        };
        let children: Vec<_> = pids.iter().map(open).collect();
        assert_eq!(children.len(), 5);

        demo.end(Signal::KILL).await;
        for child in &children {
            // A pidfd becomes readable when its process has ended.
            drop(timeout(PATIENCE, child.readable()).await.unwrap().unwrap());
        }
    }

    #[tokio::test]
    async fn a_flag_that_cannot_be_is_one_sentence_and_exit_code_2() {
        for (flag, sentence) in [
            (
                "--dir=/proc/nowhere",
                "--dir /proc/nowhere: No such file or directory (os error 2)",
            ),
            (
                "--resolution=9s",
                "invalid value '9s' for '--resolution <DURATION>': should be at least 10s",
            ),
        ] {
            let demo = Command::new(env!("CARGO_BIN_EXE_demo")).arg(flag).output();
            let output = demo.await.unwrap();
            assert_eq!(output.status.code(), Some(2));
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(stderr, format!("error: {sentence}\n"));
        }
    }
}
