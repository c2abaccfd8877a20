//! Signatures of people by their own SSH keys, as OpenSSH's `PROTOCOL.sshsig` defines them: parsed, checked over bytes
//! and a namespace, and told whose they are. Pure. The engine checks approvals and proofs of presence with it, and
//! `attest::agent` builds with [`to_sign`] and [`armor`] what an agent signs. `ring` does the arithmetic.
//!
//! OpenSSH's formats are read here and not by a crate: ssh-key 0.6 does not read certificates within signatures and
//! can not keep the flags of a security key apart, and what it verifies with brings in `rsa` (RUSTSEC-2023-0071).

mod certificate;
mod key;
mod krl;
mod signers;
#[cfg(test)]
mod tests;
mod wire;

pub use certificate::Certificate;
pub use key::PublicKey;
pub use krl::{BadRevocation, Revoked};
pub use signers::{Authority, Enrolled, Signer, Signers};

use crate::domain::text::sanitize;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256, Sha512};
use wire::{Reader, put};

const MAGIC: &[u8] = b"SSHSIG";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// Longest armored signature in bytes; one of RSA 16384 with a certificate has about 10,000.
const LONGEST: usize = 32 * 1024;
/// Characters in a line of the armor, as `ssh-keygen` writes it.
const LINE: usize = 70;

/// Why a signature, a key or a certificate does not count, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// It can not be read at all.
    #[error("it is not in the form that SSH writes: {0}")]
    Malformed(String),
    /// It was made for another purpose.
    #[error("the signature was made for the namespace `{found}`, and `{expected}` is asked for")]
    Namespace {
        /// In the signature.
        found: String,
        /// Asked for.
        expected: String,
    },
    /// A kind of key that is not accepted.
    #[error(
        "keys of the type `{0}` are not accepted; ed25519, ecdsa on nistp256 or nistp384, rsa from 2048 bits on, and sk keys are"
    )]
    Algorithm(String),
    /// The mathematics do not hold.
    #[error("the signature of {0} is not valid for these bytes")]
    Invalid(String),
    /// A security key that nobody touched.
    #[error("the security key {0} says that nobody touched it; a signature without presence does not count")]
    NoPresence(String),
    /// A security key that did not ask for its PIN, and its certificate demands that.
    #[error(
        "the certificate of {0} demands that its PIN or fingerprint is checked, and the signature says that it was not"
    )]
    NotVerified(String),
    /// The certificate does not hold.
    #[error("the certificate {id} does not count: {why}")]
    Certificate {
        /// Key id and serial number.
        id: String,
        /// Why.
        why: String,
    },
    /// The key, its certificate or its authority is revoked.
    #[error("{0} is revoked")]
    Revoked(String),
    /// Nobody has this key.
    #[error("the key {0} belongs to nobody in the roster")]
    Unknown(String),
}

impl BadSignature {
    fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }
}

/// With what the message was hashed before it was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// A parsed signature; nothing about it is true before [`SshSig::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSig {
    key: PublicKey,
    certificate: Option<Box<Certificate>>,
    namespace: String,
    reserved: Vec<u8>,
    hash: Hash,
    signature: Vec<u8>,
}

impl SshSig {
    /// Reads the armored form that `ssh-keygen -Y sign` writes.
    ///
    /// # Errors
    /// [`BadSignature`] where it is none, or its key is of a kind that is not accepted.
    pub fn parse(armored: &str) -> Result<Self, BadSignature> {
        if armored.len() > LONGEST {
            return Err(BadSignature::malformed(format!("it is longer than {LONGEST} bytes")));
        }
        let body = armored
            .trim()
            .strip_prefix(BEGIN)
            .ok_or_else(|| BadSignature::malformed(format!("it does not begin with `{BEGIN}`")))?
            .strip_suffix(END)
            .ok_or_else(|| BadSignature::malformed(format!("it does not end with `{END}`")))?;
        let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let bytes = STANDARD.decode(text).map_err(|_| BadSignature::malformed("its lines are not base64"))?;
        Self::read(&bytes)
    }

    fn read(bytes: &[u8]) -> Result<Self, BadSignature> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(BadSignature::malformed("it does not begin with `SSHSIG`"));
        }
        let version = reader.u32()?;
        if version != 1 {
            return Err(BadSignature::malformed(format!("its version is {version}, and 1 is known")));
        }
        let (key, certificate) = key_or_certificate(reader.string()?)?;
        let namespace = reader.text()?.to_owned();
        let reserved = reader.string()?.to_vec();
        let hash = match reader.text()? {
            "sha256" => Hash::Sha256,
            "sha512" => Hash::Sha512,
            other => {
                let why = format!("its hash is `{}`, and sha256 and sha512 are known", sanitize(other));
                return Err(BadSignature::Malformed(why));
            }
        };
        let signature = reader.string()?.to_vec();
        reader.end()?;
        Ok(Self { key, certificate, namespace, reserved, hash, signature })
    }

    /// The key that signed; of a certificate, the one that it certifies.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The certificate, where one stands in the place of the key.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_deref()
    }

    /// Checks that the key signed exactly these bytes for this namespace, and that somebody touched a security key.
    /// Whose key it is, and whether a certificate holds, is for [`Signers::who`].
    ///
    /// # Errors
    /// The first reason why it does not count.
    pub fn check(&self, message: &[u8], namespace: &str) -> Result<(), BadSignature> {
        if self.namespace != namespace {
            let found = sanitize(&self.namespace);
            return Err(BadSignature::Namespace { found, expected: namespace.to_owned() });
        }
        let signed = signed_bytes(namespace, &self.reserved, self.hash, message);
        let said = self.key.check(&signed, &self.signature)?;
        match said {
            Some(flags) if !flags.present => Err(BadSignature::NoPresence(self.key.fingerprint())),
            Some(flags) if !flags.verified && self.certificate().is_some_and(Certificate::demands_verification) => {
                Err(BadSignature::NotVerified(self.key.fingerprint()))
            }
            None if self.certificate().is_some_and(Certificate::demands_verification) => {
                Err(BadSignature::NotVerified(self.key.fingerprint()))
            }
            _ => Ok(()),
        }
    }

    /// Checks everything that can be checked: bytes, namespace, presence, whose key it is at this moment, and that it
    /// is not revoked.
    ///
    /// # Errors
    /// The first reason why it does not count.
    pub fn signer<'a>(
        &self,
        message: &[u8],
        namespace: &str,
        signers: &'a Signers,
        at: Timestamp,
    ) -> Result<Signer<'a>, BadSignature> {
        self.check(message, namespace)?;
        signers.who(self, at)
    }
}

fn key_or_certificate(blob: &[u8]) -> Result<(PublicKey, Option<Box<Certificate>>), BadSignature> {
    if Certificate::is_one(blob) {
        let certificate = Certificate::read(blob)?;
        return Ok((certificate.key().clone(), Some(Box::new(certificate))));
    }
    Ok((PublicKey::read(blob)?, None))
}

/// What the key signs, per `PROTOCOL.sshsig`.
fn signed_bytes(namespace: &str, reserved: &[u8], hash: Hash, message: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put(&mut bytes, namespace.as_bytes());
    put(&mut bytes, reserved);
    put(&mut bytes, hash.name().as_bytes());
    put(&mut bytes, &hash.of(message));
    bytes
}

/// The bytes to have signed by a key (an agent's sign request takes them) so that [`armor`] makes an SSHSIG of the
/// result. SHA-512, as `ssh-keygen` does.
pub fn to_sign(namespace: &str, message: &[u8]) -> Vec<u8> {
    signed_bytes(namespace, &[], Hash::Sha512, message)
}

/// The armored signature: `blob` is the key or certificate as SSH writes it, `signature` what it answered to
/// [`to_sign`].
pub fn armor(blob: &[u8], namespace: &str, signature: &[u8]) -> String {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(1_u32.to_be_bytes());
    put(&mut bytes, blob);
    put(&mut bytes, namespace.as_bytes());
    put(&mut bytes, &[]);
    put(&mut bytes, Hash::Sha512.name().as_bytes());
    put(&mut bytes, signature);
    let mut text = format!("{BEGIN}\n");
    for (at, c) in STANDARD.encode(bytes).chars().enumerate() {
        if at > 0 && at % LINE == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}
