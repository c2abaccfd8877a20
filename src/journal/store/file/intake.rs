//! What the writer takes together into one batch, and the queue where that waits. Callers that were answered a moment
//! ago mostly ask again at once, while the writer has gone on with those who came during the sync: left alone, the
//! callers fall into two halves that take turns, and each sync serves one half. So the next batch waits a little for as
//! many as there were, and never longer than half of what the last batch took, which is paid back when one sync serves
//! all. A lone caller never waits. The writer sleeps until all that it waits for are there, so that it is woken once a
//! batch and leaves the processors to the callers until then. Before it sleeps it looks for as long as the last batch took,
//! 0.2 ms at most, and lets everybody else run in between: a caller that was just answered asks again within that time.

use super::batch::MAX_BATCH_BYTES;
use crate::journal::handle::{Append, Message};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Appends that may wait for the writer before the next one has to.
const MOST: usize = 1024;

/// How long a thread stays awake for what should come at once: the writer for those whom it has just answered, a caller
/// for its answer. Waking one whose processor has gone to sleep costs half as much as a sync of a fast disk.
pub const AWAKE: Duration = Duration::from_micros(200);

/// Where appends wait for the writer.
#[derive(Debug)]
pub struct Queue {
    room: Arc<Semaphore>,
    state: Mutex<State>,
    /// How many wait, for who looks without the lock.
    there: AtomicUsize,
    /// Told when as many are there as the writer waits for.
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Message, OwnedSemaphorePermit)>,
    /// How many the writer sleeps for; 0 when it does not sleep.
    wanted: usize,
    /// Whether the writer is to look around, though nobody asks for anything.
    nudged: bool,
    /// Whether nothing more comes, or nobody takes it any more.
    closed: bool,
}

impl Queue {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        let room = Arc::new(Semaphore::new(MOST));
        Arc::new(Self { room, state: Mutex::default(), there: AtomicUsize::new(0), filled: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message at the end; whether somebody will take it.
    pub async fn push(&self, message: Message) -> bool {
        let Ok(permit) = self.room.clone().acquire_owned().await else { return false };
        let is_last = matches!(message, Message::Close(_));
        let mut state = self.state();
        if state.closed {
            return false;
        }
        state.waiting.push_back((message, permit));
        self.there.store(state.waiting.len(), Ordering::Release);
        let wakes = state.wanted > 0 && (is_last || state.waiting.len() >= state.wanted);
        if wakes {
            state.wanted = 0;
        }
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        true
    }

    /// Has the writer look around: it is given a batch, which may be empty.
    pub fn nudge(&self) {
        let mut state = self.state();
        state.nudged = true;
        state.wanted = 0;
        drop(state);
        self.filled.notify_one();
    }

    /// Nothing more comes. What waits is still taken.
    pub fn close(&self) {
        self.room.close();
        self.state().closed = true;
        self.filled.notify_one();
    }
}

/// The writer's side of the queue. Nobody waits there any more when it is dropped.
#[derive(Debug)]
pub struct Intake {
    queue: Arc<Queue>,
    /// How many appends were on their way at once when the last batch was done.
    expected: usize,
    /// How long that batch took; the next one may wait for them half as long.
    took: Duration,
    /// How long it sleeps before it looks around, though nobody asks for anything.
    pulse: Option<Duration>,
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.queue.close();
        // Those who asked hear that it is closed when their message is dropped.
        let left = std::mem::take(&mut self.queue.state().waiting);
        drop(left);
    }
}

impl Intake {
    /// Takes from this queue.
    pub const fn new(queue: Arc<Queue>) -> Self {
        Self { queue, expected: 0, took: Duration::ZERO, pulse: None }
    }

    /// The same, with an empty batch whenever nothing has come for so long.
    pub const fn with_pulse(mut self, pulse: Option<Duration>) -> Self {
        self.pulse = pulse;
        self
    }

    /// Says how many appends were served and how long that took, before any of them is answered.
    pub fn learn(&mut self, served: usize, took: Duration) {
        self.expected = served + self.queue.state().waiting.len();
        self.took = took;
    }

    /// The appends of the next batch, and the one that closes the log after them; waits for the first of them, or for a
    /// nudge. `None` when nobody is left to write for.
    pub fn next(&mut self) -> Option<(Vec<Append>, Option<Append>)> {
        self.look(self.expected.max(1), Instant::now() + self.took.min(AWAKE));
        let mut state = self.queue.state();
        if self.expected > 1 {
            state = self.sleep(state, self.expected, Some(self.took / 2));
        }
        state = self.sleep(state, 1, self.pulse);
        let nudged = std::mem::take(&mut state.nudged);
        if state.waiting.is_empty() && (state.closed || !(nudged || self.pulse.is_some())) {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::with_capacity(state.waiting.len()), 0);
        while let Some((message, room)) = state.waiting.pop_front() {
            match message {
                Message::Append(append) if bytes > 0 && bytes + append.max_len() > MAX_BATCH_BYTES => {
                    state.waiting.push_front((Message::Append(append), room));
                    break;
                }
                Message::Append(append) => {
                    bytes += append.max_len();
                    batch.push(append);
                }
                Message::Close(last) => return Some((batch, Some(last))),
            }
        }
        self.queue.there.store(state.waiting.len(), Ordering::Release);
        Some((batch, None))
    }

    /// Looks again and again whether so many are there, and lets everybody else run in between.
    fn look(&self, wanted: usize, until: Instant) {
        while self.queue.there.load(Ordering::Acquire) < wanted && Instant::now() < until {
            std::thread::yield_now();
        }
    }

    /// Waits until so many are there, the last one is, or time is over.
    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        wanted: usize,
        time: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        let is_enough = |state: &State| {
            let closes = state.waiting.back().is_some_and(|(message, _)| matches!(message, Message::Close(_)));
            state.waiting.len() >= wanted || state.closed || state.nudged || closes
        };
        if is_enough(&state) {
            return state;
        }
        state.wanted = wanted;
        let queue = &self.queue;
        state = match time {
            None => {
                let woken = queue.filled.wait_while(state, |state| !is_enough(state));
                woken.unwrap_or_else(PoisonError::into_inner)
            }
            Some(time) => {
                let woken = queue.filled.wait_timeout_while(state, time, |state| !is_enough(state));
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.wanted = 0;
        state
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

    fn put(queue: &Queue, message: Message) -> bool {
        futures::executor::block_on(queue.push(message))
    }

    fn intake(messages: Vec<Message>) -> (Intake, Arc<Queue>) {
        let queue = Queue::new();
        for message in messages {
            assert!(put(&queue, message));
        }
        (Intake::new(queue.clone()), queue)
    }

    #[test]
    fn what_waits_is_taken_together_up_to_the_greatest_batch() {
        let (mut intake, queue) = intake((0..70).map(|_| append(65_000)).collect());
        let first = intake.next().unwrap().0.len();
        assert!((60..70).contains(&first), "{first}");
        assert_eq!(intake.next().unwrap().0.len(), 70 - first);
        assert_eq!(queue.room.available_permits(), MOST);
        queue.close();
        assert!(intake.next().is_none());
        assert!(!put(&queue, append(1)));
    }

    #[test]
    fn a_batch_waits_for_those_who_were_there_before_and_a_lone_one_does_not() {
        let (mut intake, queue) = intake(vec![]);
        // It would wait for ever, were it to wait.
        intake.learn(1, Duration::MAX);
        put(&queue, append(1));
        assert_eq!(intake.next().unwrap().0.len(), 1);
        put(&queue, append(1));
        intake.learn(2, Duration::MAX);
        assert_eq!(intake.expected, 3, "two that will come again, and one that waits");
        let late = std::thread::spawn({
            let queue = queue.clone();
            move || {
                put(&queue, append(1));
                put(&queue, append(1));
            }
        });
        assert_eq!(intake.next().unwrap().0.len(), 3);
        late.join().unwrap();
        // Nobody comes: patience ends.
        put(&queue, append(1));
        intake.learn(7, Duration::from_millis(2));
        assert_eq!(intake.next().unwrap().0.len(), 1);
    }

    #[test]
    fn the_end_comes_after_what_was_asked_before_it() {
        let Message::Append(last) = append(1) else { unreachable!() };
        let (mut intake, _queue) = intake(vec![append(1), Message::Close(last), append(1)]);
        intake.expected = 9;
        intake.took = Duration::from_millis(2);
        let (batch, closing) = intake.next().unwrap();
        assert_eq!((batch.len(), closing.is_some()), (1, true));
    }

    #[test]
    fn a_nudge_gives_what_is_there_and_counts_once() {
        let (mut intake, queue) = intake(vec![]);
        queue.nudge();
        queue.nudge();
        assert_eq!(intake.next().unwrap().0.len(), 0);
        let late = std::thread::spawn({
            let queue = queue.clone();
            move || put(&queue, append(1))
        });
        assert_eq!(intake.next().unwrap().0.len(), 1);
        assert!(late.join().unwrap());
        queue.nudge();
        queue.close();
        assert!(intake.next().is_none());
    }

    #[test]
    fn whoever_waits_hears_when_the_writer_is_gone() {
        let record = || Ready::new(draft(Kind::NoteAdded, json!({}))).unwrap();
        let (reply, answer) = oneshot::channel();
        let (intake, queue) = intake(vec![Message::Append(Append { records: vec![record()], reply })]);
        drop(intake);
        assert!(futures::executor::block_on(answer).is_err());
        assert!(!put(&queue, append(1)));
    }

    #[test]
    fn a_full_queue_makes_the_next_one_wait_and_not_the_writer() {
        let (mut intake, queue) = intake((0..MOST).map(|_| append(1)).collect());
        let late = std::thread::spawn({
            let queue = queue.clone();
            move || put(&queue, append(1))
        });
        assert_eq!(intake.next().unwrap().0.len(), MOST);
        assert_eq!(intake.next().unwrap().0.len(), 1);
        assert!(late.join().unwrap());
    }
}
