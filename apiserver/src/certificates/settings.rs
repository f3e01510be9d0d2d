//! `--tls-auto` and its related flags.

use std::time::Duration;

use tributary_runtime::exit::Misconfigured;

use crate::args::{ServiceName, TlsAutoArgs};

/// A renewal begins when a third of the lifetime is left, and takes two overlaps.
const OVERLAPS: u32 = 12;

/// The shortest overlap. Dates of certificates have whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is stored, where, and for how long.
///
/// # Invariants
///
/// `names` is not empty: its first name is the one that kube-apiserver and scrapers verify. A third
/// of `validity` is at least four times `overlap`.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The Service in front of the frontends.
    pub(super) service: ServiceName,
    pub(super) secret: String,
    pub(super) config_map: String,
    /// The Secret with the certificate of an earlier installation.
    pub(super) adopted: Option<String>,
    pub(super) api_services: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) validity: Duration,
    pub(super) overlap: Duration,
}

impl Settings {
    /// The settings of these flags, `None` without `--tls-auto`.
    ///
    /// # Errors
    ///
    /// The flags contradict each other.
    pub(crate) fn read(args: &TlsAutoArgs) -> Result<Option<Self>, Misconfigured> {
        let Some(service) = args.tls_auto.clone() else {
            return Ok(None);
        };
        let (validity, overlap) = (args.tls_auto_validity, args.tls_auto_overlap);
        if overlap < SHORTEST {
            let text = "--tls-auto-overlap must be at least 1s";
            return Err(Misconfigured::new(text));
        }
        if validity < overlap.saturating_mul(OVERLAPS) {
            let text = "--tls-auto-validity must be at least twelve times --tls-auto-overlap";
            return Err(Misconfigured::new(text));
        }
        let ServiceName { namespace, name } = &service;
        let named = |given: &Option<String>, end| {
            let default = || format!("{name}-{end}");
            given.clone().unwrap_or_else(default)
        };
        let own = [
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}"),
        ];
        Ok(Some(Self {
            secret: named(&args.tls_auto_secret, "serving"),
            config_map: named(&args.tls_auto_config_map, "ca"),
            adopted: args.tls_auto_adopt.clone(),
            api_services: args.tls_auto_api_services.clone(),
            names: own.into_iter().chain(args.tls_auto_names.clone()).collect(),
            service,
            validity,
            overlap,
        }))
    }

    /// The name that kube-apiserver and scrapers verify.
    pub(super) fn server_name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The remaining lifetime at which a certificate is renewed.
    pub(super) fn renewed_before(&self) -> Duration {
        self.validity / 3
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    fn read(flags: &[&str]) -> Result<Option<Settings>, String> {
        let flags = ["tributary-apiserver"].iter().chain(flags);
        let args = Args::try_parse_from(flags).map_err(|error| error.to_string())?;
        Settings::read(&args.tls_auto).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_kept_has_its_names_from_the_service() {
        assert!(read(&[]).unwrap().is_none());
        let more = "--tls-auto-names=t.ns.svc.cluster.local";
        let settings = read(&["--tls-auto=ns/t", more]).unwrap().unwrap();
        assert_eq!(settings.secret, "t-serving");
        assert_eq!(settings.config_map, "t-ca");
        assert_eq!(settings.server_name(), "t.ns.svc");
        let names = ["t.ns.svc", "t.ns", "t.ns.svc.cluster.local"];
        assert_eq!(settings.names, names);
        let services = [
            "v1beta1.metrics.k8s.io",
            "v1.metrics.k8s.io",
            "v1alpha1.fleet.tributary.dev",
        ];
        assert_eq!(settings.api_services, services);
        assert_eq!(settings.renewed_before(), Duration::from_hours(30 * 24));
        assert_eq!(settings.overlap, Duration::from_hours(1));
        let flags = ["--tls-auto=ns/t", "--tls-auto-secret=a"];
        let flags = [&flags[..], &["--tls-auto-config-map=b"]].concat();
        let other = read(&flags).unwrap().unwrap();
        assert_eq!((&*other.secret, &*other.config_map), ("a", "b"));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let auto = "--tls-auto=ns/t";
        for (flags, sentence) in [
            (
                &[auto, "--tls-auto-overlap=999ms"][..],
                "--tls-auto-overlap must be at least 1s",
            ),
            (
                &[auto, "--tls-auto-overlap=10s", "--tls-auto-validity=119s"],
                "--tls-auto-validity must be at least twelve times --tls-auto-overlap",
            ),
            (
                &[auto, "--tls-cert-file=/c", "--tls-private-key-file=/k"],
                "error: the argument '--tls-auto <NAMESPACE/SERVICE>' cannot be used with \
                 '--tls-cert-file <FILE>'",
            ),
            (
                &["--tls-auto-secret=a"],
                "error: the following required arguments were not provided:\n  \
                 --tls-auto <NAMESPACE/SERVICE>",
            ),
        ] {
            let error = read(flags).unwrap_err();
            assert!(error.starts_with(sentence), "{error}");
        }
        assert!(read(&[auto, "--tls-auto-overlap=10s", "--tls-auto-validity=2m"]).is_ok());
    }
}
