use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::{sync::oneshot::error::TryRecvError, time::timeout};

use super::*;

const IDLE: Duration = Duration::from_secs(90);
const LIMIT: Duration = Duration::from_mins(1);

fn patient(idle: Duration) -> ConnectionHandle {
    let patience = Patience {
        first_request: Duration::from_secs(10),
        idle,
    };
    ConnectionHandle::new(patience, ServeMetrics::default())
}

/// The next action and the time until then.
async fn due(handle: &ConnectionHandle) -> (ConnectionAction, Duration) {
    let start = Instant::now();
    (handle.due().await, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_left_and_then_cut_off() {
    let handle = patient(IDLE);
    drop(handle.begin());
    assert_eq!(due(&handle).await, (ConnectionAction::Leave, IDLE));
    assert_eq!(due(&handle).await, (ConnectionAction::CutOff, IDLE));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_first_request_is_cut_off_soon() {
    let handle = patient(IDLE);
    tokio::time::advance(Duration::from_secs(3)).await;
    handle.established();
    assert_eq!(
        due(&handle).await,
        (ConnectionAction::CutOff, Duration::from_secs(10))
    );
}

#[tokio::test(start_paused = true)]
async fn an_evicted_connection_closes_at_once() {
    let handle = patient(IDLE);
    let _open = handle.begin();
    handle.evict();
    handle.evicted().await;
    assert_eq!(
        due(&handle).await,
        (ConnectionAction::CutOff, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn the_idle_go_before_the_active_and_the_unknown_before_all() {
    let now = Instant::now();
    let (asked, new, busy, known) = (patient(IDLE), patient(IDLE), patient(IDLE), patient(IDLE));
    drop(asked.begin());
    let _busy = busy.begin();
    drop(known.begin());
    known.verified(TrustLevel::Known);
    // The certificate no longer proves the identity. The peer stays known.
    known.verified(TrustLevel::Unknown);
    let worth = |handle: &ConnectionHandle, now| handle.worth(now);
    assert!(worth(&asked, now) < worth(&new, now));
    assert!(worth(&asked, now) < worth(&busy, now));
    assert!(worth(&busy, now) < worth(&known, now));
    // After enough time for its request, a connection is no longer active.
    let later = now + FRESH;
    tokio::time::advance(FRESH).await;
    let joining = patient(IDLE);
    for old in [&new, &busy, &asked] {
        assert!(worth(old, later) < worth(&joining, later));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_request_is_not_idle() {
    let handle = patient(IDLE);
    let open = handle.begin();
    assert!(timeout(10 * IDLE, handle.due()).await.is_err());
    drop(open);
    assert_eq!(due(&handle).await, (ConnectionAction::Leave, IDLE));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_to_end_ends_at_once() {
    let handle = patient(IDLE);
    let _open = handle.begin();
    handle.leave();
    handle.leave();
    assert_eq!(
        due(&handle).await,
        (ConnectionAction::Leave, Duration::ZERO)
    );
    assert!(timeout(10 * IDLE, handle.due()).await.is_err());
}

/// A body that never ends.
fn endless() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_dropped_in_time() {
    let left = (ConnectionAction::Leave, Duration::from_secs(200));
    for (version, trust, what) in [
        (
            Version::HTTP_11,
            TrustLevel::Trusted,
            (ConnectionAction::CutOff, LIMIT),
        ),
        (
            Version::HTTP_2,
            TrustLevel::Known,
            (ConnectionAction::CutOff, LIMIT),
        ),
        // Other requests are answered on the same connection.
        (Version::HTTP_2, TrustLevel::Trusted, left),
    ] {
        let handle = patient(Duration::from_secs(200));
        handle.verified(trust);
        drop(handle.begin());
        let (kept, freed) = tokio::sync::oneshot::channel::<()>();
        let body = handle
            .track(version, endless(), Some(Instant::now() + LIMIT), kept)
            .body;
        assert_eq!(due(&handle).await, what, "{version:?}");
        assert!(freed.await.is_err(), "{version:?}");
        assert!(body.collect().await.is_err(), "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_ends_in_time_too() {
    let handle = patient(IDLE);
    let start = Instant::now();
    let body = handle
        .track(Version::HTTP_2, endless(), Some(start + LIMIT), ())
        .body;
    let error = body.collect().await.unwrap_err();
    assert_eq!(error.to_string(), "the answer was not complete in time");
    assert_eq!(start.elapsed(), LIMIT);
}

#[tokio::test]
async fn a_long_answer_goes_out_in_pieces_and_keeps_its_place_to_the_end() {
    let handle = patient(IDLE);
    let (kept, mut freed) = tokio::sync::oneshot::channel::<()>();
    let whole: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let deadline = Some(Instant::now() + LIMIT);
    let mut body = handle
        .track(Version::HTTP_2, whole.clone().into(), deadline, kept)
        .body;
    let mut sent = Vec::new();
    while let Some(frame) = body.frame().await {
        assert_eq!(freed.try_recv(), Err(TryRecvError::Empty));
        sent.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert_eq!(sent, whole);
    assert!(freed.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_can_be_let_go() {
    let handle = patient(IDLE);
    let (kept, freed) = tokio::sync::oneshot::channel::<()>();
    let start = Instant::now();
    let TrackedBody { mut body, sending } =
        handle.track(Version::HTTP_2, vec![b'x'; 300 << 10].into(), None, kept);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(sending.untaken_since(), Some(start));
    assert_eq!(
        body.frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .len(),
        128 << 10
    );
    assert_eq!(
        sending.untaken_since(),
        Some(start + Duration::from_secs(1))
    );
    sending.cut();
    assert!(freed.await.is_err());
    assert_eq!(sending.untaken_since(), None);
    assert!(body.frame().await.unwrap().is_err());
    assert!(!sending.is_over());
    drop(body);
    assert!(sending.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_cut_to_make_room_is_ended_at_once_unless_it_is_the_front_proxy() {
    for (version, trust, ends) in [
        (Version::HTTP_11, TrustLevel::Unknown, true),
        (Version::HTTP_11, TrustLevel::Trusted, true),
        (Version::HTTP_2, TrustLevel::Known, true),
        // Other requests are answered on the same connection.
        (Version::HTTP_2, TrustLevel::Trusted, false),
    ] {
        let handle = patient(Duration::from_secs(200));
        handle.verified(trust);
        let _open = handle.begin();
        // The same holds without a deadline.
        let whole = vec![b'x'; 300 << 10];
        let TrackedBody { body, sending } = handle.track(version, whole.into(), None, ());
        sending.cut();
        let ended = timeout(Duration::from_mins(10), due(&handle)).await.ok();
        let at_once = (ConnectionAction::CutOff, Duration::ZERO);
        assert_eq!(ended, ends.then_some(at_once), "{version:?} {trust:?}");
        drop(body);
        assert_eq!(handle.0.metrics.answers_cut(Cut::Room), 1);
        // The answer has ended, so it cannot be cut again.
        sending.cut();
        assert_eq!(handle.0.metrics.answers_cut(Cut::Room), 1);
    }
}

#[tokio::test]
async fn trust_ends_with_what_it_was_for() {
    let handle = patient(IDLE);
    let sessions = [Trusted::new(handle.clone()), Trusted::new(handle.clone())];
    assert_eq!(handle.trust(), TrustLevel::Trusted);
    drop(sessions);
    assert_eq!(handle.trust(), TrustLevel::Unknown);
    handle.verified(TrustLevel::Trusted);
    handle.known();
    assert_eq!(handle.trust(), TrustLevel::Trusted);
    // The CA was removed.
    handle.verified(TrustLevel::Unknown);
    assert_eq!(handle.trust(), TrustLevel::Known);
}

#[tokio::test]
async fn in_http2_what_is_kept_is_kept_until_the_end_is_asked_for() {
    let handle = patient(IDLE);
    for (version, is_kept) in [(Version::HTTP_11, false), (Version::HTTP_2, true)] {
        let (kept, mut freed) = tokio::sync::oneshot::channel::<()>();
        let mut body = handle.track(version, "x".into(), None, kept).body;
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "x"
        );
        assert_eq!(
            http_body::Body::is_end_stream(&body),
            !is_kept,
            "{version:?}"
        );
        assert_eq!(freed.try_recv(), Err(TryRecvError::Empty));
        assert!(body.frame().await.is_none());
        assert_eq!(freed.try_recv(), Err(TryRecvError::Closed));
        drop(body);
    }
    let empty = handle.track(Version::HTTP_2, Body::empty(), None, ()).body;
    assert!(http_body::Body::is_end_stream(&empty));
}
