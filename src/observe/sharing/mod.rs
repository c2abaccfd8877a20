//! Sources that engines of several bastions share, so that each server is watched by one of them: a source of its own, which
//! runs the observers of those that are this engine's, tells the others what they see, and puts what the others see where
//! observers put samples. The database of the journal is in between; without it each engine watches everything by itself.
//! Only the engine calls this.

mod body;
mod hands;
pub mod plan;
mod table;
#[cfg(test)]
mod tests;

pub use self::hands::Make;
use self::hands::{Hands, Known, Outbox};
use self::plan::{Member, Plan, Term};
use self::table::{AT_ONCE, News, Table, Trouble};
use crate::config::model::JournalDatabase;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::{Digest, SourceId};
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Observer, SampleSink};
use crate::domain::sample::{Failure, FailureKind, Sample, SourceKind, SourceSpec};
use jiff::{SignedDuration, Timestamp};
use rand_core::{OsRng, RngCore as _};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Name of the source that tells of the sharing.
const NAME: &str = "engines/sharing";
/// How often an engine renews its lease while that lasts.
const ROUNDS: u32 = 5;
/// The part of a lease without an answer after which an engine watches everything by itself.
const PATIENCE: u32 = 3;
/// Longest time between two exchanges with the others.
const PACE: Duration = Duration::from_secs(1);
/// Shortest one.
const SHORTEST_PACE: Duration = Duration::from_millis(100);

/// Watches some of the sources, and has the others from the engines that watch them.
pub struct Sharing {
    specs: Vec<SourceSpec>,
    lease: Duration,
    table: Table,
    me: Member,
    hands: Hands,
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sharing").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Sharing {
    /// For the engine on `host`, with observers of sources that are shared; `make` makes them again. Nothing is opened or
    /// asked yet.
    pub fn new(
        _: MayObserve,
        config: &JournalDatabase,
        lease: Duration,
        host: &str,
        observers: Vec<Box<dyn Observer>>,
        make: Make,
    ) -> Self {
        let specs: Vec<SourceSpec> = observers.iter().map(|o| o.spec()).collect();
        let me = Member { id: format!("{:016x}", OsRng.next_u64()), host: host.to_owned() };
        let table = Table::new(config, lease, list(&specs), me.clone());
        Self { specs, lease, table, me, hands: Hands::new(observers, make) }
    }

    async fn share(self, sink: SampleSink) {
        let Self { ref specs, lease, table, me, hands } = self;
        let started = Instant::now();
        let sources = specs.iter().map(|s| s.id.clone()).collect();
        let shortest = specs.iter().map(|s| s.interval).min().unwrap_or(PACE);
        let every = lease / ROUNDS;
        let mut ticks = tokio::time::interval((shortest / 4).clamp(SHORTEST_PACE, PACE.min(every)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let _leaves = Leaves(table.beside());
        let outbox = Outbox::default();
        let mut engine = Engine {
            plan: Plan::new(me.id, sources, lease / PATIENCE),
            own: outbox.beside(sink.clone()),
            table,
            hands,
            outbox,
            sink,
            started,
            every,
            next: started,
            told: Known::default(),
            heard: Known::default(),
            read: None,
        };
        loop {
            ticks.tick().await;
            engine.turn().await;
        }
    }
}

impl Observer for Sharing {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            id: SourceId::new(NAME),
            kind: SourceKind::Sharing,
            interval: self.lease / ROUNDS,
            address: self.table.address(),
        }
    }

    fn specs(&self) -> Vec<SourceSpec> {
        std::iter::once(self.spec()).chain(self.specs.iter().cloned()).collect()
    }

    fn run(self: Box<Self>, sink: SampleSink) -> BoxFuture<'static, ()> {
        Box::pin(self.share(sink))
    }
}

/// Names a list of sources: engines share only with those that would watch the same in the same way.
fn list(specs: &[SourceSpec]) -> String {
    let mut all: Vec<String> =
        specs.iter().map(|s| format!("{} {} {} {:?}", s.id, s.kind, s.address, s.interval)).collect();
    all.sort();
    let whole = format!("{}\n{}", env!("CARGO_PKG_VERSION"), all.join("\n"));
    Digest::from_bytes(&Sha256::digest(whole).into()).to_string()
}

/// Something on our side, between the database and the engine.
fn broken(why: impl std::fmt::Display) -> Trouble {
    Trouble::Lost(format!("what engines tell each other is broken off: {why}"))
}

/// Ends the lease when the observer is dropped, so that the others need not wait for its end.
struct Leaves(Table);

impl Drop for Leaves {
    fn drop(&mut self) {
        let mut table = self.0.beside();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(why) = table.leave().await {
                    tracing::info!(%why, "the others learn by the end of the lease that this engine shares no longer");
                }
            });
        }
    }
}

/// One engine while it shares.
struct Engine {
    plan: Plan,
    table: Table,
    hands: Hands,
    outbox: Outbox,
    /// Where samples of the others go.
    sink: SampleSink,
    /// Where samples of the own observers go.
    own: SampleSink,
    started: Instant,
    /// Time between two renewals.
    every: Duration,
    next: Instant,
    /// What was published under the term.
    told: Known,
    /// What others have published.
    heard: Known,
    /// How far that was read.
    read: Option<(i64, i64)>,
}

impl Engine {
    /// Renews the lease where it is time to, tells what was seen here, and takes in what was seen elsewhere.
    async fn turn(&mut self) {
        if Instant::now() >= self.next {
            self.renew().await;
        }
        for _ in 0..2 {
            let Some(term) = self.plan.term() else { break };
            match self.exchange(term).await {
                Ok(()) => break,
                // Another set of engines: once more, under its term.
                Err(Trouble::Moved) => self.renew().await,
                Err(Trouble::Lost(why)) => {
                    self.failed(&why);
                    break;
                }
            }
        }
        if self.plan.has_moved() {
            self.hands.heed(&self.plan, &self.own);
        }
    }

    async fn renew(&mut self) {
        let (asked, before) = (self.started.elapsed(), self.plan.term());
        match self.table.renew().await {
            Ok(round) => {
                self.next = Instant::now() + self.every;
                self.plan.told(&round, asked);
                if self.plan.term() != before {
                    self.told.clear();
                    tracing::info!(engines = round.engines.len(), term = ?round.term, "sources are shared");
                }
                self.say(Ok(self.facts(&round.apart)));
            }
            Err(why) => self.failed(&why.to_string()),
        }
    }

    fn failed(&mut self, why: &str) {
        // What was asked may have had its effect.
        self.told.clear();
        self.plan.failed(why, self.started.elapsed());
        if let Some(why) = self.plan.alone() {
            let why = format!("sources are not shared, this engine watches all of them by itself: {why}");
            self.say(Err(Failure::new(FailureKind::Unreachable, why)));
        }
    }

    fn say(&self, result: Result<MeasuredFacts, Failure>) {
        let result = result.map(|facts| Arc::new(Facts::Measured(facts)));
        (self.sink)(Sample { source: SourceId::new(NAME), taken_at: Timestamp::now(), took: Duration::ZERO, result });
    }

    fn facts(&self, apart: &[String]) -> MeasuredFacts {
        let mut facts = MeasuredFacts::of(SourceKind::Sharing);
        facts.watched = self.plan.others();
        let part =
            |(id, (host, count)): (&&str, &(&str, usize))| format!("the engine on {host} ({id}) watches {count}");
        facts.said = self.plan.parts().iter().map(part).collect();
        let other = |host| format!("the engine on {host} has other sources or another version, and watches by itself");
        facts.said.extend(apart.iter().map(other));
        facts
    }

    async fn exchange(&mut self, term: Term) -> Result<(), Trouble> {
        loop {
            let samples = self.outbox.take(AT_ONCE, &self.plan);
            let last = samples.len() < AT_ONCE;
            if !samples.is_empty() {
                self.publish(term, samples).await?;
            }
            if last {
                break;
            }
        }
        self.listen(term).await
    }

    async fn publish(&mut self, term: Term, samples: Vec<Sample>) -> Result<(), Trouble> {
        let now = Timestamp::now();
        let fresh: Vec<bool> = samples.iter().map(|s| !self.told.has(&s.source, &s.result)).collect();
        // Megabytes of a large cluster: not on a thread that others wait for.
        let encode = move || {
            let news = samples.iter().zip(fresh).map(|(sample, fresh)| {
                let body = if fresh { Some(body::encode(&sample.result)?) } else { None };
                let age = now.duration_since(sample.taken_at).max(SignedDuration::ZERO).unsigned_abs();
                Ok(News { source: sample.source.clone(), age, took: sample.took, body })
            });
            let news = news.collect::<std::io::Result<Vec<News>>>();
            (samples, news)
        };
        let (samples, news) = tokio::task::spawn_blocking(encode).await.map_err(broken)?;
        let done = self.table.publish(term, &news.map_err(broken)?).await;
        for sample in samples {
            self.told.set(&sample.source, done.is_ok().then(|| sample.result.clone()));
            if done.is_err() {
                self.outbox.put(sample);
            }
        }
        done
    }

    /// Takes in what others have seen, with the time at which they saw it.
    async fn listen(&mut self, term: Term) -> Result<(), Trouble> {
        loop {
            let after = match self.read {
                Some((born, after)) if born == term.born => after,
                _ => 0,
            };
            // By the time of the question: nothing looks younger than it is.
            let asked = Timestamp::now();
            let told = self.table.read(term.born, after).await?;
            let Some(last) = told.last().map(|t| t.seq) else { return Ok(()) };
            self.read = Some((term.born, last));
            let decode = move || {
                let decoded = |mut one: table::Told| (one.news.body.take().map(|bytes| body::decode(&bytes)), one);
                told.into_iter().map(decoded).collect::<Vec<_>>()
            };
            for (seen, table::Told { news, from, .. }) in tokio::task::spawn_blocking(decode).await.map_err(broken)? {
                self.plan.heard(&news.source, &from);
                let Some(result) = seen.or_else(|| self.heard.get(&news.source).cloned()) else {
                    // It was told before this engine listened: from the beginning, at the next turn.
                    self.read = None;
                    continue;
                };
                self.heard.set(&news.source, Some(result.clone()));
                let age = SignedDuration::try_from(news.age).unwrap_or(SignedDuration::MAX);
                let taken_at = asked.checked_sub(age).unwrap_or(Timestamp::MIN);
                (self.sink)(Sample { source: news.source, taken_at, took: news.took, result });
            }
            if self.read.is_none() {
                return Ok(());
            }
        }
    }
}
