//! The handle that consoles and the command line hold.

use super::api::{Command, Proof, Reply, Snapshot};
use crate::domain::actor::Actor;
use futures::stream::{FuturesOrdered, StreamExt as _};
use jiff::Timestamp;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A command on its way.
#[derive(Debug)]
pub struct Envelope {
    /// What is asked.
    pub command: Command,
    /// Who asks.
    pub actor: Actor,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Reply>,
}

/// A way to the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    /// Commands; bounded, so that nobody can flood the engine.
    pub(super) commands: mpsc::Sender<Envelope>,
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The engine's clock, once a second while it lives.
    pub beat: watch::Receiver<Timestamp>,
    /// How this handle hangs on the engine.
    pub link: watch::Receiver<Link>,
    /// Who holds this handle.
    pub(super) actor: Actor,
}

/// How a console hangs on its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// As whom it is attached; nothing when the engine runs in the same process.
    pub attached: Option<Attached>,
    /// Why the engine can not be reached, when that is so.
    pub lost: Option<Lost>,
}

/// As whom a console is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Name.
    pub user: String,
    /// What proves it.
    pub proof: Proof,
    /// Why a signature did not count.
    pub doubt: Option<String>,
    /// Whether it only looks on.
    pub read_only: bool,
}

/// A connection that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Since when, by the wall clock of the console.
    pub since: Timestamp,
    /// What happened.
    pub why: String,
}

impl Client {
    /// Sends a command and waits for its answer, which comes after the records are on disk.
    pub async fn send(&self, command: Command) -> Reply {
        self.hand(command).await.await
    }

    /// Hands a command over; what comes back is its answer, when it is there.
    async fn hand(&self, command: Command) -> impl Future<Output = Reply> + Send + use<> {
        let (answer, reply) = oneshot::channel();
        let envelope = Envelope { command, actor: self.actor.clone(), answer };
        let handed = self.commands.send(envelope).await.is_ok();
        async move {
            let ended = if handed { "the engine ended before it answered" } else { "the engine has ended" };
            reply.await.unwrap_or_else(|_| Reply::refused(ended))
        }
    }

    /// The same way for somebody else.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }
}

/// Commands of one console: they reach the engine in the order in which they were given, and their answers are told in
/// that order. Were each sent by a task of its own, an emergency stop could overtake the confirmation before it, and
/// its answer be covered by the older one. Only logs are answered apart: reading them takes its time, and no other answer
/// waits for it.
#[derive(Clone, Debug)]
pub struct Queue<T, M> {
    give: mpsc::UnboundedSender<(T, Client, Command)>,
    answers: mpsc::Sender<M>,
    say: fn(T, Reply) -> M,
}

impl<T: Send + 'static, M: Send + 'static> Queue<T, M> {
    /// A queue whose answers go to `answers`, in the words of `say`; its task ends with the last handle, after the last
    /// answer.
    pub fn new(answers: mpsc::Sender<M>, say: fn(T, Reply) -> M) -> Self {
        let (give, mut given) = mpsc::unbounded_channel::<(T, Client, Command)>();
        let told = answers.clone();
        tokio::spawn(async move {
            let mut open = FuturesOrdered::new();
            loop {
                tokio::select! {
                    biased;
                    Some((about, client, command)) = given.recv() => {
                        let reply = client.hand(command).await;
                        open.push_back(async move { (about, reply.await) });
                    }
                    Some((about, reply)) = open.next(), if !open.is_empty() => {
                        // A console that has ended does not need it; the journal has it.
                        let _ = told.send(say(about, reply)).await;
                    }
                    else => return,
                }
            }
        });
        Self { give, answers, say }
    }

    /// Gives a command of the one who holds this client.
    pub fn give(&self, about: T, client: Client, command: Command) {
        if matches!(command, Command::Logs { .. }) {
            let (answers, say) = (self.answers.clone(), self.say);
            tokio::spawn(async move {
                let reply = client.send(command).await;
                let _ = answers.send(say(about, reply)).await;
            });
            return;
        }
        // The task lives as long as this handle.
        let _ = self.give.send((about, client, command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RunId;
    use serde_json::json;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn commands_arrive_and_answers_are_told_in_the_order_of_the_keys() {
        let (commands, mut asked) = mpsc::channel(4);
        let nothing = json!({
            "generation": 0, "at": Timestamp::UNIX_EPOCH, "mode": "live", "health": "unknown", "me": "mara",
            "estate": { "name": "e", "environment": "staging", "time_zone": "UTC", "tenants": [] },
            "panes": { "sources": [], "tenants": [], "databases": [], "queues": [], "ingress": [] },
            "findings": [], "changes": [], "runs": [], "playbooks": [], "measures": [], "glass": null, "drill": null,
            "incidents": [], "journal": { "dir": "d", "size": 0, "root": "r", "broken": null, "tail": [] },
        });
        let (_, snapshots) = watch::channel(Arc::new(serde_json::from_value(nothing).unwrap()));
        let (_, beat) = watch::channel(Timestamp::UNIX_EPOCH);
        let (_, link) = watch::channel(Link::default());
        let (user, via, host) = ("mara".into(), "console".into(), "bastion".into());
        let client =
            Client { commands, snapshots, beat, link, actor: Actor { user, uid: 1, via, host, console: None } };
        let (answers, mut told) = mpsc::channel(4);
        let queue = Queue::new(answers, |number: usize, reply| (number, reply));
        for number in 0..500 {
            let run = RunId::new(format!("RUN-{number}"));
            queue.give(number, client.clone(), Command::ResumeRun { run });
        }
        drop((queue, client));
        let engine = tokio::spawn(async move {
            let mut waiting: Vec<(oneshot::Sender<Reply>, String)> = Vec::new();
            while let Some(Envelope { command: Command::ResumeRun { run }, answer, .. }) = asked.recv().await {
                waiting.push((answer, run.to_string()));
                // The newest is answered first.
                if waiting.len() == 2 {
                    for (answer, run) in waiting.drain(..).rev() {
                        answer.send(Reply::accepted(run)).unwrap();
                    }
                }
            }
        });
        for number in 0..500 {
            let (of, reply) = told.recv().await.unwrap();
            assert_eq!((of, reply), (number, Reply::accepted(format!("RUN-{number}"))));
        }
        assert!(told.recv().await.is_none(), "its task ends with the last answer");
        engine.await.unwrap();
    }
}
