//! Changing the key of a log, in an order in which a crash at any point leaves a log that opens: the new key lies
//! durably under its waiting name before the record that puts it in force is written, and takes the place of the old
//! one after that record is on the disk. Opening completes what was cut short, or forgets it.

use super::open::{Begun, begin};
use super::walk::segments;
use super::{create, keyfile};
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::JournalError;
use crate::journal::handle::{OpenOptions, Rotated};
use crate::journal::key::LogKey;
use crate::journal::kind::Kind;
use crate::journal::record::Ready;
use crate::journal::rotation::Rotation;
use crate::journal::store::serve::Writes;
use serde_json::json;

/// Opens a log, gives it another key, and closes it. The old private key is removed; that its bytes are gone from the
/// medium can not be promised on a disk that writes elsewhere than it reads.
pub fn rotate(options: &OpenOptions) -> Result<Rotated, JournalError> {
    if segments(&options.dir)?.is_empty() {
        return Err(JournalError::NoLog { dir: options.dir.clone() });
    }
    let Begun { mut writer, lock, ring, .. } = begin(options, None)?;
    let old = ring.current().clone();
    let key = LogKey::generate(&options.origin)?;
    create::store_next_key(&options.dir, &key)?;

    let status = writer.status();
    let before = Checkpoint { origin: options.origin.clone(), size: status.size, root: status.root };
    let from = keyfile::load(&options.dir.join(super::KEY))?;
    let body = Rotation::draft(&before, &from, &key).map_err(|why| JournalError::KeptCheckpoint { why })?;
    let committed = writer.commit(vec![Ready::new(options.draft(Kind::KeyRotated, body, options.time))?])?;
    if committed.first().is_none_or(|c| c.seq != before.size) {
        // The segment failed and another one begins with what counts in it: the record is not alone in its batch.
        create::forget_next_key(&options.dir)?;
        let why = "the disk failed while the key was rotated, and the old key stays in force; try it again".to_owned();
        return Err(JournalError::Broken { why });
    }

    create::name_next_key(&options.dir)?;
    let new = key.verifier().clone();
    create::write_verifier_key(&options.dir, &new)?;
    // Read anew: what signs from here on is what lies on the disk.
    writer.hand_over(keyfile::load(&options.dir.join(super::KEY))?);
    let closed = json!({ "reason": "the key was rotated" });
    writer.close(vec![Ready::new(options.draft(Kind::JournalClosed, closed, options.time))?])?;
    drop(lock);
    Ok(Rotated { old, new, after: status.size + 1 })
}
