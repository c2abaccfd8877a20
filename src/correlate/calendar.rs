//! The business calendar: when the next cut-off of a tenant is. Time zones come from the database that the
//! caller gives; a zone that it does not know leaves its cut-offs out, rather than at a wrong hour.

use crate::domain::estate::{Cutoff, Estate, Tenant};
use crate::domain::finding::NextCutoff;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;

/// Time zones of the estate's cut-offs.
#[derive(Clone, Debug)]
pub struct Calendar(BTreeMap<String, TimeZone>);

impl Calendar {
    /// Looks up the zones once.
    pub fn new(estate: &Estate, zones: &TimeZoneDatabase) -> Self {
        let names = estate.tenants.iter().flat_map(|t| &t.cutoffs).map(|c| &c.time_zone);
        let mut known = BTreeMap::new();
        for name in names {
            if !known.contains_key(name)
                && let Ok(zone) = zones.get(name)
            {
                known.insert(name.clone(), zone);
            }
        }
        Self(known)
    }

    /// The earliest cut-off after `now` of any of these tenants.
    pub fn next<'a>(&self, tenants: impl Iterator<Item = &'a Tenant>, now: Timestamp) -> Option<NextCutoff> {
        let all = tenants.flat_map(|tenant| {
            tenant.cutoffs.iter().filter_map(move |cutoff| {
                let at = self.occurrence(cutoff, now)?;
                Some(NextCutoff { what: cutoff.what.clone(), at, tenant: tenant.id.clone() })
            })
        });
        all.min_by(|a, b| a.at.cmp(&b.at).then_with(|| a.tenant.cmp(&b.tenant)))
    }

    fn occurrence(&self, cutoff: &Cutoff, now: Timestamp) -> Option<Timestamp> {
        let zone = self.0.get(&cutoff.time_zone)?;
        let today = now.to_zoned(zone.clone()).date();
        // Tomorrow is enough: a day has each time of day, shifted by at most an hour where clocks change.
        [today, today.checked_add(1.day()).ok()?, today.checked_add(2.days()).ok()?]
            .into_iter()
            .filter_map(|day| Some(day.to_datetime(cutoff.at).to_zoned(zone.clone()).ok()?.timestamp()))
            .find(|at| *at > now)
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
        Calendar::new(&estate, jiff::tz::db()).next(estate.tenants.iter(), now.parse().unwrap())
    }

    #[test]
    fn cutoffs_are_local_times_also_across_a_change_of_clocks() {
        let at = |r: Option<NextCutoff>| r.unwrap().at.to_string();
        assert_eq!(at(next((6, 0), "Europe/Berlin", "2026-11-20T02:00:00Z")), "2026-11-20T05:00:00Z");
        assert_eq!(at(next((6, 0), "Europe/Berlin", "2026-11-20T05:00:00Z")), "2026-11-21T05:00:00Z");
        assert_eq!(at(next((6, 0), "Europe/Berlin", "2026-03-28T06:00:00Z")), "2026-03-29T04:00:00Z");
    }

    #[test]
    fn an_unknown_zone_says_nothing() {
        assert_eq!(next((6, 0), "Europe/Atlantis", "2026-11-20T02:00:00Z"), None);
    }
}
