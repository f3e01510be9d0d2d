use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use serde_json::{Value, from_slice, json};
use tokio::sync::mpsc;
use tributary_runtime::kube::from_json;
use tributary_sim::nulled;

use super::{
    read::{Meta, Spec},
    *,
};

const RESOLUTION: Duration = Duration::from_secs(15);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// An API that takes every request, and what it was asked.
fn api() -> (Client, mpsc::Receiver<(Method, String, Value)>) {
    let (asked, requests) = mpsc::channel(8);
    let service = tower::service_fn(move |request: Request<Body>| {
        let asked = asked.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = from_slice(&body).unwrap_or_default();
            asked
                .send((parts.method, parts.uri.path().to_owned(), body))
                .await
                .unwrap();
            let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
            let answer = Response::builder().status(StatusCode::OK);
            let body = Full::new(Bytes::from(status.to_string()));
            Ok::<_, Infallible>(answer.body(body).unwrap())
        }
    });
    (Client::new(service, "default"), requests)
}

/// A lease as it is read: renewed at a second, as that version.
fn read(holder: &str, renewed: i64) -> Option<Read> {
    Read::of(object(holder, renewed), "default").ok()
}

fn object(holder: &str, renewed: i64) -> Object {
    let date = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap().to_string();
    Object {
        metadata: Meta {
            name: Some(format!("tributary-{holder}")),
            resource_version: Some(renewed.to_string()),
            labels: Some([(GROUP.to_owned(), "default".to_owned())].into()),
            ..Meta::default()
        },
        spec: Spec {
            holder_identity: Some(holder.to_owned()),
            acquire_time: Some(date(0)),
            renew_time: Some(date(renewed)),
            lease_duration_seconds: Some(15),
        },
    }
}

#[test]
fn a_lease_counts_that_is_called_after_its_holder_and_says_sane_things() {
    let why = |change: &dyn Fn(&mut Meta, &mut Spec)| {
        let mut object = object("s1", 90);
        change(&mut object.metadata, &mut object.spec);
        Read::of(object, "default").map(|read| read.lease.holder.to_string())
    };
    let rename = |holder: &str| {
        let holder = holder.to_owned();
        why(&move |metadata, spec| {
            metadata.name = Some(format!("tributary-{holder}"));
            spec.holder_identity = Some(holder.clone());
        })
    };
    assert_eq!(why(&|_, _| {}), Ok("s1".to_owned()));
    assert_eq!(rename("a.b-3.c"), Ok("a.b-3.c".to_owned()));
    let longest = "h".repeat(243);
    assert_eq!(rename(&longest), Ok(longest.clone()));
    assert_eq!(rename(&"h".repeat(244)), Err(BadLease::Name));
    for holder in [
        "",
        "S1",
        "s_1",
        "-s1",
        "s1-",
        "a..b",
        "s1.",
        "s\n1",
        "s\u{1b}[2J",
        "s\u{e9}",
        &"h".repeat(254),
        &"h".repeat(1_000_000),
    ] {
        assert_eq!(rename(holder), Err(BadLease::Holder));
    }
    for name in [
        "evil-0001",
        "tributary-s2",
        "s1",
        "tributary-s1x",
        "Tributary-s1",
    ] {
        let named = why(&|metadata, _| metadata.name = Some(name.to_owned()));
        assert_eq!(named, Err(BadLease::Name), "{name}");
    }
    let unlabelled = why(&|metadata, _| metadata.labels = None);
    assert_eq!(unlabelled, Err(BadLease::Group));
    let other = [(GROUP.to_owned(), "other".to_owned())];
    let other = why(&|metadata, _| metadata.labels = Some(other.clone().into()));
    assert_eq!(other, Err(BadLease::Group));
    for seconds in [None, Some(-1), Some(0), Some(301), Some(i64::MAX)] {
        let lasting = why(&|_, spec| spec.lease_duration_seconds = seconds);
        assert_eq!(lasting, Err(BadLease::Times), "{seconds:?}");
    }
    assert_eq!(why(&|_, spec| spec.renew_time = None), Err(BadLease::Times));
    let bare = Object {
        spec: Spec::default(),
        ..object("s1", 90)
    };
    assert_eq!(Read::of(bare, "default").unwrap_err(), BadLease::Holder);
}

/// Kubernetes takes and gives back all of these.
const ODD_DATES: [&str; 5] = [
    "9999-12-31T23:59:59.000000Z",
    "9999-12-30T22:00:01.000000Z",
    "10000-01-01T00:00:00.000000Z",
    "tomorrow",
    "2026-11-29",
];

#[test]
fn a_lease_with_an_odd_date_does_not_count() {
    for odd in ODD_DATES {
        let of = |change: &dyn Fn(&mut Object, Option<String>)| {
            let mut object = object("s1", 90);
            change(&mut object, Some(odd.to_owned()));
            Read::of(object, "default").map(drop).unwrap_err()
        };
        let renewed = of(&|object, odd| object.spec.renew_time = odd);
        let acquired = of(&|object, odd| object.spec.acquire_time = odd);
        let created = of(&|object, odd| object.metadata.creation_timestamp = odd);
        assert_eq!([renewed, acquired, created], [BadLease::Times; 3], "{odd}");
    }
    for good in ["0000-01-01T00:00:00.000000Z", "9999-12-30T22:00:00.000000Z"] {
        let mut object = object("s1", 90);
        object.spec.renew_time = Some(good.to_owned());
        assert!(Read::of(object, "default").is_ok(), "{good}");
    }
}

/// An API that lists these leases, and whose watch says nothing.
fn listing(leases: &Value) -> Client {
    let list = json!({"metadata": {"resourceVersion": "7"}, "items": leases}).to_string();
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().unwrap().contains("watch=true");
        let list = list.clone();
        async move {
            if is_watch {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(list))))
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_lease_with_an_odd_date_hides_no_other() {
    let lease = |holder: &str, renewed: &str| {
        json!({"metadata": {"name": format!("tributary-{holder}"), "resourceVersion": "7",
                "labels": {GROUP: "default"}, "creationTimestamp": "2026-11-29T00:10:42Z"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15,
                "acquireTime": renewed, "renewTime": renewed}})
    };
    let now = Clock::system().now().to_string();
    let mut all: Vec<Value> = ODD_DATES.map(|odd| lease("evil", odd)).into();
    all.insert(2, lease("s1", &now));
    // Not even of the type that a Lease has.
    all.push(json!({"metadata": {"name": "tributary-worse"}, "spec": {"renewTime": 7}}));
    all.push(lease("s2", &now));
    let metrics = AssignmentMetrics::default();
    let client = listing(&all.into());
    let leases = Leases::new(
        client,
        "ns",
        "default",
        "me",
        Clock::system(),
        metrics.clone(),
    );
    let (sender, mut view) = watch::channel(None);
    let stop = CancellationToken::new();
    let watching = leases.watch(RESOLUTION, sender, stop.clone());
    let looking = async {
        let seen = view.wait_for(Option::is_some).await.unwrap().clone();
        stop.cancel();
        seen.unwrap().members()
    };
    let ((), members) = tokio::join!(watching, looking);
    let members: Vec<&str> = members.iter().map(|name| &**name).collect();
    assert_eq!(members, ["me", "s1", "s2"]);
    assert_eq!(metrics.leases_ignored_total(BadLease::Times), 5);
}

#[tokio::test(start_paused = true)]
async fn one_who_cannot_list_leases_owns_nothing_and_is_not_ready() {
    let (client, _asked) = api();
    let metrics = AssignmentMetrics::default();
    let leases = Leases::new(
        client,
        "ns",
        "default",
        "me",
        Clock::system(),
        metrics.clone(),
    );
    let (sender, mut view) = watch::channel(None);
    assert!(listed(&view).is_err());
    let stop = CancellationToken::new();
    let watching = leases.watch(RESOLUTION, sender, stop.clone());
    let looking = async {
        let seen = view
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone()
            .unwrap();
        stop.cancel();
        (seen.is_sure(), seen.rank("n1"))
    };
    let ((), seen) = tokio::join!(watching, looking);
    assert_eq!(seen, (false, usize::MAX));
    let refused = listed(&view).unwrap_err();
    assert_eq!(refused, "the leases of the group have not been listed yet");
    assert_eq!(metrics.members.get(), 0);
}

#[tokio::test]
async fn leases_that_do_not_count_are_counted_and_change_nothing() {
    let (client, _requests) = api();
    let clock = Clock::system();
    let metrics = AssignmentMetrics::default();
    let leases = Leases::new(
        client,
        "ns",
        "default",
        "me",
        clock.clone(),
        metrics.clone(),
    );
    let shared = shared();
    let mut all = vec![leases.read(object("s1", 99))];
    for n in 0..1_024 {
        let mut fake = object(&format!("0-fake-{n:04}"), 99);
        fake.metadata.name = Some(format!("evil-{n:04}"));
        all.push(leases.read(fake));
    }
    shared.apply(Change::Replace(all), at(100), &clock);
    shared.apply(Change::Put(leases.read(object("s1", 100))), at(100), &clock);
    let members = shared.lock().view(at(100)).unwrap().members();
    let names: Vec<&str> = members.iter().map(|name| &**name).collect();
    assert_eq!(names, ["me", "s1"]);
    assert_eq!(metrics.leases_ignored_total(BadLease::Name), 1_024);
    // Nor does one take the place of another, or its end end another.
    let mut fake = object("s1", 101);
    fake.metadata.name = Some("evil".to_owned());
    shared.apply(Change::Remove(leases.read(fake)), at(101), &clock);
    assert_eq!(shared.lock().view(at(101)).unwrap().len(), 2);
    assert_eq!(shared.objects().len(), 1);
    assert_eq!(metrics.leases_ignored_total(BadLease::Name), 1_025);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_flight_is_finished_before_the_lease_is_deleted() {
    let (applied, mut requests) = mpsc::channel(8);
    let service = tower::service_fn(move |request: Request<Body>| {
        let applied = applied.clone();
        async move {
            if request.method() == Method::PATCH {
                sleep(Duration::from_secs(2)).await;
            }
            applied.send(request.method().clone()).await.unwrap();
            let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
            let body = Full::new(Bytes::from(status.to_string()));
            Ok::<_, Infallible>(Response::new(body))
        }
    });
    let client = Client::new(service, "default");
    let metrics = AssignmentMetrics::default();
    let leases = Leases::new(client, "ns", "default", "me", Clock::system(), metrics);
    let (stop, leave) = (CancellationToken::new(), CancellationToken::new());
    let leaving = async {
        sleep(Duration::from_secs(1)).await;
        stop.cancel();
        leave.cancel();
    };
    tokio::join!(leases.hold(stop.clone(), leave.clone()), leaving);
    assert_eq!(requests.recv().await, Some(Method::PATCH));
    assert_eq!(requests.recv().await, Some(Method::DELETE));
    assert_eq!(requests.recv().await, None);
}

fn shared() -> LeaseState {
    LeaseState {
        membership: Mutex::new(Membership::new("me".into(), RESOLUTION, at(100))),
        objects: Mutex::default(),
        changed: Notify::new(),
    }
}

#[tokio::test]
async fn a_lease_that_was_left_behind_is_deleted_as_it_was_seen_last() {
    let (client, mut requests) = api();
    let clock = Clock::system();
    let metrics = AssignmentMetrics::default();
    let leases = Leases::new(
        client,
        "ns",
        "default",
        "me",
        clock.clone(),
        metrics.clone(),
    );
    let shared = shared();
    let first = vec![read("gone", 90), read("lives", 98)];
    shared.apply(Change::Replace(first), at(100), &clock);
    for now in (105..250).step_by(5) {
        shared.apply(Change::Put(read("me", now)), at(now), &clock);
        shared.apply(Change::Put(read("lives", now)), at(now), &clock);
        leases.clean_one(&shared).await;
    }
    // "lives" is before us by name, so it is for them. It leaves.
    shared.apply(Change::Put(read("me", 250)), at(250), &clock);
    leases.clean_one(&shared).await;
    assert!(
        requests.try_recv().is_err(),
        "something was deleted too early"
    );
    shared.apply(Change::Remove(read("lives", 245)), at(251), &clock);
    leases.clean_one(&shared).await;
    let (method, path, body) = requests.recv().await.unwrap();
    assert_eq!(method, Method::DELETE);
    assert_eq!(
        path,
        "/apis/coordination.k8s.io/v1/namespaces/ns/leases/tributary-gone"
    );
    assert_eq!(body["preconditions"], json!({ "resourceVersion": "90" }));
    assert_eq!(metrics.leases_cleaned.get(), 1);
}

#[tokio::test]
async fn our_lease_goes_with_our_pod() {
    for (uid, owners) in [
        (None, Value::Null),
        (
            Some("0a1b"),
            json!([{ "apiVersion": "v1", "kind": "Pod", "name": "me", "uid": "0a1b" }]),
        ),
    ] {
        let (client, mut requests) = api();
        let metrics = AssignmentMetrics::default();
        let leases = Leases::new(client, "ns", "default", "me", Clock::system(), metrics)
            .owned_by(uid.map(str::to_owned));
        drop(leases.write(Clock::system().now()).await);
        let (method, _, body) = requests.recv().await.unwrap();
        assert_eq!(method, Method::PATCH);
        assert_eq!(body["metadata"]["ownerReferences"], owners);
        assert_eq!(body["spec"]["holderIdentity"], "me");
    }
}

#[test]
fn a_lease_in_which_anything_is_null_is_read() {
    let whole = json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": "tributary-s1", "resourceVersion": "7", "labels": {GROUP: "default"},
            "creationTimestamp": "2026-11-29T00:10:42Z", "managedFields": [{"manager": "s1",
                "time": "2026-11-29T00:10:42Z", "fieldsV1": {"f:spec": {}}}],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "s1", "uid": "u"}]},
        "spec": {"holderIdentity": "s1", "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-29T00:10:42.000000Z", "renewTime": "2026-11-29T00:10:42.000000Z"}});
    for (at, json) in nulled(&whole) {
        let lease = from_json::<Object>(&json);
        let lease = lease.unwrap_or_else(|error| panic!("{at}: {error}"));
        let counts = Read::of(lease, "default").is_ok();
        let is_needed = [
            "",
            "/metadata",
            "/metadata/name",
            "/metadata/labels",
            "/spec",
            "/metadata/labels/tributary.dev~1group",
            "/spec/holderIdentity",
            "/spec/leaseDurationSeconds",
            "/spec/renewTime",
        ];
        assert_eq!(counts, !is_needed.contains(&&*at), "{at}");
    }
}
