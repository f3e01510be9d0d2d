//! The frontends behind what `--frontend` says.

use std::{fmt, path::PathBuf};

use http::uri::Authority;

use super::{endpoints::Found, frontend::Frontend, names::Addresses};

/// One frontend to dial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FrontendAddress {
    /// Over TCP.
    Tcp {
        /// An IP address, or a name that is resolved when it is dialled.
        host: String,
        port: u16,
        /// The name that the certificate must bear; `None` for no TLS.
        tls: Option<String>,
    },
    /// Over a Unix socket.
    Unix(PathBuf),
}

impl FrontendAddress {
    /// Whether it is spoken to over TLS. Elsewhere no credentials are shown.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: Some(_), .. })
    }
}

impl fmt::Display for FrontendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// How a name in a URL becomes one in a certificate.
#[derive(Clone, Debug)]
pub(crate) struct TlsNaming {
    /// The name in every certificate, if not that in the URL.
    pub(crate) server_name: Option<String>,
    /// Whether names are spoken to over TLS; a URL may say for itself.
    pub(crate) tls: bool,
}

impl TlsNaming {
    /// The frontends behind `frontend`. `found` is what watches know, `resolved`
    /// what names stand for.
    pub(crate) fn frontend_addresses(
        &self,
        frontend: &Frontend,
        found: &Found,
        resolved: &Addresses,
    ) -> Vec<FrontendAddress> {
        match frontend {
            Frontend::Unix { path } => vec![FrontendAddress::Unix(path.clone())],
            Frontend::Https { authority } => vec![self.one(authority, true)],
            Frontend::Http { authority } => vec![self.one(authority, false)],
            Frontend::Dns { name, port } => {
                let key = (name.clone(), *port);
                let addresses = resolved.get(&key).into_iter().flatten();
                let frontend_addresses = addresses.map(|address| FrontendAddress::Tcp {
                    host: address.ip().to_string(),
                    port: address.port(),
                    tls: self.tls.then(|| self.expected(name)),
                });
                frontend_addresses.collect()
            }
            Frontend::Service(service) => {
                let found = found.get(service).into_iter().flatten();
                let frontend_addresses = found.map(|(host, port)| FrontendAddress::Tcp {
                    host: host.clone(),
                    port: *port,
                    tls: self.tls.then(|| self.expected(&service.dns_name())),
                });
                frontend_addresses.collect()
            }
        }
    }

    fn one(&self, authority: &Authority, tls: bool) -> FrontendAddress {
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        FrontendAddress::Tcp {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or_default(),
            tls: tls.then(|| self.expected(host)),
        }
    }

    fn expected(&self, name: &str) -> String {
        self.server_name.clone().unwrap_or_else(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frontend_addresses(url: &str, server_name: Option<&str>, tls: bool) -> Vec<FrontendAddress> {
        let naming = TlsNaming {
            server_name: server_name.map(str::to_owned),
            tls,
        };
        let frontend = url.parse().unwrap();
        let mut found = Found::new();
        if let Frontend::Service(service) = &frontend {
            found.insert(service.clone(), [("10.0.0.7".to_owned(), 8443)].into());
        }
        let mut resolved = Addresses::new();
        if let Frontend::Dns { name, port } = &frontend {
            let addresses = ["127.0.0.1:8443", "[::1]:8443"].map(|it| it.parse().unwrap());
            resolved.insert((name.clone(), *port), addresses.into());
        }
        naming.frontend_addresses(&frontend, &found, &resolved)
    }

    fn frontend_address(host: &str, tls: Option<&str>) -> FrontendAddress {
        FrontendAddress::Tcp {
            host: host.to_owned(),
            port: 8443,
            tls: tls.map(str::to_owned),
        }
    }

    #[test]
    fn a_name_leads_to_all_of_its_addresses_under_that_name() {
        for (server_name, tls, expected) in [
            (None, true, Some("localhost")),
            (Some("bus"), true, Some("bus")),
            (None, false, None),
        ] {
            assert_eq!(
                frontend_addresses("dns:///localhost:8443", server_name, tls),
                [
                    frontend_address("127.0.0.1", expected),
                    frontend_address("::1", expected)
                ]
            );
        }
    }

    #[test]
    fn endpoints_bear_the_name_of_their_service() {
        let url = "k8s:///ns/bus:8443";
        assert_eq!(
            frontend_addresses(url, None, true),
            [frontend_address("10.0.0.7", Some("bus.ns.svc"))]
        );
        assert_eq!(
            frontend_addresses(url, Some("front"), true),
            [frontend_address("10.0.0.7", Some("front"))]
        );
        assert_eq!(
            frontend_addresses(url, None, false),
            [frontend_address("10.0.0.7", None)]
        );
    }

    #[test]
    fn a_host_is_one_address() {
        assert_eq!(
            frontend_addresses("https://[::1]:8443", None, true),
            [frontend_address("::1", Some("::1"))]
        );
        assert_eq!(
            frontend_addresses("http://127.0.0.1:8443", None, true),
            [frontend_address("127.0.0.1", None)]
        );
        assert_eq!(
            frontend_addresses("unix:///run/bus.sock", None, true),
            [FrontendAddress::Unix("/run/bus.sock".into())]
        );
    }
}
