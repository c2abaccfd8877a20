//! The key of a log: Ed25519 in the encodings of C2SP signed-note. The name of the key is the origin of the log.

use rand_core::OsRng;
use signed_note::{Signer, StandardSigner, StandardVerifier, VerificationError, Verifier, Verifiers};
use std::fmt;
use std::str::FromStr;

/// Why a text is no key, or a name no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// An origin has characters that a note can not carry.
    #[error("`{0}` can not name a log: a name has 1 to 200 characters, no spaces, no `+`, no control characters")]
    Name(String),
    /// Not the encoding of a verifier key.
    #[error("it is no verifier key of the form NAME+ID+KEY ({0})")]
    Verifier(String),
    /// Not the encoding of a signing key.
    #[error("it is no signing key of the form PRIVATE+KEY+NAME+ID+KEY ({0})")]
    Signer(String),
}

/// Whether a name can be the origin of a log.
pub fn check_origin(name: &str) -> Result<(), BadKey> {
    let fits = name.chars().count() <= 200 && !name.chars().any(crate::domain::text::is_hostile);
    if fits && signed_note::is_key_name_valid(name) {
        Ok(())
    } else {
        Err(BadKey::Name(crate::domain::text::sanitize(name)))
    }
}

/// The public half: what a verifier is given from outside the log.
#[derive(Clone)]
pub struct VerifierKey {
    text: String,
    key: StandardVerifier,
}

impl VerifierKey {
    /// The encoding, `NAME+ID+KEY`, as `log.vkey` holds it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Name of the key and origin of its log.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// Name and id, for people: `estate/journal+1f2e3d4c`.
    pub fn id(&self) -> String {
        format!("{}+{:08x}", self.key.name(), self.key.key_id())
    }
}

impl FromStr for VerifierKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let text = text.trim();
        let key = StandardVerifier::new(text).map_err(|e| BadKey::Verifier(e.to_string()))?;
        check_origin(key.name())?;
        Ok(Self { text: text.to_owned(), key })
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifierKey").field(&self.text).finish()
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Verifiers for VerifierKey {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        if name == self.key.name() && id == self.key.key_id() {
            Ok(&self.key)
        } else {
            Err(VerificationError::UnknownKey { name: name.to_owned(), id })
        }
    }
}

/// Both halves. The private one leaves this type only through [`LogKey::secret`], for its file.
pub struct LogKey {
    secret: String,
    signer: StandardSigner,
    verifier: VerifierKey,
}

impl LogKey {
    /// Makes a new key from the operating system's randomness.
    pub fn generate(origin: &str) -> Result<Self, BadKey> {
        check_origin(origin)?;
        let (secret, verifier) = signed_note::generate_key(&mut OsRng, origin);
        Self::from_parts(secret, &verifier)
    }

    /// Reads the encoding of a signing key.
    pub fn parse(secret: &str) -> Result<Self, BadKey> {
        let secret = secret.trim();
        let signer = StandardSigner::new(secret).map_err(|e| BadKey::Signer(e.to_string()))?;
        check_origin(signer.name())?;
        // The signer does not give its public half away, but that is a function of the private one, which comes
        // last, may have a `+` itself, and has one byte for its algorithm before it.
        let seed = secret.splitn(5, '+').nth(4).unwrap_or_default();
        let seed = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, seed);
        let seed = seed.ok().and_then(|bytes| <[u8; 32]>::try_from(bytes.get(1..)?).ok());
        let seed = seed.ok_or_else(|| BadKey::Signer("its length".into()))?;
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let verifier = signed_note::new_ed25519_verifier_key(signer.name(), &public);
        Self::from_parts(secret.to_owned(), &verifier)
    }

    fn from_parts(secret: String, verifier: &str) -> Result<Self, BadKey> {
        let signer = StandardSigner::new(&secret).map_err(|e| BadKey::Signer(e.to_string()))?;
        Ok(Self { secret, signer, verifier: verifier.parse()? })
    }

    /// The encoding of the private half.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) const fn signer(&self) -> &dyn Signer {
        &self.signer
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKey").field("verifier", &self.verifier.text).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_with_the_same_public_half() {
        // Often enough to meet each character of base64.
        for _ in 0..64 {
            let key = LogKey::generate("estate/journal").unwrap();
            let again = LogKey::parse(key.secret()).unwrap();
            assert_eq!(again.verifier(), key.verifier());
            assert_eq!(again.verifier().name(), "estate/journal");
        }
    }

    #[test]
    fn the_private_half_is_not_in_its_debug_output() {
        let key = LogKey::generate("estate/journal").unwrap();
        let secret = key.secret().splitn(5, '+').nth(4).unwrap();
        assert!(!format!("{key:?}").contains(secret));
    }

    #[test]
    fn names_that_a_note_can_not_carry_are_refused() {
        for name in ["", "a b", "a+b", "a\u{1b}b", "a\u{202e}b", "a\nb", &"x".repeat(201)] {
            assert!(LogKey::generate(name).is_err(), "{name:?}");
        }
        assert!("estate+00000000+AAAA".parse::<VerifierKey>().is_err());
    }
}
