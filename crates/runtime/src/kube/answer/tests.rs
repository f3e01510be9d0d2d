use futures::stream;
use http::Response;
use http_body::Frame;
use http_body_util::{StreamBody, combinators::BoxBody};
use tower::{BoxError, service_fn};

use super::*;

/// The parts of a body: texts, and the error that ends it.
type Pieces = Vec<Result<&'static str, &'static str>>;

/// The error for an answer with this status and these parts.
async fn refused(code: u16, pieces: Pieces) -> Box<Status> {
    let pieces = pieces.into_iter();
    let pieces = pieces.map(|piece| piece.map(Bytes::from).map_err(BoxError::from));
    refused_with(code, pieces).await
}

async fn refused_with(
    code: u16,
    pieces: impl Iterator<Item = Result<Bytes, BoxError>> + Send + Sync + Clone + 'static,
) -> Box<Status> {
    let answer = move |_: Request<Body>| {
        let frames = pieces.clone().map(|piece| piece.map(Frame::data));
        let body = BoxBody::new(StreamBody::new(stream::iter(frames)));
        let answer = Response::builder().status(code).body(body).unwrap();
        async move { Ok::<_, BoxError>(answer) }
    };
    let client = Client::new(service_fn(answer), "default");
    match Answer::to(&client, Request::new(Vec::new())).await {
        Err(Error::Api(status)) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_has_the_status_of_its_head_whatever_is_in_it() {
    let status = r#"{"kind":"Status","message":"too old","reason":"Expired","code":410}"#;
    for (code, pieces, message) in [
        (410, vec![Ok(status)], "too old"),
        // The body has another status, or none.
        (403, vec![Ok(status)], "too old"),
        (410, vec![Ok(r#"{"message":"no code"}"#)], "no code"),
        (
            410,
            vec![Ok(r#"{"message":"odd","code":70000}"#)],
            r#"{"message":"odd","code":70000}"#,
        ),
        (
            404,
            vec![Ok("<html>no"), Ok("thing</html>\n")],
            "<html>nothing</html>",
        ),
        (502, vec![], ""),
        // The connection fails while the body is read.
        (410, vec![Ok("half of "), Err("reset")], "half of"),
        (500, vec![Err("reset")], ""),
        // A status that is neither success nor error is refused, too.
        (302, vec![Ok("elsewhere")], "elsewhere"),
        (304, vec![], ""),
    ] {
        let status = refused(code, pieces.clone()).await;
        assert_eq!(
            (status.code, &*status.message),
            (code, message),
            "{pieces:?}"
        );
    }
}

#[tokio::test]
async fn of_a_refusal_only_the_beginning_is_read() {
    const PIECE: &[u8] = &[b'x'; 64 << 10];
    let endless = std::iter::repeat_with(|| Ok(Bytes::from_static(PIECE)));
    let status = refused_with(500, endless).await;
    assert_eq!((status.code, status.message.len()), (500, 256));
}
