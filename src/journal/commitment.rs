//! Commitments to values that no record may hold. A record carries `HMAC-SHA256(salt, value)` with 32 random bytes as
//! the salt, so that nobody can guess the value from it; salt and value are sealed with age to the recipients of the
//! configuration and kept beside the log, in `openings/`, where they may be deleted one day. The order is: [`commit`],
//! [`SealedOpening::keep`], then the record that holds [`SealedOpening::reference`]. What is written is never the value.
//!
//! ```no_run
//! # fn f(journal: &quarterdeck::journal::Journal, configured: &[String]) -> Result<(), Box<dyn std::error::Error>> {
//! use quarterdeck::journal::commitment::{Recipients, commit};
//! let recipients = Recipients::parse(configured)?; // `[journal.openings] recipients`; refuses when there is none
//! let (commitment, sealed) = commit("hunter2", &recipients)?;
//! sealed.keep(journal.dir())?; // durable from here on
//! let body = serde_json::json!({ "parameters": { "password": sealed.reference() } });
//! # let _ = (commitment, body);
//! # Ok(()) }
//! ```

use super::error::JournalError;
use super::store::file::openings as files;
use crate::domain::id::Digest;
use age::{Decryptor, Encryptor};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand_core::{OsRng, RngCore as _};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::str::FromStr;
use zeroize::{Zeroize as _, Zeroizing};

pub use files::FOLDER;

/// Bytes of a salt.
const SALT: usize = 32;

/// What a commitment begins with.
const PREFIX: &str = "sha256:";

/// Greatest length of a value in bytes; what is longer is evidence.
pub const MAX_VALUE: usize = 65_535;

/// What a record holds instead of a value: `sha256:` and the 64 hexadecimal digits of HMAC-SHA256(salt, value).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Commitment(Digest);

impl Commitment {
    fn of(salt: &[u8], value: &str) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), value.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        Self(Digest::from_bytes(&bytes))
    }

    /// Its 64 digits, without the word before them.
    pub const fn digits(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl FromStr for Commitment {
    type Err = CommitmentError;

    fn from_str(text: &str) -> Result<Self, CommitmentError> {
        let digits = text.strip_prefix(PREFIX).and_then(Digest::parse);
        digits.map(Self).ok_or_else(|| CommitmentError::NotOne { text: crate::domain::text::sanitize(text) })
    }
}

impl TryFrom<String> for Commitment {
    type Error = CommitmentError;

    fn try_from(text: String) -> Result<Self, CommitmentError> {
        text.parse()
    }
}

impl From<Commitment> for String {
    fn from(commitment: Commitment) -> Self {
        commitment.to_string()
    }
}

/// Why something can not be committed to, or not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitmentError {
    /// Nobody could ever open it.
    #[error(
        "a secret value can not be committed to: nobody is configured who could open it; name a public key of age in \
         `[journal.openings] recipients = [\"age1…\"]`"
    )]
    NoRecipients,
    /// A recipient is no key.
    #[error("`{text}` is no public key of age (X25519), `age1` and 58 characters")]
    Recipient {
        /// What was given.
        text: String,
    },
    /// The value is too long.
    #[error("a secret value of {bytes} bytes is longer than {MAX_VALUE}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// age refused.
    #[error("the secret value can not be sealed: {why}")]
    Sealing {
        /// Why.
        why: String,
    },
    /// A text is no commitment.
    #[error("`{text}` is no commitment: it is `sha256:` and 64 digits from 0 to 9 and a to f")]
    NotOne {
        /// The text.
        text: String,
    },
    /// A file of identities has none.
    #[error(
        "{file}:{line}: this is no identity of age (X25519); a line is `AGE-SECRET-KEY-1…`, empty or begins with `#`"
    )]
    Identity {
        /// Name of the file.
        file: String,
        /// Line, from 1 on.
        line: usize,
    },
    /// A file of identities is empty.
    #[error("{file} has no identity; a line `AGE-SECRET-KEY-1…` is expected, as `age-keygen` writes it")]
    NoIdentity {
        /// Name of the file.
        file: String,
    },
    /// The identities are not those of a recipient.
    #[error("the opening of {commitment} is not sealed to this identity: it is sealed to the recipients of its day")]
    OtherIdentity {
        /// Whose opening.
        commitment: Commitment,
    },
    /// The file is damaged.
    #[error("the opening of {commitment} is damaged: {why}")]
    Damaged {
        /// Whose opening.
        commitment: Commitment,
        /// What is wrong.
        why: String,
    },
    /// The salt has another length.
    #[error("a salt has {SALT} bytes, and this one has {bytes}")]
    Salt {
        /// Its length.
        bytes: usize,
    },
    /// Salt and value are not what was committed to.
    #[error("salt and value do not lead to {commitment}: one of them is not what was committed to")]
    Mismatch {
        /// The commitment.
        commitment: Commitment,
    },
}

/// Who can open what is sealed: one key at least.
#[derive(Clone)]
pub struct Recipients(Vec<age::x25519::Recipient>);

impl Recipients {
    /// Reads public keys of age; none at all is refused.
    pub fn parse(keys: &[String]) -> Result<Self, CommitmentError> {
        if keys.is_empty() {
            return Err(CommitmentError::NoRecipients);
        }
        let refused = |text: &String| CommitmentError::Recipient { text: crate::domain::text::sanitize(text) };
        keys.iter().map(|key| key.parse().map_err(|_| refused(key))).collect::<Result<_, _>>().map(Self)
    }

    /// A key whose private half is thrown away: for a drill, in which nobody opens anything.
    pub fn nobody() -> Self {
        Self(vec![age::x25519::Identity::generate().to_public()])
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(ToString::to_string)).finish()
    }
}

/// Salt and value, sealed to the recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedOpening {
    commitment: Commitment,
    sealed: Vec<u8>,
}

impl SealedOpening {
    /// Writes it below a journal's directory; returns when it is on the disk under its name. Only then may a record
    /// name the commitment.
    pub fn keep(&self, dir: &Path) -> Result<(), JournalError> {
        files::put(dir, self.commitment.digits(), &self.sealed)
    }

    /// What the record's body holds where the value would stand: `{"commitment": "sha256:…", "opening": "…"}`, the
    /// second being the SHA-256 of the sealed file, by which `audit verify` sees that it was damaged.
    pub fn reference(&self) -> Value {
        json!({ "commitment": self.commitment.to_string(), "opening": files::digest(&self.sealed) })
    }
}

/// The plain form of what is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    commitment: Commitment,
    /// base64.
    salt: String,
    value: String,
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.salt.zeroize();
        self.value.zeroize();
    }
}

/// What an opening says. Neither half is ever shown by `Debug`.
pub struct Opening {
    /// The salt.
    pub salt: Zeroizing<Vec<u8>>,
    /// The value.
    pub value: Zeroizing<String>,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(…)")
    }
}

/// Commits to a value under a fresh salt. Nothing is written.
pub fn commit(value: &str, recipients: &Recipients) -> Result<(Commitment, SealedOpening), CommitmentError> {
    let (commitment, sealed, _) = commit_with_salt(value, recipients)?;
    Ok((commitment, sealed))
}

/// The same with the salt, for who has to check the value when it is given again.
pub fn commit_with_salt(
    value: &str,
    recipients: &Recipients,
) -> Result<(Commitment, SealedOpening, Zeroizing<Vec<u8>>), CommitmentError> {
    if value.len() > MAX_VALUE {
        return Err(CommitmentError::TooLong { bytes: value.len() });
    }
    let mut salt = Zeroizing::new(vec![0; SALT]);
    OsRng.fill_bytes(salt.as_mut_slice());
    let commitment = Commitment::of(salt.as_slice(), value);
    let sealed = seal(&commitment, salt.as_slice(), value, recipients)?;
    Ok((commitment.clone(), SealedOpening { commitment, sealed }, salt))
}

/// Whether salt and value are what was committed to.
pub fn check(commitment: &Commitment, salt: &[u8], value: &str) -> Result<(), CommitmentError> {
    if salt.len() != SALT {
        return Err(CommitmentError::Salt { bytes: salt.len() });
    }
    if Commitment::of(salt, value) == *commitment {
        Ok(())
    } else {
        Err(CommitmentError::Mismatch { commitment: commitment.clone() })
    }
}

fn seal(
    commitment: &Commitment,
    salt: &[u8],
    value: &str,
    recipients: &Recipients,
) -> Result<Vec<u8>, CommitmentError> {
    let sealing = |why: &dyn fmt::Display| CommitmentError::Sealing { why: why.to_string() };
    let plain = Plain { commitment: commitment.clone(), salt: BASE64_STANDARD.encode(salt), value: value.to_owned() };
    let plain = Zeroizing::new(serde_json::to_vec(&plain).map_err(|e| sealing(&e))?);
    let to = recipients.0.iter().map(|recipient| recipient as &dyn age::Recipient);
    let mut sealed = Vec::new();
    let mut stream =
        Encryptor::with_recipients(to).and_then(|e| Ok(e.wrap_output(&mut sealed)?)).map_err(|e| sealing(&e))?;
    stream.write_all(&plain).and_then(|()| stream.finish()).map_err(|e| sealing(&e))?;
    Ok(sealed)
}

/// The private keys of whoever opens.
pub struct Identities(Vec<age::x25519::Identity>);

impl Identities {
    /// Reads a file as `age-keygen` writes it; `name` is what the file is called in a refusal. Its lines are not
    /// repeated there.
    pub fn parse(name: &str, text: &str) -> Result<Self, CommitmentError> {
        let mut all = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refused = |_| CommitmentError::Identity { file: name.to_owned(), line: n + 1 };
            all.push(line.parse().map_err(refused)?);
        }
        if all.is_empty() { Err(CommitmentError::NoIdentity { file: name.to_owned() }) } else { Ok(Self(all)) }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

/// Opens a sealed file and checks that it leads to the commitment.
pub fn open(commitment: &Commitment, sealed: &[u8], identities: &Identities) -> Result<Opening, CommitmentError> {
    let damaged = |why: &dyn fmt::Display| {
        let why = crate::domain::text::sanitize(&why.to_string());
        CommitmentError::Damaged { commitment: commitment.clone(), why }
    };
    let decryptor = Decryptor::new_buffered(sealed).map_err(|e| damaged(&e))?;
    let ours = identities.0.iter().map(|identity| identity as &dyn age::Identity);
    let mut stream = decryptor.decrypt(ours).map_err(|e| match e {
        age::DecryptError::NoMatchingKeys => CommitmentError::OtherIdentity { commitment: commitment.clone() },
        other => damaged(&other),
    })?;
    let mut plain = Zeroizing::new(Vec::new());
    stream.read_to_end(&mut plain).map_err(|e| damaged(&e))?;
    // The parser's words may quote the value.
    let mut read: Plain = serde_json::from_slice(&plain).map_err(|_| damaged(&"what is sealed is no opening"))?;
    if read.commitment != *commitment {
        return Err(damaged(&format!("what is sealed is the opening of {}", read.commitment)));
    }
    let salt = BASE64_STANDARD.decode(read.salt.as_bytes()).map_err(|_| damaged(&"its salt is not base64"))?;
    let (salt, value) = (Zeroizing::new(salt), Zeroizing::new(std::mem::take(&mut read.value)));
    check(commitment, &salt, &value)?;
    Ok(Opening { salt, value })
}

/// Reads the sealed file of a commitment below a journal's directory; `None` when there is none.
pub fn sealed(dir: &Path, commitment: &Commitment) -> Result<Option<Vec<u8>>, JournalError> {
    files::read(dir, commitment.digits())
}

/// A commitment as a body holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The commitment.
    pub commitment: Commitment,
    /// The SHA-256 of its sealed file, where the record has it.
    pub opening: Option<Digest>,
}

/// Every commitment that a body holds, at whatever depth, in its order.
pub fn references(body: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut next = vec![body];
    while let Some(value) = next.pop() {
        match value {
            Value::Object(members) => {
                let text = |name: &str| members.get(name).and_then(Value::as_str);
                let commitment = text("commitment").and_then(|text| text.parse().ok());
                let opening = text("opening").and_then(Digest::parse);
                found.extend(commitment.map(|commitment| Reference { commitment, opening }));
                next.extend(members.values().rev());
            }
            Value::Array(items) => next.extend(items.iter().rev()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests;
