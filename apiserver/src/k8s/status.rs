//! `metav1.Status`: the body of an error.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::{accept::Encoding, json, protobuf, yaml};

/// Why a request failed, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The reason for people.
    pub(crate) message: String,
    /// The machine-readable reason.
    pub(crate) reason: &'static str,
    /// The details for programs.
    pub(crate) details: Option<Details>,
    /// The HTTP status.
    pub(crate) code: StatusCode,
}

/// The subject of a failure. Empty fields are omitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// The object.
    pub(crate) name: String,
    /// Its group.
    pub(crate) group: Cow<'static, str>,
    /// Its kind.
    pub(crate) kind: Cow<'static, str>,
    /// What is wrong with it.
    pub(crate) causes: Vec<Cause>,
    /// The number of seconds after which to retry.
    pub(crate) retry_after: u32,
}

/// A fault of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The machine-readable reason.
    pub(crate) reason: &'static str,
    /// The reason for people.
    pub(crate) message: String,
    /// The parameter.
    pub(crate) field: &'static str,
}

impl Status {
    /// The status in `encoding`.
    pub(crate) fn written(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => self.json(),
            Encoding::Yaml => yaml::of_json(&self.json()),
            Encoding::Protobuf => self.protobuf(),
        }
    }

    /// The status in JSON, with the fields in Go's order.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(
            br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#,
        );
        json::string(&mut out, &self.message);
        out.extend_from_slice(br#","reason":"#);
        json::string(&mut out, self.reason);
        if let Some(details) = &self.details {
            out.extend_from_slice(br#","details":{"#);
            details.json(&mut out);
            out.push(b'}');
        }
        out.extend_from_slice(br#","code":"#);
        json::number(&mut out, u64::from(self.code.as_u16()));
        out.extend_from_slice(b"}\n");
        out
    }

    fn protobuf(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        protobuf::list_meta(&mut out, "");
        protobuf::text(&mut out, 2, "Failure");
        protobuf::text(&mut out, 3, &self.message);
        protobuf::text(&mut out, 4, self.reason);
        if let Some(details) = &self.details {
            protobuf::message(&mut out, 5, |out| details.protobuf(out));
        }
        protobuf::number(&mut out, 6, i64::from(self.code.as_u16()));
        protobuf::wrapped("v1", "Status", &out)
    }
}

impl Details {
    fn json(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let field = |out: &mut Vec<u8>, name: &str| {
            if out.len() > start {
                out.push(b',');
            }
            json::string(out, name);
            out.push(b':');
        };
        let texts = [
            ("name", &*self.name),
            ("group", &*self.group),
            ("kind", &*self.kind),
        ];
        for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
            field(out, name);
            json::string(out, value);
        }
        if !self.causes.is_empty() {
            field(out, "causes");
            self.causes_json(out);
        }
        if self.retry_after > 0 {
            field(out, "retryAfterSeconds");
            json::number(out, self.retry_after.into());
        }
    }

    fn causes_json(&self, out: &mut Vec<u8>) {
        for (at, cause) in self.causes.iter().enumerate() {
            out.extend_from_slice(if at == 0 {
                br#"[{"reason":"#
            } else {
                br#",{"reason":"#
            });
            json::string(out, cause.reason);
            out.extend_from_slice(br#","message":"#);
            json::string(out, &cause.message);
            out.extend_from_slice(br#","field":"#);
            json::string(out, cause.field);
            out.push(b'}');
        }
        out.push(b']');
    }

    fn protobuf(&self, out: &mut Vec<u8>) {
        protobuf::text(out, 1, &self.name);
        protobuf::text(out, 2, &self.group);
        protobuf::text(out, 3, &self.kind);
        for cause in &self.causes {
            protobuf::message(out, 4, |out| {
                protobuf::text(out, 1, cause.reason);
                protobuf::text(out, 2, &cause.message);
                protobuf::text(out, 3, cause.field);
            });
        }
        protobuf::number(out, 5, self.retry_after.into());
        // The field uid.
        protobuf::text(out, 6, "");
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.json()));
        *response.status_mut() = self.code;
        let json = HeaderValue::from_static(Encoding::Json.media_type());
        response.headers_mut().insert(CONTENT_TYPE, json);
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 404 of a node, recorded from metrics-server v0.9.0.
    #[test]
    fn protobuf_is_as_upstream_writes_it() {
        let status = Status {
            message: r#"node "zzz" not found"#.to_owned(),
            reason: "NotFound",
            details: Some(Details {
                name: "zzz".to_owned(),
                kind: "node".into(),
                ..Details::default()
            }),
            code: StatusCode::NOT_FOUND,
        };
        let expected = b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x47\
            \x0a\x06\x0a\x00\x12\x00\x1a\x00\x12\x07Failure\x1a\x14node \"zzz\" not found\
            \x22\x08NotFound\x2a\x11\x0a\x03zzz\x12\x00\x1a\x04node\x28\x00\x32\x00\
            \x30\x94\x03\x1a\x00\x22\x00";
        assert_eq!(status.written(Encoding::Protobuf), expected);
        let yaml = "apiVersion: v1\ncode: 404\ndetails:\n  kind: node\n  name: zzz\nkind: Status\n\
            message: node \"zzz\" not found\nmetadata: {}\nreason: NotFound\nstatus: Failure\n";
        assert_eq!(
            String::from_utf8(status.written(Encoding::Yaml)).unwrap(),
            yaml
        );
    }
}
