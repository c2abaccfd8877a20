//! User certificates of OpenSSH (`PROTOCOL.certkeys`), read field by field. Only their authority makes them count.

use super::wire::Reader;
use super::{BadSignature, PublicKey};
use crate::domain::text::sanitize;
use jiff::Timestamp;

/// The part of a type name that a certificate has more than its key.
const SUFFIX: &str = "-cert-v01@openssh.com";
/// The kind of certificate that stands for a person; the other stands for a host.
const USER: u32 = 1;
/// Most principals that are read.
const PRINCIPALS: usize = 256;

/// A certificate as it was read; [`Certificate::holds`] says whether it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    key: PublicKey,
    serial: u64,
    kind: u32,
    id: String,
    principals: Vec<String>,
    after: u64,
    before: u64,
    demands_verification: bool,
    /// Critical options that say how the key may be used, none of which allows to sign an approval.
    restrictions: Vec<String>,
    authority: PublicKey,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// The type name of the key within a certificate of this type.
fn inner(algorithm: &str) -> Option<String> {
    let plain = algorithm.strip_suffix(SUFFIX)?;
    Some(if plain.starts_with("sk-") { format!("{plain}@openssh.com") } else { plain.to_owned() })
}

impl Certificate {
    /// Whether bytes that stand in the place of a key are a certificate.
    pub(super) fn is_one(blob: &[u8]) -> bool {
        Reader::new(blob).text().is_ok_and(|algorithm| algorithm.ends_with(SUFFIX))
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`BadSignature`] when it is none, or a key in it is of a kind that is not accepted.
    pub fn read(blob: &[u8]) -> Result<Self, BadSignature> {
        let mut reader = Reader::new(blob);
        let algorithm = reader.text()?;
        let inner = inner(algorithm).ok_or_else(|| BadSignature::Algorithm(sanitize(algorithm)))?;
        let _nonce = reader.string()?;
        let key = PublicKey::within(&inner, &mut reader)?;
        let (serial, kind, id) = (reader.u64()?, reader.u32()?, sanitize(reader.text()?));
        let principals = texts(reader.string()?)?;
        let (after, before) = (reader.u64()?, reader.u64()?);
        let options = reader.string()?;
        let _extensions = reader.string()?;
        let _reserved = reader.string()?;
        let authority = PublicKey::read(reader.string()?)?;
        let signed = blob.get(..blob.len().saturating_sub(reader.left())).unwrap_or_default().to_vec();
        let signature = reader.string()?.to_vec();
        reader.end()?;
        let mut certificate = Self {
            key,
            serial,
            kind,
            id,
            principals,
            after,
            before,
            demands_verification: false,
            restrictions: Vec::new(),
            authority,
            signed,
            signature,
        };
        let mut options = Reader::new(options);
        while !options.is_empty() {
            let (name, _value) = (options.text()?, options.string()?);
            if name == "verify-required" {
                certificate.demands_verification = true;
            } else {
                certificate.restrictions.push(sanitize(name));
            }
        }
        Ok(certificate)
    }

    /// The key that it certifies.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key of its authority.
    pub const fn authority(&self) -> &PublicKey {
        &self.authority
    }

    /// Its serial number.
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// Its key id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The names that it is for.
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// Whether it demands that the security key checks a PIN or a fingerprint.
    pub(super) const fn demands_verification(&self) -> bool {
        self.demands_verification
    }

    /// How sentences name it.
    pub fn name(&self) -> String {
        format!("“{}” (serial {})", self.id, self.serial)
    }

    /// Checks that its authority signed it, that it is for a person, and that it is valid at this moment.
    pub(super) fn holds(&self, at: Timestamp) -> Result<(), BadSignature> {
        let bad = |why: String| BadSignature::Certificate { id: self.name(), why };
        self.authority
            .check(&self.signed, &self.signature)
            .map_err(|_| bad(format!("the authority {} did not sign it", self.authority.fingerprint())))?;
        if self.kind != USER {
            return Err(bad("it is for a host, not for a person".into()));
        }
        let now = u64::try_from(at.as_second()).unwrap_or(0);
        let said = |second: u64| {
            let second = i64::try_from(second).ok().and_then(|s| Timestamp::from_second(s).ok());
            second.map_or_else(|| "a time that no clock shows".to_owned(), |t| t.to_string())
        };
        if now < self.after {
            return Err(bad(format!("it is valid from {} on", said(self.after))));
        }
        if now >= self.before {
            return Err(bad(format!("it was valid until {}", said(self.before))));
        }
        if !self.restrictions.is_empty() {
            return Err(bad(format!(
                "its critical options ({}) restrict it to logins of a kind, which an approval is not",
                self.restrictions.join(", ")
            )));
        }
        Ok(())
    }
}

fn texts(bytes: &[u8]) -> Result<Vec<String>, BadSignature> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    while !reader.is_empty() {
        if all.len() == PRINCIPALS {
            return Err(BadSignature::malformed(format!("a certificate names more than {PRINCIPALS} principals")));
        }
        all.push(reader.text()?.to_owned());
    }
    Ok(all)
}
