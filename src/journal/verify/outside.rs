//! What was kept of a log elsewhere, and what others signed of it: checkpoints that the log must contain. Those that
//! lie beside the records (`checkpoint`, `cosigned`) may be gone or forged with them; they count where the log's key
//! signed them, since then the log must still go on from there.

use super::Options;
use super::pass::Standing;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::cosignature::{self, BadCosigned};
use crate::journal::error::{Damage, JournalError};
use crate::journal::key::KeyRing;
use crate::journal::proof;
use crate::journal::pruned::Pruned;
use crate::journal::store::file::hashes::MAX_NOTE;
use crate::journal::store::file::leaves::leaf_hashes;
use crate::journal::store::file::tiles::read_file;
use crate::journal::store::file::walk::{Step, Walk, Whole};
use crate::journal::store::file::{CHECKPOINT, COSIGNED, RECORDS};
use crate::journal::tree::{Frontier, record_hash};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A checkpoint that was found somewhere.
#[derive(Debug)]
struct Note {
    text: String,
    /// What it says, before its signature is looked at.
    claimed: Checkpoint,
    /// Whether somebody brought it; else it lies beside the records.
    given: bool,
}

/// All of them, in the order of their sizes.
#[derive(Debug)]
pub struct Outside {
    notes: Vec<Note>,
    /// What the notes say.
    pub kept: Vec<Checkpoint>,
}

/// Which witnesses stand by the log.
#[derive(Debug, Default)]
pub struct Witnessed {
    /// The greatest number of records that a quorum has signed for.
    pub size: Option<u64>,
    /// Names and ids of those whose cosignatures were found.
    pub by: Vec<String>,
}

impl Outside {
    /// Takes the notes that were given, and those that lie in the journal's directory.
    pub fn read(given: &[String], dir: &Path) -> Result<Self, JournalError> {
        let mut notes = vec![];
        for text in given {
            let claimed = Checkpoint::read_cosigned(text).map_err(|why| JournalError::KeptCheckpoint { why })?;
            notes.push(Note { text: text.clone(), claimed, given: true });
        }
        for name in [CHECKPOINT, COSIGNED] {
            let text = read_file(&dir.join(name), MAX_NOTE).ok().flatten().and_then(|b| String::from_utf8(b).ok());
            let note = text.and_then(|text| Some((Checkpoint::read_cosigned(&text).ok()?, text)));
            notes.extend(note.map(|(claimed, text)| Note { text, claimed, given: false }));
        }
        // An empty tree is in every log.
        notes.retain(|note| note.claimed.size > 0);
        notes.sort_by_key(|note| note.claimed.size);
        let kept = notes.iter().map(|note| note.claimed.clone()).collect();
        Ok(Self { notes, kept })
    }

    /// Forgets what lies beside the records and that none of the log's keys signed: whether something was forgotten.
    pub fn forget_forged(&mut self, ring: &KeyRing) -> bool {
        let before = self.notes.len();
        self.notes.retain(|note| note.given || signed_by(note, ring));
        self.kept = self.notes.iter().map(|note| note.claimed.clone()).collect();
        self.notes.len() < before
    }

    /// Holds the checkpoints over records that were moved against the tiles that stay, and says how many of them the log
    /// contains, or which it does not. One that can not be compared is an error when somebody brought it.
    pub fn compare_moved(&mut self, at: Whole<'_>, moved: &Pruned) -> Result<Result<usize, usize>, JournalError> {
        let mut n = 0;
        while let Some(note) = self.notes.get(n).filter(|note| note.claimed.size <= moved.size()) {
            let size = note.claimed.size;
            let root = if size == moved.size() { Ok(moved.tree().root()) } else { proof::root(at.dir, size) };
            match root {
                Ok(root) if root == note.claimed.root => n += 1,
                Ok(_) => return Ok(Err(n)),
                Err(JournalError::Archived { .. }) if !note.given => {
                    self.notes.remove(n);
                    self.kept.remove(n);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(Ok(n))
    }

    /// That every note that was given is signed by a key of the log.
    pub fn judge(&self, ring: &KeyRing) -> Result<(), JournalError> {
        for note in self.notes.iter().filter(|note| note.given) {
            if !signed_by(note, ring)
                && let Err(why) = Checkpoint::open_cosigned(&note.text, ring.current())
            {
                return Err(JournalError::KeptCheckpoint { why });
            }
        }
        Ok(())
    }

    /// Sizes of the given checkpoints.
    pub fn given(&self) -> Vec<u64> {
        self.notes.iter().filter(|note| note.given).map(|note| note.claimed.size).collect()
    }

    /// What the witnesses have signed; `quorum` of them have to, of which those of one administrator count once.
    pub fn witnessed(
        &self,
        ring: &KeyRing,
        options: &Options,
        quorum: usize,
        contained: u64,
    ) -> Result<Witnessed, JournalError> {
        let witnesses = options.witnesses.as_slice();
        let mut sizes = vec![0; witnesses.len()];
        for note in self.notes.iter().filter(|note| note.claimed.size <= contained) {
            for (_, key) in ring.keys() {
                let cosigned = match cosignature::open(&note.text, key, witnesses) {
                    Ok(cosigned) => cosigned,
                    Err(BadCosigned::Note(_)) => continue,
                    Err(_) if !note.given => continue,
                    Err(why) => return Err(JournalError::Cosignature { why }),
                };
                for (witness, size) in witnesses.iter().zip(&mut sizes) {
                    if cosigned.by(witness).is_some() {
                        *size = note.claimed.size.max(*size);
                    }
                }
            }
        }
        let by = witnesses.iter().zip(&sizes).filter(|(_, size)| **size > 0).map(|(key, _)| key.id()).collect();
        let mut best: BTreeMap<String, u64> = BTreeMap::new();
        for (n, (key, size)) in witnesses.iter().zip(sizes).enumerate() {
            let who = options.administrators.get(n).cloned().unwrap_or_else(|| key.id());
            let best = best.entry(who).or_default();
            *best = size.max(*best);
        }
        let mut sizes: Vec<u64> = best.into_values().collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let size = quorum.checked_sub(1).and_then(|n| sizes.get(n)).copied().filter(|size| *size > 0);
        Ok(Witnessed { size, by })
    }

    /// Where the log departs from the checkpoint number `n`: after the last one that it still contains, or at the very
    /// record, if leaf hashes are at hand that hash to the kept root.
    pub fn departure(&self, n: usize, at: Whole<'_>, tiles: &[PathBuf]) -> Option<Damage> {
        let kept = self.kept.get(n)?;
        let agreed = self.kept.iter().take(n).map(|k| k.size).filter(|size| *size < kept.size).max().unwrap_or(0);
        let (seq, through) = tiles
            .iter()
            .find_map(|tiles| difference(at, tiles, kept))
            .unwrap_or_else(|| (agreed, kept.size.saturating_sub(1)));
        let why = format!("the kept checkpoint over {} records has another root", kept.size);
        Some(Damage { seq, through, file: RECORDS.to_owned(), line: 0, why })
    }

    /// That the log ends before the greatest of the kept checkpoints.
    pub fn beyond(&self, standing: &Standing) -> Option<Damage> {
        let (size, kept) = (standing.chain.frontier().size(), self.kept.last()?);
        let why = format!("the log ends here, and the kept checkpoint covers {} records", kept.size);
        let file = standing.place.segment.name();
        (kept.size > size).then(|| Damage { seq: size, through: kept.size - 1, file, line: 0, why })
    }
}

fn signed_by(note: &Note, ring: &KeyRing) -> bool {
    ring.keys().any(|(_, key)| Checkpoint::open_cosigned(&note.text, key).is_ok())
}

/// The first and the last record that differ from the leaf hashes of tiles, if those hash to the kept root.
fn difference(at: Whole<'_>, tiles: &Path, kept: &Checkpoint) -> Option<(u64, u64)> {
    const STRIDE: u64 = 1 << 12;
    let mut committed = Frontier::default();
    let mut found: Option<(u64, u64)> = None;
    let (mut expected, mut from) = (vec![], 0);
    let mut walk = Walk::open(at, 0).ok()?;
    let mut seq = walk.seq();
    if seq > 0 {
        return None;
    }
    while seq < kept.size {
        let Ok(Step::Batch(batch)) = walk.next() else { return None };
        for record in batch.records() {
            if seq >= kept.size {
                break;
            }
            if seq >= from + expected.len() as u64 {
                from = seq;
                expected = leaf_hashes(tiles, from, (from + STRIDE).min(kept.size))?;
                for hash in &expected {
                    committed.append_hash(*hash);
                }
            }
            let differs =
                expected.get(usize::try_from(seq - from).ok()?).is_none_or(|hash| *hash != record_hash(record));
            if differs {
                found = Some((found.map_or(seq, |(first, _)| first), seq));
            }
            seq += 1;
        }
    }
    found.filter(|_| committed.root() == kept.root)
}
