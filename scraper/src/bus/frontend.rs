//! Where a frontend is, and how it is spoken to.

use std::{fmt, path::PathBuf, str::FromStr};

use http::{Uri, uri::Authority};

use tributary_runtime::tls::PairFiles;

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
    /// `k8s:///NAMESPACE/SERVICE:PORT`: every endpoint of a Service.
    Service(Service),
    /// `unix:///PATH`: one, over a socket file.
    Unix {
        /// The file, absolute.
        path: PathBuf,
    },
}

/// A Service whose endpoints are frontends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) port: ServicePort,
}

/// Which port of the endpoints is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServicePort {
    /// The one that the Service calls so.
    Name(String),
    /// This one, of the pods: an endpoint does not tell the Service's.
    Number(u16),
}

/// How frontends are spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSecurity {
    /// The CAs that signed their certificates.
    pub(crate) ca_file: Option<PathBuf>,
    /// The name in their certificates, if not the host's.
    pub(crate) server_name: Option<String>,
    /// Our certificate.
    pub(crate) pair: Option<PairFiles>,
    /// Our token.
    pub(crate) token_file: Option<PathBuf>,
    /// Without TLS.
    pub(crate) insecure: bool,
}

impl Service {
    /// What its certificates are for. The domain of the cluster is unknown to
    /// us and not needed.
    pub(crate) fn dns_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

/// A `--frontend` that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--frontend {0} should be https://HOST:PORT, dns:///NAME:PORT, \
     k8s:///NAMESPACE/SERVICE:PORT, unix:///PATH or http://HOST:PORT"
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
    if let Some(rest) = text.strip_prefix("k8s:///") {
        return service(rest).map(Frontend::Service);
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

fn service(text: &str) -> Option<Service> {
    let (namespace, rest) = text.split_once('/')?;
    let (name, port) = rest.rsplit_once(':')?;
    let port = match port.parse() {
        Ok(0) => return None,
        Ok(number) => ServicePort::Number(number),
        // Digits alone, but too many, are no name either.
        Err(_) if !port.contains(|c: char| c.is_ascii_lowercase()) => return None,
        Err(_) => ServicePort::Name(label(port, 15)?),
    };
    Some(Service {
        namespace: label(namespace, 63)?,
        name: label(name, 63)?,
        port,
    })
}

/// What namespaces, services and their ports may be called.
fn label(text: &str, most: usize) -> Option<String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = text.len() <= most
        && text.starts_with(letter)
        && text.ends_with(letter)
        && text.chars().all(|c| letter(c) || c == '-');
    fits.then(|| text.to_owned())
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
            Self::Service(service) => service.fmt(f),
            Self::Unix { path } => write!(f, "unix://{}", path.display()),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k8s:///{}/{}:", self.namespace, self.name)?;
        match &self.port {
            ServicePort::Name(name) => f.write_str(name),
            ServicePort::Number(number) => number.fmt(f),
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
            "k8s:///kube-system/tributary-bus:bus",
            "k8s:///kube-system/tributary-bus:8443",
            "unix:///run/tributary/bus.sock",
        ] {
            let frontend: Frontend = text.parse().unwrap();
            assert_eq!(frontend.to_string(), text);
        }
    }

    #[test]
    fn a_service_is_named_in_certificates_without_the_domain_of_the_cluster() {
        let service = service("kube-system/tributary-bus:bus").unwrap();
        assert_eq!(service.dns_name(), "tributary-bus.kube-system.svc");
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
            "k8s:///service:bus",
            "k8s://namespace/service:bus",
            "k8s:///namespace/service",
            "k8s:///namespace/service:0",
            "k8s:///namespace/service:70000",
            "k8s:///Namespace/service:bus",
            "k8s:///namespace/service.other:bus",
            "k8s:///namespace/service:bus/path",
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
