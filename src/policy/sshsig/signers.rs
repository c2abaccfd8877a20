//! Whose key it is: the keys of people, the authorities whose certificates name people, and what is revoked.

use super::{BadSignature, PublicKey, Revoked, SshSig};
use crate::domain::id::Person;
use jiff::Timestamp;

/// A key of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Whose.
    pub person: Person,
    /// The key.
    pub key: PublicKey,
}

/// An authority whose certificates count for those people that name a principal of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its key.
    pub key: PublicKey,
    /// Principal and the person it stands for.
    pub principals: Vec<(String, Person)>,
}

/// Everybody whose signature counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers {
    /// Keys; a person may have several.
    pub keys: Vec<Enrolled>,
    /// Authorities.
    pub authorities: Vec<Authority>,
    /// What is revoked.
    pub revoked: Revoked,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer<'a> {
    /// The person.
    pub person: &'a Person,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// The certificate, where one was used.
    pub certificate: Option<String>,
}

impl Signers {
    /// The person of a signature that was checked, at this moment.
    pub(super) fn who(&self, signature: &SshSig, at: Timestamp) -> Result<Signer<'_>, BadSignature> {
        let fingerprint = signature.key().fingerprint();
        let Some(certificate) = signature.certificate() else {
            if self.revoked.has(signature.key()) {
                return Err(BadSignature::Revoked(format!("the key {fingerprint}")));
            }
            let person = self.keys.iter().find(|e| &e.key == signature.key()).map(|e| &e.person);
            let person = person.ok_or_else(|| BadSignature::Unknown(fingerprint.clone()))?;
            return Ok(Signer { person, fingerprint, certificate: None });
        };
        let authority = certificate.authority();
        let Some(known) = self.authorities.iter().find(|a| &a.key == authority) else {
            let why = format!("its authority {} is not in the roster", authority.fingerprint());
            return Err(BadSignature::Certificate { id: certificate.name(), why });
        };
        certificate.holds(at)?;
        if let Some(what) = self.revoked.of_certificate(certificate) {
            return Err(BadSignature::Revoked(what));
        }
        let bad = |why: String| BadSignature::Certificate { id: certificate.name(), why };
        let mut people: Vec<&Person> = known
            .principals
            .iter()
            .filter(|(principal, _)| certificate.principals().contains(principal))
            .map(|(_, person)| person)
            .collect();
        people.sort();
        people.dedup();
        match people.as_slice() {
            [person] => Ok(Signer { person, fingerprint, certificate: Some(certificate.name()) }),
            [] => Err(bad("none of its principals is a person of the roster".into())),
            _ => Err(bad("its principals stand for more than one person".into())),
        }
    }
}
