//! The page: files that are in the program, so that nothing comes from elsewhere.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal $kind:ident $file:literal)*) => {
        /// All of them, by path.
        pub(super) const ALL: &[(&str, Asset)] = &[
            $(($path, Asset { kind: $kind, text: include_str!(concat!("page/", $file)) })),*
        ];
    };
}

assets! {
    "/" HTML "index.html"
    "/style.css" STYLE "style.css"
    "/icon.svg" IMAGE "icon.svg"
    "/main.js" SCRIPT "main.js"
    "/data.js" SCRIPT "data.js"
    "/elements.js" SCRIPT "elements.js"
    "/findings.js" SCRIPT "findings.js"
    "/head.js" SCRIPT "head.js"
    "/history.js" SCRIPT "history.js"
    "/model.js" SCRIPT "model.js"
    "/picture.js" SCRIPT "picture.js"
    "/cells.js" SCRIPT "cells.js"
    "/side.js" SCRIPT "side.js"
    "/story.js" SCRIPT "story.js"
    "/top.js" SCRIPT "top.js"
}

impl Asset {
    #[cfg(test)]
    pub(super) fn text(self) -> &'static str {
        self.text
    }

    pub(super) fn response(self) -> Response {
        ([(header::CONTENT_TYPE, self.kind)], self.text).into_response()
    }
}
