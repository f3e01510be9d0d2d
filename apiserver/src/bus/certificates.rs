//! The certificates of publishers: their CAs and allowed names.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, UnixTime};
use tributary_runtime::tls::{in_pem, last_to_expire};

use crate::auth::{self, Pool};

/// `--bus-client-ca-file` and `--bus-allowed-names`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    current: ArcSwap<(Vec<u8>, Pool)>,
    /// Any name if empty.
    allowed: Vec<String>,
}

impl Certificates {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It cannot be used.
    pub(crate) fn new(file: PathBuf, allowed: Vec<String>) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(read(&file)?);
        Ok(Self(Arc::new(Inner {
            file,
            current,
            allowed,
        })))
    }

    /// The names in a verified chain, whose first certificate is the publisher's own, or the reason
    /// why it is refused.
    pub(super) fn names(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Vec<String>, String> {
        let verified = self.0.current.load().1.verify(chain, now);
        verified.map_err(|error| error.to_string())?;
        let own = chain.first().map(auth::names).transpose();
        let names = own.map_err(|error| error.to_string())?.unwrap_or_default();
        let allowed = &self.0.allowed;
        if allowed.is_empty() || names.iter().any(|name| allowed.contains(name)) {
            return Ok(names);
        }
        let names = names.join(", ");
        Err(format!(
            "the certificate is of {names:?}, which is not among --bus-allowed-names"
        ))
    }

    /// When the last of the CAs expires, in seconds since the Unix epoch.
    pub(crate) fn expire(&self) -> Option<i64> {
        last_to_expire(&in_pem(&self.0.current.load().0))
    }

    /// Reads the file again if it has changed.
    ///
    /// # Errors
    ///
    /// It cannot be used. The earlier CAs stay in force.
    pub(crate) fn look(&self) -> Result<bool, String> {
        let found = read(&self.0.file)?;
        if found.0 == self.0.current.load().0 {
            return Ok(false);
        }
        self.0.current.store(Arc::new(found));
        Ok(true)
    }
}

fn read(file: &PathBuf) -> Result<(Vec<u8>, Pool), String> {
    let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read(file).map_err(|error| bad(&error))?;
    let pool = Pool::from_pem(&text).map_err(|error| bad(&error))?;
    Ok((text, pool))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls_pki_types::pem::PemObject as _;
    use tributary_sim::{Ca, Pki};

    use super::*;

    fn chain(pki: &Pki, name: &str) -> Vec<CertificateDer<'static>> {
        let pair = pki.client(Ca::Bus, name, &[]).unwrap();
        vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()]
    }

    fn now() -> UnixTime {
        let now = tributary_runtime::clock::Clock::system().now();
        UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()))
    }

    #[test]
    fn a_changed_ca_counts_at_once_and_a_broken_one_never() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let (old, new) = (Pki::new().unwrap(), Pki::new().unwrap());
        std::fs::write(&file, old.ca(Ca::Bus)).unwrap();
        let certificates = Certificates::new(file.clone(), Vec::new()).unwrap();
        let is_good = |pki| certificates.names(&chain(pki, "s"), now()).is_ok();
        assert_eq!((is_good(&old), is_good(&new)), (true, false));

        std::fs::write(&file, "half of a").unwrap();
        assert!(certificates.look().is_err());
        assert_eq!((is_good(&old), is_good(&new)), (true, false));

        std::fs::write(&file, [old.ca(Ca::Bus), new.ca(Ca::Bus)].concat()).unwrap();
        assert_eq!(certificates.look(), Ok(true));
        assert_eq!((is_good(&old), is_good(&new)), (true, true));

        std::fs::write(&file, new.ca(Ca::Bus)).unwrap();
        assert_eq!(certificates.look(), Ok(true));
        assert_eq!(certificates.look(), Ok(false));
        assert_eq!((is_good(&old), is_good(&new)), (false, true));
    }

    #[test]
    fn names_are_the_common_name_and_the_dns_names() {
        let dir = tempfile::tempdir().unwrap();
        let (file, pki) = (dir.path().join("ca.crt"), Pki::new().unwrap());
        std::fs::write(&file, pki.ca(Ca::Bus)).unwrap();
        let allowed = vec!["scraper".to_owned()];
        let certificates = Certificates::new(file, allowed).unwrap();
        let names = |name| certificates.names(&chain(&pki, name), now());
        assert_eq!(names("scraper"), Ok(vec!["scraper".to_owned()]));
        assert_eq!(
            names("intruder").unwrap_err(),
            "the certificate is of \"intruder\", which is not among --bus-allowed-names"
        );
        let other = Pki::new().unwrap();
        let error = certificates.names(&chain(&other, "scraper"), now());
        let error = error.unwrap_err();
        assert!(
            error.starts_with("certificate signed by unknown authority"),
            "{error}"
        );
    }
}
