//! The local hour of the week, in the time zone that a tenant's calendar has.

use super::places::WEEK;
use crate::domain::estate::Estate;
use crate::domain::id::TenantId;
use hashbrown::HashMap;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// A moment as a clock on the wall of a plant shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// Hours since the epoch by that clock: an hour that comes twice in autumn has one number.
    pub hour: i64,
    /// The hour of the week, 0 for Monday from midnight to one.
    pub place: u16,
    /// The minute of the hour.
    pub minute: usize,
}

/// Time zones of the estate and of its tenants.
#[derive(Clone, Debug)]
pub(super) struct Hours {
    zones: Vec<TimeZone>,
    of_tenant: HashMap<TenantId, usize>,
}

impl Hours {
    /// A tenant's zone is that of its cut-offs, else that of the estate. One that is not known is UTC.
    pub fn new(estate: &Estate, known: &TimeZoneDatabase) -> Self {
        let mut names: Vec<&str> = vec![&estate.time_zone];
        let mut of_tenant = HashMap::new();
        for tenant in &estate.tenants {
            let Some(name) = tenant.cutoffs.first().map(|c| c.time_zone.as_str()) else { continue };
            let place = names.iter().position(|n| *n == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            if place > 0 {
                of_tenant.insert(tenant.id.clone(), place);
            }
        }
        Self { zones: names.into_iter().map(|n| known.get(n).unwrap_or(TimeZone::UTC)).collect(), of_tenant }
    }

    /// A moment in all of them, each worked out when it is asked for.
    pub fn at(&self, at: Timestamp) -> Locals<'_> {
        Locals { hours: self, at, known: vec![None; self.zones.len()] }
    }
}

/// One moment by the clocks of the zones.
pub(super) struct Locals<'a> {
    hours: &'a Hours,
    at: Timestamp,
    known: Vec<Option<Local>>,
}

impl Locals<'_> {
    /// By the clock of a tenant, or of the estate where none is meant.
    pub fn of(&mut self, tenant: Option<&TenantId>) -> Local {
        let zone = tenant.and_then(|t| self.hours.of_tenant.get(t)).copied().unwrap_or(0);
        if let Some(Some(known)) = self.known.get(zone) {
            return *known;
        }
        let offset = self.hours.zones.get(zone).map_or(0, |z| z.to_offset(self.at).seconds());
        let local = of(self.at.as_second() + i64::from(offset));
        if let Some(slot) = self.known.get_mut(zone) {
            *slot = Some(local);
        }
        local
    }
}

/// Seconds since the epoch by a clock on a wall.
fn of(seconds: i64) -> Local {
    let hour = seconds.div_euclid(3600);
    // The epoch was a Thursday: the Monday before it lies 72 hours back.
    let place = (hour + 72).rem_euclid(i64::from(WEEK));
    Local {
        hour,
        place: u16::try_from(place).unwrap_or(0),
        minute: usize::try_from(seconds.rem_euclid(3600) / 60).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::tests::support::{estate, tenant};
    use crate::domain::estate::Cutoff;

    fn place(zone: &str, at: &str) -> (u16, usize) {
        let mut t017 = tenant("t017", 1);
        let six = jiff::civil::time(6, 0, 0, 0);
        t017.cutoffs = vec![Cutoff { what: "receiving starts".into(), at: six, time_zone: zone.into() }];
        let hours = Hours::new(&estate(vec![t017]), jiff::tz::db());
        let local = hours.at(at.parse().unwrap()).of(Some(&"t017".into()));
        (local.place, local.minute)
    }

    #[test]
    fn monday_at_eight_is_one_place_in_summer_and_in_winter() {
        assert_eq!(place("Europe/Berlin", "2026-11-23T07:05:00Z"), (8, 5));
        assert_eq!(place("Europe/Berlin", "2026-07-20T06:05:00Z"), (8, 5));
        assert_eq!(place("Asia/Kolkata", "2026-11-22T20:45:00Z"), (2, 15));
        assert_eq!(place("UTC", "2026-11-22T23:59:59Z"), (167, 59));
    }

    #[test]
    fn the_hour_that_comes_twice_is_one_and_the_one_that_is_left_out_is_none() {
        let hours = Hours { zones: vec![TimeZone::get("Europe/Berlin").unwrap()], of_tenant: HashMap::new() };
        let hour = |at: &str| hours.at(at.parse().unwrap()).of(None).hour;
        assert_eq!(hour("2026-10-25T00:30:00Z"), hour("2026-10-25T01:30:00Z"));
        assert_eq!(hour("2026-03-29T01:00:00Z") - hour("2026-03-29T00:59:59Z"), 2);
    }

    #[test]
    fn places_agree_with_the_calendar_at_any_moment() {
        proptest::proptest!(|(second in -2_000_000_000_i64..4_000_000_000)| {
            let zone = TimeZone::get("America/St_Johns").unwrap();
            let hours = Hours { zones: vec![zone.clone()], of_tenant: HashMap::new() };
            let at = Timestamp::from_second(second).unwrap();
            let (local, civil) = (hours.at(at).of(None), at.to_zoned(zone).datetime());
            let day = u16::try_from(civil.weekday().to_monday_zero_offset()).unwrap();
            proptest::prop_assert_eq!(local.place, day * 24 + u16::try_from(civil.hour()).unwrap());
            proptest::prop_assert_eq!(local.minute, usize::try_from(civil.minute()).unwrap());
        });
    }
}
