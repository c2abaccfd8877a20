//! What the writers of a log have in common, wherever it lies: they are asked together, say where the log stands, and only
//! then answer each one.

use super::file::intake::Intake;
use super::file::lock::Lock;
use crate::journal::error::JournalError;
use crate::journal::handle::{Append, Reply, Status};
use crate::journal::record::{Committed, Ready};
use std::time::Instant;
use tokio::sync::watch;

/// An append with what became of it.
pub type Answered = (Reply, Result<Vec<Committed>, JournalError>);

/// Writes a log.
pub trait Writes {
    /// Commits what was asked for together, and says for each what became of it.
    fn group(&mut self, batch: Vec<Append>) -> Vec<Answered>;
    /// Writes the last records, and completes what is written to.
    fn close(&mut self, last: Vec<Ready>) -> Result<Vec<Committed>, JournalError>;
    /// What can be said of the log now.
    fn status(&self) -> Status;
    /// Looks around, though nobody asks for anything; for a log that others write too.
    fn look(&mut self) {}
}

/// Writes what comes in until it is closed or nobody is left to write for.
pub fn serve(mut writer: impl Writes, mut intake: Intake, status: &watch::Sender<Status>, lock: Lock) {
    while let Some((batch, closing)) = intake.next() {
        if batch.is_empty() && closing.is_none() {
            writer.look();
            let now = writer.status();
            status.send_if_modified(|said| {
                let news = *said != Status { scrub: said.scrub.clone(), ..now.clone() };
                say(said, now);
                news
            });
            continue;
        }
        let begun = Instant::now();
        let replies = writer.group(batch);
        intake.learn(replies.len(), begun.elapsed());
        // Nothing is said of a checkpoint before the sync under it has returned.
        status.send_modify(|said| say(said, writer.status()));
        for (reply, result) in replies {
            // The one who asked may have gone; the record stands all the same.
            let _ = reply.send(result);
        }
        if let Some(last) = closing {
            let result = writer.close(last.records);
            status.send_modify(|said| say(said, writer.status()));
            drop(lock);
            let _ = last.reply.send(result);
            return;
        }
    }
}

/// What can be said now; what the scrub says stays.
fn say(said: &mut Status, now: Status) {
    let scrub = said.scrub.take();
    *said = Status { scrub, ..now };
}

/// The appends that may be written; those that would let something begin are answered where there is no room for that.
pub fn admitted(batch: Vec<Append>, intents_fit: &Result<(), JournalError>) -> (Vec<Append>, Vec<Answered>) {
    let (mut taken, mut answers) = (vec![], vec![]);
    for append in batch {
        match intents_fit {
            Err(why) if append.has_intent() => answers.push((append.reply, Err(why.clone()))),
            _ => taken.push(append),
        }
    }
    (taken, answers)
}
