//! What metrics-server v0.9.0 answered on a real control plane, reproduced
//! request by request: status, length, content type and text, except the numbers
//! of the moment. What is different on purpose is in [`DIFFERENCES`], and nothing
//! else.

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};

use crate::cluster::{Answer, Cluster, container, send};

const NEGOTIATION: &str = include_str!("golden/content-negotiation-tables.txt");
const DISCOVERY: &str = include_str!("golden/discovery-health.txt");
const SELECTION: &str = include_str!("golden/list-get-selectors.txt");
const ENCODINGS: &str = include_str!("golden/json-vs-protobuf.txt");

/// How a recorded request ends, what ours has that the recorded one has not, why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "GET /",
        "\"/apis/metrics.k8s.io/v1\",",
        "v1 is served too; the probes are those of this process",
    ),
    (
        "GET /apis",
        "\"version\":\"v1\"",
        "v1 is served too and preferred; the port is ours",
    ),
    (
        "GET /apis/metrics.k8s.io",
        "\"version\":\"v1\"",
        "v1 is served too and preferred",
    ),
    (
        "GET /apis (aggregated discovery v2)",
        "\"version\":\"v1\"",
        "v1 is served too, and so the tag is another",
    ),
    (
        "GET /version",
        "\"gitVersion\": \"v0.1.0\"",
        "our version, not that of a library",
    ),
    (
        "/pods?fieldSelector=spec.nodeName%3Dn1",
        "\"name\":\"web-1\"",
        "pods can be selected by node",
    ),
    (
        "/pods?fieldSelector=status.phase%3DRunning",
        "\\\"spec.nodeName\\\"",
        "pods can be selected by node, so the message names that field",
    ),
    (
        "/nodes?limit=1",
        "\"continue\":\"",
        "lists are paged for real",
    ),
    (
        "/nodes?limit=1&continue=abc",
        "continue key is not valid",
        "a token that nobody gave out is refused, not ignored",
    ),
];

/// Probes are not of this router: the runtime serves and tests them.
const ELSEWHERE: [&str; 4] = ["/livez?", "/readyz?", "/healthz?", "/readyz/"];

/// A request and what came back.
#[derive(Debug)]
struct Recorded {
    title: String,
    method: Method,
    path: String,
    header: Option<(String, String)>,
    status: u16,
    headers: Vec<(String, String)>,
    /// As text, or the first bytes of it.
    body: Result<String, Vec<u8>>,
}

impl Recorded {
    fn all(text: &str) -> Vec<Self> {
        let sections = format!("\n{text}");
        sections.split("\n### ").skip(1).map(Self::read).collect()
    }

    fn read(section: &str) -> Self {
        let (title, rest) = section.split_once('\n').unwrap();
        let (head, body) = rest.split_once("\n\n").unwrap();
        let (options, path) = match title.split_once("https://127.0.0.1:18443") {
            Some((options, path)) => (options.trim(), path),
            None => ("", title.split_whitespace().nth(1).unwrap()),
        };
        let (method, header) = match options.split_once(' ') {
            Some(("-H", header)) => (Method::GET, header.split_once(": ")),
            Some(("-X", method)) => (method.parse().unwrap(), None),
            _ if options == "-I" => (Method::HEAD, None),
            _ => (Method::GET, None),
        };
        let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let header = header.or(title
            .contains("(aggregated")
            .then_some(("accept", aggregated)));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let dump = body.split_once(" body\n00000000: ").map(|_| bytes(body));
        Self {
            title: title.to_owned(),
            method,
            path: path.to_owned(),
            header: header.map(|(name, value)| (name.to_owned(), value.to_owned())),
            status: status.parse().unwrap(),
            headers: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: dump.map_or_else(|| Ok(body.trim_end().to_owned()), Err),
        }
    }

    async fn asked(&self, router: &Router) -> Answer {
        let mut request = Request::builder().method(&self.method).uri(&self.path);
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        send(router, request.body(Body::empty()).unwrap()).await
    }

    fn difference(&self) -> Option<&'static (&'static str, &'static str, &'static str)> {
        let mut all = DIFFERENCES.iter();
        all.find(|(end, ..)| {
            self.title == *end || (end.starts_with('/') && self.title.ends_with(end))
        })
    }

    /// Whether `answer` is what was recorded, and if not, what is wrong.
    fn check(&self, answer: &Answer) -> Result<(), String> {
        if answer.status != self.status {
            return Err(format!("status {}", answer.status));
        }
        for (name, value) in &self.headers {
            if answer.header(name) != Some(value) {
                return Err(format!("{name}: {:?}, not {value:?}", answer.header(name)));
            }
        }
        match &self.body {
            Ok(text) if blurred(answer.body.trim_end()) == blurred(text) => Ok(()),
            Ok(text) => Err(format!("not\n{text}\nbut\n{}", answer.body)),
            // Numbers have no fixed place in protobuf: up to the first of them.
            Err(start) => {
                let same = start.iter().zip(&answer.bytes);
                let same = same.take_while(|(one, other)| one == other).count();
                let start_of_numbers = if self.status == 200 {
                    0x40
                } else {
                    start.len()
                };
                if same >= start_of_numbers {
                    return Ok(());
                }
                Err(format!("only the first {same} bytes of {start:02x?}"))
            }
        }
    }
}

/// The bytes of a hex dump of `xxd`.
fn bytes(dump: &str) -> Vec<u8> {
    let digits: String = dump
        .lines()
        .filter_map(|line| line.split_once(": ")?.1.split_once("  "))
        .flat_map(|(hex, _)| hex.split(' '))
        .collect();
    unhex(&digits)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// `text` without the numbers of the moment: times, windows, nano-cores.
fn blurred(text: &str) -> String {
    let of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    let mut out = String::new();
    for piece in text.split_inclusive(|c: char| !of_word(c)) {
        let word = piece.trim_end_matches(|c: char| !of_word(c));
        let digits = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        let name = if word.len() == 20 && word.ends_with('Z') {
            "TIME"
        } else if word.len() > 2 && word.strip_suffix('s').is_some_and(digits) {
            "WINDOW"
        } else if word.len() > 2 && word.strip_suffix('n').is_some_and(digits) {
            "CPU"
        } else {
            word
        };
        out.push_str(name);
        out.push_str(piece.strip_prefix(word).unwrap());
    }
    out
}

/// The cluster of the recordings, with numbers as long as theirs.
fn recorded_cluster() -> Router {
    let mut cluster = Cluster::empty();
    cluster.window = 12_014;
    objects(&cluster);
    let spent = |rate: u64| (rate * 12_014).div_ceil(1_000);
    let mut pods = containers(spent(249_998_917));
    let dns = pods.pop().unwrap();
    cluster.report("n1", (spent(1_500_008_330), 1_616_273_408, None), &pods);
    cluster.report("n2", (spent(1_499_982_561), 1_616_273_408, None), &[dns]);
    cluster.router()
}

fn objects(cluster: &Cluster) {
    cluster.node("n1", &[("role", "b")]);
    cluster.node("n2", &[("kubernetes.io/hostname", "n2"), ("role", "a")]);
    cluster.pod("default", "web-1", &[("app", "web")]);
    cluster.pod("default", "web-2", &[("app", "web")]);
    cluster.pod("kube-system", "dns", &[("app", "dns")]);
}

fn containers(spent: u64) -> Vec<crate::cluster::Container> {
    let (web_1, web_2) = (("default", "web-1"), ("default", "web-2"));
    vec![
        container(web_1, "c1", (spent, 12_533_760, None)),
        container(web_1, "c2", (spent, 1_000_003, None)),
        container(web_2, "c1", (spent, 1_048_576, None)),
        container(("kube-system", "dns"), "d", (spent, 536_870_912, None)),
    ]
}

#[tokio::test]
async fn every_recorded_answer_is_reproduced_or_differs_on_purpose() {
    let router = recorded_cluster();
    let mut met = Vec::new();
    let mut compared = 0;
    for recorded in [NEGOTIATION, DISCOVERY, SELECTION]
        .into_iter()
        .flat_map(Recorded::all)
    {
        if ELSEWHERE.iter().any(|path| recorded.path.starts_with(path)) {
            continue;
        }
        compared += 1;
        let answer = recorded.asked(&router).await;
        let result = recorded.check(&answer);
        match recorded.difference() {
            None => assert_eq!(result, Ok(()), "{}", recorded.title),
            Some(difference) => {
                let (end, ours, why) = difference;
                assert!(result.is_err(), "{end} is as recorded, though {why}");
                assert!(answer.body.contains(ours), "{end}: {}", answer.body);
                let theirs = recorded.body.unwrap();
                assert!(!theirs.contains(ours), "{end}: {theirs}");
                met.push(*end);
            }
        }
    }
    // 21 + 10 - 4 + 33 in the files.
    assert_eq!(compared, 60);
    met.sort_unstable();
    let mut listed: Vec<&str> = DIFFERENCES.iter().map(|(end, ..)| *end).collect();
    listed.sort_unstable();
    assert_eq!(met, listed, "a difference that is none any more");
}

#[tokio::test]
async fn the_recorded_lists_are_reproduced_byte_by_byte_in_json_and_protobuf() {
    // 2026-11-21T01:50:41Z and :38Z.
    let now = 1_795_225_841_000;
    let mut cluster = Cluster::empty();
    cluster.ask_at(now);
    cluster.newer = now - 3_000;
    objects(&cluster);
    // The pods have the window of n2, so n2 reports them.
    cluster.window = 12_004;
    let spent = |rate: u64, window: u64| (rate * window).div_ceil(1_000);
    let n1 = (spent(1_499_922_692, 12_004), 1_616_273_408, None);
    cluster.report("n1", n1, &[]);
    cluster.window = 11_992;
    let n2 = (spent(1_499_964_226, 11_992), 1_616_273_408, None);
    cluster.report("n2", n2, &containers(spent(249_994_079, 11_992)));
    let router = cluster.router();

    let lines: Vec<&str> = ENCODINGS.lines().skip(1).collect();
    for (resource, recorded) in ["pods", "nodes"].into_iter().zip(lines.chunks(2)) {
        let [json, protobuf] = *recorded else {
            panic!("{resource}: {recorded:?}");
        };
        let path = format!("/apis/metrics.k8s.io/v1beta1/{resource}");
        let ask = async |accept| crate::cluster::ask(&router, &path, &[("accept", accept)]).await;
        assert_eq!(ask("application/json").await.body.trim_end(), json);
        let ours = ask("application/vnd.kubernetes.protobuf").await.bytes;
        assert_eq!(ours, unhex(protobuf), "{resource}");
    }
}
