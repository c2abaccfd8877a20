//! What was reserved and not used, by tenant, and what that has cost.

use super::collect::field;
use crate::domain::account::{Capacity, Prices};
use crate::domain::id::TenantId;
use crate::journal::Record;
use serde::Serialize;
use std::collections::BTreeMap;

/// Of what is reserved, a tenant that never uses so much is idle.
const IDLE: f64 = 0.05;
/// And one that never uses so much has too much.
const OVERSIZED: f64 = 0.5;

/// How what is reserved fits what is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// In its busiest hour it used less than a twentieth of its processors.
    Idle,
    /// In its busiest hour it used less than half of its processors or of its memory.
    Oversized,
    /// It used half or more of both.
    Fits,
}

/// What a tenant has reserved and used over the period.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Spare {
    /// Whose.
    pub tenant: TenantId,
    /// Hours for which both are known.
    pub hours: f64,
    /// Cores that its pods reserved, in the mean.
    pub cores: f64,
    /// Cores in use in the busiest hour.
    pub cores_busiest: f64,
    /// GiB that its pods reserved, in the mean.
    pub gib: f64,
    /// GiB in use in the busiest hour.
    pub gib_busiest: f64,
    /// How that fits.
    pub fit: Fit,
    /// What was reserved beyond each day's busiest hour has cost so much; absent without prices.
    pub cost: Option<f64>,
}

#[derive(Debug, Default)]
struct Sums {
    minutes: f64,
    core_minutes: f64,
    gib_minutes: f64,
    cores_busiest: f64,
    gib_busiest: f64,
    cost: Option<f64>,
}

/// Adds up the days of all tenants.
#[derive(Debug, Default)]
pub(super) struct Spares {
    tenants: BTreeMap<TenantId, Sums>,
    /// Of the newest price.
    currency: Option<String>,
}

impl Spares {
    /// Takes in a day's record.
    pub(super) fn seen(&mut self, record: &Record) {
        let prices: Option<Prices> = field(&record.body, "price");
        for day in field::<Vec<Capacity>>(&record.body, "tenants").unwrap_or_default() {
            self.day(day, prices.as_ref());
        }
        self.currency = prices.map(|p| p.currency).or(self.currency.take());
    }

    #[allow(clippy::cast_precision_loss, reason = "thousandths of cores, MiB and millionths are far below 2^52")]
    fn day(&mut self, day: Capacity, prices: Option<&Prices>) {
        let sums = self.tenants.entry(day.tenant).or_default();
        let minutes = f64::from(day.minutes);
        let (cores, cores_busiest) = (day.cpu_m as f64 / 1000.0, day.cpu_busiest_m as f64 / 1000.0);
        let (gib, gib_busiest) = (day.memory_mib as f64 / 1024.0, day.memory_busiest_mib as f64 / 1024.0);
        sums.minutes += minutes;
        sums.core_minutes += minutes * cores;
        sums.gib_minutes += minutes * gib;
        sums.cores_busiest = sums.cores_busiest.max(cores_busiest);
        sums.gib_busiest = sums.gib_busiest.max(gib_busiest);
        if let Some(prices) = prices {
            let unused = (cores - cores_busiest).max(0.0) * prices.core_hour as f64
                + (gib - gib_busiest).max(0.0) * prices.gib_hour as f64;
            *sums.cost.get_or_insert_default() += unused * minutes / 60.0 / 1e6;
        }
    }

    /// The currency of the costs, and the tenants, most costly first, then those with most cores unused.
    pub(super) fn end(self) -> (Option<String>, Vec<Spare>) {
        let one = |(tenant, sums): (TenantId, Sums)| {
            let minutes = sums.minutes.max(1.0);
            let (cores, gib) = (sums.core_minutes / minutes, sums.gib_minutes / minutes);
            let share = |used: f64, of: f64| if of > 0.0 { used / of } else { 1.0 };
            let (cpu, memory) = (share(sums.cores_busiest, cores), share(sums.gib_busiest, gib));
            let fit = if cpu < IDLE {
                Fit::Idle
            } else if cpu < OVERSIZED || memory < OVERSIZED {
                Fit::Oversized
            } else {
                Fit::Fits
            };
            Spare {
                tenant,
                hours: sums.minutes / 60.0,
                cores,
                cores_busiest: sums.cores_busiest,
                gib,
                gib_busiest: sums.gib_busiest,
                fit,
                cost: sums.cost,
            }
        };
        let mut all: Vec<Spare> = self.tenants.into_iter().map(one).collect();
        let unused = |s: &Spare| (s.cost.unwrap_or_default(), s.cores - s.cores_busiest);
        all.sort_by(|a, b| {
            let ((cost_a, cores_a), (cost_b, cores_b)) = (unused(a), unused(b));
            cost_b.total_cmp(&cost_a).then(cores_b.total_cmp(&cores_a)).then_with(|| a.tenant.cmp(&b.tenant))
        });
        (self.currency, all)
    }
}
