//! The periodic synthetics: what [`super::odoo::synthetic`] tries, tried in turn in a tenant's probe company. One try at
//! a time in one Odoo and two over all; each has its own time and its verified clean-up. Only the engine and `doctor`
//! call this.

use super::odoo::client::{Client, Fault};
use super::odoo::synthetic::MARK;
use super::odoo::synthetic::ground;
use super::odoo::synthetic::run::{Ran, run};
use super::odoo::synthetic::script::script;
use super::poll::Poll;
use crate::config::model::{self, Synthetics};
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::synthetic::Synthetic;
use crate::domain::text::sanitize;
use crate::observe::http::public;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Tries over all tenants at a time.
const AT_ONCE: usize = 2;

/// Tries the synthetics of one tenant.
#[derive(Debug)]
pub struct TrialObserver {
    config: Synthetics,
    turn: Arc<Semaphore>,
    next: usize,
    last: BTreeMap<Synthetic, Tried>,
}

/// How a synthetic went last.
#[derive(Clone, Debug)]
struct Tried {
    took: Duration,
    /// Why it failed.
    failed: Option<Failure>,
    /// Why something of it may be left.
    unclean: Option<Failure>,
}

impl TrialObserver {
    /// One for each `[[synthetic]]` that names what to run. Nothing is sent before they run. A try writes, if only into the
    /// probe company: who may only look can have none.
    pub fn all(_: MayAct, config: &model::Config) -> Vec<Self> {
        let turn = Arc::new(Semaphore::new(AT_ONCE));
        let all = config.synthetic.iter().filter(|s| !s.run.is_empty());
        all.map(|s| Self { config: s.clone(), turn: Arc::clone(&turn), next: 0, last: BTreeMap::new() }).collect()
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let turn = Arc::clone(&self.turn);
        let _turn = turn.acquire().await;
        let Some(synthetic) = self.config.run.get(self.next % self.config.run.len().max(1)).copied() else {
            return Err(Failure::new(FailureKind::Local, "nothing is to be tried"));
        };
        self.next = self.next.wrapping_add(1);
        let now = Timestamp::now();
        let tried = self.attempt(synthetic, now).await?;
        self.last.insert(synthetic, tried);
        Ok(Facts::Measured(self.facts()))
    }

    /// One try. A failure is one of getting there or of the guard: then nothing was tried, and nothing is known.
    async fn attempt(&self, synthetic: Synthetic, now: Timestamp) -> Result<Tried, Failure> {
        let within = self.config.timeout;
        let begun = Instant::now();
        let looking = async {
            let client = Client::open(&self.config.door).await?;
            let ground = ground::read(&client, &self.config, synthetic, begun + within / 3).await?;
            Ok((client, ground))
        };
        let late = |_| Err(Failure::new(FailureKind::Timeout, "Odoo gave no answer in time"));
        let (client, ground) = tokio::time::timeout(within / 3, looking).await.unwrap_or_else(late)?;
        let reference = format!("{MARK}periodic/{synthetic}-{}", now.as_second());
        let left = within.saturating_sub(begun.elapsed());
        let Ran { took, work, clean, .. } = run(&client, &script(synthetic, &reference, now), &ground, left).await;
        Ok(Tried { took, failed: work.err().map(Fault::why), unclean: clean.err() })
    }

    fn facts(&self) -> MeasuredFacts {
        let mut facts = MeasuredFacts::of(SourceKind::Synthetic);
        let subject = Subject::Tenant { tenant: self.config.tenant.clone() };
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let failed = self.last.values().filter(|t| t.failed.is_some()).count();
        let untried: Vec<&str> =
            self.config.run.iter().filter(|s| !self.last.contains_key(s)).map(|s| s.name()).collect();
        if untried.is_empty() || failed > 0 {
            let all = self.config.run.len().max(1);
            facts.measure(&subject, "synthetic.ok", 1.0 - count(failed) / count(all));
        } else {
            facts.untell(&subject, "synthetic.ok", format!("not tried yet: {}", untried.join(", ")));
        }
        let slowest = self.last.values().filter(|t| t.failed.is_none()).map(|t| t.took).max();
        if let Some(slowest) = slowest {
            facts.measure(&subject, "synthetic.took", slowest.as_secs_f64());
        }
        for (synthetic, tried) in &self.last {
            if let Some(why) = &tried.failed {
                facts.said.push(format!("{} failed: {}", synthetic.name(), why.message));
            }
            if let Some(why) = &tried.unclean {
                facts.lacks(
                    format!(
                        "that nothing of the last {} is left in {}",
                        synthetic.name(),
                        sanitize(&self.config.company)
                    ),
                    format!("look there for {MARK}: {}", why.message),
                );
            }
        }
        facts
    }
}

impl Poll for TrialObserver {
    fn spec(&self) -> SourceSpec {
        // Each is tried once an interval, one after the other.
        let parts = u32::try_from(self.config.run.len().max(1)).unwrap_or(1);
        SourceSpec {
            id: SourceId::new(format!("synthetic/{}", self.config.tenant)),
            kind: SourceKind::Synthetic,
            interval: self.config.interval / parts,
            address: sanitize(&format!("{}, company {}", public(&self.config.door.url), self.config.company)),
        }
    }

    /// With waiting for the turn.
    fn timeout(&self) -> Duration {
        self.config.timeout * 2
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Mode;
    use crate::observe::http::rig::Tiny;

    fn observer(url: &str) -> TrialObserver {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.keep().join("key");
        std::fs::write(&key, "k").unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let text = format!(
            "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[tenant]]\nid = \"t1\"\nname = \"A\"\n\
             [[synthetic]]\ntenant = \"t1\"\nurl = \"{url}\"\ndatabase = \"t1\"\nkey = \"file:{}\"\n\
             run = [\"sales-order\", \"stock-move\", \"work-order\"]\n",
            key.display()
        );
        let config = crate::config::decode::decode("c.toml", &text).unwrap();
        TrialObserver::all(Mode::Live.may_act().unwrap(), &config).remove(0)
    }

    #[test]
    fn two_of_three_that_fail_are_critical_and_what_was_not_tried_is_not_green() {
        let mut observer = observer("http://127.0.0.1:1");
        let value = |o: &TrialObserver| {
            let facts = o.facts();
            facts.readings.iter().find(|r| r.signal == "synthetic.ok").map(|r| r.value)
        };
        let tried = |failed: bool| Tried {
            took: Duration::from_secs(2),
            failed: failed.then(|| Failure::new(FailureKind::Protocol, "no")),
            unclean: None,
        };
        observer.last.insert(Synthetic::SalesOrder, tried(false));
        assert_eq!(value(&observer), None);
        observer.last.insert(Synthetic::StockMove, tried(true));
        observer.last.insert(Synthetic::WorkOrder, tried(false));
        let signal = crate::correlate::signals::find("synthetic.ok").unwrap();
        let grade = |o: &TrialObserver| signal.grade(value(o).unwrap(), signal.limits);
        assert_eq!(grade(&observer), crate::domain::health::Health::Warn);
        observer.last.insert(Synthetic::WorkOrder, tried(true));
        assert_eq!(grade(&observer), crate::domain::health::Health::Critical);
        observer.last.values_mut().for_each(|t| t.failed = None);
        assert_eq!(grade(&observer), crate::domain::health::Health::Ok);
    }

    #[tokio::test]
    async fn an_odoo_that_refuses_or_is_gone_is_a_failure_and_no_verdict() {
        let refuses = Tiny::http(|_, _| (403, "{}".into()));
        let failure = observer(&refuses.url()).poll().await.unwrap_err();
        assert!(failure.kind != FailureKind::Local, "{failure}");
        let gone = observer("http://127.0.0.1:9").poll().await.unwrap_err();
        assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
    }
}
