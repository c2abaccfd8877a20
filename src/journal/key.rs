//! The key of a log: Ed25519 in the encodings of C2SP signed-note. The name of the key is the origin of the log.

use super::checkpoint::BadNote;
use rand_core::OsRng;
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, VerificationError, Verifier, Verifiers};
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

    /// SHA-256 of the encoded public half, in groups of hexadecimal digits: what two people compare aloud.
    pub fn fingerprint(&self) -> String {
        use sha2::Digest as _;
        let digest: [u8; 32] = sha2::Sha256::digest(self.text.as_bytes()).into();
        let hex = crate::domain::id::Digest::from_bytes(&digest).to_string();
        let groups: Vec<&str> = (0..hex.len()).step_by(8).filter_map(|at| hex.get(at..at + 8)).collect();
        groups.join(" ")
    }

    /// Whether a note is exactly this text under this key's signature.
    pub(super) fn has_signed(&self, note: &str, text: &str) -> bool {
        let parsed = Note::from_bytes(note.as_bytes()).ok();
        parsed.is_some_and(|parsed| parsed.text() == text.as_bytes() && parsed.verify(self).is_ok())
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

    /// A text, which ends with a newline, as a note signed with it.
    pub(super) fn sign(&self, text: &str) -> Result<String, BadNote> {
        let mut note = Note::new(text.as_bytes(), &[]).map_err(|_| BadNote::Malformed("its text"))?;
        note.add_sigs(&[&self.signer]).map_err(|_| BadNote::Malformed("its signer"))?;
        String::from_utf8(note.to_bytes()).map_err(|_| BadNote::Malformed("its encoding"))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKey").field("verifier", &self.verifier.text).finish_non_exhaustive()
    }
}

/// The keys of one log in the order in which they came into force. What a key vouches for: every checkpoint over
/// more records than its predecessor's last one, and through the tree all records before it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRing {
    first: VerifierKey,
    /// Each with the number of records up to which, and with which, its predecessor signs.
    later: Vec<(u64, VerifierKey)>,
}

impl KeyRing {
    /// A log that has had one key so far.
    pub const fn of(first: VerifierKey) -> Self {
        Self { first, later: vec![] }
    }

    /// The keys as they were kept by somebody who had checked each change of them, each with the number of records after
    /// which it came into force; none when they are in no order.
    pub fn kept(keys: Vec<(u64, VerifierKey)>) -> Option<Self> {
        let mut keys = keys.into_iter();
        let (_, first) = keys.next().filter(|(after, _)| *after == 0)?;
        let later: Vec<_> = keys.collect();
        later.is_sorted_by(|(a, _), (b, _)| a < b).then_some(Self { first, later })
    }

    /// The key that signs checkpoints over this many records.
    pub fn at(&self, size: u64) -> &VerifierKey {
        self.later.iter().rev().find(|(after, _)| *after < size).map_or(&self.first, |(_, key)| key)
    }

    /// The key in force.
    pub fn current(&self) -> &VerifierKey {
        self.later.last().map_or(&self.first, |(_, key)| key)
    }

    /// The key that the log was made with.
    pub const fn first(&self) -> &VerifierKey {
        &self.first
    }

    /// Whether a key is, or was, one of this log's.
    pub fn contains(&self, key: &VerifierKey) -> bool {
        self.keys().any(|(_, known)| known == key)
    }

    /// The keys, oldest first, each with the number of records after which it came into force.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = (u64, &VerifierKey)> {
        std::iter::once((0, &self.first)).chain(self.later.iter().map(|(after, key)| (*after, key)))
    }

    /// Puts another key in force for everything over more than `after` records. Only a checked
    /// [`super::rotation::Rotation`] does this, and a snapshot that had one.
    pub(super) fn rotate(&mut self, after: u64, key: VerifierKey) {
        self.later.push((after, key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_signs_from_its_rotation_to_the_next() {
        let keys: Vec<_> = (0..3).map(|_| LogKey::generate("log").unwrap().verifier().clone()).collect();
        let mut ring = KeyRing::of(keys[0].clone());
        ring.rotate(5, keys[1].clone());
        ring.rotate(9, keys[2].clone());
        let at = |size| keys.iter().position(|k| k == ring.at(size)).unwrap();
        assert_eq!([0, 1, 5, 6, 9, 10, 900].map(at), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!((ring.first(), ring.current()), (&keys[0], &keys[2]));
        assert_eq!(ring.keys().map(|(after, _)| after).collect::<Vec<_>>(), [0, 5, 9]);
        assert!(keys.iter().all(|k| ring.contains(k)));
        assert!(!ring.contains(LogKey::generate("log").unwrap().verifier()));
    }

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
