//! Signatures of many commits. They are checked together, which costs a third of checking each (the batch
//! verification of the Ed25519 paper, section 5, as `ed25519-dalek` has it); when they do not hold together, or when
//! that is asked for, each is checked by itself, as any other tool would.

use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::Damage;
use crate::journal::key::VerifierKey;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};

/// How many are checked together: beyond that little is gained.
const TOGETHER: usize = 512;

/// A commit whose signature is to be checked.
#[derive(Debug)]
pub struct Signed {
    /// The note as it stands in the commit line.
    pub note: String,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The batch and the line of its commit.
    pub place: Damage,
}

/// Commits that follow each other, under one key.
#[derive(Debug)]
pub struct Group {
    key: VerifierKey,
    signed: Vec<Signed>,
}

/// What a group says.
#[derive(Debug)]
pub struct Checked {
    /// How many hold, up to the first that does not.
    pub count: u64,
    /// The last of those.
    pub last: Option<(Checkpoint, String)>,
    /// The first that does not hold.
    pub bad: Option<Damage>,
}

impl Group {
    /// An empty one.
    pub const fn new(key: VerifierKey) -> Self {
        Self { key, signed: Vec::new() }
    }

    /// Adds the next commit.
    pub fn push(&mut self, signed: Signed) {
        self.signed.push(signed);
    }

    /// Whether it is worth checking.
    pub const fn is_full(&self) -> bool {
        self.signed.len() >= TOGETHER
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.signed.is_empty()
    }

    /// What is in it; it is empty afterwards.
    pub fn take(&mut self) -> Self {
        Self { key: self.key.clone(), signed: std::mem::take(&mut self.signed) }
    }

    /// Checks them, each by itself when asked to.
    pub fn check(self, each: bool) -> Checked {
        let hold = if !each && self.hold_together() {
            self.signed.len()
        } else {
            let is_bad = |s: &Signed| Checkpoint::open(&s.note, &self.key).is_err();
            self.signed.iter().position(is_bad).unwrap_or(self.signed.len())
        };
        let bad = self.signed.get(hold).and_then(|s| {
            let why = Checkpoint::open(&s.note, &self.key).err()?;
            Some(Damage { why: format!("its commit line: {why}"), ..s.place.clone() })
        });
        let last = hold.checked_sub(1).and_then(|n| self.signed.into_iter().nth(n));
        Checked { count: hold as u64, last: last.map(|s| (s.checkpoint, s.note)), bad }
    }

    /// Whether all of them hold, as far as can be told of them together.
    fn hold_together(&self) -> bool {
        let Some(key) = public_key(&self.key) else { return false };
        let id = self.key.id();
        let Some(parts) = self.signed.iter().map(|s| split(&s.note, &id)).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let (texts, signatures): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        ed25519_dalek::verify_batch(&texts, &signatures, &vec![key; texts.len()]).is_ok()
    }
}

/// The Ed25519 key in a verifier key: after its name and id, base64 of a byte for the algorithm and 32 of the key.
fn public_key(key: &VerifierKey) -> Option<VerifyingKey> {
    let bytes = BASE64_STANDARD.decode(key.as_str().splitn(3, '+').nth(2)?).ok()?;
    VerifyingKey::from_bytes(bytes.get(1..)?.try_into().ok()?).ok()
}

/// Text and signature of a note whose form was checked before, if its one signature says that it is by this key.
fn split<'a>(note: &'a str, key_id: &str) -> Option<(&'a [u8], Signature)> {
    let (text, lines) = note.rsplit_once("\n\n")?;
    let (name, signature) = lines.strip_suffix('\n')?.strip_prefix("— ")?.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(signature).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    let is_ours = format!("{name}+{:08x}", u32::from_be_bytes(*id)) == key_id;
    let signature = Signature::from_bytes(signature.try_into().ok()?);
    is_ours.then_some((note.as_bytes().get(..=text.len())?, signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::key::LogKey;
    use crate::journal::tree::record_hash;

    fn group(key: &LogKey, count: u64) -> Group {
        let mut group = Group::new(key.verifier().clone());
        for seq in 0..count {
            let checkpoint = Checkpoint { origin: "log".into(), size: seq + 1, root: record_hash(&seq.to_be_bytes()) };
            let note = checkpoint.sign(key).unwrap();
            let place = Damage { seq, through: seq, file: "f".into(), line: seq, why: String::new() };
            group.push(Signed { note, checkpoint, place });
        }
        group
    }

    #[test]
    fn many_hold_together_and_one_that_does_not_is_named() {
        let key = LogKey::generate("log").unwrap();
        let all = group(&key, 20);
        assert!(all.hold_together());
        let checked = all.check(false);
        assert_eq!((checked.count, checked.bad), (20, None));
        assert_eq!(checked.last.unwrap().0.size, 20);
        for n in 0..20_usize {
            for each in [false, true] {
                let mut all = group(&key, 20);
                // Another's signature: in form, by the right key, and not over this text.
                let from = if n == 19 { 0 } else { n + 1 };
                let other = all.signed[from].note.rsplit_once("\n\n").unwrap().1.to_owned();
                let text = all.signed[n].note.rsplit_once("\n\n").unwrap().0.to_owned();
                all.signed[n].note = format!("{text}\n\n{other}");
                let checked = all.check(each);
                assert_eq!((checked.count, checked.last.is_some()), (n as u64, n > 0));
                assert_eq!(checked.bad.unwrap().to_string(), {
                    let line = if n == 0 { String::new() } else { format!(" line {n}") };
                    format!("record {n}, f{line}: its commit line: its signature is not valid")
                });
            }
        }
        let other = LogKey::generate("log").unwrap();
        let foreign = Group { key: other.verifier().clone(), ..group(&key, 3) }.check(false);
        assert!(foreign.count == 0 && foreign.bad.unwrap().why.contains("not signed by the key log+"));
    }
}
