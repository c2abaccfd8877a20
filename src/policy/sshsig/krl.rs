//! What is revoked: a list of public keys a line each, or a key revocation list of `ssh-keygen -k` (OpenSSH's
//! `PROTOCOL.krl`, format version 1). What is not understood is refused as a whole: a list that was read in part
//! would let a revoked key pass.

use super::wire::Reader;
use super::{BadSignature, Certificate, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;

/// `SSHKRL\n\0`.
const MAGIC: &[u8] = b"SSHKRL\n\0";

/// Why a list of what is revoked can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadRevocation {
    /// Line of the text; 0 where the list is not text.
    pub line: usize,
    /// Why.
    pub why: String,
}

impl BadRevocation {
    /// The sentence without a line where there is none.
    pub fn sentence(&self) -> String {
        if self.line == 0 { self.why.clone() } else { self.to_string() }
    }
}

/// Certificates of one authority, or of any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Certificates {
    /// As SSH writes its key; empty stands for every authority.
    authority: Vec<u8>,
    /// First and last serial number, both revoked.
    serials: Vec<(u64, u64)>,
    ids: BTreeSet<Vec<u8>>,
}

/// What is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    keys: BTreeSet<Vec<u8>>,
    sha1: BTreeSet<Vec<u8>>,
    sha256: BTreeSet<Vec<u8>>,
    certificates: Vec<Certificates>,
}

impl Revoked {
    /// Reads either form.
    ///
    /// # Errors
    /// [`BadRevocation`] with the line where there are lines.
    pub fn read(bytes: &[u8]) -> Result<Self, BadRevocation> {
        let bad = |line, why| BadRevocation { line, why };
        if bytes.starts_with(MAGIC) {
            return Self::list(bytes).map_err(|e| bad(0, format!("the key revocation list can not be used: {e}")));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| bad(0, "it is neither a key revocation list nor a list of public keys".into()))?;
        let mut all = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // Any key may be revoked, also one of a kind that is never accepted.
            let blob = line.split_ascii_whitespace().nth(1).and_then(|text| STANDARD.decode(text).ok());
            let is_key = |blob: &Vec<u8>| Reader::new(blob).text().ok() == line.split_ascii_whitespace().next();
            let Some(blob) = blob.filter(is_key) else {
                let why = "this is no public key; a line is like `ssh-ed25519 AAAA… comment`";
                return Err(bad(at.saturating_add(1), why.to_owned()));
            };
            all.keys.insert(blob);
        }
        Ok(all)
    }

    fn list(bytes: &[u8]) -> Result<Self, BadSignature> {
        let mut reader = Reader::new(bytes);
        reader.take(MAGIC.len())?;
        let version = reader.u32()?;
        if version != 1 {
            return Err(BadSignature::malformed(format!("its format has the version {version}, and 1 is known")));
        }
        let (_number, _made, _flags) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (_reserved, _comment) = (reader.string()?, reader.string()?);
        let mut all = Self::default();
        while !reader.is_empty() {
            let (section, data) = (reader.u8()?, reader.string()?);
            match section {
                1 => all.certificates.push(certificates(data)?),
                2 => all.keys.extend(strings(data)?),
                3 => all.sha1.extend(strings(data)?),
                5 => all.sha256.extend(strings(data)?),
                255 => extension(data)?,
                other => return Err(BadSignature::malformed(format!("it has a section of the kind {other}"))),
            }
        }
        Ok(all)
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a key is.
    pub fn has(&self, key: &PublicKey) -> bool {
        use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
        self.keys.contains(key.blob())
            || self.sha1.contains(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.blob()).as_ref())
            || self.sha256.contains(digest(&SHA256, key.blob()).as_ref())
    }

    /// What of a certificate is revoked: itself, its key, or its authority.
    pub fn of_certificate(&self, certificate: &Certificate) -> Option<String> {
        if self.has(certificate.key()) {
            return Some(format!("the key {}", certificate.key().fingerprint()));
        }
        if self.has(certificate.authority()) {
            return Some(format!("the certificate authority {}", certificate.authority().fingerprint()));
        }
        let hit = self.certificates.iter().any(|list| {
            let meant = list.authority.is_empty() || list.authority == certificate.authority().blob();
            let serial = certificate.serial();
            meant
                && (list.ids.contains(certificate.id().as_bytes())
                    || list.serials.iter().any(|(first, last)| (*first..=*last).contains(&serial)))
        });
        hit.then(|| format!("the certificate {}", certificate.name()))
    }
}

fn strings(bytes: &[u8]) -> Result<Vec<Vec<u8>>, BadSignature> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(reader.string()?.to_vec());
    }
    Ok(all)
}

fn certificates(bytes: &[u8]) -> Result<Certificates, BadSignature> {
    let mut reader = Reader::new(bytes);
    let mut all = Certificates { authority: reader.string()?.to_vec(), ..Certificates::default() };
    let _reserved = reader.string()?;
    while !reader.is_empty() {
        let (kind, data) = (reader.u8()?, reader.string()?);
        let mut data_reader = Reader::new(data);
        match kind {
            0x20 => {
                while !data_reader.is_empty() {
                    let serial = data_reader.u64()?;
                    all.serials.push((serial, serial));
                }
            }
            0x21 => {
                all.serials.push((data_reader.u64()?, data_reader.u64()?));
                data_reader.end()?;
            }
            0x22 => {
                let (offset, bits) = (data_reader.u64()?, data_reader.mpint()?);
                data_reader.end()?;
                // The last bit of the last byte stands for the offset itself.
                for (at, byte) in (0_u64..).step_by(8).zip(bits.iter().rev()) {
                    for bit in (0..8_u64).filter(|bit| byte >> bit & 1 == 1) {
                        let serial = offset.saturating_add(at).saturating_add(bit);
                        all.serials.push((serial, serial));
                    }
                }
            }
            0x23 => all.ids.extend(strings(data)?),
            0x39 => extension(data)?,
            other => return Err(BadSignature::malformed(format!("it names certificates in the form {other:#04x}"))),
        }
    }
    Ok(all)
}

/// An extension says of itself whether it may be passed over.
fn extension(bytes: &[u8]) -> Result<(), BadSignature> {
    let mut reader = Reader::new(bytes);
    let (name, critical) = (reader.text()?, reader.u8()?);
    let _contents = reader.string()?;
    if critical == 0 {
        return Ok(());
    }
    let name = crate::domain::text::sanitize(name);
    Err(BadSignature::malformed(format!("it has the critical extension `{name}`, which is not known")))
}
