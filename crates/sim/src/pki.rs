//! The certificates of a cluster: three authorities and what they sign, made for every simulation.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::Error;
use crate::identity::Identity;

/// An authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ca {
    /// The cluster's authority: for kube-apiserver, kubelets, and clients of the Kubernetes API.
    Cluster,
    /// Only for the aggregator's client certificate.
    FrontProxy,
    /// A private authority for the bus, and for the serving certificates of frontends.
    Bus,
}

/// A certificate with its key, as PEM text.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificate, without its authority's.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key_der: Vec<u8>,
}

impl Credential {
    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.clone()))
    }

    /// Writes `<stem>.crt` and `<stem>.key` into `dir`, and returns their paths.
    pub fn write(&self, dir: &Path, stem: &str) -> Result<(PathBuf, PathBuf), Error> {
        let (certificate, key) = (
            dir.join(format!("{stem}.crt")),
            dir.join(format!("{stem}.key")),
        );
        write_file(&certificate, self.certificate.as_bytes())?;
        write_file(&key, self.key.as_bytes())?;
        Ok((certificate, key))
    }
}

/// The files of [`Pki::write`] and of the cluster.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The directory of all the others.
    pub dir: PathBuf,
    /// Signs kube-apiserver's, kubelets' and clients' certificates.
    pub cluster_ca: PathBuf,
    /// The file for `--kubelet-certificate-authority`: the same certificate as [`Self::cluster_ca`].
    pub kubelet_ca: PathBuf,
    /// Signs the aggregator's client certificate.
    pub front_proxy_ca: PathBuf,
    /// Signs what the bus and the frontends use.
    pub bus_ca: PathBuf,
    /// A client certificate that kubelets accept, of the user `system:tributary-scraper`.
    pub scraper_certificate: PathBuf,
    /// Its key.
    pub scraper_key: PathBuf,
    /// The certificate that the aggregator sends to frontends.
    pub front_proxy_certificate: PathBuf,
    /// Its key.
    pub front_proxy_key: PathBuf,
    /// A serving certificate for frontends, signed by the bus authority, for 127.0.0.1, localhost and
    /// `tributary-apiserver.kube-system.svc`.
    pub frontend_certificate: PathBuf,
    /// Its key.
    pub frontend_key: PathBuf,
    /// An administrator's kubeconfig (group `system:masters`) with inline credentials.
    pub kubeconfig: PathBuf,
}

/// The user that [`Paths::scraper_certificate`] names.
pub const SCRAPER_USER: &str = "system:tributary-scraper";
/// The name of the aggregator's certificate, the one in `requestheader-allowed-names`.
pub const FRONT_PROXY_NAME: &str = "front-proxy-client";
/// The name under which frontends are reached inside a cluster; in the serving certificate of [`Paths`].
pub const FRONTEND_NAME: &str = "tributary-apiserver.kube-system.svc";

struct Authority {
    name: &'static str,
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &'static str) -> Result<Self, Error> {
        let issuer = CertifiedIssuer::self_signed(Self::params(name)?, new_key()?)?;
        let pem = issuer.pem();
        Ok(Self { name, issuer, pem })
    }

    fn params(name: &str) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }
}

/// The authorities of one cluster, and the identities of client certificates.
pub struct Pki {
    cluster: Authority,
    front_proxy: Authority,
    bus: Authority,
    /// Identities by the bytes of their certificates, which then need no parsing.
    clients: Mutex<HashMap<Vec<u8>, Arc<Identity>>>,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").finish_non_exhaustive()
    }
}

impl Pki {
    /// Makes the three authorities. All keys are ECDSA P-256, so that 5,000 handshakes are fast.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            // The name differs from "kubernetes", the name of the API's certificate: otherwise OpenSSL would consider
            // that one self-signed.
            cluster: Authority::new("kubernetes-ca")?,
            front_proxy: Authority::new("front-proxy-ca")?,
            bus: Authority::new("tributary-bus-ca")?,
            clients: Mutex::default(),
        })
    }

    /// The authority's certificate as PEM.
    pub fn ca(&self, ca: Ca) -> &str {
        &self.authority(ca).pem
    }

    /// A serving certificate for these DNS names and IP addresses; the first is its common name.
    pub fn server(&self, ca: Ca, names: &[String]) -> Result<Credential, Error> {
        let mut params = CertificateParams::new(names)?;
        if let Some(name) = names.first() {
            params
                .distinguished_name
                .push(DnType::CommonName, name.as_str());
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(ca, params)
    }

    /// The same, valid until the end of a day: year, month, day.
    pub fn server_until(
        &self,
        ca: Ca,
        names: &[String],
        (year, month, day): (i32, u8, u8),
    ) -> Result<Credential, Error> {
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = date_time_ymd(year, month, day);
        self.sign(ca, params)
    }

    /// Another certificate of an authority, for the same key, valid until a day. It proves what the first one proves.
    pub fn ca_until(&self, ca: Ca, (year, month, day): (i32, u8, u8)) -> Result<String, Error> {
        let authority = self.authority(ca);
        let mut params = Authority::params(authority.name)?;
        params.not_after = date_time_ymd(year, month, day);
        Ok(params.self_signed(authority.issuer.key())?.pem())
    }

    /// A client certificate. The servers of the cluster authenticate it as `user` in `groups`.
    pub fn client(&self, ca: Ca, user: &str, groups: &[&str]) -> Result<Credential, Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, user);
        // Only one organization is possible, because rcgen keeps one value for each attribute. The identity below has
        // all groups.
        if let Some(group) = groups.first() {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let credential = self.sign(ca, params)?;
        if ca == Ca::Cluster {
            let identity = Identity::certificate(user, groups, &sha256(&credential.der));
            let mut clients = self.clients.lock();
            clients.insert(credential.der.to_vec(), Arc::new(identity));
        }
        Ok(credential)
    }

    /// The identity of this client certificate, if we issued it.
    pub(crate) fn holder(&self, certificate: &CertificateDer<'_>) -> Option<Arc<Identity>> {
        self.clients.lock().get(certificate.as_ref()).cloned()
    }

    pub(crate) fn ca_der(&self, ca: Ca) -> CertificateDer<'static> {
        self.authority(ca).issuer.der().clone()
    }

    /// Writes the authorities, a scraper's, the aggregator's and a frontend's certificate into `dir`.
    pub fn write(&self, dir: &Path) -> Result<Paths, Error> {
        fs::create_dir_all(dir).map_err(|source| Error::File {
            path: dir.to_owned(),
            source,
        })?;
        for (name, ca) in [
            ("cluster-ca.crt", Ca::Cluster),
            ("kubelet-ca.crt", Ca::Cluster),
            ("front-proxy-ca.crt", Ca::FrontProxy),
            ("bus-ca.crt", Ca::Bus),
        ] {
            write_file(&dir.join(name), self.ca(ca).as_bytes())?;
        }
        let scraper = self.client(Ca::Cluster, SCRAPER_USER, &["tributary:scrapers"])?;
        let (scraper_certificate, scraper_key) = scraper.write(dir, "scraper")?;
        let aggregator = self.client(Ca::FrontProxy, FRONT_PROXY_NAME, &[])?;
        let (front_proxy_certificate, front_proxy_key) =
            aggregator.write(dir, "front-proxy-client")?;
        let names = [FRONTEND_NAME, "localhost", "127.0.0.1"].map(str::to_owned);
        let (frontend_certificate, frontend_key) =
            self.server(Ca::Bus, &names)?.write(dir, "frontend")?;
        Ok(Paths {
            dir: dir.to_owned(),
            cluster_ca: dir.join("cluster-ca.crt"),
            kubelet_ca: dir.join("kubelet-ca.crt"),
            front_proxy_ca: dir.join("front-proxy-ca.crt"),
            bus_ca: dir.join("bus-ca.crt"),
            scraper_certificate,
            scraper_key,
            front_proxy_certificate,
            front_proxy_key,
            frontend_certificate,
            frontend_key,
            kubeconfig: dir.join("kubeconfig"),
        })
    }

    fn sign(&self, ca: Ca, mut params: CertificateParams) -> Result<Credential, Error> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.authority(ca).issuer)?;
        Ok(Credential {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        })
    }

    fn authority(&self, ca: Ca) -> &Authority {
        match ca {
            Ca::Cluster => &self.cluster,
            Ca::FrontProxy => &self.front_proxy,
            Ca::Bus => &self.bus,
        }
    }
}

fn new_key() -> Result<KeyPair, Error> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256(data: &[u8]) -> String {
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

    let Some(suite) = TLS13_AES_128_GCM_SHA256.tls13() else {
        return String::new();
    };
    let digest = suite.common.hash_provider.hash(data);
    let mut text = String::new();
    for byte in digest.as_ref() {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_client_certificates_of_the_cluster_have_a_holder() {
        let pki = Pki::new().unwrap();
        let jane = pki.client(Ca::Cluster, "jane", &["dev", "ops"]).unwrap();
        let proxy = pki.client(Ca::FrontProxy, FRONT_PROXY_NAME, &[]).unwrap();
        let holder = pki.holder(&jane.der).unwrap();
        assert_eq!(holder.user, "jane");
        assert_eq!(holder.groups, ["dev", "ops", "system:authenticated"]);
        assert!(pki.holder(&proxy.der).is_none());
    }

    #[test]
    fn sha256_agrees_with_the_vector_of_fips_180() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
