//! The flags about certificates that run themselves.

use std::{str::FromStr, time::Duration};

use clap::Args;
use tributary_runtime::duration::GoDuration;

use super::names::{read_api_service, read_dns_name, read_object};

/// Flags about a certificate that the frontends make and renew themselves.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Certificates that run themselves")]
pub struct TlsAutoArgs {
    /// Make and renew the serving certificate of the frontends behind the Service
    /// `NAMESPACE/SERVICE`, and write its CA where kube-apiserver and scrapers read it.
    ///
    /// It is for `SERVICE.NAMESPACE.svc` and `SERVICE.NAMESPACE`, kept in a Secret and
    /// used by all frontends of the Service. Its CA goes into a ConfigMap, for
    /// scrapers, and into `caBundle` of those APIServices that lead to the Service.
    /// Needs permissions for these objects by name: see `deploy/README.md`.
    #[arg(
        long,
        value_name = "NAMESPACE/SERVICE",
        conflicts_with = "tls_cert_file"
    )]
    pub tls_auto: Option<ServiceName>,

    /// The Secret with the certificate and its key, in the namespace of the Service;
    /// by default `SERVICE-serving`.
    #[arg(long, value_name = "NAME", requires = "tls_auto", value_parser = read_object)]
    pub tls_auto_secret: Option<String>,

    /// The ConfigMap with the CA as `ca.crt`, in the namespace of the Service; by
    /// default `SERVICE-ca`.
    #[arg(long, value_name = "NAME", requires = "tls_auto", value_parser = read_object)]
    pub tls_auto_config_map: Option<String>,

    /// A Secret in the same namespace with the previous certificate: `tls.crt`,
    /// `tls.key` and `ca.crt`, in a change to `--tls-auto` while pods run.
    ///
    /// As long as there is no certificate yet, this one is taken over if it is good,
    /// and renewed at once. So old and new pods trust each other. Needs `get` on this
    /// Secret.
    #[arg(long, value_name = "NAME", requires = "tls_auto", value_parser = read_object)]
    pub tls_auto_adopt: Option<String>,

    /// More DNS names for the certificate.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "tls_auto",
        value_parser = read_dns_name
    )]
    pub tls_auto_names: Vec<String>,

    /// The APIServices that get the CA, as long as they lead to the Service.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "v1beta1.metrics.k8s.io,v1.metrics.k8s.io,v1alpha1.fleet.tributary.dev",
        value_parser = read_api_service
    )]
    pub tls_auto_api_services: Vec<String>,

    /// How long a certificate and its CA are valid.
    ///
    /// They are renewed when a third of it is left. At least twelve times
    /// `--tls-auto-overlap`.
    #[arg(long, value_name = "DURATION", default_value = "2160h", value_parser = GoDuration::read_positive)]
    pub tls_auto_validity: Duration,

    /// How long a new CA is trusted everywhere before its certificate is used, and an
    /// old one after its last use.
    ///
    /// Longer than kubelets need to bring a changed ConfigMap into pods, which is up
    /// to two minutes.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = GoDuration::read_positive)]
    pub tls_auto_overlap: Duration,
}

/// A Service, written `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not NAMESPACE/SERVICE");
        let (namespace, name) = text.split_once('/').ok_or_else(bad)?;
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_label = |part: &str| !part.is_empty() && part.len() < 64 && part.chars().all(letter);
        if !(is_label(namespace) && is_label(name)) {
            return Err(bad());
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_namespace_and_a_name() {
        let read = |text: &str| text.parse::<ServiceName>();
        let service = ServiceName {
            namespace: "tributary-system".to_owned(),
            name: "tributary".to_owned(),
        };
        assert_eq!(read("tributary-system/tributary"), Ok(service));
        for text in ["", "a", "/", "a/", "/b", "a/b/c", "a/B", "a/b.c", "../b"] {
            let wanted = format!("{text:?} is not NAMESPACE/SERVICE");
            assert_eq!(read(text), Err(wanted));
        }
    }
}
