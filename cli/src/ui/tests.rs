//! Requests as browsers and others send them, to the routes of a server on port 4242.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderName, Method, Request, Response, StatusCode, header},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::{Page, access::Key, routes};
use crate::{
    fleet::FLEET,
    kube_api::{
        KubeApi,
        fake::{Fake, answering},
    },
};

/// A server without its socket.
struct Served {
    router: Router,
    key: Arc<Key>,
    /// The tasks that read for it.
    _tasks: JoinSet<()>,
}

/// The headers of a request: of a browser that has the cookie, if not said otherwise.
struct Sent<'a> {
    method: Method,
    path: &'a str,
    host: &'a str,
    /// `None` for the right one.
    cookie: Option<&'a str>,
    more: &'a [(HeaderName, &'a str)],
}

fn sent(path: &str) -> Sent<'_> {
    Sent {
        method: Method::GET,
        path,
        host: "127.0.0.1:4242",
        cookie: None,
        more: &[],
    }
}

fn served(api: KubeApi) -> Served {
    let mut tasks = JoinSet::new();
    let key = Arc::new(Key::random(4242).unwrap());
    let page = Page {
        port: 4242,
        interval: Duration::from_secs(5),
        namespace: None,
    };
    let router = routes(&key, api, &page, &mut tasks);
    Served {
        router,
        key,
        _tasks: tasks,
    }
}

impl Served {
    async fn ask(&self, sent: Sent<'_>) -> Response<Body> {
        let right = format!("theirs=1; tributary-ui-4242={}", self.key.token());
        let mut request = Request::builder()
            .method(sent.method)
            .uri(sent.path)
            .header(header::HOST, sent.host)
            .header(header::COOKIE, sent.cookie.unwrap_or(&right));
        for (name, value) in sent.more {
            request = request.header(name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn status(&self, sent: Sent<'_>) -> u16 {
        self.ask(sent).await.status().as_u16()
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.ask(sent(path)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

#[tokio::test]
async fn the_address_gives_the_page_and_a_cookie_that_scripts_and_other_sites_do_not_get() {
    let served = served(Fake::default().api());
    let token = served.key.token().to_owned();
    assert_eq!(token.len(), 64);
    let path = format!("/?token={token}");
    let response = served
        .ask(Sent {
            cookie: Some(""),
            ..sent(&path)
        })
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    let expected = format!("tributary-ui-4242={token}; Path=/; HttpOnly; SameSite=Strict");
    assert_eq!(response.headers()[header::SET_COOKIE], &*expected);
    let again = served.ask(sent("/")).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert!(!again.headers().contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn without_the_token_nothing_is_served() {
    let served = served(Fake::default().api());
    for path in [
        "/",
        "/main.js",
        "/data/fleet",
        "/data/node?name=n1",
        "/none",
    ] {
        let bare = Sent {
            cookie: Some("theirs=1"),
            ..sent(path)
        };
        assert_eq!(served.status(bare).await, 401, "{path}");
        for cookie in ["tributary-ui-4242=", "tributary-ui-4242=0123"] {
            let wrong = Sent {
                cookie: Some(cookie),
                ..sent(path)
            };
            assert_eq!(served.status(wrong).await, 403, "{path}");
        }
    }
    assert_eq!(served.status(sent("/?token=0123")).await, 403);
    // A token in an address is taken on the page itself only.
    let path = format!("/data/fleet?token={}", served.key.token());
    let inside = Sent {
        cookie: Some(""),
        ..sent(&path)
    };
    assert_eq!(served.status(inside).await, 401);
}

#[tokio::test]
async fn a_name_that_leads_here_is_refused() {
    let served = served(Fake::default().api());
    for host in [
        "127.0.0.1:4242",
        "localhost:4242",
        "[::1]:9000",
        "localhost",
    ] {
        let own = Sent {
            host,
            ..sent("/style.css")
        };
        assert_eq!(served.status(own).await, 200, "{host}");
    }
    for host in [
        "evil.example:4242",
        "127.0.0.1.evil.example",
        "localhost.evil.example:4242",
        "a@localhost:4242",
        "10.0.0.1:4242",
        "",
    ] {
        let foreign = Sent {
            host,
            ..sent("/style.css")
        };
        assert_eq!(served.status(foreign).await, 403, "{host}");
    }
    let two = Sent {
        more: &[(header::HOST, "localhost:4242")],
        ..sent("/style.css")
    };
    assert_eq!(served.status(two).await, 403);
    let absolute = sent("http://127.0.0.1:4242/style.css");
    assert_eq!(served.status(absolute).await, 403);
}

#[tokio::test]
async fn requests_of_other_sites_are_refused() {
    let served = served(Fake::default().api());
    let site = HeaderName::from_static("sec-fetch-site");
    let mode = HeaderName::from_static("sec-fetch-mode");
    let cases: [(&[(HeaderName, &str)], u16); 8] = [
        (&[(header::ORIGIN, "http://127.0.0.1:4242")], 200),
        (&[(header::ORIGIN, "http://127.0.0.1:4243")], 403),
        (&[(header::ORIGIN, "https://127.0.0.1:4242")], 403),
        (&[(header::ORIGIN, "null")], 403),
        (&[(site.clone(), "same-origin")], 200),
        (&[(site.clone(), "same-site")], 403),
        (
            &[(site.clone(), "cross-site"), (mode.clone(), "no-cors")],
            403,
        ),
        // The user follows a link to the page.
        (&[(site, "cross-site"), (mode, "navigate")], 200),
    ];
    for (more, expected) in cases {
        let sent = Sent {
            more,
            ..sent("/style.css")
        };
        assert_eq!(served.status(sent).await, expected, "{more:?}");
    }
}

#[tokio::test]
async fn only_get_is_answered() {
    let served = served(Fake::default().api());
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::HEAD,
    ] {
        let other = Sent {
            method,
            ..sent("/data/fleet")
        };
        let response = served.ask(other).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET");
    }
}

#[tokio::test]
async fn every_answer_forbids_foreign_and_inline_scripts() {
    let served = served(Fake::default().api());
    let refused = Sent {
        cookie: Some(""),
        ..sent("/")
    };
    for sent in [sent("/"), sent("/main.js"), sent("/none"), refused] {
        let response = served.ask(sent).await;
        let headers = response.headers();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    }
}

#[test]
fn the_page_has_no_script_style_or_address_that_the_policy_would_refuse() {
    for (path, asset) in super::assets::ALL {
        let text = asset.text();
        for inline in ["<style", "style=\"", "onclick=", "javascript:", "https://"] {
            assert!(!text.contains(inline), "{path}: {inline}");
        }
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!text.contains(sink), "{path}: {sink}");
        }
        for module in text.split("from \"./").skip(1) {
            let (name, _) = module.split_once('"').unwrap();
            let known = super::assets::ALL
                .iter()
                .any(|(path, _)| path.trim_start_matches('/') == name);
            assert!(known, "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn the_fleet_is_read_when_a_page_asks_and_not_again_for_the_next_page() {
    let fake = Fake::default().list(
        &format!("{FLEET}/nodescrapes"),
        &json!([
            { "metadata": { "name": "<img src=x>" }, "status": { "state": "served" } },
        ]),
    );
    let served = served(fake.api());
    assert_eq!(fake.asked(), [""; 0]);
    let first = served.json("/data/fleet").await;
    assert_eq!(first["number"], 1);
    assert_eq!(first["failure"], Value::Null);
    assert!(first["age"].as_f64().unwrap() < 5.0);
    assert_eq!(first["read"]["nodes"]["name"], json!(["<img src=x>"]));
    let asked = fake.asked().len();
    let second = served.json("/data/fleet?after=0").await;
    assert_eq!(second["number"], 1);
    assert_eq!(fake.asked().len(), asked);
}

/// How old an answer is, in whole seconds.
fn age(answer: &Value) -> String {
    format!("{:.0}", answer["age"].as_f64().unwrap())
}

#[tokio::test(start_paused = true)]
async fn while_the_api_is_silent_pages_get_what_was_read_last_and_its_age() {
    let silent = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_silent = Arc::clone(&silent);
    let api = answering(move |_, _, _| {
        let body = json!({ "items": [] });
        let answer = crate::kube_api::fake::Reply {
            status: 200,
            from_tributary: true,
            body,
            takes: Duration::ZERO,
        };
        let is_silent = is_silent.load(std::sync::atomic::Ordering::Relaxed);
        (!is_silent).then_some(answer)
    });
    let served = served(api);
    let first = served.json("/data/fleet").await;
    assert_eq!(
        (&first["number"], &first["failure"]),
        (&json!(1), &Value::Null)
    );
    silent.store(true, std::sync::atomic::Ordering::Relaxed);
    // The next read begins 5 s after the first and is given up 15 s later; each request waits for 8 s at most.
    let mut ages = Vec::new();
    let failed = loop {
        let next = served.json("/data/fleet?after=1").await;
        assert_eq!(next["read"]["nodes"]["name"], json!([]));
        if next["failure"] != Value::Null {
            break next;
        }
        ages.push(age(&next));
    };
    assert_eq!(ages, ["8", "16"]);
    assert_eq!(failed["number"], 2);
    let why = failed["failure"].as_str().unwrap();
    assert!(why.contains("no answer from"), "{why}");
    assert_eq!(age(&failed), "20");
    // It is read again 5 s after it failed, also if it took longer than usual.
    silent.store(false, std::sync::atomic::Ordering::Relaxed);
    let again = served.json("/data/fleet?after=2").await;
    assert_eq!(
        (&again["number"], &again["failure"]),
        (&json!(3), &Value::Null)
    );
    assert_eq!(age(&again), "0");
}

#[tokio::test]
async fn the_story_of_a_node_is_that_of_explain_and_names_lead_nowhere_else() {
    let scrape = json!({ "metadata": { "name": "n1" }, "status": {
        "state": "failing", "reason": "tls", "message": "x509", "remedy": "KubeletCertificate",
    } });
    let fake = Fake::default()
        .with("/apis/metrics.k8s.io/v1beta1", 200, json!({}))
        .with(&format!("{FLEET}/nodescrapes/n1"), 200, scrape);
    let served = served(fake.api());
    let story = served.json("/data/node?name=n1").await;
    assert_eq!(story["title"], "node n1: failing");
    assert_eq!(story["why"], json!(["tls: x509"]));
    let asked = fake.asked().len();
    for name in ["", "..", "a%2Fb", "a%3Fb", "%3Cimg%3E"] {
        let path = format!("/data/node?name={name}");
        assert_eq!(served.status(sent(&path)).await, 400, "{name}");
    }
    assert_eq!(fake.asked().len(), asked);
}

#[tokio::test]
async fn findings_and_top_are_those_of_the_other_commands() {
    let usage =
        json!([{ "metadata": { "name": "n1" }, "usage": { "cpu": "1500m", "memory": "1Ki" } }]);
    let fake = Fake::default()
        .list("/apis/metrics.k8s.io/v1beta1/nodes", &usage)
        .list("/apis/metrics.k8s.io/v1beta1/pods", &json!([]));
    let served = served(fake.api());
    let top = served.json("/data/top").await;
    let expected = json!({
        "nodes": {
            "count": 1, "total": { "cpu": 1500, "memory": 1024 },
            "most": [{ "name": "n1", "cpu": 1500, "memory": 1024 }],
        },
        "pods": { "count": 0, "total": { "cpu": 0, "memory": 0 }, "most": [] },
    });
    assert_eq!(top["read"], expected);
    let report = served.json("/data/doctor").await;
    assert!(report["read"]["findings"].is_array(), "{report}");
    assert!(report["read"]["unknown"].is_array(), "{report}");
}
