//! Decides the next step. It calls no API and does not wait: input are the stored certificates, the
//! date, and whether all clients have the CAs. The output is what to store.
//!
//! At each moment all clients trust the certificate of every frontend. A pair is served one overlap
//! after all clients got its CA, and a CA is removed one overlap after its pair was last served.
//! Only a certificate that no client accepts is replaced without that wait.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use tributary_runtime::tls::{accepted, first_to_expire, in_pem, issue, last_to_expire};

use super::{
    bundle::{Bundle, Found, Pair, capped},
    settings::Settings,
};

/// How long before its creation a certificate becomes valid, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_hours(1);

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Issues the first pair, or replaces one that no client accepts.
    Replace,
    /// Adopts the certificate of an earlier installation as the first pair.
    Adopt,
    /// Writes again what the Secret has lost.
    Restore,
    /// Issues the next pair.
    Make,
    /// Gives up a next pair that cannot be used.
    GiveUp,
    /// Records that all clients trust the CA of the next pair.
    Trust,
    /// Serves the next pair.
    Serve,
    /// Sets the time since which the pair is served to now, because it is unknown.
    Count,
    /// Removes the CAs of earlier pairs.
    Settle,
}

impl Step {
    /// Every step.
    pub(super) const ALL: [Self; 9] = [
        Self::Replace,
        Self::Adopt,
        Self::Restore,
        Self::Make,
        Self::GiveUp,
        Self::Trust,
        Self::Serve,
        Self::Count,
        Self::Settle,
    ];

    /// Its name in metrics and logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Adopt => "adopt",
            Self::Restore => "restore",
            Self::Make => "make",
            Self::GiveUp => "give-up",
            Self::Trust => "trust",
            Self::Serve => "serve",
            Self::Count => "count",
            Self::Settle => "settle",
        }
    }
}

/// Failed to issue a certificate.
#[derive(Debug)]
pub(super) struct CannotMake(String);

impl fmt::Display for CannotMake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to make a certificate: {}", self.0)
    }
}

/// Whether all clients that trust these CAs accept the certificate.
pub(super) fn is_good(bundle: &Bundle, now: Timestamp, settings: &Settings) -> bool {
    takes(&bundle.cas, &bundle.serving, settings.server_name(), now)
}

/// How long it is still valid; `None` if it is not.
pub(super) fn lasts(bundle: &Bundle, now: Timestamp, settings: &Settings) -> Option<Duration> {
    let left = end(bundle, now, settings).saturating_sub(now.as_second());
    let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
    is_good(bundle, now, settings).then_some(left)
}

/// Issues the first pair, or one in place of a pair that cannot be used. The CAs in `before` stay
/// trusted.
pub(super) fn replacement(
    before: Vec<CertificateDer<'static>>,
    now: Timestamp,
    settings: &Settings,
) -> Result<Bundle, CannotMake> {
    let (serving, ca) = make(now, settings)?;
    Ok(Bundle {
        serving,
        next: None,
        cas: capped([vec![ca], before].concat()),
        next_trusted_since: None,
        serving_since: Some(now),
        renew: false,
    })
}

/// The certificate of an earlier installation, if it is valid. Clients trust it, and the key of its
/// CA may exist elsewhere. So it is renewed at once.
pub(super) fn adopted(before: Found, now: Timestamp, settings: &Settings) -> Option<Bundle> {
    let Found::Good(before) = before else {
        return None;
    };
    is_good(&before, now, settings).then(|| Bundle {
        next: None,
        next_trusted_since: None,
        serving_since: Some(now),
        renew: true,
        ..before
    })
}

/// The next step, and what to store after it; `None` if there is nothing to do. `published` says that
/// all clients have the CAs that are stored now.
pub(super) fn next(
    bundle: &Bundle,
    now: Timestamp,
    published: bool,
    settings: &Settings,
) -> Result<Option<(Bundle, Step)>, CannotMake> {
    let good = |pair: &Pair| takes(&bundle.cas, pair, settings.server_name(), now);
    if !good(&bundle.serving) {
        if let Some(next) = bundle.next.clone().filter(good) {
            return Ok(Some((served(bundle, next, now), Step::Serve)));
        }
        let new = replacement(bundle.cas.clone(), now, settings)?;
        return Ok(Some((new, Step::Replace)));
    }
    if let Some(next) = &bundle.next {
        if !good(next) {
            let without = Bundle {
                next: None,
                next_trusted_since: None,
                ..bundle.clone()
            };
            return Ok(Some((without, Step::GiveUp)));
        }
        return Ok(change(bundle, next, now, published, settings));
    }
    let in_use = in_use(bundle, now, settings);
    if in_use.len() < bundle.cas.len() {
        return Ok(settle(bundle, in_use, now, settings));
    }
    if !is_due(bundle, now, settings) {
        return Ok(None);
    }
    let (next, ca) = make(now, settings)?;
    let with = Bundle {
        next: Some(next),
        cas: capped([bundle.cas.clone(), vec![ca]].concat()),
        next_trusted_since: None,
        renew: false,
        ..bundle.clone()
    };
    Ok(Some((with, Step::Make)))
}

/// A next pair waits until all clients trust its CA, and then for one overlap.
fn change(
    bundle: &Bundle,
    next: &Pair,
    now: Timestamp,
    published: bool,
    settings: &Settings,
) -> Option<(Bundle, Step)> {
    if !published {
        return None;
    }
    match bundle.next_trusted_since.filter(|since| *since <= now) {
        None => {
            let trusted = Bundle {
                next_trusted_since: Some(now),
                ..bundle.clone()
            };
            Some((trusted, Step::Trust))
        }
        Some(since) if is_over(since, settings.overlap, now) => {
            Some((served(bundle, next.clone(), now), Step::Serve))
        }
        Some(_) => None,
    }
}

/// Earlier CAs stay for one overlap.
fn settle(
    bundle: &Bundle,
    in_use: Vec<CertificateDer<'static>>,
    now: Timestamp,
    settings: &Settings,
) -> Option<(Bundle, Step)> {
    match bundle.serving_since.filter(|since| *since <= now) {
        None => {
            let counted = Bundle {
                serving_since: Some(now),
                ..bundle.clone()
            };
            Some((counted, Step::Count))
        }
        Some(since) if is_over(since, settings.overlap, now) => {
            let settled = Bundle {
                cas: in_use,
                ..bundle.clone()
            };
            Some((settled, Step::Settle))
        }
        Some(_) => None,
    }
}

fn served(bundle: &Bundle, next: Pair, now: Timestamp) -> Bundle {
    Bundle {
        serving: next,
        next: None,
        next_trusted_since: None,
        serving_since: Some(now),
        ..bundle.clone()
    }
}

/// The CAs that verify the pair that is served.
fn in_use(bundle: &Bundle, now: Timestamp, settings: &Settings) -> Vec<CertificateDer<'static>> {
    let name = settings.server_name();
    let signs = |ca: &&CertificateDer<'static>| {
        takes(std::slice::from_ref(*ca), &bundle.serving, name, now)
    };
    bundle.cas.iter().filter(signs).cloned().collect()
}

/// Whether a renewal should begin.
fn is_due(bundle: &Bundle, now: Timestamp, settings: &Settings) -> bool {
    let lacks = |name: &String| !takes(&bundle.cas, &bundle.serving, name, now);
    if bundle.renew || settings.names.iter().any(lacks) {
        return true;
    }
    let left = end(bundle, now, settings).saturating_sub(now.as_second());
    left <= i64::try_from(settings.renewed_before().as_secs()).unwrap_or(i64::MAX)
}

/// The end of the validity of what is served, in seconds since the Unix epoch; 0 if it has ended.
fn end(bundle: &Bundle, now: Timestamp, settings: &Settings) -> i64 {
    let ends = [
        first_to_expire(bundle.serving.chain()),
        last_to_expire(&in_use(bundle, now, settings)),
    ];
    ends.into_iter().flatten().min().unwrap_or_default()
}

fn is_over(since: Timestamp, span: Duration, now: Timestamp) -> bool {
    since.saturating_add(span).is_ok_and(|over| over <= now)
}

fn takes(cas: &[CertificateDer<'static>], pair: &Pair, name: &str, now: Timestamp) -> bool {
    accepted(cas, pair.chain(), name, seconds(now)).is_ok()
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or_default()
}

fn make(
    now: Timestamp,
    settings: &Settings,
) -> Result<(Pair, CertificateDer<'static>), CannotMake> {
    let cannot = |error: &dyn fmt::Display| CannotMake(error.to_string());
    let at = seconds(now);
    let (from, until) = (
        at.saturating_sub(BACKDATED.as_secs()),
        at.saturating_add(settings.validity.as_secs()),
    );
    let issued = issue(&settings.names, from, until).map_err(|error| cannot(&error))?;
    let pair = Pair::of(&issued).map_err(|error| cannot(&error))?;
    let ca = in_pem(issued.ca.as_bytes()).into_iter().next();
    Ok((pair, ca.ok_or_else(|| cannot(&"no CA"))?))
}
