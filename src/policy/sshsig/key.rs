//! Public keys: RFC 4253, 5656 and 8709, and OpenSSH's `PROTOCOL.u2f` for security keys.

use super::BadSignature;
use super::wire::{Reader, padded};
use crate::domain::text::sanitize;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use sha2::{Digest as _, Sha256};

/// Least and greatest length of an RSA modulus in bytes: what `ring` verifies.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bits of the flags of a security key: a person was present, a person was verified (PIN or fingerprint).
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;

/// A public key of a kind that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// As SSH writes it.
    blob: Vec<u8>,
    material: Material,
}

/// The curve of an ECDSA key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    Ecdsa { curve: Curve, point: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
    SkEd25519 { key: Vec<u8>, application: Vec<u8> },
    SkEcdsa { point: Vec<u8>, application: Vec<u8> },
}

/// What a security key says about the person before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) present: bool,
    pub(super) verified: bool,
}

impl PublicKey {
    /// Reads the bytes that SSH writes for a key.
    ///
    /// # Errors
    /// [`BadSignature`] when it is none, or of a kind that is not accepted.
    pub fn read(blob: &[u8]) -> Result<Self, BadSignature> {
        let mut reader = Reader::new(blob);
        let algorithm = reader.text()?;
        let material = Material::read(algorithm, &mut reader)?;
        reader.end()?;
        Ok(Self { blob: blob.to_vec(), material })
    }

    /// Reads a line of a `.pub` file: type, base64, and a comment that does not matter.
    ///
    /// # Errors
    /// [`BadSignature`] when it is none, or of a kind that is not accepted.
    pub fn parse(line: &str) -> Result<Self, BadSignature> {
        let mut words = line.split_ascii_whitespace();
        let (Some(algorithm), Some(text)) = (words.next(), words.next()) else {
            return Err(BadSignature::malformed("a public key is a line like `ssh-ed25519 AAAA… comment`"));
        };
        let blob = STANDARD.decode(text).map_err(|_| BadSignature::malformed("the key is not base64"))?;
        let key = Self::read(&blob)?;
        if key.algorithm() != algorithm {
            let why = format!("the line says `{}`, and the key is `{}`", sanitize(algorithm), key.algorithm());
            return Err(BadSignature::Malformed(why));
        }
        Ok(key)
    }

    /// Reads the fields of a key within a certificate, whose type name is the key's with `-cert-v01`.
    pub(super) fn within(algorithm: &str, reader: &mut Reader<'_>) -> Result<Self, BadSignature> {
        let material = Material::read(algorithm, reader)?;
        Ok(Self { blob: material.blob(algorithm), material })
    }

    /// Its type, as SSH names it.
    pub fn algorithm(&self) -> &'static str {
        match &self.material {
            Material::Ed25519(_) => "ssh-ed25519",
            Material::Ecdsa { curve: Curve::P256, .. } => "ecdsa-sha2-nistp256",
            Material::Ecdsa { curve: Curve::P384, .. } => "ecdsa-sha2-nistp384",
            Material::Rsa { .. } => "ssh-rsa",
            Material::SkEd25519 { .. } => "sk-ssh-ed25519@openssh.com",
            Material::SkEcdsa { .. } => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// Whether it lives in a security key that has to be touched.
    pub const fn is_security_key(&self) -> bool {
        matches!(self.material, Material::SkEd25519 { .. } | Material::SkEcdsa { .. })
    }

    /// As SSH writes it.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The line of a `.pub` file, without a comment.
    pub fn line(&self) -> String {
        format!("{} {}", self.algorithm(), STANDARD.encode(&self.blob))
    }

    /// The fingerprint that `ssh-keygen -l` shows: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// Checks a signature blob over bytes; a security key also says what it saw of the person.
    pub(super) fn check(&self, bytes: &[u8], signature: &[u8]) -> Result<Option<Flags>, BadSignature> {
        let mut reader = Reader::new(signature);
        let algorithm = reader.text()?;
        let proper = reader.string()?;
        let invalid = || BadSignature::Invalid(self.fingerprint());
        let flags = match &self.material {
            Material::Ed25519(key) => {
                self.is_made_by(algorithm, &[self.algorithm()])?;
                verify(&signature::ED25519, key, bytes, proper).ok_or_else(invalid)?;
                None
            }
            Material::Ecdsa { curve, point } => {
                self.is_made_by(algorithm, &[self.algorithm()])?;
                ecdsa(*curve, point, bytes, proper)?.ok_or_else(invalid)?;
                None
            }
            Material::Rsa { n, e } => {
                self.is_made_by(algorithm, &["rsa-sha2-512", "rsa-sha2-256"])?;
                let with = if algorithm == "rsa-sha2-512" {
                    &signature::RSA_PKCS1_2048_8192_SHA512
                } else {
                    &signature::RSA_PKCS1_2048_8192_SHA256
                };
                // OpenSSH leaves leading zeros of the number away.
                let proper = padded(proper, n.len()).ok_or_else(invalid)?;
                RsaPublicKeyComponents { n, e }.verify(with, bytes, &proper).map_err(|_| invalid())?;
                None
            }
            Material::SkEd25519 { key, application } => {
                self.is_made_by(algorithm, &[self.algorithm()])?;
                let (flags, signed) = touched(application, bytes, &mut reader)?;
                verify(&signature::ED25519, key, &signed, proper).ok_or_else(invalid)?;
                Some(flags)
            }
            Material::SkEcdsa { point, application } => {
                self.is_made_by(algorithm, &[self.algorithm()])?;
                let (flags, signed) = touched(application, bytes, &mut reader)?;
                ecdsa(Curve::P256, point, &signed, proper)?.ok_or_else(invalid)?;
                Some(flags)
            }
        };
        reader.end()?;
        Ok(flags)
    }

    fn is_made_by(&self, algorithm: &str, allowed: &[&str]) -> Result<(), BadSignature> {
        if allowed.contains(&algorithm) {
            return Ok(());
        }
        let (found, allowed) = (sanitize(algorithm), allowed.join(" or "));
        Err(BadSignature::Malformed(format!("a {} key signs with {allowed}, not with `{found}`", self.algorithm())))
    }
}

impl Material {
    fn read(algorithm: &str, reader: &mut Reader<'_>) -> Result<Self, BadSignature> {
        match algorithm {
            "ssh-ed25519" => Ok(Self::Ed25519(ed25519(reader)?)),
            "ecdsa-sha2-nistp256" => Ok(Self::Ecdsa { curve: Curve::P256, point: point(reader, "nistp256", 65)? }),
            "ecdsa-sha2-nistp384" => Ok(Self::Ecdsa { curve: Curve::P384, point: point(reader, "nistp384", 97)? }),
            "ssh-rsa" => {
                let (e, n) = (reader.mpint()?.to_vec(), reader.mpint()?.to_vec());
                if !RSA_BYTES.contains(&n.len()) {
                    return Err(BadSignature::Algorithm(format!("ssh-rsa with {} bits", n.len().saturating_mul(8))));
                }
                Ok(Self::Rsa { n, e })
            }
            "sk-ssh-ed25519@openssh.com" => {
                Ok(Self::SkEd25519 { key: ed25519(reader)?, application: reader.string()?.to_vec() })
            }
            "sk-ecdsa-sha2-nistp256@openssh.com" => {
                let point = point(reader, "nistp256", 65)?;
                Ok(Self::SkEcdsa { point, application: reader.string()?.to_vec() })
            }
            other => Err(BadSignature::Algorithm(sanitize(other))),
        }
    }

    /// The key as SSH writes it outside of a certificate.
    fn blob(&self, algorithm: &str) -> Vec<u8> {
        use super::wire::put;
        let mut blob = Vec::new();
        let number = |into: &mut Vec<u8>, bytes: &[u8]| {
            let sign = bytes.first().is_some_and(|b| b & 0x80 != 0);
            put(into, &if sign { [&[0], bytes].concat() } else { bytes.to_vec() });
        };
        put(&mut blob, algorithm.as_bytes());
        match self {
            Self::Ed25519(key) => put(&mut blob, key),
            Self::Ecdsa { curve, point } => {
                put(&mut blob, if *curve == Curve::P256 { b"nistp256" } else { b"nistp384" });
                put(&mut blob, point);
            }
            Self::Rsa { n, e } => {
                number(&mut blob, e);
                number(&mut blob, n);
            }
            Self::SkEd25519 { key, application } => {
                put(&mut blob, key);
                put(&mut blob, application);
            }
            Self::SkEcdsa { point, application } => {
                put(&mut blob, b"nistp256");
                put(&mut blob, point);
                put(&mut blob, application);
            }
        }
        blob
    }
}

fn ed25519(reader: &mut Reader<'_>) -> Result<Vec<u8>, BadSignature> {
    let key = reader.string()?;
    if key.len() == 32 { Ok(key.to_vec()) } else { Err(BadSignature::malformed("an ed25519 key has 32 bytes")) }
}

/// A point on a curve in its uncompressed form.
fn point(reader: &mut Reader<'_>, curve: &str, length: usize) -> Result<Vec<u8>, BadSignature> {
    if reader.text()? != curve {
        return Err(BadSignature::malformed("the key names another curve than its type"));
    }
    let point = reader.string()?;
    if point.len() == length && point.first() == Some(&4) {
        Ok(point.to_vec())
    } else {
        Err(BadSignature::malformed(format!("a key on {curve} is an uncompressed point of {length} bytes")))
    }
}

fn verify(with: &'static dyn VerificationAlgorithm, key: &[u8], bytes: &[u8], signature: &[u8]) -> Option<()> {
    UnparsedPublicKey::new(with, key).verify(bytes, signature).ok()
}

/// `Ok(None)` when it is not valid. SSH writes the two numbers as mpints, ring takes them side by side.
fn ecdsa(curve: Curve, point: &[u8], bytes: &[u8], signature: &[u8]) -> Result<Option<()>, BadSignature> {
    let mut reader = Reader::new(signature);
    let (r, s) = (reader.mpint()?, reader.mpint()?);
    reader.end()?;
    let (with, bytes_each): (&'static dyn VerificationAlgorithm, usize) = match curve {
        Curve::P256 => (&signature::ECDSA_P256_SHA256_FIXED, 32),
        Curve::P384 => (&signature::ECDSA_P384_SHA384_FIXED, 48),
    };
    let Some((r, s)) = padded(r, bytes_each).zip(padded(s, bytes_each)) else { return Ok(None) };
    Ok(verify(with, point, bytes, &[r, s].concat()))
}

/// What a security key signs in the place of the bytes: `PROTOCOL.u2f`, "SSH U2F signatures".
fn touched(application: &[u8], bytes: &[u8], reader: &mut Reader<'_>) -> Result<(Flags, Vec<u8>), BadSignature> {
    let (flags, counter) = (reader.u8()?, reader.u32()?);
    let mut signed = Sha256::digest(application).to_vec();
    signed.push(flags);
    signed.extend(counter.to_be_bytes());
    signed.extend(Sha256::digest(bytes));
    Ok((Flags { present: flags & PRESENT != 0, verified: flags & VERIFIED != 0 }, signed))
}
