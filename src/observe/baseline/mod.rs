//! Compares what a PostgreSQL or a cluster has of roles, rights and policies with what was approved (`[baseline]`), and
//! remembers what changed between two looks. Asked seldom: what it asks for is short, and changed by people. The engine,
//! `doctor` and `quarterdeck baseline` call this.

mod kubernetes;
pub use kubernetes::LISTS;
mod postgres;
mod powers;
#[cfg(test)]
mod tests;

use super::kubernetes::link::Link as Cluster;
use super::poll::Poll;
use super::postgres::link::Link as Server;
use crate::config::baseline::decode;
use crate::config::model::{Config, Kubernetes};
use crate::domain::baseline::{Approved, Aspect, Drift, Seen, drifts, unread};
use crate::domain::facts::measured::Happened;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::SourceId;
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Clock};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time allowed for one look.
const WITHIN: Duration = Duration::from_secs(20);
/// Sentences about drifts of one system; `quarterdeck baseline check` tells all.
const SENTENCES: usize = 12;
/// What changed is kept this long, so many of one system at most.
const HAPPENED: SignedDuration = SignedDuration::from_hours(24);
const KEPT: usize = 200;
/// Actions of this long count as recent.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// More bytes of approved lines are not read.
const FILE_BYTES: u64 = 16 << 20;

/// A system that has roles and rights.
#[derive(Debug)]
pub struct System {
    id: SourceId,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    Postgres { server: Server, database: String },
    Kubernetes { config: Kubernetes, link: Option<Cluster> },
}

impl System {
    /// Every configured one. Nothing is opened yet.
    pub fn all(_: MayObserve, config: &Config) -> Vec<Self> {
        let servers = config.postgres.iter().map(|one| Self {
            id: one.id.clone(),
            asked: Asked::Postgres { server: Server::observe(one), database: one.database.clone() },
        });
        let clusters = config
            .kubernetes
            .iter()
            .map(|one| Self { id: one.id.clone(), asked: Asked::Kubernetes { config: one.clone(), link: None } });
        servers.chain(clusters).collect()
    }

    /// Its name in the configuration.
    pub const fn id(&self) -> &SourceId {
        &self.id
    }

    /// What it can be asked for.
    pub const fn aspects(&self) -> &'static [Aspect] {
        match self.asked {
            Asked::Postgres { .. } => Aspect::POSTGRES,
            Asked::Kubernetes { .. } => Aspect::KUBERNETES,
        }
    }

    /// What values about it are about.
    fn subject(&self) -> Subject {
        match self.asked {
            Asked::Postgres { .. } => Subject::Instance { source: self.id.clone() },
            Asked::Kubernetes { .. } => Subject::Cluster { source: self.id.clone() },
        }
    }

    fn address(&self) -> String {
        match &self.asked {
            Asked::Postgres { server, .. } => server.address().to_owned(),
            Asked::Kubernetes { config, .. } => sanitize(&config.kubeconfig.display().to_string()),
        }
    }

    /// Reads these aspects.
    ///
    /// # Errors
    /// A system that does not answer. A right that is missing is no failure: it stands in [`Seen::unread`].
    pub async fn read(&mut self, aspects: &[Aspect]) -> Result<Seen, Failure> {
        let asked = async {
            match &mut self.asked {
                Asked::Postgres { server, database } => postgres::read(server, database, aspects).await,
                Asked::Kubernetes { config, link } => {
                    let there = match link.take() {
                        Some(link) => link,
                        None => Cluster::open(config.kubeconfig.clone(), config.context.clone(), WITHIN / 4).await?,
                    };
                    let seen = kubernetes::read(&there, aspects).await?;
                    *link = Some(there);
                    Ok(seen)
                }
            }
        };
        tokio::time::timeout(WITHIN, asked).await.unwrap_or_else(|_| {
            let why = format!("no answer within {} s to what roles and rights there are", WITHIN.as_secs());
            Err(Failure::new(FailureKind::Timeout, why))
        })
    }
}

/// Reads the file of what was approved. Blocks.
///
/// # Errors
/// One sentence: that it is not there, or what is wrong with it and where.
pub fn approved(path: &Path) -> Result<BTreeMap<SourceId, Approved>, String> {
    let name = path.display().to_string();
    let length = std::fs::metadata(path).map_err(|e| format!("{name} can not be read: {e}"))?.len();
    if length > FILE_BYTES {
        return Err(format!("{name} has {length} bytes; a baseline of more than {FILE_BYTES} is not read"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("{name} can not be read: {e}"))?;
    decode(&name, &text).map_err(|problems| problems.to_string())
}

/// Observes one system.
pub struct BaselineObserver {
    spec: SourceSpec,
    file: PathBuf,
    system: System,
    clock: Arc<dyn Clock>,
    before: Option<Seen>,
    happened: VecDeque<Happened>,
}

impl BaselineObserver {
    /// For each system that `[baseline]` covers; none without it. Nothing is read before they run.
    pub fn all(may: MayObserve, config: &Config, clock: &Arc<dyn Clock>) -> Vec<Self> {
        let Some(baseline) = &config.baseline else { return Vec::new() };
        let covered = System::all(may, config).into_iter().filter(|system| baseline.covers(system.id()));
        let one = |system: System| Self {
            spec: SourceSpec {
                id: SourceId::new(format!("{}/baseline", system.id)),
                kind: SourceKind::Baseline,
                interval: baseline.interval,
                address: system.address(),
            },
            file: baseline.file.clone(),
            system,
            clock: Arc::clone(clock),
            before: None,
            happened: VecDeque::new(),
        };
        covered.map(one).collect()
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || approved(&file)).await;
        let local = |why: String| Failure::new(FailureKind::Local, why);
        // What was approved may be mended at any time: each look reads it anew.
        let all = read.map_err(|_| local("reading the baseline was broken off".to_owned()))?.map_err(local)?;
        let approved = all.get(self.system.id());
        // Who changes roles is of interest also where nobody has approved any.
        let named = |aspect: &Aspect| approved.is_some_and(|a| a.0.contains_key(aspect));
        let watched = |aspect: &Aspect| matches!(aspect, Aspect::Roles | Aspect::Members | Aspect::Rights);
        let aspects: Vec<Aspect> =
            self.system.aspects().iter().copied().filter(|aspect| named(aspect) || watched(aspect)).collect();
        let seen = self.system.read(&aspects).await?;
        let now = self.clock.now();
        let subject = self.system.subject();
        let mut facts = MeasuredFacts::of(SourceKind::Baseline);
        self.remember(&seen, &subject, now);
        match approved {
            Some(approved) => compare(approved, &seen, &subject, self.system.aspects(), &mut facts),
            None => {
                let why = format!("{} says nothing of {}", self.file.display(), self.system.id);
                facts.untell(&subject, "baseline.drift", sanitize(&why));
            }
        }
        let recent = self.happened.iter().filter(|h| now.duration_since(h.at) <= RECENT).count();
        let readable = aspects.iter().filter(|a| watched(a)).all(|aspect| seen.read.contains_key(aspect));
        if readable {
            facts.measure(&subject, "privileged.actions", count(recent));
        } else {
            facts.untell(&subject, "privileged.actions", "roles and rights can not be read");
        }
        facts.happened = self.happened.iter().cloned().collect();
        self.before = Some(seen);
        Ok(Facts::Measured(facts))
    }

    /// What changed of roles and rights since the look before, in what both could read.
    fn remember(&mut self, seen: &Seen, subject: &Subject, now: Timestamp) {
        self.happened.retain(|h| now.duration_since(h.at) <= HAPPENED);
        let Some(before) = &self.before else { return };
        let of = |aspect: &Aspect| matches!(aspect, Aspect::Roles | Aspect::Members | Aspect::Grants | Aspect::Rights);
        let was = before.read.iter().filter(|(aspect, _)| of(aspect)).map(|(a, lines)| (*a, lines.clone())).collect();
        for drift in drifts(&Approved(was), seen) {
            self.happened.push_back(Happened { at: now, subject: subject.clone(), what: changed(&drift) });
        }
        while self.happened.len() > KEPT {
            self.happened.pop_front();
        }
    }
}

fn changed(drift: &Drift) -> String {
    let one = format!("{} {}", drift.aspect.one(), drift.name);
    match (&drift.approved, &drift.now) {
        (None, Some(now)) => format!("{one} is new: {now}"),
        (Some(was), None) => format!("{one} is gone, was {was}"),
        (Some(was), Some(now)) => format!("{one} is {now}, was {was}"),
        (None, None) => one,
    }
}

#[allow(clippy::cast_precision_loss, reason = "numbers of lines")]
const fn count(n: usize) -> f64 {
    n as f64
}

/// Puts the comparison into signals and sentences.
fn compare(approved: &Approved, seen: &Seen, subject: &Subject, aspects: &[Aspect], facts: &mut MeasuredFacts) {
    let all = drifts(approved, seen);
    let mut blind = Vec::new();
    for (aspect, missing) in unread(approved, seen) {
        blind.push(aspect.key());
        facts.lacks(missing.disables.clone(), missing.remedy.clone());
    }
    let gains = all.iter().filter(|drift| drift.gains).count();
    for (signal, known) in [("baseline.drift", all.len()), ("baseline.gains", gains)] {
        // What could not be read may hold more: so many at least, and never none.
        if known > 0 || blind.is_empty() {
            facts.measure(subject, signal, count(known));
        } else {
            facts.untell(subject, signal, format!("these can not be read: {}", blind.join(", ")));
        }
    }
    facts.said.extend(all.iter().take(SENTENCES).map(ToString::to_string));
    if all.len() > SENTENCES {
        facts.said.push(format!("and {} more: quarterdeck baseline check", all.len() - SENTENCES));
    }
    let open: Vec<&str> = aspects.iter().filter(|a| !approved.0.contains_key(a)).map(|a| a.key()).collect();
    if !open.is_empty() {
        facts.said.push(format!("the baseline does not judge {}", open.join(", ")));
    }
}

impl Poll for BaselineObserver {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    fn timeout(&self) -> Duration {
        WITHIN + Duration::from_secs(5)
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
