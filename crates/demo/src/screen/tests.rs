use super::*;

fn row(name: &str, view: View) -> Row {
    Row {
        name: name.to_owned(),
        pid: Some(4242),
        usage: Some(Usage {
            resident_bytes: 12 << 20,
            cpu_percent: Some(0.44),
        }),
        restarts: Some(0),
        state: "ready",
        view,
    }
}

fn frame() -> Frame<'static> {
    let counts = ScraperCounts {
        members: 2,
        owned: 7,
        fast: 2,
        standby: 6,
        rescued: 3,
        leaving: 0,
        frontends: 2,
    };
    let fed = Fed {
        streams: 1,
        overdue: 2,
        nodes: 20,
        pods: 598,
        age: Some((1, 11)),
    };
    let rows = vec![
        row("scraper-0", View::Scraper(Some(counts))),
        Row {
            pid: None,
            usage: None,
            restarts: Some(1),
            state: "down",
            ..row("scraper-1", View::Scraper(None))
        },
        row("frontend-0", View::Frontend(Some(fed))),
        Row {
            pid: None,
            usage: None,
            restarts: Some(3),
            state: "down",
            ..row("frontend-1", View::Frontend(None))
        },
        Row {
            restarts: None,
            state: "-",
            ..row("simulator with 20 kubelets", View::None)
        },
    ];
    Frame {
        up: Duration::from_secs(72),
        resolution: "10s".to_owned(),
        nodes: 20,
        pods: 600,
        directory: Path::new("/tmp/demo"),
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

SCRAPER    PID   STATE  RESTARTS  MEMORY  CPU    KNOWS  OWNS  FAST  STANDS BY  RESCUES  LEAVES  FEEDS
scraper-0  4242  ready  0         12 MiB  0.4 %  2      7     2     6          3        0       2
scraper-1  -     down   1         -       -      -      -     -     -          -        -       -

FRONTEND    PID   STATE  RESTARTS  MEMORY  CPU    NODES  PODS     NEWEST  OLDEST  OVERDUE  FED BY
frontend-0  4242  ready  0         12 MiB  0.4 %  20/20  598/600  1 s     11 s    2        1
frontend-1  -     down   3         -       -      0/20   0/600    -       -       -        -
simulator with 20 kubelets: 12 MiB, 0.4 % cpu

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
         frontend-1 0/20 nodes 0/600 pods, scrapers own 7+3 -, 2 of 4 processes ready, 24 MiB, 0.9 % cpu"
    );
}
