//! What makes a batch true: records in form and in number, and a checkpoint whose root is theirs. Signatures
//! are checked apart, because they cost a hundred times as much. The greater part, [`Leaves::of`], needs nothing of
//! what lies before the batch but its number, so that many batches may be looked at side by side; joining them to
//! the tree is what has to go in order.

use super::batch::Batch;
use super::succession::Accepted;
use crate::journal::checkpoint::{BadNote, Checkpoint};
use crate::journal::error::{Damage, JournalError};
use crate::journal::record::{Head, NotARecord};
use crate::journal::tree::{Frontier, Hash, record_hash};

/// What a batch says by itself.
#[derive(Debug)]
pub struct Leaves {
    first: u64,
    /// Of the records, up to the first that is none.
    hashes: Vec<Hash>,
    /// Why the record after those is none.
    fault: Option<String>,
    /// Line and version of the first record of a later version.
    future: Option<(u64, u64)>,
    checkpoint: Result<Checkpoint, BadNote>,
}

impl Leaves {
    /// Those of a batch whose first record should have the number `first`.
    pub fn of(batch: &Batch, first: u64) -> Self {
        let records = batch.records();
        let mut hashes = Vec::with_capacity(records.len());
        let (mut fault, mut future) = (None, None);
        for ((seq, line), bytes) in (first..).zip(batch.line..).zip(records) {
            match Head::read(bytes) {
                Ok(head) if head.seq == seq => {}
                Ok(head) => fault = Some(format!("the record with number {} stands here", head.seq)),
                // The root tells a later version from a changed digit.
                Err(NotARecord::Future { found }) => {
                    future.get_or_insert((line, found));
                }
                Err(why) => fault = Some(why.to_string()),
            }
            if fault.is_some() {
                break;
            }
            hashes.push(record_hash(bytes));
        }
        Self { first, hashes, fault, future, checkpoint: Checkpoint::read(&batch.note) }
    }

    /// As [`Leaves::of`], without a look at the records' form: only the root tells whether they are right.
    pub fn hashed(batch: &Batch, first: u64) -> Self {
        let hashes = batch.records().map(record_hash).collect();
        Self { first, hashes, fault: None, future: None, checkpoint: Checkpoint::read(&batch.note) }
    }
}

/// The tree up to some batch of one log.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    frontier: Frontier,
    origin: Option<String>,
}

impl Chain {
    /// A chain that goes on from a tree and takes checkpoints of this origin only.
    pub fn from(origin: &str, frontier: Frontier) -> Self {
        Self { frontier, origin: Some(origin.to_owned()) }
    }

    /// The tree over the batches so far.
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Name of the log, once a batch or the caller has said it.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Takes in the batch that lies in `file`. On an error the chain stays as it was.
    pub fn take(&mut self, batch: &Batch, file: &str) -> Result<Checkpoint, JournalError> {
        let leaves = Leaves::of(batch, self.frontier.size());
        self.join(batch, leaves, file, |_| {})
    }

    /// As [`Chain::take`] for a batch that was looked at before, and `watch` sees the tree after each record.
    pub fn join(
        &mut self,
        batch: &Batch,
        leaves: Leaves,
        file: &str,
        mut watch: impl FnMut(&Frontier),
    ) -> Result<Checkpoint, JournalError> {
        let Leaves { first, hashes, fault, future, checkpoint } = leaves;
        if let Some(accepted) = batch.records().next().filter(|_| batch.offset == 0).and_then(Accepted::read)
            && accepted.root != self.frontier.root().to_string()
        {
            let why = "it says that the log had another root where it begins".to_owned();
            return Err(JournalError::Damaged(Damage {
                seq: first,
                through: first,
                file: file.to_owned(),
                line: 1,
                why,
            }));
        }
        let mut frontier = self.frontier.clone();
        let count = batch.records().len() as u64;
        let damage = |seq: u64, through: u64, line: u64, why: String| {
            JournalError::Damaged(Damage { seq, through, file: file.to_owned(), line, why })
        };
        if first != frontier.size() {
            let why = format!("it begins with record {first}, and {} was to come", frontier.size());
            return Err(damage(frontier.size(), first, batch.line, why));
        }
        for hash in hashes {
            frontier.append_hash(hash);
            watch(&frontier);
        }
        if let Some(why) = fault {
            let seq = frontier.size();
            return Err(damage(seq, seq, batch.line + seq - first, why));
        }
        let last = frontier.size().saturating_sub(1).max(first);
        let commit_line = batch.line + count;
        let whole = |why: String| damage(first, last, commit_line, why);
        if count == 0 {
            return Err(whole("a commit line without records".into()));
        }
        if batch.from != first {
            let why = format!("its commit line says that it begins with record {}", batch.from);
            return Err(whole(why));
        }
        let checkpoint = checkpoint.map_err(|e| whole(format!("its commit line: {e}")))?;
        if let Some(origin) = &self.origin
            && *origin != checkpoint.origin
        {
            let found = crate::domain::text::sanitize(&checkpoint.origin);
            return Err(whole(format!("its checkpoint is of the log `{found}`, not of `{origin}`")));
        }
        if checkpoint.size != frontier.size() {
            let (found, counted) = (checkpoint.size, frontier.size());
            return Err(whole(format!("its checkpoint covers {found} records, and {counted} are there")));
        }
        if checkpoint.root != frontier.root() {
            return Err(whole("the root of its checkpoint is not the root of the records".into()));
        }
        if let Some((line, found)) = future {
            return Err(JournalError::FutureVersion { file: file.to_owned(), line, found });
        }
        self.origin.get_or_insert_with(|| checkpoint.origin.clone());
        self.frontier = frontier;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::key::LogKey;
    use crate::journal::kind::Kind;
    use crate::journal::record::{Ready, tests::draft};
    use crate::journal::store::file::batch::{self, Found};

    /// A batch of these records under a checkpoint over the ones in `signed`.
    fn batch(records: &[String], signed: &[String], from: u64) -> Batch {
        let mut tree = Frontier::default();
        for record in signed {
            tree.append(record.as_bytes());
        }
        let checkpoint = Checkpoint { origin: "log".into(), size: tree.size(), root: tree.root() };
        let note = checkpoint.sign(&LogKey::generate("log").unwrap()).unwrap();
        let mut text: Vec<u8> = records.iter().flat_map(|r| format!("{r}\n").into_bytes()).collect();
        text.extend(batch::commit_line(from, &note).unwrap());
        let Found::Batch(batch) = batch::read(&mut &*text, 0, 1).unwrap() else { panic!() };
        batch
    }

    fn records(count: u64) -> Vec<String> {
        let ready = Ready::new(draft(Kind::NoteAdded, serde_json::json!({}))).unwrap();
        let text = |seq| {
            let mut bytes = vec![];
            ready.write(seq, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        (0..count).map(text).collect()
    }

    fn refused(batch: &Batch) -> JournalError {
        let mut chain = Chain::default();
        let error = chain.take(batch, "f").unwrap_err();
        assert_eq!((chain.frontier().size(), chain.origin()), (0, None), "it stays as it was");
        error
    }

    #[test]
    fn a_later_version_that_was_signed_is_no_damage_and_a_changed_digit_is() {
        let good = records(3);
        let mut later = good.clone();
        later[1] = later[1].replace("\"v\":1}", "\"v\":2}");
        let future = JournalError::FutureVersion { file: "f".into(), line: 2, found: 2 };
        assert_eq!(refused(&batch(&later, &later, 0)), future);
        assert!(matches!(refused(&batch(&later, &good, 0)), JournalError::Damaged(Damage { seq: 0, through: 2, .. })));
    }

    #[test]
    fn a_batch_is_true_or_says_why_not() {
        let good = records(3);
        let mut chain = Chain::default();
        chain.take(&batch(&good, &good, 0), "f").unwrap();
        assert_eq!((chain.frontier().size(), chain.origin()), (3, Some("log")));

        let why = |batch: &Batch| refused(batch).to_string();
        assert!(why(&batch(&good, &good, 1)).contains("says that it begins with record 1"));
        assert!(why(&batch(&good, &good[..2], 0)).contains("covers 2 records, and 3 are there"));
        assert!(why(&batch(&[], &[], 0)).contains("a commit line without records"));
        assert!(
            why(&batch(&[good[0].clone(), good[2].clone()], &good, 0)).contains("record with number 2 stands here")
        );
        let elsewhere =
            Chain::from("elsewhere", Frontier::default()).take(&batch(&good, &good, 0), "f").unwrap_err().to_string();
        assert!(elsewhere.contains("of the log `log`, not of `elsewhere`"), "{elsewhere}");
    }
}
