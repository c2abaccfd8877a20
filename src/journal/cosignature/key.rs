//! The verifier key of a witness, in the encoding of C2SP signed-note: `NAME+ID+BASE64(TYPE ‖ KEY)`.

use super::super::checkpoint::Checkpoint;
use super::super::key::{BadKey, check_origin};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Verifier;
use ml_dsa::{EncodedVerifyingKey, MlDsa44};
use signed_note::Signature;
use std::fmt;
use std::str::FromStr;

/// First bytes of the message that an ML-DSA-44 cosigner signs.
const LABEL: &[u8; 12] = b"subtree/v1\n\0";

/// How a witness signs. The byte stands before the public key in its encoding and is part of the key's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// Ed25519 over the text of the note, `cosignature/v1`.
    Ed25519 = 0x04,
    /// ML-DSA-44 over origin, size and root, `subtree/v1`.
    MlDsa44 = 0x06,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::MlDsa44 => "ML-DSA-44",
        })
    }
}

#[derive(Clone)]
enum PublicKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    /// Boxed: it carries 16 KiB that are computed from the encoding once.
    MlDsa44(Box<ml_dsa::VerifyingKey<MlDsa44>>),
}

/// The public half of a witness's key.
#[derive(Clone)]
pub struct WitnessKey {
    text: String,
    name: String,
    id: u32,
    key: PublicKey,
}

impl WitnessKey {
    /// The encoding.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Name of the witness.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name and id, for people and as an identity: `witness.example/w1+1f2e3d4c`.
    pub fn id(&self) -> String {
        format!("{}+{:08x}", self.name, self.id)
    }

    /// How it signs.
    pub const fn algorithm(&self) -> Algorithm {
        match self.key {
            PublicKey::Ed25519(_) => Algorithm::Ed25519,
            PublicKey::MlDsa44(_) => Algorithm::MlDsa44,
        }
    }

    /// Whether a signature says that it is by this key.
    pub(super) fn made(&self, signature: &Signature) -> bool {
        signature.id() == self.id && signature.name() == self.name
    }

    /// Whether the bytes are this key's signature over a checkpoint, whose text is `text`, at a time.
    pub(super) fn verifies(&self, checkpoint: &Checkpoint, text: &str, time: u64, signature: &[u8]) -> bool {
        match &self.key {
            PublicKey::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|s| key.verify(ed25519_message(text, time).as_bytes(), &s).is_ok()),
            PublicKey::MlDsa44(key) => {
                let message = ml_dsa_message(&self.name, checkpoint, time);
                let signature = ml_dsa::Signature::<MlDsa44>::try_from(signature).ok();
                message.zip(signature).is_some_and(|(m, s)| key.verify_with_context(&m, &[], &s))
            }
        }
    }
}

/// What an Ed25519 cosigner signs: two lines before the text of the note.
pub(super) fn ed25519_message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// What an ML-DSA-44 cosigner signs, the structure `cosigned_message` of tlog-cosignature with the subtree from 0 to
/// the size. Nothing where a name is longer than the structure can hold.
pub(super) fn ml_dsa_message(cosigner: &str, checkpoint: &Checkpoint, time: u64) -> Option<Vec<u8>> {
    let mut message = LABEL.to_vec();
    let named = |message: &mut Vec<u8>, name: &str| {
        message.push(u8::try_from(name.len()).ok()?);
        message.extend(name.as_bytes());
        Some(())
    };
    named(&mut message, cosigner)?;
    message.extend(time.to_be_bytes());
    named(&mut message, &checkpoint.origin)?;
    message.extend(0_u64.to_be_bytes());
    message.extend(checkpoint.size.to_be_bytes());
    message.extend(checkpoint.root.0);
    Some(message)
}

impl FromStr for WitnessKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let text = text.trim();
        let bad = |why: &str| BadKey::Verifier(why.to_owned());
        let (name, rest) = text.split_once('+').ok_or_else(|| bad("it has no `+`"))?;
        let (id, key) = rest.split_once('+').ok_or_else(|| bad("it has one `+` instead of two"))?;
        check_origin(name)?;
        let hex = id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let id = u32::from_str_radix(id, 16).ok().filter(|_| hex);
        let id = id.ok_or_else(|| bad("its id is not eight hexadecimal digits"))?;
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| bad("its key is not base64"))?;
        let Some((algorithm, public)) = bytes.split_first() else { return Err(bad("its key is empty")) };
        if signed_note::key_id(name, &bytes) != id {
            return Err(bad("its id is not the one of its name and key"));
        }
        let length = || bad("its key has not the length of its type");
        let key = match *algorithm {
            a if a == Algorithm::Ed25519 as u8 => {
                let bytes = <[u8; 32]>::try_from(public).map_err(|_| length())?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok().filter(|k| !k.is_weak());
                PublicKey::Ed25519(key.ok_or_else(|| bad("its key is no point of the curve that can be used"))?)
            }
            a if a == Algorithm::MlDsa44 as u8 => {
                let bytes = EncodedVerifyingKey::<MlDsa44>::try_from(public).map_err(|_| length())?;
                PublicKey::MlDsa44(Box::new(ml_dsa::VerifyingKey::decode(&bytes)))
            }
            0x01 => return Err(bad("it is of type 1, the key of a log; a witness's key is of type 4 or 6")),
            other => return Err(BadKey::Verifier(format!("it is of type {other}; a witness's key is of type 4 or 6"))),
        };
        Ok(Self { text: text.to_owned(), name: name.to_owned(), id, key })
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WitnessKey").field(&self.id()).finish()
    }
}

impl PartialEq for WitnessKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for WitnessKey {}
