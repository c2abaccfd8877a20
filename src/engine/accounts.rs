//! Records for the account that is given over months: releases as they come, and what tenants have reserved and used,
//! a day at a time. `report governance` counts them.

use super::core::Engine;
use super::state::field;
use crate::correlate::capacity::Day;
use crate::correlate::releases::Running;
use crate::correlate::say;
use crate::domain::account::{Capacity, Prices, Release};
use crate::domain::facts::Facts;
use crate::domain::id::TenantId;
use crate::domain::mode::Mode;
use crate::domain::sample::Sample;
use crate::domain::text::first_of;
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
        // A body of another version tells of none.
        for release in field::<Vec<Release>>(&record.body, "releases").unwrap_or_default() {
            self.0.insert(release.tenant, (release.image, release.in_service));
        }
    }
}

impl Releases {
    /// What no record tells of yet: another image, or one that has come into service since.
    fn news(&self, now: &[Running<'_>]) -> Vec<Release> {
        let one = |running: &Running<'_>| {
            let known = self.0.get(running.tenant);
            let told = known.is_some_and(|(image, served)| image == running.image && (*served || !running.in_service));
            let was = known.map(|(image, _)| image).filter(|image| *image != running.image);
            (!told).then(|| Release {
                tenant: running.tenant.clone(),
                image: running.image.to_owned(),
                was: was.cloned(),
                since: running.since,
                in_service: running.in_service,
            })
        };
        now.iter().filter_map(one).collect()
    }
}

/// `r118 is in service at t017, was r117`; of many the first.
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
    first_of(&releases.iter().map(one).collect::<Vec<_>>(), NAMED, "; ")
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
        if !self.leads_estate() {
            return;
        }
        let news = self.state.releases().news(&self.judge.releases(&self.world));
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
        if !self.leads_estate() {
            return;
        }
        let engine = self.me.engine();
        for some in all.chunks(TENANTS) {
            let one = |c: &Capacity| {
                let cores = |m: u64| format!("{}.{:02}", m / 1000, m % 1000 / 10);
                format!("{} {} of {} cores", c.tenant, cores(c.cpu_busiest_m), cores(c.cpu_m))
            };
            let what = first_of(&some.iter().map(one).collect::<Vec<_>>(), NAMED, "; ");
            let body = json!({ "day": day, "what": what, "price": self.gathering.prices, "tenants": some });
            let _ = self.record(Kind::CapacitySeen, None, body, &engine).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_record_tells_of_is_news() {
        let (t1, t2): (TenantId, TenantId) = ("t1".into(), "t2".into());
        let runs = |tenant, image, in_service| Running { tenant, image, since: None, in_service };
        let mut known = Releases::default();
        let first = known.news(&[runs(&t1, "reg/odoo:r1", true), runs(&t2, "reg/odoo:r1", false)]);
        assert_eq!(sentence(&first), "r1 is in service at t1; r1 goes to t2");
        for r in first {
            known.0.insert(r.tenant, (r.image, r.in_service));
        }
        let gone = [runs(&t1, "reg/odoo:r1", false), runs(&t2, "reg/odoo:r1", false)];
        assert_eq!(known.news(&gone), [], "pods come and go");
        let news = known.news(&[runs(&t1, "reg/odoo:r2", false), runs(&t2, "reg/odoo:r1", true)]);
        assert_eq!(sentence(&news), "r2 goes to t1, was r1; r1 is in service at t2");
    }

    #[test]
    fn tenants_with_the_longest_names_fit_one_record() {
        let image = "x".repeat(250);
        let (was, since) = (Some(image.clone()), Some(jiff::Timestamp::MAX));
        let one = Release { tenant: TenantId::new("t".repeat(63)), image, was, since, in_service: true };
        let body = json!({ "what": "w".repeat(2000), "releases": vec![one; TENANTS] });
        let size = body.to_string().len();
        assert!(size < 62_000, "{size}");
    }
}
