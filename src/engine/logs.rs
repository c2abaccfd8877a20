//! Logs and traces beside a finding: asked when somebody wants them, apart from everything else. Reading them has a budget
//! of its own, so that a slow log keeps nothing waiting, neither the engine's loop nor another question for logs.

use super::api::{Command, Reply};
use super::client::Envelope;
use super::core::Engine;
use crate::config::model::Template;
use crate::domain::estate::Estate;
use crate::domain::id::TenantId;
use crate::domain::logs::{LogAsk, LogPlace, LogReader, LogView, Told, TracePlace, TraceReader, Untold};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// Questions that are worked on at the same time.
const AT_ONCE: usize = 2;
/// Questions that may wait for them.
const WAITING: usize = 8;
/// Time that one question may wait, and that the answer may take then.
const ALLOWED: Duration = Duration::from_secs(12);
/// How far back is looked when nothing is said.
const BACK: SignedDuration = SignedDuration::from_mins(15);
/// How far back can be looked.
const FURTHEST: SignedDuration = SignedDuration::from_hours(24);

/// What can be asked for logs and traces.
#[derive(Clone, Default)]
pub struct LogSources {
    /// Logs.
    pub logs: Vec<Arc<dyn LogReader>>,
    /// Traces.
    pub traces: Vec<Arc<dyn TraceReader>>,
    /// Where a person finds the traces of a tenant.
    pub link: Option<Template>,
}

/// The sources with their budget.
pub(super) struct LogDesk {
    sources: LogSources,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl LogDesk {
    pub(super) fn new(sources: LogSources) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { sources, turns, waiting: Arc::new(Semaphore::new(AT_ONCE + WAITING)) }
    }
}

impl Engine {
    /// Sets to work on a question for logs, whose answer goes to whoever asked; every other command comes back.
    pub(super) fn logs_apart(&self, envelope: Envelope) -> Option<Envelope> {
        let Command::Logs { tenant, from } = &envelope.command else { return Some(envelope) };
        let asked = ask(&self.world.estate, tenant, *from, self.clock.now());
        let place = Arc::clone(&self.logs.waiting).try_acquire_owned();
        match (asked, place) {
            (Err(why), _) => drop(envelope.answer.send(Reply::refused(why))),
            (_, Err(_)) => {
                let why = format!("{} questions for logs wait for their answers already", AT_ONCE + WAITING);
                let _ = envelope.answer.send(Reply::refused(why));
            }
            (Ok(ask), Ok(place)) => {
                let (sources, turns) = (self.logs.sources.clone(), Arc::clone(&self.logs.turns));
                tokio::spawn(async move {
                    let _place = place;
                    let mut answer = envelope.answer;
                    tokio::select! {
                        reply = in_turn(&sources, &turns, &ask, ALLOWED) => {
                            let _ = answer.send(reply);
                        }
                        // Nobody waits any more: the sources are not kept at work.
                        () = answer.closed() => {}
                    }
                });
            }
        }
        None
    }
}

/// What the sources are asked for a tenant; an error when there is none of that name.
pub fn ask(estate: &Estate, tenant: &TenantId, from: Option<Timestamp>, until: Timestamp) -> Result<LogAsk, String> {
    let tenant = estate.tenant(tenant).ok_or_else(|| format!("there is no tenant {tenant} here"))?.clone();
    let back = |by: SignedDuration| until.checked_sub(by).unwrap_or(until);
    let from = from.unwrap_or_else(|| back(BACK)).clamp(back(FURTHEST), until);
    Ok(LogAsk { tenant, from, until })
}

/// The same when it is one's turn.
async fn in_turn(sources: &LogSources, turns: &Semaphore, ask: &LogAsk, allowed: Duration) -> Reply {
    match timeout(allowed, turns.acquire()).await {
        Ok(Ok(_turn)) => Reply::Logs { view: Box::new(within(sources, ask, allowed).await) },
        Ok(Err(_)) | Err(_) => {
            Reply::refused(format!("other questions for logs took all of {} s", allowed.as_secs_f64()))
        }
    }
}

/// Asks all sources side by side; what one of them does not say in time is said in its place.
pub async fn read(sources: &LogSources, ask: &LogAsk) -> LogView {
    within(sources, ask, ALLOWED).await
}

async fn within(sources: &LogSources, ask: &LogAsk, allowed: Duration) -> LogView {
    let deadline = Instant::now() + allowed;
    let asked = Instant::now();
    let no_answer = || Untold::new(format!("no answer within {} s", allowed.as_secs_f64()));
    let took = || u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    let log = async |reader: &Arc<dyn LogReader>| {
        timeout_at(deadline, reader.read(ask)).await.unwrap_or_else(|_| {
            let (source, log) = (reader.id().clone(), "all of it".to_owned());
            vec![LogPlace { source, log, took_ms: took(), said: Told::No(no_answer()) }]
        })
    };
    let traces = async |reader: &Arc<dyn TraceReader>| {
        timeout_at(deadline, reader.read(ask)).await.unwrap_or_else(|_| {
            Some(TracePlace { source: reader.id().clone(), took_ms: took(), said: Told::No(no_answer()) })
        })
    };
    let (logs, traces) =
        tokio::join!(join_all(sources.logs.iter().map(log)), join_all(sources.traces.iter().map(traces)));
    LogView {
        tenant: ask.tenant.id.clone(),
        from: ask.from,
        until: ask.until,
        logs: logs.into_iter().flatten().collect(),
        traces: traces.into_iter().flatten().collect(),
        trace_link: sources.link.as_ref().and_then(|link| link.link(&ask.tenant, ask.from, ask.until)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::decode;
    use crate::domain::id::SourceId;
    use crate::domain::logs::Tail;
    use crate::domain::ports::BoxFuture;

    const SHORT: Duration = Duration::from_millis(300);

    /// Answers at once, or never.
    struct Log(SourceId, bool);

    impl LogReader for Log {
        fn id(&self) -> &SourceId {
            &self.0
        }

        fn address(&self) -> String {
            String::new()
        }

        fn read<'a>(&'a self, _: &'a LogAsk) -> BoxFuture<'a, Vec<LogPlace>> {
            Box::pin(async {
                if !self.1 {
                    std::future::pending::<()>().await;
                }
                let said = Told::Yes(Tail { lines: 7, ..Tail::default() });
                vec![LogPlace { source: self.0.clone(), log: "its log".into(), took_ms: 1, said }]
            })
        }
    }

    fn estate() -> Estate {
        let text = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[tenant]]\nid = \"t1\"\nname = \"A\"\n";
        decode("c.toml", text).unwrap().estate
    }

    fn asked() -> LogAsk {
        ask(&estate(), &"t1".into(), None, Timestamp::now()).unwrap()
    }

    fn sources(all: &[(&str, bool)]) -> LogSources {
        let logs = all.iter().map(|(id, answers)| Arc::new(Log((*id).into(), *answers)) as _).collect();
        LogSources { logs, ..LogSources::default() }
    }

    #[tokio::test]
    async fn a_log_that_hangs_keeps_none_of_the_others_back() {
        let view = within(&sources(&[("slow", false), ("quick", true)]), &asked(), SHORT).await;
        let said: Vec<_> = view.logs.iter().map(|p| (p.source.as_str(), matches!(p.said, Told::Yes(_)))).collect();
        assert_eq!(said, [("slow", false), ("quick", true)]);
        let Told::No(untold) = &view.logs[0].said else { panic!("{view:?}") };
        assert_eq!(untold.why, "no answer within 0.3 s");
    }

    #[tokio::test]
    async fn questions_have_a_budget_of_their_own() {
        let (hangs, quick, turns) = (sources(&[("slow", false)]), sources(&[("quick", true)]), Semaphore::new(1));
        let wanted = asked();
        let (first, second) =
            tokio::join!(in_turn(&hangs, &turns, &wanted, SHORT), in_turn(&quick, &turns, &wanted, SHORT / 3),);
        assert!(matches!(first, Reply::Logs { .. }), "{first:?}");
        assert_eq!(second, Reply::refused("other questions for logs took all of 0.1 s"));
        assert!(matches!(in_turn(&quick, &turns, &wanted, SHORT).await, Reply::Logs { .. }), "the turn is given back");
    }

    #[test]
    fn nobody_looks_further_back_than_a_day_or_into_the_future() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let from = |from: Option<i64>| {
            let from = from.map(|s| Timestamp::from_second(s).unwrap());
            ask(&estate(), &"t1".into(), from, now).unwrap().from.as_second()
        };
        assert_eq!(from(None), 1_000_000 - 900);
        assert_eq!((from(Some(5)), from(Some(2_000_000))), (1_000_000 - 86_400, 1_000_000));
        assert!(ask(&estate(), &"t9".into(), None, now).unwrap_err().contains("no tenant t9"));
    }
}
