//! Which servers are asked without the proxy of the environment. The rules are those of Go (golang.org/x/net/http/httpproxy),
//! which kubectl has.

use std::net::IpAddr;

use http::{Uri, uri::Scheme};

/// What `NO_PROXY` says.
pub(crate) fn of_environment() -> String {
    let values = ["NO_PROXY", "no_proxy"].map(std::env::var_os);
    let values = values.into_iter().flatten();
    let mut values = values.map(|value| value.to_string_lossy().into_owned());
    values.find(|value| !value.is_empty()).unwrap_or_default()
}

/// Whether `HTTPS_PROXY` does not count for this server.
pub(crate) fn is_direct(server: &Uri, no_proxy: &str) -> bool {
    let is_https = server.scheme() == Some(&Scheme::HTTPS);
    let host = server.host().unwrap_or_default();
    !is_https || is_excluded(host, server.port_u16().unwrap_or(443), no_proxy)
}

fn is_excluded(host: &str, port: u16, no_proxy: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    let server = Server {
        host: &host,
        ip,
        port: &port.to_string(),
    };
    let mut rules = no_proxy.split(',').map(|rule| rule.trim().to_lowercase());
    rules.any(|rule| server.is_of(&rule))
}

struct Server<'a> {
    host: &'a str,
    ip: Option<IpAddr>,
    port: &'a str,
}

impl Server<'_> {
    /// Whether a rule names it.
    fn is_of(&self, rule: &str) -> bool {
        if rule == "*" {
            return true;
        }
        if let Some(network) = Network::of(rule) {
            return self.ip.is_some_and(|ip| network.has(ip));
        }
        let (name, port) = name_and_port(rule);
        if name.is_empty() || !(port.is_empty() || port == self.port) {
            return false;
        }
        if let Ok(ip) = name.parse::<IpAddr>() {
            return self.ip == Some(ip.to_canonical());
        }
        // `*.domain` is `.domain`: what is below it, and not itself.
        let below = name.strip_prefix('*').filter(|it| it.starts_with('.'));
        let name = below.unwrap_or(name);
        if name.starts_with('.') {
            return self.host.ends_with(name);
        }
        let before = self.host.strip_suffix(name);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

/// The name is empty if there is none, and the port if any is meant.
fn name_and_port(rule: &str) -> (&str, &str) {
    let in_brackets = rule.strip_prefix('[').and_then(|it| it.split_once("]:"));
    let named = in_brackets.or_else(|| rule.split_once(':'));
    // More colons are an IPv6 address.
    named
        .filter(|(_, port)| !port.contains(':'))
        .unwrap_or((rule, ""))
}

/// Addresses that begin alike.
struct Network {
    address: IpAddr,
    /// How many bits are the same.
    bits: u32,
}

impl Network {
    fn of(rule: &str) -> Option<Self> {
        let (address, bits) = rule.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    fn has(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(address), IpAddr::V4(ip)) => {
                let differ = address.to_bits() ^ ip.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(address), IpAddr::V6(ip)) => {
                let differ = address.to_bits() ^ ip.to_bits();
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_excluded_by_the_rules_of_go() {
        for (server, no_proxy, expected) in [
            ("https://k.example", "", false),
            ("https://k.example", "*", true),
            ("https://k.example", "x, *", true),
            ("https://k.example", "k.example", true),
            ("https://K.Example", " K.EXAMPLE ", true),
            ("https://k.example", "example", true),
            ("https://k.example", ".example", true),
            ("https://k.example", "*.example", true),
            ("https://example", "*.example", false),
            ("https://example", ".example", false),
            ("https://notexample", "example", false),
            ("https://k.example", "*ample", false),
            ("https://k.example", "k.example:443", true),
            ("https://k.example", "k.example:6443", false),
            ("https://k.example:6443", ".example:6443", true),
            ("https://k.example:6443", ":6443,,", false),
            ("https://k.example", "k.example:", true),
            ("https://10.1.2.3:6443", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "10.1.2.3:6443", true),
            ("https://10.1.2.3:6443", "10.1.2.3:443", false),
            ("https://10.1.2.3", "10.0.0.0/8", true),
            ("https://11.1.2.3", "10.0.0.0/8", false),
            ("https://11.1.2.3", "0.0.0.0/0", true),
            ("https://10.1.2.3", "10.1.2.3/32", true),
            ("https://10.1.2.3", "10.1.2.0/33", false),
            ("https://10.1.2.3", "2001:db8::/32", false),
            ("https://[2001:db8::1]:6443", "2001:db8::/32", true),
            ("https://[2001:db8::1]:6443", "2001:db8::1", true),
            ("https://[2001:db8::1]:6443", "[2001:db8::1]:6443", true),
            ("https://[2001:db8::1]:6443", "[2001:db8::1]:443", false),
            ("https://[::ffff:10.1.2.3]", "10.0.0.0/8", true),
            // What is on this machine needs no rule.
            ("https://localhost:6443", "", true),
            ("https://127.0.0.9:6443", "", true),
            ("https://[::1]:6443", "", true),
            ("https://localhost.example", "", false),
            // HTTPS_PROXY is for https.
            ("http://k.example", "", true),
        ] {
            let server: Uri = server.parse().unwrap();
            assert_eq!(
                is_direct(&server, no_proxy),
                expected,
                "{server} {no_proxy}"
            );
        }
    }
}
