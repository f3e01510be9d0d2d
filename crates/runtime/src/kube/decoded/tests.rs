use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use ::kube::{client::Body, core::Status};
use bytes::Bytes;
use futures::stream;
use http::Response;
use http_body::Frame;
use http_body_util::{StreamBody, combinators::BoxBody};
use tokio::sync::mpsc;
use tower::{BoxError, service_fn};

use super::*;

/// A decoder of short texts. Lists are lines `item item @version >next`. Events are `+item @version`, `-item @version`,
/// `@version` and `!code`.
struct Words;

fn version(text: &str) -> Result<(&str, &str), Error> {
    let unreadable = || serde_json::from_str::<u8>("").unwrap_err();
    text.split_once('@')
        .ok_or_else(|| Error::SerdeError(unreadable()))
}

impl Decode for Words {
    type Item = String;

    const ACCEPT: Option<&'static str> = Some("text/words");

    fn page(&mut self, text: &str) -> Result<Page<String>, Error> {
        let (items, rest) = version(text)?;
        let (version, next) = match rest.split_once('>') {
            Some((version, next)) => (version, Some(next.to_owned())),
            None => (rest, None),
        };
        Ok(Page {
            items: items.split_whitespace().map(str::to_owned).collect(),
            version: version.trim().to_owned(),
            next,
            left_out: LeftOut::default(),
        })
    }

    fn event(&mut self, line: &str) -> Result<Event<String>, Error> {
        if let Some(code) = line.strip_prefix('!') {
            let code = code.parse().unwrap();
            return Err(Error::Api(Box::new(Status {
                code,
                ..Status::default()
            })));
        }
        let (change, version) = version(line)?;
        let change = change.trim();
        let changes: [(_, fn(String) -> _); 2] = [('+', Change::Put), ('-', Change::Remove)];
        let change = changes
            .into_iter()
            .find_map(|(sign, make)| Some(make(change.strip_prefix(sign)?.to_owned())));
        Ok(Event {
            version: version.to_owned(),
            changes: change.into_iter().collect(),
            left_out: LeftOut::default(),
        })
    }
}

fn watched() -> Watched {
    Watched {
        fields: "status.phase=Running".to_owned(),
        ..Watched::all("words", "/api/v1/words")
    }
}

/// An API that gives these answers, one after another, and records the requests.
#[derive(Clone, Default)]
struct Api {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy)]
enum Answer {
    /// This status and text, complete.
    Whole(u16, &'static str),
    /// This text, and then nothing.
    Open(&'static str),
    /// This text, and then the connection fails.
    Broken(&'static str),
    /// A text that never ends and has no line end.
    Endless,
    /// This status and the beginning of a text. Then the connection fails.
    Refused(u16),
}

impl Api {
    fn client(&self, answers: &[Answer]) -> Client {
        *self.answers.lock() = answers.iter().copied().collect();
        let api = self.clone();
        let answer = move |request: http::Request<Body>| {
            assert_eq!(request.headers()[header::ACCEPT], "text/words");
            let uri = request.uri().to_string();
            let uri = uri.trim_start_matches("/api/v1/words?").to_owned();
            api.asked.lock().push(uri);
            let answer = api.answers.lock().pop_front();
            async move { Ok::<_, BoxError>(respond(answer)) }
        };
        Client::new(service_fn(answer), "default")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

fn respond(answer: Option<Answer>) -> Response<BoxBody<Bytes, BoxError>> {
    let (status, text, end) = match answer {
        Some(Answer::Whole(status, text)) => (status, text, None),
        Some(Answer::Open(text)) => (200, text, Some(false)),
        Some(Answer::Broken(text)) => (200, text, Some(true)),
        Some(Answer::Endless) => return endless(),
        Some(Answer::Refused(status)) => (status, "{\"code\":", Some(true)),
        None => (200, "", Some(false)),
    };
    let frames = stream::unfold(Some(text), move |text| async move {
        match (text, end) {
            (Some(text), _) => Some((Ok(Frame::data(Bytes::from(text))), None)),
            (None, None) => None,
            (None, Some(true)) => Some((Err(BoxError::from("broken")), None)),
            (None, Some(false)) => std::future::pending().await,
        }
    });
    let body = BoxBody::new(StreamBody::new(frames));
    Response::builder().status(status).body(body).unwrap()
}

fn endless() -> Response<BoxBody<Bytes, BoxError>> {
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let frames = stream::repeat_with(move || Ok(Frame::data(piece.clone())));
    Response::new(BoxBody::new(StreamBody::new(frames)))
}

/// The first `count` changes.
async fn changes(client: Client, count: usize) -> Vec<String> {
    let (tell, mut heard) = mpsc::channel(10);
    let stop = CancellationToken::new();
    let apply = move |change| {
        tell.try_send(match change {
            Change::Replace(all) => format!("replace {}", all.join(" ")),
            Change::Put(item) => format!("put {item}"),
            Change::Remove(item) => format!("remove {item}"),
        })
        .unwrap();
    };
    let kept = |item: String| item.to_uppercase();
    let keep = keep_decoded(client, watched(), Words, kept, apply, stop.clone());
    let hear = async {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.push(heard.recv().await.unwrap());
        }
        stop.cancel();
        changes
    };
    let both = async { tokio::join!(keep, hear).1 };
    let hour = Duration::from_hours(1);
    tokio::time::timeout(hour, both).await.expect("told")
}

const WATCH: &str = "&watch=true&timeoutSeconds=60&fieldSelector=status.phase%3DRunning\
                     &allowWatchBookmarks=true&resourceVersion=";

#[tokio::test(start_paused = true)]
async fn a_set_is_listed_in_pages_and_then_watched() {
    let api = Api::default();
    let client = api.client(&[
        Answer::Whole(200, "a b @7>p2"),
        Answer::Whole(200, "c @7"),
        Answer::Whole(200, "+d @8\n@9\n"),
        Answer::Open("-a @10\n"),
    ]);
    let changes = changes(client, 3).await;
    assert_eq!(changes, ["replace A B C", "put D", "remove A"]);
    let list = "&fieldSelector=status.phase%3DRunning&limit=500";
    assert_eq!(
        api.asked(),
        [
            list.to_owned(),
            format!("{list}&continue=p2"),
            format!("{WATCH}7"),
            // The watch ended regularly after a bookmark.
            format!("{WATCH}9"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_happens_between_two_pages_of_a_list_comes_with_the_watch() {
    let api = Api::default();
    // The pages of this server are of different moments: `a` has changed between them.
    let client = api.client(&[
        Answer::Whole(200, "a b @7>p2"),
        Answer::Whole(200, "c @9"),
        Answer::Open("-a @8\n+a @9\n"),
    ]);
    let changes = changes(client, 3).await;
    assert_eq!(changes, ["replace A B C", "remove A", "put A"]);
    assert_eq!(api.asked()[2], format!("{WATCH}7"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_goes_on_where_it_was() {
    let api = Api::default();
    let client = api.client(&[
        Answer::Whole(200, "a @7"),
        Answer::Broken("+b @8\n"),
        Answer::Whole(500, "no"),
        Answer::Open("+c @9\n"),
    ]);
    let changes = changes(client, 3).await;
    assert_eq!(changes, ["replace A", "put B", "put C"]);
    let watches: Vec<String> = api.asked().split_off(1);
    let from = |version: u8| format!("{WATCH}{version}");
    assert_eq!(watches, [from(7), from(8), from(8)]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_watched_is_listed_again() {
    for lost in [
        Answer::Open("!410\n"),
        Answer::Whole(410, r#"{"status":"Failure","code":410}"#),
        // The body does not matter, and neither does its length.
        Answer::Whole(410, "gone"),
        Answer::Whole(410, r#"{"status":"Failure","code":500}"#),
        Answer::Refused(410),
        Answer::Open("?\n"),
        Answer::Endless,
    ] {
        let api = Api::default();
        let answers = [
            Answer::Whole(200, "a @7"),
            lost,
            Answer::Whole(500, "no"),
            Answer::Whole(200, "b @70"),
            Answer::Open("+c @71\n"),
        ];
        let changes = changes(api.client(&answers), 3).await;
        // The earlier set stays in force until the list is complete.
        assert_eq!(changes, ["replace A", "replace B", "put C"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_ends_each_watch_at_once_is_not_asked_in_a_loop() {
    let api = Api::default();
    let mut answers = vec![Answer::Whole(200, "a @7")];
    answers.extend(std::iter::repeat_n(Answer::Whole(200, ""), 10));
    answers.push(Answer::Open("+b @8\n"));
    let begun = Instant::now();
    changes(api.client(&answers), 2).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_long_is_asked_for_again_with_fewer_objects() {
    let api = Api::default();
    let client = api.client(&[
        Answer::Endless,
        Answer::Endless,
        Answer::Whole(200, "a @7>p2"),
        Answer::Endless,
        Answer::Whole(200, "b @7>p3"),
        Answer::Whole(200, "c @7"),
    ]);
    assert_eq!(changes(client, 1).await, ["replace A B C"]);
    let asked = api.asked();
    let limits = asked.iter().filter_map(|uri| uri.split_once("&limit="));
    let limits: Vec<&str> = limits.map(|(_, limit)| limit).collect();
    let expected = [
        "500",
        "50",
        "5",
        "10&continue=p2",
        "1&continue=p2",
        "2&continue=p3",
    ];
    assert_eq!(limits, expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_one_object_that_is_too_long_is_no_list() {
    let api = Api::default();
    let mut answers = vec![Answer::Endless; 4];
    answers.push(Answer::Whole(200, "a @7"));
    let begun = Instant::now();
    assert_eq!(changes(api.client(&answers), 1).await, ["replace A"]);
    // The watch failed and began again after a pause.
    assert!(begun.elapsed() >= Duration::from_millis(800));
    let limits = api.asked().into_iter();
    let limits: Vec<String> = limits
        .filter_map(|uri| Some(uri.split_once("&limit=")?.1.to_owned()))
        .collect();
    assert_eq!(limits, ["500", "50", "5", "1", "500"]);
}

/// Runs an API with this list and this watch until there are `count` changes. Returns the changes and the metrics.
async fn counted(list: &'static str, watch: &'static str, count: usize) -> (Vec<String>, String) {
    let api = Api::default();
    *api.answers.lock() = [Answer::Whole(200, list), Answer::Open(watch)].into();
    let answer = move |_: http::Request<Body>| {
        let answer = api.answers.lock().pop_front();
        async move { Ok::<_, BoxError>(respond(answer)) }
    };
    let watches = crate::kube::Watches::new(crate::kube::Limits::default());
    let client = watches.observe("things", &Client::new(service_fn(answer), "default"));
    let (tell, mut heard) = mpsc::channel(10);
    let stop = CancellationToken::new();
    let note = move |changes: Result<Change<Thing>, Stale>| {
        let names = |things: Vec<Thing>| {
            let sizes = things.into_iter().map(|thing| thing.size.to_string());
            sizes.collect::<Vec<_>>().join(" ")
        };
        tell.try_send(match changes {
            Ok(Change::Replace(all)) => format!("replace {}", names(all)),
            Ok(Change::Put(thing)) => format!("put {}", names(vec![thing])),
            Ok(Change::Remove(thing)) => format!("remove {}", names(vec![thing])),
            Err(error) => error.to_string(),
        })
        .unwrap();
    };
    let all = Watched::all("things", "/api/v1/things");
    let objects = Objects::default();
    let following = follow(
        client,
        all,
        objects,
        |thing: Thing| thing,
        note,
        stop.clone(),
    );
    let hear = async {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.push(heard.recv().await.unwrap());
        }
        stop.cancel();
        changes
    };
    let changes = async { tokio::join!(following, hear).1 };
    let changes = tokio::time::timeout(Duration::from_hours(1), changes).await;
    let mut registry = prometheus_client::registry::Registry::default();
    watches.register(&mut registry);
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    (changes.expect("told"), metrics)
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Thing {
    size: u8,
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_hides_no_other() {
    let list = r#"{"metadata":{"resourceVersion":"7"},"items":[{"size":1},
        {"metadata":{"name":"odd","namespace":"evil"},"size":1000},{"size":"x"},"y",{"size":2}]}"#;
    let watch =
        "{\"type\":\"ADDED\",\"object\":{\"size\":3,\"metadata\":{\"resourceVersion\":\"8\"}}}
{\"type\":\"MODIFIED\",\"object\":{\"size\":-1,\"metadata\":{\"resourceVersion\":\"9\"}}}
{\"type\":\"DELETED\",\"object\":{\"size\":{}}}
{\"type\":\"ADDED\",\"object\":{\"size\":4}}
";
    let (changes, metrics) = counted(list, watch, 3).await;
    assert_eq!(changes, ["replace 1 2", "put 3", "put 4"]);
    let unreadable = "tributary_watch_objects_unreadable_total{watch=\"things\"} 5\n";
    assert!(metrics.contains(unreadable), "{metrics}");
    let failures = "tributary_watch_failures_total{watch=\"things\"} 0\n";
    assert!(metrics.contains(failures), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_is_counted_as_a_failure() {
    for (list, why) in [
        ("{", "failed to list: "),
        (r#"{"items":7}"#, "failed to list: "),
        (r#"{"items":[]}"#, "the list has no resource version"),
    ] {
        let (changes, metrics) = counted(list, "", 1).await;
        assert!(changes[0].starts_with(why), "{changes:?}");
        let failures = "tributary_watch_failures_total{watch=\"things\"} 1\n";
        assert!(metrics.contains(failures), "{list}: {metrics}");
    }
}

#[test]
fn bytes_that_are_no_text_hide_no_object() {
    let json = b"{\"items\":[{\"a\":\"\xff\",\"size\":5}]}";
    let page = Objects::<Thing>::default().page(&String::from_utf8_lossy(json));
    assert_eq!(page.unwrap().items[0].size, 5);
}
