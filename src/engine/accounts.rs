//! Records for the account that is given over months: releases as they come, and what tenants have reserved and used,
//! a day at a time. `report governance` counts them.

use super::core::Engine;
use crate::correlate::capacity::Day;
use crate::correlate::say;
use crate::domain::account::{Capacity, Prices, Release};
use crate::domain::facts::Facts;
use crate::domain::id::TenantId;
use crate::domain::mode::Mode;
use crate::domain::sample::Sample;
use crate::journal::fold::Fold;
use crate::journal::{Kind, Record};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Tenants of one record, so that it stays far below the greatest size of one.
const TENANTS: usize = 80;
/// Tenants that its sentence names.
const NAMED: usize = 5;
/// Time between two looks at what is used.
const MINUTE: Duration = Duration::from_mins(1);

/// The releases that the records tell of, by tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Releases(BTreeMap<TenantId, (String, bool)>);

impl Fold for Releases {
    fn apply(&mut self, record: &Record) {
        if record.kind != Kind::ReleaseSeen {
            return;
        }
        for release in told(record) {
            self.0.insert(release.tenant, (release.image, release.in_service));
        }
    }
}

/// The releases that a record tells of; none where its body is of another version.
fn told(record: &Record) -> Vec<Release> {
    let all = record.body.get("releases").cloned().unwrap_or_default();
    serde_json::from_value(all).unwrap_or_default()
}

impl Releases {
    /// What no record tells of yet: another image, or one that has come into service since.
    fn news(&self, now: Vec<Release>) -> Vec<Release> {
        let one = |mut release: Release| match self.0.get(&release.tenant) {
            None => Some(release),
            Some((image, in_service)) if *image == release.image => {
                (release.in_service && !in_service).then_some(release)
            }
            Some((image, _)) => {
                release.was = Some(image.clone());
                Some(release)
            }
        };
        now.into_iter().filter_map(one).collect()
    }
}

/// `t017 runs r118, was r117`; of many the first.
fn sentence(releases: &[Release]) -> String {
    let one = |r: &Release| {
        let was = r.was.as_deref().map(|was| format!(", was {}", say::tag(was))).unwrap_or_default();
        let tag = say::tag(&r.image);
        if r.in_service {
            format!("{tag} is in service at {}{was}", r.tenant)
        } else {
            format!("{tag} goes to {}{was}", r.tenant)
        }
    };
    first_of(releases.iter().map(one), releases.len())
}

fn first_of(all: impl Iterator<Item = String>, count: usize) -> String {
    let named = all.take(NAMED).collect::<Vec<_>>().join("; ");
    if count > NAMED { format!("{named}; and {} more", count - NAMED) } else { named }
}

/// Whether a cluster tells of its Deployments.
pub(super) fn names_releases(samples: &[Sample]) -> bool {
    samples.iter().any(|s| s.result.as_ref().is_ok_and(|facts| matches!(**facts, Facts::Kubernetes(_))))
}

/// What is used, as it is gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    day: Day,
    prices: Option<Prices>,
    next: Instant,
}

impl Gathering {
    pub(super) fn new(prices: Option<Prices>) -> Self {
        Self { day: Day::default(), prices, next: Instant::now() }
    }
}

impl Engine {
    /// Writes which releases have come.
    pub(super) async fn record_releases(&mut self) {
        let news = self.state.releases().news(self.judge.releases(&self.world));
        let engine = self.me.engine();
        for some in news.chunks(TENANTS) {
            let body = json!({ "what": sentence(some), "releases": some });
            let _ = self.record(Kind::ReleaseSeen, None, body, &engine).await;
        }
    }

    /// Looks at what is used, once a minute, and writes the day before down when another one has begun.
    pub(super) async fn gather_capacity(&mut self) {
        if self.mode == Mode::Drill || Instant::now() < self.gathering.next {
            return;
        }
        self.gathering.next = Instant::now() + MINUTE;
        let now = self.clock.now();
        let known = self.judge.capacity(now);
        if let Some((day, all)) = self.gathering.day.minute(now, &known) {
            self.record_capacity(day, &all).await;
        }
    }

    /// Writes down what was gathered of this day.
    pub(super) async fn account_at_end(&mut self) {
        if let Some((day, all)) = self.gathering.day.end() {
            self.record_capacity(day, &all).await;
        }
    }

    async fn record_capacity(&mut self, day: Date, all: &[Capacity]) {
        let engine = self.me.engine();
        for some in all.chunks(TENANTS) {
            let one = |c: &Capacity| {
                let cores = |m: u64| format!("{}.{:02}", m / 1000, m % 1000 / 10);
                format!("{} {} of {} cores", c.tenant, cores(c.cpu_busiest_m), cores(c.cpu_m))
            };
            let what = first_of(some.iter().map(one), some.len());
            let body = json!({ "day": day, "what": what, "price": self.gathering.prices, "tenants": some });
            let _ = self.record(Kind::CapacitySeen, None, body, &engine).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(tenant: &str, image: &str, in_service: bool) -> Release {
        Release { tenant: tenant.into(), image: format!("reg/odoo:{image}"), was: None, since: None, in_service }
    }

    #[test]
    fn only_what_no_record_tells_of_is_news() {
        let mut known = Releases::default();
        let first = known.news(vec![release("t1", "r1", true), release("t2", "r1", false)]);
        assert_eq!(sentence(&first), "r1 is in service at t1; r1 goes to t2");
        for r in first {
            known.0.insert(r.tenant, (r.image, r.in_service));
        }
        assert_eq!(known.news(vec![release("t1", "r1", false), release("t2", "r1", false)]), [], "pods come and go");
        let news = known.news(vec![release("t1", "r2", false), release("t2", "r1", true)]);
        assert_eq!(sentence(&news), "r2 goes to t1, was r1; r1 is in service at t2");
    }

    #[test]
    fn tenants_with_the_longest_names_fit_one_record() {
        let image = "x".repeat(250);
        let mut one = release(&"t".repeat(63), &image, true);
        one.was = Some(image);
        one.since = Some(jiff::Timestamp::MAX);
        let body = json!({ "what": "w".repeat(2000), "releases": vec![one; TENANTS] });
        let size = body.to_string().len();
        assert!(size < 62_000, "{size}");
    }
}
