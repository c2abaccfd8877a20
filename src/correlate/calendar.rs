//! The business calendar: when the next cut-off of a tenant is. Time zones come from the database that the
//! caller gives; a zone that it does not know leaves its cut-offs out, rather than at a wrong hour.

use crate::domain::estate::{Ahead, Cutoff, Estate, Occasion, OccasionDay, OccasionKind, Tenant};
use crate::domain::finding::NextCutoff;
use crate::domain::id::TenantId;
use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::collections::BTreeMap;

/// How far it looks ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// Entries that are kept.
const MOST: usize = 8;

/// The occasions, and the time zones of these and of the estate's cut-offs.
#[derive(Clone, Debug)]
pub struct Calendar {
    zones: BTreeMap<String, TimeZone>,
    occasions: Vec<Occasion>,
}

impl Calendar {
    /// Looks up the zones once.
    pub fn new(estate: &Estate, occasions: &[Occasion], zones: &TimeZoneDatabase) -> Self {
        let cutoffs = estate.tenants.iter().flat_map(|t| &t.cutoffs).map(|c| &c.time_zone);
        let names = cutoffs.chain(occasions.iter().map(|o| &o.time_zone));
        let mut known = BTreeMap::new();
        for name in names {
            if !known.contains_key(name)
                && let Ok(zone) = zones.get(name)
            {
                known.insert(name.clone(), zone);
            }
        }
        Self { zones: known, occasions: occasions.to_vec() }
    }

    /// What is at stake next for any of these tenants: the earliest of their cut-offs, and of the declared shifts, runs and
    /// cut-offs that concern them. A freeze has nothing at stake, and a month end begins at night.
    pub fn next<'a>(&self, tenants: &(impl Iterator<Item = &'a Tenant> + Clone), now: Timestamp) -> Option<NextCutoff> {
        let own = self.cutoff(tenants.clone(), now);
        let horizon = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        let at_stake = |o: &&Occasion| matches!(o.kind, OccasionKind::Shift | OccasionKind::Mrp | OccasionKind::CutOff);
        let declared = self.occasions.iter().filter(at_stake).filter_map(|occasion| {
            let concerned = |t: &&Tenant| occasion.tenants.is_empty() || occasion.tenants.contains(&t.id);
            let tenant = tenants.clone().find(concerned)?.id.clone();
            let next = self.next_of(occasion, now).filter(|n| n.at > now && n.at <= horizon)?;
            Some(NextCutoff { what: next.what, at: next.at, tenant })
        });
        own.into_iter().chain(declared).min_by(|a, b| a.at.cmp(&b.at).then_with(|| a.tenant.cmp(&b.tenant)))
    }

    /// The earliest cut-off after `now` of any of these tenants.
    fn cutoff<'a>(&self, tenants: impl Iterator<Item = &'a Tenant>, now: Timestamp) -> Option<NextCutoff> {
        let all = tenants.flat_map(|tenant| {
            tenant.cutoffs.iter().filter_map(move |cutoff| {
                let at = self.occurrence(cutoff, now)?;
                Some(NextCutoff { what: cutoff.what.clone(), at, tenant: tenant.id.clone() })
            })
        });
        all.min_by(|a, b| a.at.cmp(&b.at).then_with(|| a.tenant.cmp(&b.tenant)))
    }

    /// What is in force, and what lies ahead within a day: the cut-offs of tenants and the declared occasions, by time.
    pub fn ahead(&self, estate: &Estate, now: Timestamp) -> Vec<Ahead> {
        let horizon = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        let mut all: Vec<Ahead> = self.occasions.iter().filter_map(|o| self.next_of(o, now)).collect();
        for tenant in &estate.tenants {
            all.extend(self.cutoff(std::iter::once(tenant), now).map(|cutoff| Ahead {
                what: cutoff.what,
                kind: OccasionKind::CutOff,
                at: cutoff.at,
                until: None,
                tenants: vec![tenant.id.clone()],
            }));
        }
        all.retain(|a| a.at <= horizon);
        all.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.tenants.cmp(&b.tenants)));
        // Many tenants that share an hour are one entry.
        all.dedup_by(|later, first| {
            let same = later.at == first.at && later.what == first.what && later.until == first.until;
            if same {
                first.tenants.append(&mut later.tenants);
            }
            same
        });
        all.truncate(MOST);
        all
    }

    /// The occasions that go on at a moment and concern a tenant; all of them where none is meant.
    pub fn in_force(&self, tenant: Option<&TenantId>, now: Timestamp) -> Vec<Ahead> {
        let all = self.occasions.iter().filter_map(|o| self.next_of(o, now)).filter(|a| a.in_force(now));
        all.filter(|a| a.tenants.is_empty() || tenant.is_none_or(|t| a.tenants.contains(t))).collect()
    }

    /// From when to when an occasion goes on, now or the next time; nothing for a moment.
    pub(super) fn window(&self, occasion: &Occasion, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let next = self.next_of(occasion, now)?;
        next.until.map(|until| (next.at, until))
    }

    /// From when to when an occasion goes on, at a moment or the next time; a moment begins and ends at once.
    pub(super) fn span(&self, occasion: &Occasion, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let next = self.next_of(occasion, now)?;
        Some((next.at, next.until.unwrap_or(next.at)))
    }

    /// The occurrence of an occasion that goes on, or else the next one.
    fn next_of(&self, occasion: &Occasion, now: Timestamp) -> Option<Ahead> {
        let zone = self.zones.get(&occasion.time_zone)?;
        let today = now.to_zoned(zone.clone()).date();
        let moment = |day: Date, time: Time| Some(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp());
        // Since yesterday, for what goes on past midnight; a day of a month lies at most 62 days ahead.
        (-1..=62_i64).find_map(|days| {
            let day = today.checked_add(days.days()).ok()?;
            if !occasion.days.is_empty() && !occasion.days.iter().any(|d| is_on(*d, day)) {
                return None;
            }
            let at = moment(day, occasion.from)?;
            let until = match occasion.to {
                Some(to) if to > occasion.from => Some(moment(day, to)?),
                Some(to) => Some(moment(day.tomorrow().ok()?, to)?),
                None => None,
            };
            (until.unwrap_or(at) > now).then(|| Ahead {
                what: occasion.what.clone(),
                kind: occasion.kind,
                at,
                until,
                tenants: occasion.tenants.clone(),
            })
        })
    }

    fn occurrence(&self, cutoff: &Cutoff, now: Timestamp) -> Option<Timestamp> {
        let zone = self.zones.get(&cutoff.time_zone)?;
        let today = now.to_zoned(zone.clone()).date();
        // Tomorrow is enough: a day has each time of day, shifted by at most an hour where clocks change.
        [today, today.checked_add(1.day()).ok()?, today.checked_add(2.days()).ok()?]
            .into_iter()
            .filter_map(|day| Some(day.to_datetime(cutoff.at).to_zoned(zone.clone()).ok()?.timestamp()))
            .find(|at| *at > now)
    }
}

fn is_on(day: OccasionDay, date: Date) -> bool {
    match day {
        OccasionDay::Week(weekday) => date.weekday() == weekday,
        OccasionDay::Month(number) => date.day() == number,
        OccasionDay::Last => date.day() == date.days_in_month(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::tests::support::{estate, tenant};

    fn next(at: (i8, i8), zone: &str, now: &str) -> Option<NextCutoff> {
        let mut t017 = tenant("t017", 1);
        let at = jiff::civil::time(at.0, at.1, 0, 0);
        t017.cutoffs = vec![Cutoff { what: "receiving starts".into(), at, time_zone: zone.into() }];
        let estate = estate(vec![t017]);
        Calendar::new(&estate, &[], jiff::tz::db()).next(&estate.tenants.iter(), now.parse().unwrap())
    }

    #[test]
    fn cutoffs_are_local_times_also_across_a_change_of_clocks() {
        let at = |r: Option<NextCutoff>| r.unwrap().at.to_string();
        assert_eq!(at(next((6, 0), "Europe/Berlin", "2026-11-20T02:00:00Z")), "2026-11-20T05:00:00Z");
        assert_eq!(at(next((6, 0), "Europe/Berlin", "2026-11-20T05:00:00Z")), "2026-11-21T05:00:00Z");
        assert_eq!(at(next((6, 0), "Europe/Berlin", "2026-03-28T06:00:00Z")), "2026-03-29T04:00:00Z");
    }

    fn occasion(days: &[OccasionDay], from: (i8, i8), to: Option<(i8, i8)>) -> Occasion {
        let time = |(hour, minute)| jiff::civil::time(hour, minute, 0, 0);
        Occasion {
            what: "close".into(),
            kind: OccasionKind::MonthEnd,
            days: days.to_vec(),
            from: time(from),
            to: to.map(time),
            time_zone: "Europe/Berlin".into(),
            tenants: Vec::new(),
        }
    }

    fn span(occasion: &Occasion, now: &str) -> (String, String, bool) {
        let estate = estate(vec![tenant("t017", 1)]);
        let calendar = Calendar::new(&estate, std::slice::from_ref(occasion), jiff::tz::db());
        let now = now.parse().unwrap();
        let found = calendar.next_of(occasion, now).unwrap();
        let force = calendar.in_force(Some(&"t017".into()), now).len() == 1;
        assert_eq!(force, found.in_force(now));
        (found.at.to_string(), found.until.map(|u| u.to_string()).unwrap_or_default(), force)
    }

    #[test]
    fn a_window_past_midnight_on_the_last_of_the_month_is_in_force_on_the_first() {
        let close = occasion(&[OccasionDay::Last], (22, 0), Some((4, 0)));
        let november = ("2026-11-30T21:00:00Z".to_owned(), "2026-12-01T03:00:00Z".to_owned());
        let (at, until, force) = span(&close, "2026-11-22T01:00:00Z");
        assert_eq!(((at, until), force), (november.clone(), false));
        let (at, until, force) = span(&close, "2026-12-01T02:59:00Z");
        assert_eq!(((at, until), force), (november, true));
        assert_eq!(span(&close, "2026-12-01T03:00:00Z").0, "2026-12-31T21:00:00Z");
    }

    #[test]
    fn local_hours_follow_the_clocks_through_both_changes() {
        let daily = occasion(&[], (2, 30), Some((3, 30)));
        // 02:30 does not exist on the day in March; it is what follows the gap. In October it is there twice.
        assert_eq!(span(&daily, "2027-03-28T00:00:00Z").0, "2027-03-28T01:30:00Z");
        assert_eq!(span(&daily, "2026-10-25T00:00:00Z").0, "2026-10-25T00:30:00Z");
        let shift = occasion(&[OccasionDay::Week(jiff::civil::Weekday::Monday)], (6, 0), None);
        assert_eq!(span(&shift, "2026-11-22T01:00:00Z").0, "2026-11-23T05:00:00Z");
    }

    #[test]
    fn what_lies_ahead_is_in_the_order_of_time_and_an_hour_that_many_share_is_said_once() {
        let mut all = [tenant("t003", 1), tenant("t017", 1)];
        for tenant in &mut all {
            let at = jiff::civil::time(6, 0, 0, 0);
            tenant.cutoffs = vec![Cutoff { what: "receiving starts".into(), at, time_zone: "UTC".into() }];
        }
        let estate = estate(all.into());
        let close = occasion(&[], (1, 0), Some((9, 0)));
        let calendar = Calendar::new(&estate, &[close], jiff::tz::db());
        let ahead = calendar.ahead(&estate, "2026-11-22T01:00:00Z".parse().unwrap());
        let said: Vec<_> = ahead.iter().map(|a| (a.what.as_str(), a.tenants.len())).collect();
        assert_eq!(said, [("close", 0), ("receiving starts", 2)]);
    }

    #[test]
    fn a_shift_that_concerns_the_tenant_is_at_stake_and_a_freeze_is_not() {
        let estate = estate(vec![tenant("t003", 1), tenant("t017", 1)]);
        let shift = Occasion {
            kind: OccasionKind::Shift,
            what: "early shift".into(),
            tenants: vec!["t017".into()],
            ..occasion(&[], (6, 0), None)
        };
        let freeze = Occasion { kind: OccasionKind::Freeze, ..occasion(&[], (5, 0), None) };
        let calendar = Calendar::new(&estate, &[freeze, shift], jiff::tz::db());
        let now = "2026-11-22T01:00:00Z".parse().unwrap();
        let next = calendar.next(&estate.tenants.iter(), now).unwrap();
        assert_eq!((next.what.as_str(), next.tenant.as_str()), ("early shift", "t017"));
        assert_eq!(next.at.to_string(), "2026-11-22T05:00:00Z");
        assert_eq!(calendar.next(&estate.tenants.iter().take(1), now), None);
    }

    #[test]
    fn an_unknown_zone_says_nothing() {
        assert_eq!(next((6, 0), "Europe/Atlantis", "2026-11-20T02:00:00Z"), None);
    }
}
