//! Phases of the calendar in which a rule judges by other thresholds or holds: a planning run, the minutes around a change
//! of shift, the close of a month, a freeze. Rules declare them as data (`[[rule.during]]`); which phase is in force for
//! whom is looked up here, at most once a minute.

use super::calendar::Calendar;
use super::rules::{During, Rules};
use crate::domain::estate::{Occasion, OccasionKind};
use crate::domain::id::TenantId;
use jiff::{SignedDuration, Timestamp};

/// How long it is taken to hold which occasions are near.
const LOOK_UP: SignedDuration = SignedDuration::from_secs(60);

/// The word of a kind, as the configuration and rules have it.
pub const fn word(kind: OccasionKind) -> &'static str {
    match kind {
        OccasionKind::Mrp => "mrp",
        OccasionKind::Shift => "shift",
        OccasionKind::MonthEnd => "month-end",
        OccasionKind::CutOff => "cut-off",
        OccasionKind::Freeze => "freeze",
    }
}

/// The kind of a word.
pub fn kind(word_: &str) -> Option<OccasionKind> {
    use OccasionKind::{CutOff, Freeze, MonthEnd, Mrp, Shift};
    [Mrp, Shift, MonthEnd, CutOff, Freeze].into_iter().find(|kind| word(*kind) == word_)
}

/// One occasion as one `during` of one rule sees it.
#[derive(Clone, Debug)]
struct Phase {
    /// Position of the rule, and of the `during` within it.
    rule: usize,
    during: usize,
    occasion: Occasion,
    before: SignedDuration,
    after: SignedDuration,
    /// From when to when it counts, now or the next time.
    window: Option<(Timestamp, Timestamp)>,
}

impl Phase {
    fn holds(&self, tenant: Option<&TenantId>, at: Timestamp) -> bool {
        let concerned = self.occasion.tenants.is_empty() || tenant.is_some_and(|t| self.occasion.tenants.contains(t));
        concerned && self.window.is_some_and(|(from, until)| from <= at && at < until)
    }
}

/// What is in force for a rule and whom it judges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct InForce<'a> {
    /// Position of the `during` in its rule.
    pub during: usize,
    /// The occasion, as its people say it.
    pub what: &'a str,
    /// Until when.
    pub until: Timestamp,
}

/// All phases of all rules.
#[derive(Clone, Debug)]
pub(super) struct Phases {
    all: Vec<Phase>,
    looked_up: Timestamp,
}

/// Whether a `during` means an occasion.
pub fn means(during: &During, occasion: &Occasion) -> bool {
    during.kind == occasion.kind && during.what.as_ref().is_none_or(|what| *what == occasion.what)
}

impl Phases {
    /// Each occasion that a rule means.
    pub fn new(rules: &Rules, occasions: &[Occasion]) -> Self {
        let seconds = |s: u32| SignedDuration::from_secs(i64::from(s));
        let mut all = Vec::new();
        for (rule, of) in rules.iter().enumerate() {
            for (position, during) in of.during.iter().enumerate() {
                all.extend(occasions.iter().filter(|o| means(during, o)).map(|occasion| Phase {
                    rule,
                    during: position,
                    occasion: occasion.clone(),
                    before: seconds(during.before_s),
                    after: seconds(during.after_s),
                    window: None,
                }));
            }
        }
        Self { all, looked_up: Timestamp::MIN }
    }

    /// Looks up when the occasions are, at most once a minute.
    pub fn heed(&mut self, calendar: &Calendar, now: Timestamp) {
        if now < self.looked_up || self.all.is_empty() {
            return;
        }
        self.looked_up = now.checked_add(LOOK_UP).unwrap_or(Timestamp::MAX);
        for phase in &mut self.all {
            // What is over still counts for as long as it is to count afterwards.
            let from = now.checked_sub(phase.after).unwrap_or(Timestamp::MIN);
            phase.window = calendar.span(&phase.occasion, from).and_then(|(begins, ends)| {
                Some((begins.checked_sub(phase.before).ok()?, ends.checked_add(phase.after).ok()?))
            });
        }
    }

    /// What is in force at a moment: of several `during` of a rule the first.
    pub fn of(&self, rule: usize, tenant: Option<&TenantId>, at: Timestamp) -> Option<InForce<'_>> {
        let phase = self.all.iter().filter(|p| p.rule == rule).find(|p| p.holds(tenant, at))?;
        let (_, until) = phase.window?;
        Some(InForce { during: phase.during, what: &phase.occasion.what, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::rules::decode;
    use crate::correlate::tests::support::{estate, tenant};
    use crate::domain::estate::OccasionDay;

    const RULE: &str = "[[rule]]\nname = \"queue-age\"\nclass = \"cause\"\nsignals = [\"queue.oldest\"]\nsubjects = [\"channel\"]\n\
                        disproof = \"it is done\"\n";

    fn occasion(kind: OccasionKind, days: &[OccasionDay], from: (i8, i8), to: Option<(i8, i8)>) -> Occasion {
        let time = |(hour, minute)| jiff::civil::time(hour, minute, 0, 0);
        Occasion {
            what: "early shift".into(),
            kind,
            days: days.to_vec(),
            from: time(from),
            to: to.map(time),
            time_zone: "Europe/Berlin".into(),
            tenants: Vec::new(),
        }
    }

    /// Whether the phase is in force at each of these moments, as if it was looked at then.
    fn in_force(during: &str, occasion: &Occasion, tenant_id: Option<&str>, moments: &[&str]) -> Vec<bool> {
        let text = format!("{RULE}[[rule.during]]\n{during}");
        let (rules, problems) = decode::all(&[("r.toml".into(), text)], &[]);
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        let estate = estate(vec![tenant("t017", 1)]);
        let calendar = Calendar::new(&estate, std::slice::from_ref(occasion), jiff::tz::db());
        let position = rules.iter().position(|r| r.name == "queue-age").unwrap();
        let tenant_id = tenant_id.map(TenantId::new);
        let one = |at: &&str| {
            let at: Timestamp = at.parse().unwrap();
            let mut phases = Phases::new(&rules, std::slice::from_ref(occasion));
            phases.heed(&calendar, at);
            phases.of(position, tenant_id.as_ref(), at).is_some()
        };
        moments.iter().map(one).collect()
    }

    #[test]
    fn a_change_of_shift_counts_before_and_after_its_moment_in_summer_and_in_winter() {
        let shift = || occasion(OccasionKind::Shift, &[], (6, 0), None);
        let during = "calendar = \"shift\"\nbefore = \"10m\"\nafter = \"30m\"\nhold = \"5m\"\n";
        let winter = ["2026-11-22T04:49:59Z", "2026-11-22T04:50:00Z", "2026-11-22T05:29:59Z", "2026-11-22T05:30:00Z"];
        assert_eq!(in_force(during, &shift(), None, &winter), [false, true, true, false]);
        // The clocks went forward and back in these nights: six in the morning is four, then five by UTC.
        let march = ["2026-03-28T05:00:00Z", "2026-03-29T04:00:00Z", "2026-03-29T05:00:00Z"];
        assert_eq!(in_force(during, &shift(), None, &march), [true, true, false]);
        let october = ["2026-10-24T04:00:00Z", "2026-10-25T04:00:00Z", "2026-10-25T05:00:00Z"];
        assert_eq!(in_force(during, &shift(), None, &october), [true, false, true]);
    }

    #[test]
    fn a_window_through_the_hour_that_comes_twice_is_an_hour_longer() {
        let run = || occasion(OccasionKind::Mrp, &[], (1, 0), Some((4, 0)));
        let during = "calendar = \"mrp\"\nhold = \"5m\"\n";
        // From 01:00 summer time to 04:00 winter time: four hours.
        let night = ["2026-10-24T22:59:59Z", "2026-10-24T23:00:00Z", "2026-10-25T02:59:59Z", "2026-10-25T03:00:00Z"];
        assert_eq!(in_force(during, &run(), None, &night), [false, true, true, false]);
        // In March two.
        let night = ["2026-03-28T23:59:59Z", "2026-03-29T00:00:00Z", "2026-03-29T01:59:59Z", "2026-03-29T02:00:00Z"];
        assert_eq!(in_force(during, &run(), None, &night), [false, true, true, false]);
    }

    #[test]
    fn the_last_of_the_month_past_midnight_and_what_comes_after_it() {
        let close = || occasion(OccasionKind::MonthEnd, &[OccasionDay::Last], (22, 0), Some((4, 0)));
        let during = "calendar = \"month-end\"\nafter = \"1h\"\nhold = \"5m\"\n";
        let moments = ["2026-11-29T22:00:00Z", "2026-11-30T21:00:00Z", "2026-12-01T03:59:59Z", "2026-12-01T04:00:00Z"];
        assert_eq!(in_force(during, &close(), None, &moments), [false, true, true, false]);
    }

    #[test]
    fn an_occasion_of_some_tenants_is_none_for_others_and_another_name_is_another_occasion() {
        let at = ["2026-11-22T05:10:00Z"];
        let of = |tenants: &[&str]| Occasion {
            tenants: tenants.iter().map(|t| TenantId::new(*t)).collect(),
            ..occasion(OccasionKind::Shift, &[], (6, 0), Some((7, 0)))
        };
        let during = "calendar = \"shift\"\nhold = \"5m\"\n";
        assert_eq!(in_force(during, &of(&["t017"]), Some("t017"), &at), [true]);
        assert_eq!(in_force(during, &of(&["t017"]), Some("t003"), &at), [false]);
        assert_eq!(in_force(during, &of(&["t017"]), None, &at), [false], "what many share is not shifted for one");
        let named = "calendar = \"shift\"\nwhat = \"late shift\"\nhold = \"5m\"\n";
        assert_eq!(in_force(named, &of(&[]), None, &at), [false]);
        assert_eq!(in_force(&named.replace("late", "early"), &of(&[]), None, &at), [true]);
    }
}
