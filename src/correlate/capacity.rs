//! How much of what is reserved for a tenant it uses: minute by minute, a day (UTC) at a time.

use super::history::History;
use crate::domain::account::Capacity;
use crate::domain::id::TenantId;
use crate::domain::signal::Subject;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A value that is older tells nothing of this minute.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// What is known of a tenant at one moment: all four, or nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Cores that its pods reserve.
    pub cpu_reserved: f64,
    /// Cores in use.
    pub cpu_used: f64,
    /// Bytes that its pods reserve.
    pub memory_reserved: f64,
    /// Bytes in use.
    pub memory_used: f64,
}

impl Moment {
    /// The newest values of a tenant.
    pub(super) fn of(history: &History, tenant: &TenantId, now: Timestamp) -> Option<Self> {
        let subject = Subject::Tenant { tenant: tenant.clone() };
        let oldest = now.saturating_sub(FRESH).map_or(i64::MIN, Timestamp::as_millisecond);
        let newest = |signal: &str| {
            let fresh = history.latest(&subject, signal).filter(|n| n.at_ms >= oldest);
            fresh.map(|n| n.value).filter(|v| v.is_finite() && *v >= 0.0)
        };
        Some(Self {
            cpu_reserved: newest("cpu.reserved")?,
            cpu_used: newest("cpu.used")?,
            memory_reserved: newest("memory.reserved")?,
            memory_used: newest("memory.used")?,
        })
    }
}

/// Sums of a part of a day.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    minutes: u32,
    cpu: f64,
    memory: f64,
}

impl Sums {
    fn add(&mut self, cpu: f64, memory: f64) {
        self.minutes += 1;
        self.cpu += cpu;
        self.memory += memory;
    }

    /// Thousandths of a core, and MiB, in the mean.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "means of what is not negative")]
    fn means(&self) -> (u64, u64) {
        let minutes = f64::from(self.minutes.max(1));
        ((1000.0 * self.cpu / minutes).round() as u64, (self.memory / MIB / minutes).round() as u64)
    }
}

/// A tenant's day so far.
#[derive(Clone, Copy, Debug, Default)]
struct OfTenant {
    reserved: Sums,
    /// The hour in hand, and what was used in it.
    hour: (i8, Sums),
    busiest: (u64, u64),
}

impl OfTenant {
    fn add(&mut self, hour: i8, moment: &Moment) {
        if self.hour.0 != hour {
            self.busiest = self.busiest();
            self.hour = (hour, Sums::default());
        }
        self.reserved.add(moment.cpu_reserved, moment.memory_reserved);
        self.hour.1.add(moment.cpu_used, moment.memory_used);
    }

    fn busiest(&self) -> (u64, u64) {
        let (cpu, memory) = self.hour.1.means();
        (self.busiest.0.max(cpu), self.busiest.1.max(memory))
    }
}

/// The day so far.
#[derive(Debug, Default)]
pub struct Day {
    date: Option<Date>,
    tenants: BTreeMap<TenantId, OfTenant>,
}

impl Day {
    /// Takes in a minute; answers the day before, when this minute begins another one.
    pub fn minute(&mut self, now: Timestamp, known: &[(TenantId, Moment)]) -> Option<(Date, Vec<Capacity>)> {
        let now = now.to_zoned(TimeZone::UTC);
        let over = if self.date == Some(now.date()) { None } else { self.end() };
        self.date = Some(now.date());
        for (tenant, moment) in known {
            self.tenants.entry(tenant.clone()).or_default().add(now.hour(), moment);
        }
        over
    }

    /// The day as far as it was seen; nothing of it is left.
    pub fn end(&mut self) -> Option<(Date, Vec<Capacity>)> {
        let date = self.date.take()?;
        let all: Vec<Capacity> = std::mem::take(&mut self.tenants)
            .into_iter()
            .map(|(tenant, day)| {
                let ((cpu_m, memory_mib), (cpu_busiest_m, memory_busiest_mib)) = (day.reserved.means(), day.busiest());
                let minutes = day.reserved.minutes;
                Capacity { tenant, minutes, cpu_m, cpu_busiest_m, memory_mib, memory_busiest_mib }
            })
            .collect();
        (!all.is_empty()).then_some((date, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_763_596_800 + 60 * minute).unwrap()
    }

    fn uses(cpu_used: f64, gib_used: f64) -> Vec<(TenantId, Moment)> {
        let moment =
            Moment { cpu_reserved: 2.0, cpu_used, memory_reserved: 4096.0 * MIB, memory_used: gib_used * 1024.0 * MIB };
        vec![("t1".into(), moment)]
    }

    #[test]
    fn a_day_has_its_busiest_hour_and_a_short_burst_is_none() {
        let mut day = Day::default();
        for minute in 0..24 * 60 {
            // One hour at half a core, one minute at eight; memory is greatest at another hour.
            let cpu = if minute == 70 { 8.0 } else { [0.1, 0.5][usize::from(minute / 60 == 9)] };
            let gib = [1.0, 3.0][usize::from(minute / 60 == 20)];
            assert_eq!(day.minute(at(minute), &uses(cpu, gib)), None);
        }
        let (date, all) = day.minute(at(24 * 60), &uses(1.9, 1.0)).unwrap();
        assert_eq!(date.to_string(), "2025-11-20");
        let expected = Capacity {
            tenant: "t1".into(),
            minutes: 1440,
            cpu_m: 2000,
            cpu_busiest_m: 500,
            memory_mib: 4096,
            memory_busiest_mib: 3072,
        };
        assert_eq!(all, [expected]);
        let (date, rest) = day.end().unwrap();
        assert_eq!((date.to_string().as_str(), rest[0].minutes, rest[0].cpu_busiest_m), ("2025-11-21", 1, 1900));
        assert_eq!(day.end(), None);
    }

    #[test]
    fn minutes_of_which_nothing_is_known_count_for_nothing() {
        let mut day = Day::default();
        for minute in 0..60 {
            let known = if minute < 30 { uses(1.0, 1.0) } else { Vec::new() };
            assert_eq!(day.minute(at(minute), &known), None);
        }
        assert_eq!(day.end().unwrap().1[0].minutes, 30);
        assert_eq!(day.minute(at(24 * 60), &[]), None, "a day of which nothing is known");
        assert_eq!(day.minute(at(48 * 60), &[]), None);
    }
}
