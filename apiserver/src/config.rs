//! Flags that fit together.

mod serving;

use tributary_runtime::{
    exit::Misconfigured,
    selector::{BadSelector, Selector},
};

pub(crate) use self::serving::Serving;
use crate::{args::Args, bus, certificates::Settings};

/// What the flags mean. Exists only if they fit together.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) serving: Serving,
    /// The certificate that frontends keep themselves, if they do.
    pub(crate) kept: Option<Settings>,
    pub(crate) bus: bus::Config,
    pub(crate) node_selector: Option<Selector>,
}

impl TryFrom<&Args> for Config {
    type Error = Misconfigured;

    fn try_from(args: &Args) -> Result<Self, Misconfigured> {
        let mut serving = args.serving.clone();
        if args.tls_auto.tls_auto.is_some() {
            // As with files: nothing is kept there, and values of metrics-server's
            // chart name one.
            serving.cert_dir = None;
        }
        let serving = Serving::try_from(&serving)?;
        Ok(Self {
            bus: bus::Config::read(&args.bus, &serving.certificate)?,
            kept: Settings::read(&args.tls_auto)?,
            node_selector: selector(&args.samples.node_selector)?,
            serving,
        })
    }
}

fn selector(text: &str) -> Result<Option<Selector>, Misconfigured> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|error: BadSelector| Misconfigured::new(format!("--node-selector: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn where_frontends_keep_the_certificate_themselves_none_is_kept_in_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let kept = format!("--cert-dir={}", dir.path().display());
        for (flag, files) in [("--tls-auto=ns/t", 0), ("--secure-port=443", 2)] {
            let args = Args::try_parse_from(["tributary-apiserver", &kept, flag]).unwrap();
            Config::try_from(&args).unwrap();
            assert_eq!(dir.path().read_dir().unwrap().count(), files, "{flag}");
        }
    }
}
