//! The answers of metrics-server v0.9.0 to callers, and its reviews of them, compared request by request. There is no
//! intended difference.

use axum::response::IntoResponse as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tributary_sim::{Ca, Pki};

use super::{super::answer::Denial, cluster::golden, get, layer, peer, stranger, trust};

const ANSWERS: &str = include_str!("../../../tests/api/golden/authn-authz.txt");
const QUESTIONS: &str = include_str!("../../../tests/api/golden/authn-authz-upstream-requests.txt");

/// A recorded request of `curl`, and the response.
struct Recorded<'a> {
    title: &'a str,
    certificate: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    path: &'a str,
    status: u16,
    answer: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl<'a> Recorded<'a> {
    fn read(section: &'a str) -> Self {
        let (title, rest) = section.split_once('\n').unwrap();
        let (options, path) = title.split_once("https://127.0.0.1:18443").unwrap();
        let mut options = options.trim().split("-H ").map(str::trim);
        let certificate = options.next().unwrap().split(' ').nth(1);
        let (head, body) = rest.split_once("\n\n").unwrap();
        let (status, answer) = head.split_once('\n').unwrap();
        // The text after the separator belongs to the next request.
        let body = body.split("\n---").next().unwrap();
        Self {
            title,
            certificate: certificate.unwrap_or_default(),
            headers: options
                .filter_map(|header| header.split_once(": "))
                .collect(),
            path,
            status: status.split(' ').nth(1).unwrap().parse().unwrap(),
            answer: answer
                .lines()
                .filter_map(|line| line.split_once(": "))
                .collect(),
            body: body.trim_end(),
        }
    }

    /// Checks that the refusal equals the recorded one.
    async fn check(&self, denial: Denial) {
        let title = self.title;
        let (head, body) = denial.into_response().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.status.as_u16(), self.status, "{title}");
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text.trim_end(), self.body, "{title}");
        for (name, value) in &self.answer {
            let own = match *name {
                "content-length" => body.len().to_string(),
                name => head.headers[name].to_str().unwrap().to_owned(),
            };
            assert_eq!(own, *value, "{title}: {name}");
        }
    }
}

/// A review without the parts that differ between two certificates of one user.
fn blurred((kind, mut spec): (String, Value)) -> (String, Value) {
    let id = "/extra/authentication.kubernetes.io~1credential-id/0";
    if let Some(id) = spec.pointer_mut(id) {
        assert!(id.as_str().unwrap().starts_with("X509SHA256="), "{id}");
        *id = json!("X509SHA256=");
    }
    (kind, spec)
}

fn question(line: &str) -> (String, Value) {
    let mut review: Value = serde_json::from_str(line).unwrap();
    let kind = review["kind"].as_str().unwrap().to_lowercase();
    blurred((format!("{kind}s"), review["spec"].take()))
}

#[tokio::test(start_paused = true)]
async fn every_recorded_caller_is_answered_and_asked_about_as_recorded() {
    let (pki, (client, asked)) = (Pki::new().unwrap(), golden());
    let layer = layer(client, trust(&pki));
    let callers = [
        ("", stranger()),
        ("jane.crt", peer(&pki, Ca::Cluster, "jane", &["devs"])),
        (
            "fp.crt",
            peer(&pki, Ca::FrontProxy, "front-proxy-client", &[]),
        ),
    ];
    let sections = format!("\n{ANSWERS}");
    let mut answered = 0;
    for section in sections.split("\n### ").skip(1) {
        let recorded = Recorded::read(section);
        let caller = callers
            .iter()
            .find(|(name, _)| *name == recorded.certificate);
        let (_, caller) = caller.unwrap();
        let mut head = get(caller, recorded.path, &recorded.headers);
        match layer.admit(&mut head).await {
            Ok(()) => assert_eq!(recorded.status, 200, "{}", recorded.title),
            Err(denial) => recorded.check(denial).await,
        }
        answered += 1;
    }
    assert_eq!(answered, 17);
    let questions: Vec<_> = QUESTIONS.lines().map(question).collect();
    let asked: Vec<_> = asked.all().into_iter().map(blurred).collect();
    assert_eq!(asked, questions);
}
