//! Addresses to listen on.

use std::{
    fmt,
    net::{AddrParseError, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and port. With port 0 the kernel selects a free port.
    Tcp(SocketAddr),
    /// A Unix socket. The permissions of its directory decide who may connect.
    Unix(PathBuf),
}

/// A text that is neither `IP:PORT` nor `unix:///PATH`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither IP:PORT nor unix:///PATH")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            _ => ip_and_port(text)
                .map(Self::Tcp)
                .map_err(|_| BadAddress(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Reads `IP:PORT`. An IPv6 address may lack its brackets: Kubernetes writes the address of a pod without them, so that
/// `$(POD_IP):8080` could not be for both families.
///
/// # Errors
///
/// The text is something else.
pub fn ip_and_port(text: &str) -> Result<SocketAddr, AddrParseError> {
    let with_brackets = text.parse();
    let Some((ip, port)) = text.rsplit_once(':') else {
        return with_brackets;
    };
    match (ip.parse::<Ipv6Addr>(), port.parse::<u16>()) {
        (Ok(ip), Ok(port)) => Ok((ip, port).into()),
        _ => with_brackets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in ["127.0.0.1:8443", "[::1]:0", "unix:///run/bus.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["localhost:1", ":8443", "unix://bus.sock", ""] {
            assert_eq!(
                text.parse::<Address>().unwrap_err().to_string(),
                format!("{text:?} is neither IP:PORT nor unix:///PATH")
            );
        }
    }

    #[test]
    fn the_address_of_a_pod_may_be_of_either_family() {
        for (pod, expected) in [
            ("10.0.0.7", "10.0.0.7:8080"),
            ("fd00::7", "[fd00::7]:8080"),
            ("fd00:1:2:3:4:5:6:7", "[fd00:1:2:3:4:5:6:7]:8080"),
            ("::", "[::]:8080"),
        ] {
            let text = format!("{pod}:8080");
            assert_eq!(ip_and_port(&text).unwrap().to_string(), expected);
            assert_eq!(text.parse::<Address>().unwrap().to_string(), expected);
        }
        for text in [
            "fd00::7",
            "fd00::",
            "::1",
            "fd00::7:",
            "fd00::7:65536",
            "10.0.0.7:",
            "x:1",
        ] {
            let error = ip_and_port(text).unwrap_err();
            assert!(error.to_string().starts_with("invalid "), "{text}: {error}");
        }
    }
}
