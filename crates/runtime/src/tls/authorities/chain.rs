//! Builds a chain, by Go's rules, from a certificate that webpki cannot read to a trusted one.
//!
//! It is used only where webpki cannot be: for certificates of version 1 or 2, and for peers whose
//! certificate is a CA. Name constraints and policies of CAs are not supported here, so chains
//! through such CAs are refused.

use rustls_pki_types::UnixTime;

use super::{Authorities, Purpose, Refusal};
use crate::tls::certificate::Certificate;

/// The most signatures that are checked for one certificate. It keeps chains with many certificates
/// of one name cheap.
pub(super) const MOST_SIGNATURES: u8 = 16;

/// One search for a chain.
pub(super) struct Search<'a> {
    authorities: &'a Authorities,
    /// The other certificates that the peer has sent.
    shown: &'a [Certificate<'a>],
    /// Which of them are in the chain now.
    used: Vec<bool>,
    purpose: Purpose,
    now: UnixTime,
    /// How many signatures may still be checked.
    left: u8,
    /// The first error.
    hint: Option<Refusal>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        authorities: &'a Authorities,
        shown: &'a [Certificate<'a>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Self {
        Self {
            authorities,
            shown,
            used: vec![false; shown.len()],
            purpose,
            now,
            left: MOST_SIGNATURES,
            hint: None,
        }
    }

    /// Searches for a chain from `own`.
    ///
    /// # Errors
    ///
    /// There is none. The error is the first one that was found.
    pub(super) fn run(mut self, own: &Certificate<'_>) -> Result<(), Refusal> {
        if self.leads_home(own, 0)? {
            return Ok(());
        }
        let hint = self.hint.map(Refusal::of_issuer);
        Err(hint.unwrap_or(Refusal::UnknownAuthority))
    }

    /// Whether a trusted certificate has signed this one, directly or through intermediates.
    /// `below` is the number of intermediates in the chain so far.
    fn leads_home(&mut self, this: &Certificate<'_>, below: usize) -> Result<bool, Refusal> {
        let (authorities, shown) = (self.authorities, self.shown);
        for root in authorities.named(this.issuer()) {
            if self.has_signed(&root, root.may_sign(), this, below)? {
                return Ok(true);
            }
        }
        for (at, one) in shown.iter().enumerate() {
            let is_candidate = !self.is_used(at) && one.subject() == this.issuer();
            if !is_candidate || !self.has_signed(one, one.may_sign_between(), this, below)? {
                continue;
            }
            self.set_used(at, true);
            if self.leads_home(one, below + 1)? {
                return Ok(true);
            }
            self.set_used(at, false);
        }
        Ok(false)
    }

    /// Whether the certificate has signed it, may sign, and is valid itself.
    fn has_signed(
        &mut self,
        issuer: &Certificate<'_>,
        may: bool,
        this: &Certificate<'_>,
        below: usize,
    ) -> Result<bool, Refusal> {
        let result = if may {
            self.left = self.left.checked_sub(1).ok_or(Refusal::TooManySignatures)?;
            issuer
                .has_good_key()
                .and_then(|()| this.is_signed_by(issuer, &self.authorities.algorithms))
                .and_then(|()| issuer.is_good_above(below, self.purpose, self.now))
                .and_then(|()| (!issuer.limits()).then_some(()).ok_or(Refusal::Limits))
        } else {
            Err(Refusal::NotToSign)
        };
        match result {
            Ok(()) => Ok(true),
            Err(reason) => {
                self.hint.get_or_insert(reason);
                Ok(false)
            }
        }
    }

    fn is_used(&self, at: usize) -> bool {
        self.used.get(at).is_none_or(|used| *used)
    }

    fn set_used(&mut self, at: usize, is_used: bool) {
        if let Some(used) = self.used.get_mut(at) {
            *used = is_used;
        }
    }
}
