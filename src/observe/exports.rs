//! Who takes how much out of Odoo: the exports of the last hour of each tenant, by what Odoo's log says of them. The logs
//! are those of a `[[logs]]` with `exports = true`, read once a minute. Only the engine and `doctor` call this.

use super::logs;
use super::poll::Poll;
use crate::config::model::{Config, Logs};
use crate::domain::estate::Tenant;
use crate::domain::facts::measured::Happened;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::{SourceId, TenantId};
use crate::domain::logs::{Export, LogAsk, LogReader, Tail, Told};
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Clock};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Least time between two looks; with more tenants than are read in it, it is longer.
const INTERVAL: Duration = Duration::from_mins(1);
/// What one tenant adds to it.
const EACH: Duration = Duration::from_millis(100);
/// Logs that are read at the same time.
const AT_ONCE: usize = 4;
/// How far back exports count.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// An export of so many records is a change that stands beside what is red.
const LARGE: u64 = 1000;
/// Exports of one tenant that are kept.
const KEPT: usize = 1000;
/// Exports that are said, the largest.
const SENTENCES: usize = 12;

/// What is known of one tenant's exports.
#[derive(Debug, Default)]
struct Known {
    /// Those of the last hour.
    recent: BTreeSet<Export>,
    /// The newest line that was read.
    upto: Option<Timestamp>,
    /// Before this something was missed: more was logged than is read of one log.
    gap: Option<Timestamp>,
}

/// Observes the exports of the tenants of one `[[logs]]`.
pub struct ExportsObserver {
    spec: SourceSpec,
    reader: Arc<dyn LogReader>,
    timeout: Duration,
    tenants: Vec<Tenant>,
    known: BTreeMap<TenantId, Known>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for ExportsObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportsObserver").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl ExportsObserver {
    /// For each `[[logs]]` that tells of exports. Nothing is read before they run.
    pub fn all(may: MayObserve, config: &Config, clock: &Arc<dyn Clock>) -> Vec<Self> {
        let readers = logs::readers(may, config);
        let of = |logs: &Logs| readers.iter().find(|r| *r.id() == logs.id).cloned();
        let one = |logs: &Logs| Some(Self::new(logs, of(logs)?, &config.estate.tenants, clock));
        config.logs.iter().filter(|l| l.exports).filter_map(one).collect()
    }

    fn new(config: &Logs, reader: Arc<dyn LogReader>, tenants: &[Tenant], clock: &Arc<dyn Clock>) -> Self {
        let tenants: Vec<Tenant> = tenants.iter().filter(|t| logs::has(&config.tenants, t)).cloned().collect();
        let many = EACH.saturating_mul(u32::try_from(tenants.len()).unwrap_or(u32::MAX));
        Self {
            spec: SourceSpec {
                id: SourceId::new(format!("{}/exports", config.id)),
                kind: SourceKind::Exports,
                interval: INTERVAL.max(many),
                address: reader.address(),
            },
            reader,
            timeout: config.timeout,
            tenants,
            known: BTreeMap::new(),
            clock: Arc::clone(clock),
        }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let now = self.clock.now();
        let since = now.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
        let (reader, known) = (&self.reader, &self.known);
        let ask = |tenant: Tenant| {
            // What was read before is read once more, so that lines of the same moment are not missed.
            let from = known.get(&tenant.id).and_then(|k| k.upto).map_or(since, |upto| upto.max(since));
            let reader = Arc::clone(reader);
            async move {
                let ask = LogAsk { tenant, from, until: now };
                (reader.read(&ask).await, ask)
            }
        };
        let answers: Vec<_> =
            futures::stream::iter(self.tenants.clone()).map(ask).buffer_unordered(AT_ONCE).collect().await;
        let mut facts = MeasuredFacts::of(SourceKind::Exports);
        let (mut silent, mut newest) = (Vec::new(), Vec::new());
        for (places, LogAsk { tenant, from, .. }) in answers {
            let known = self.known.entry(tenant.id.clone()).or_default();
            known.recent.retain(|e| e.at >= since);
            let subject = Subject::Tenant { tenant: tenant.id.clone() };
            match known.take_in(places.into_iter().map(|p| p.said), from) {
                Ok(()) => known.tell(&tenant.id, &subject, since, &mut facts),
                Err(why) => {
                    silent.push(why.clone());
                    facts.untell(&subject, "exports.records", why);
                }
            }
            newest.extend(known.recent.iter().map(|e| (e.records, said(&tenant.id, e))));
        }
        if !silent.is_empty() && silent.len() == self.tenants.len() {
            return Err(Failure::new(FailureKind::Unreachable, silent.swap_remove(0)));
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        facts.said = newest.into_iter().take(SENTENCES).map(|(_, said)| said).collect();
        Ok(Facts::Measured(facts))
    }
}

fn said(tenant: &TenantId, export: &Export) -> String {
    let Export { at, user, records, model, from } = export;
    let at = at.strftime("%F %H:%M:%SZ");
    format!("{at}: user {user} of {tenant} exported {records} records of {model}, from {from}")
}

impl Known {
    /// Takes in what the logs of a tenant said that were asked from a moment on; why one of them said nothing.
    fn take_in(&mut self, said: impl Iterator<Item = Told<Tail>>, from: Timestamp) -> Result<(), String> {
        let (mut silent, mut newest) = (None, self.upto);
        for told in said {
            match told {
                Told::Yes(tail) => {
                    newest = newest.max(tail.newest);
                    if tail.cut.is_some() && tail.oldest.is_none_or(|oldest| oldest > from) {
                        self.gap = self.gap.max(tail.oldest.or(tail.newest));
                    }
                    self.recent.extend(tail.exports);
                }
                Told::No(untold) => silent = silent.or(Some(untold.why)),
            }
        }
        while self.recent.len() > KEPT {
            // The smallest say least.
            let Some(least) = self.recent.iter().min_by_key(|e| e.records).cloned() else { break };
            self.recent.remove(&least);
        }
        if let Some(why) = silent {
            return Err(why);
        }
        self.upto = newest;
        Ok(())
    }

    /// The most that one person has taken since a moment.
    fn tell(&self, tenant: &TenantId, subject: &Subject, since: Timestamp, facts: &mut MeasuredFacts) {
        let mut by_user: BTreeMap<u64, u64> = BTreeMap::new();
        for export in &self.recent {
            let sum = by_user.entry(export.user).or_default();
            *sum = sum.saturating_add(export.records);
            if export.records >= LARGE {
                let Export { at, user, records, model, .. } = export;
                let what = format!("user {user} exported {records} records of {model}");
                facts.happened.push(Happened { at: *at, subject: subject.clone(), what });
            }
        }
        let most = by_user.values().copied().max().unwrap_or(0);
        // A part of the hour is enough to accuse, and too little to acquit.
        match self.gap.filter(|gap| *gap > since) {
            Some(gap) if most == 0 => {
                let why = format!("of the log of {tenant} only what came after {gap} was read: it is too long");
                facts.untell(subject, "exports.records", why);
            }
            _ => {
                #[expect(clippy::cast_precision_loss, reason = "a count that is shown and compared")]
                facts.measure(subject, "exports.records", most as f64);
            }
        }
    }
}

impl Poll for ExportsObserver {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    fn timeout(&self) -> Duration {
        let rounds = self.tenants.len().div_ceil(AT_ONCE);
        self.timeout.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX)).min(self.spec.interval) + self.timeout
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

#[cfg(test)]
mod lab_tests;
#[cfg(test)]
mod tests;
