use super::*;

fn row(name: &str, role: &'static str, share: &str) -> Row {
    Row {
        name: name.to_owned(),
        role,
        pid: Some(4242),
        share: share.to_owned(),
        usage: Some(Usage {
            resident_bytes: 12 << 20,
            cpu_percent: Some(0.44),
        }),
        restarts: Some(0),
        state: "ready",
        view: None,
    }
}

fn frame() -> Frame<'static> {
    let rows = vec![
        row("scraper-0", "scraper", "20 nodes to 2 frontends"),
        Row {
            view: Some(View {
                nodes: 20,
                pods: 598,
                age: Some((1, 11)),
            }),
            ..row("frontend-0", "frontend", "1 stream")
        },
        Row {
            pid: None,
            usage: None,
            restarts: Some(3),
            state: "down",
            view: Some(View::default()),
            ..row("frontend-1", "frontend", "-")
        },
        Row {
            restarts: None,
            state: "-",
            ..row("cluster", "simulator", "20 kubelets")
        },
    ];
    Frame {
        up: Duration::from_secs(72),
        resolution: "10s".to_owned(),
        nodes: 20,
        pods: 600,
        folder: Path::new("/tmp/demo"),
        rows,
        tries: vec!["kubectl top nodes".to_owned()],
        events: vec!["06:00:00Z frontend-1 was killed".to_owned()],
    }
}

#[test]
fn the_screen_tells_what_is_served_by_whom() {
    let expected = "\
Tributary demo: 20 nodes with 600 pods, each node asked every 10s; up 1 min 12 s
working in /tmp/demo

FRONTEND    NODES  PODS     NEWEST  OLDEST
frontend-0  20/20  598/600  1 s     11 s
frontend-1  0/20   0/600    -       -

PROCESS     PID   ROLE       SHARE                    MEMORY  CPU    RESTARTS  STATE
scraper-0   4242  scraper    20 nodes to 2 frontends  12 MiB  0.4 %  0         ready
frontend-0  4242  frontend   1 stream                 12 MiB  0.4 %  0         ready
frontend-1  -     frontend   -                        -       -      3         down
cluster     4242  simulator  20 kubelets              12 MiB  0.4 %  -         -

Try in another terminal:
  kubectl top nodes
Ctrl-C ends everything.

06:00:00Z frontend-1 was killed
";
    assert_eq!(render(&frame()), expected);
}

#[test]
fn before_the_api_answers_there_is_nothing_to_try() {
    let early = Frame {
        tries: Vec::new(),
        ..frame()
    };
    let text = render(&early);
    assert!(
        text.contains("\nWaiting for two samples of every node ..\nCtrl-C"),
        "{text}"
    );
}

#[test]
fn the_state_fits_in_a_line() {
    assert_eq!(
        line(&frame()),
        "status: frontend-0 20/20 nodes 598/600 pods 1-11 s old, \
         frontend-1 0/20 nodes 0/600 pods, 2 of 3 processes ready, 24 MiB, 0.9 % cpu"
    );
}

#[test]
fn ages_are_counted_from_now_and_never_negative() {
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let served = Served {
        nodes: 1,
        pods: 2,
        samples: Some((at(101), at(90))),
    };
    let view = View::new(&served, 100);
    assert_eq!(
        view,
        View {
            nodes: 1,
            pods: 2,
            age: Some((0, 10))
        }
    );
}
