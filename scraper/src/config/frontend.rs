//! Where a frontend is.

use std::{fmt, path::PathBuf, str::FromStr};

use http::{Uri, uri::Authority};

/// What `--frontend` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frontend {
    /// `https://HOST:PORT`: one, over TLS.
    Https {
        /// Host and port.
        authority: Authority,
    },
    /// `http://HOST:PORT`: one, without TLS.
    Http {
        /// Host and port.
        authority: Authority,
    },
    /// `dns:///NAME:PORT`: every address of a name.
    Dns {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// `unix:///PATH`: one, over a socket file.
    Unix {
        /// The file, absolute.
        path: PathBuf,
    },
}

/// A `--frontend` that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--frontend {0} should be https://HOST:PORT, dns:///NAME:PORT, unix:///PATH or http://HOST:PORT"
)]
pub struct BadFrontend(String);

impl FromStr for Frontend {
    type Err = BadFrontend;

    fn from_str(text: &str) -> Result<Self, BadFrontend> {
        parse(text).ok_or_else(|| BadFrontend(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Frontend> {
    if let Some(path) = text.strip_prefix("unix://") {
        let is_path = path.starts_with('/') && path.len() > 1;
        return is_path.then(|| Frontend::Unix { path: path.into() });
    }
    if let Some(rest) = text.strip_prefix("dns:///") {
        let authority: Authority = rest.parse().ok()?;
        let (name, port) = (bare(&authority)?.to_owned(), authority.port_u16()?);
        return Some(Frontend::Dns { name, port });
    }
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?.clone();
    bare(&authority)?;
    authority.port_u16()?;
    if uri.path_and_query().is_some_and(|path| path != "/") {
        return None;
    }
    match uri.scheme_str()? {
        "https" => Some(Frontend::Https { authority }),
        "http" => Some(Frontend::Http { authority }),
        _ => None,
    }
}

/// The host, unless a user stands before it or it is empty.
fn bare(authority: &Authority) -> Option<&str> {
    let host = authority.host();
    (!authority.as_str().contains('@') && !host.is_empty()).then_some(host)
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https { authority } => write!(f, "https://{authority}"),
            Self::Http { authority } => write!(f, "http://{authority}"),
            Self::Dns { name, port } => write!(f, "dns:///{name}:{port}"),
            Self::Unix { path } => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontend_is_printed_as_it_was_given() {
        for text in [
            "https://frontend.tributary:4443",
            "https://[::1]:4443",
            "http://127.0.0.1:4443",
            "dns:///frontends.tributary.svc:4443",
            "unix:///run/tributary/bus.sock",
        ] {
            let frontend: Frontend = text.parse().unwrap();
            assert_eq!(frontend.to_string(), text);
        }
    }

    #[test]
    fn other_things_are_no_frontends() {
        for text in [
            "",
            "frontend:4443",
            "https://frontend",
            "https://:4443",
            "https://user@frontend:4443",
            "https://frontend:4443/path",
            "https://frontend:99999",
            "dns://server/name:4443",
            "dns:///name",
            "unix:relative",
            "unix:///",
            "ftp://frontend:21",
        ] {
            let error = text.parse::<Frontend>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("--frontend {text} should be ")),
                "{error}"
            );
        }
    }
}
