//! What the writer takes together into one batch. Callers that were answered a moment ago mostly ask again at once,
//! while the writer has gone on with those who came during the sync: left alone, the callers fall into two halves that
//! take turns, and each sync serves one half. So the next batch waits a little for as many as there were, and never
//! longer than half of what the last batch took, which is paid back when one sync serves all. A lone caller never waits.

use super::batch::MAX_BATCH_BYTES;
use crate::journal::handle::{Append, Message};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long a wait may be spent without letting the processor sleep.
const AWAKE: Duration = Duration::from_micros(200);

/// The writer's side of the queue.
#[derive(Debug)]
pub struct Intake {
    inbox: mpsc::Receiver<Message>,
    /// What did not fit into the batch before.
    held: Option<Message>,
    /// How many appends were on their way at once when the last batch was done.
    expected: usize,
    /// How long the next batch may wait for them.
    patience: Duration,
}

impl Intake {
    /// Takes from this queue.
    pub const fn new(inbox: mpsc::Receiver<Message>) -> Self {
        Self { inbox, held: None, expected: 0, patience: Duration::ZERO }
    }

    /// Says how many appends were served and how long that took, before any of them is answered.
    pub fn learn(&mut self, served: usize, took: Duration) {
        self.expected = served + self.inbox.len();
        self.patience = took / 2;
    }

    /// The appends of the next batch, and the one that closes the log after them; waits for the first of them. `None`
    /// when nobody is left to write for.
    pub fn next(&mut self) -> Option<(Vec<Append>, Option<Append>)> {
        let (mut batch, mut bytes) = (vec![], 0);
        let mut next = Some(self.held.take().or_else(|| self.inbox.blocking_recv())?);
        let begun = Instant::now();
        while let Some(message) = next {
            match message {
                Message::Append(append) if bytes > 0 && bytes + append.max_len() > MAX_BATCH_BYTES => {
                    self.held = Some(Message::Append(append));
                    break;
                }
                Message::Append(append) => {
                    bytes += append.max_len();
                    batch.push(append);
                }
                Message::Close(last) => return Some((batch, Some(last))),
            }
            next = self.inbox.try_recv().ok();
            while next.is_none() && batch.len() < self.expected && begun.elapsed() < self.patience {
                if begun.elapsed() < AWAKE {
                    std::thread::yield_now();
                } else {
                    std::thread::sleep(AWAKE / 4);
                }
                next = self.inbox.try_recv().ok();
            }
        }
        Some((batch, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::kind::Kind;
    use crate::journal::record::{Ready, tests::draft};
    use serde_json::json;
    use tokio::sync::oneshot;

    fn append(chars: usize) -> Message {
        let record = Ready::new(draft(Kind::NoteAdded, json!({"text": "x".repeat(chars)}))).unwrap();
        Message::Append(Append { records: vec![record], reply: oneshot::channel().0 })
    }

    fn intake(messages: Vec<Message>) -> (Intake, mpsc::Sender<Message>) {
        let (sender, inbox) = mpsc::channel(1024);
        for message in messages {
            sender.try_send(message).unwrap();
        }
        (Intake::new(inbox), sender)
    }

    #[test]
    fn what_waits_is_taken_together_up_to_the_greatest_batch() {
        let (mut intake, sender) = intake((0..70).map(|_| append(65_000)).collect());
        let first = intake.next().unwrap().0.len();
        assert!((60..70).contains(&first), "{first}");
        assert_eq!(intake.next().unwrap().0.len(), 70 - first);
        drop(sender);
        assert!(intake.next().is_none());
    }

    #[test]
    fn a_batch_waits_for_those_who_were_there_before_and_a_lone_one_does_not() {
        let (mut intake, sender) = intake(vec![]);
        // It would wait for ever, were it to wait.
        intake.learn(1, Duration::MAX);
        sender.try_send(append(1)).unwrap();
        assert_eq!(intake.next().unwrap().0.len(), 1);
        sender.try_send(append(1)).unwrap();
        intake.learn(2, Duration::MAX);
        assert_eq!(intake.expected, 3, "two that will come again, and one that waits");
        let late = std::thread::spawn(move || {
            sender.try_send(append(1)).unwrap();
            sender.try_send(append(1)).unwrap();
            sender
        });
        assert_eq!(intake.next().unwrap().0.len(), 3);
        let sender = late.join().unwrap();
        // Nobody comes: patience ends.
        sender.try_send(append(1)).unwrap();
        intake.learn(7, Duration::from_millis(2));
        assert_eq!(intake.next().unwrap().0.len(), 1);
    }

    #[test]
    fn the_end_comes_after_what_was_asked_before_it() {
        let Message::Append(last) = append(1) else { unreachable!() };
        let (mut intake, _sender) = intake(vec![append(1), Message::Close(last), append(1)]);
        let (batch, closing) = intake.next().unwrap();
        assert_eq!((batch.len(), closing.is_some()), (1, true));
    }
}
