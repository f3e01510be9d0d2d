//! The TLS versions, cipher suites and groups of a server, as metrics-server's flags name them
//! (docs/parity.md#serving).

use std::sync::Arc;

use rustls::{
    ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{self, cipher_suite, kx_group},
    },
};

use super::{ClientCertificates, ServingCertificate, TLS12_AND_13, TLS13, verifier};
use crate::exit::Misconfigured;

/// Versions, cipher suites and groups of a server.
#[derive(Clone, Debug)]
pub struct Policy {
    versions: Vec<&'static SupportedProtocolVersion>,
    provider: Arc<CryptoProvider>,
}

/// Why a value of a flag is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// The version does not exist.
    #[error("unknown tls version {0:?}")]
    NoVersion(String),
    /// The version is not supported.
    #[error("--tls-min-version {0}: TLS versions before 1.2 are not supported; use VersionTLS12")]
    OldVersion(String),
    /// The cipher suite does not exist.
    #[error("Cipher suite {0} not supported or doesn't exist")]
    NoSuite(String),
    /// A cipher suite of Go that is not supported.
    #[error("--tls-cipher-suites {0}: {1}; leave it out")]
    WeakSuite(String, &'static str),
    /// The group does not exist.
    #[error("--tls-curve-preferences: curve preference {0} is not supported")]
    NoCurve(u16),
}

impl From<BadPolicy> for Misconfigured {
    fn from(error: BadPolicy) -> Self {
        Self::new(error)
    }
}

/// The suites of TLS 1.3. As in Go they cannot be selected, but their names are accepted.
const TLS13_SUITES: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// The suites of TLS 1.2, as Go names them.
const TLS12_SUITES: [(&str, SupportedCipherSuite); 8] = [
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Groups by Go's `CurveID`, which is the number in TLS.
const CURVES: [(u16, &dyn SupportedKxGroup); 5] = [
    (23, kx_group::SECP256R1),
    (24, kx_group::SECP384R1),
    (29, kx_group::X25519),
    (4587, kx_group::SECP256R1MLKEM768),
    (4588, kx_group::X25519MLKEM768),
];

impl Policy {
    /// These versions, with all suites and groups.
    pub fn of_versions(versions: &[&'static SupportedProtocolVersion]) -> Self {
        Self {
            versions: versions.to_vec(),
            provider: Arc::new(aws_lc_rs::default_provider()),
        }
    }

    /// The policy from the flags. The default is TLS 1.2 and later, with all suites and groups.
    ///
    /// # Errors
    ///
    /// A value is unknown, or not safe today.
    pub fn new(min_version: &str, suites: &[String], curves: &[u16]) -> Result<Self, BadPolicy> {
        let versions = match min_version {
            "" | "VersionTLS12" => TLS12_AND_13,
            "VersionTLS13" => TLS13,
            "VersionTLS10" | "VersionTLS11" => {
                return Err(BadPolicy::OldVersion(min_version.to_owned()));
            }
            other => return Err(BadPolicy::NoVersion(other.to_owned())),
        };
        let mut policy = Self::of_versions(versions);
        let mut provider = aws_lc_rs::default_provider();
        if !suites.is_empty() {
            let wanted = tls12_suites(suites)?;
            provider.cipher_suites.retain(|suite| {
                suite.version() == &rustls::version::TLS13 || wanted.contains(suite)
            });
            if wanted.is_empty() {
                policy.versions = TLS13.to_vec();
            }
        }
        if !curves.is_empty() {
            let group = |wanted: &u16| {
                let mut found = CURVES.iter().filter(|(id, _)| id == wanted);
                let found = found.next().map(|(_, group)| *group);
                found.ok_or(BadPolicy::NoCurve(*wanted))
            };
            provider.kx_groups = curves.iter().map(group).collect::<Result<_, _>>()?;
        }
        policy.provider = Arc::new(provider);
        Ok(policy)
    }

    /// A configuration that offers these application protocols, in the order of preference.
    ///
    /// # Errors
    ///
    /// The CAs cannot be used.
    pub fn server_config(
        &self,
        certificate: Arc<ServingCertificate>,
        clients: ClientCertificates,
        protocols: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, Misconfigured> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)
            .map_err(Misconfigured::new)?;
        let builder = match verifier(clients, Arc::clone(&self.provider))? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(certificate);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

fn tls12_suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>, BadPolicy> {
    let mut wanted = Vec::new();
    for name in names {
        if let Some((_, suite)) = TLS12_SUITES.iter().find(|(known, _)| known == name) {
            wanted.push(*suite);
        } else if !TLS13_SUITES.contains(&name.as_str()) {
            return Err(unknown(name));
        }
    }
    Ok(wanted)
}

/// The error for a suite that Go supports and we do not, with the reason.
fn unknown(name: &str) -> BadPolicy {
    let because = |why| BadPolicy::WeakSuite(name.to_owned(), why);
    match name {
        "TLS_RSA_WITH_AES_128_GCM_SHA256" | "TLS_RSA_WITH_AES_256_GCM_SHA384" => {
            because("has no forward secrecy")
        }
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"
        | "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"
        | "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"
        | "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"
        | "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"
        | "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"
        | "TLS_RSA_WITH_AES_128_CBC_SHA"
        | "TLS_RSA_WITH_AES_256_CBC_SHA"
        | "TLS_RSA_WITH_AES_128_CBC_SHA256" => because("CBC is open to padding oracles"),
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA" | "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA" => {
            because("3DES is weak")
        }
        "TLS_RSA_WITH_RC4_128_SHA"
        | "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA"
        | "TLS_ECDHE_RSA_WITH_RC4_128_SHA" => because("RC4 is broken"),
        _ => BadPolicy::NoSuite(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(min: &str, suites: &[&str], curves: &[u16]) -> String {
        let suites: Vec<String> = suites.iter().map(ToString::to_string).collect();
        Policy::new(min, &suites, curves).unwrap_err().to_string()
    }

    fn names(policy: &Policy) -> Vec<String> {
        let suites = policy.provider.cipher_suites.iter();
        suites.map(|suite| format!("{:?}", suite.suite())).collect()
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_the_reason() {
        assert_eq!(refusal("foo", &[], &[]), "unknown tls version \"foo\"");
        assert_eq!(
            refusal("VersionTLS11", &[], &[]),
            "--tls-min-version VersionTLS11: TLS versions before 1.2 are not supported; use VersionTLS12"
        );
        assert_eq!(
            refusal("", &["foo"], &[]),
            "Cipher suite foo not supported or doesn't exist"
        );
        assert_eq!(
            refusal("", &["TLS_RSA_WITH_AES_128_GCM_SHA256"], &[]),
            "--tls-cipher-suites TLS_RSA_WITH_AES_128_GCM_SHA256: has no forward secrecy; \
             leave it out"
        );
        assert_eq!(
            refusal("", &[], &[29, 9999]),
            "--tls-curve-preferences: curve preference 9999 is not supported"
        );
    }

    #[test]
    fn a_choice_of_suites_is_about_tls_1_2() {
        let one = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned()];
        let policy = Policy::new("", &one, &[]).unwrap();
        assert_eq!(
            names(&policy),
            [
                "TLS13_AES_256_GCM_SHA384",
                "TLS13_AES_128_GCM_SHA256",
                "TLS13_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ]
        );
        let newest = ["TLS_AES_128_GCM_SHA256".to_owned()];
        let policy = Policy::new("VersionTLS12", &newest, &[23, 4588]).unwrap();
        assert_eq!(policy.versions, TLS13);
        let groups = policy.provider.kx_groups.iter();
        let groups: Vec<String> = groups.map(|group| format!("{:?}", group.name())).collect();
        assert_eq!(groups, ["secp256r1", "X25519MLKEM768"]);
    }
}
