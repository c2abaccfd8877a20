//! How values are written: one way for each unit, everywhere. `None` is written `?`, never blank or zero.

use crate::domain::signal::{Unit, days};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::time::Duration;

/// What stands where a value is not known.
pub const UNKNOWN: &str = "?";
/// What stands where there is nothing to observe.
pub const ABSENT: &str = "–";

/// Whole seconds of a span of seconds; negative or absurd spans become zero or the greatest.
fn whole(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(u64::MAX, |d| d.as_secs())
}

/// Seconds between two moments, zero when the second is not later.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).as_secs().max(0).unsigned_abs()
}

/// A span: `0.4 s`, `62 s`, `7m12s`, `5h03m`, `19 d`.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return UNKNOWN.into();
    }
    let total = whole(seconds.round());
    if seconds < 9.95 {
        format!("{:.1} s", seconds.max(0.0))
    } else if total < 100 {
        format!("{total} s")
    } else if total < 6_000 {
        format!("{}m{:02}s", total / 60, total % 60)
    } else if total < 172_800 {
        format!("{}h{:02}m", total / 3_600, total / 60 % 60)
    } else {
        format!("{} d", total / 86_400)
    }
}

/// An age, coarse so that it changes seldom: `41 s`, `3 min`, `2 h`, `5 d`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The age of something fresh, in steps, so that a quiet screen stays quiet: `<5 s`, `<15 s`, `<1 min`.
pub fn fresh_age(seconds: f64) -> String {
    match whole(seconds) {
        0..5 => "<5 s".into(),
        5..15 => "<15 s".into(),
        15..60 => "<1 min".into(),
        more => age(more),
    }
}

/// A share in per cent: `12%`, `0.4%`.
pub fn ratio(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        UNKNOWN.into()
    } else if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0}%")
    } else {
        format!("{percent:.1}%")
    }
}

/// Bytes in binary units: `61 MiB`, `1.4 GiB`.
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes;
    let mut unit = "B";
    for next in UNITS.iter().skip(1) {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value >= 9.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A rate: `3.2/s`, `418/s`.
pub fn per_second(rate: f64) -> String {
    if rate >= 9.95 || rate == 0.0 { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") }
}

/// A value in its unit.
pub fn value(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return UNKNOWN.into();
    }
    match unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Seconds => span(value),
        Unit::Ratio => ratio(value),
        Unit::Bytes => bytes(value),
        Unit::BytesPerSecond => format!("{}/s", bytes(value)),
        Unit::PerSecond => per_second(value),
        Unit::Days => days(value),
        Unit::Cores => format!("{value:.2} cores"),
        Unit::Flag => if value == 0.0 { "no" } else { "yes" }.into(),
    }
}

/// Writes a value that may not be known.
pub fn known<T>(value: Option<T>, write: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), write)
}

/// Columns that a title has beside what else stands in the strip of an incident.
const TITLE: usize = 60;

/// The first of what a finding says, short enough for a title: before its details, before what it has done.
pub fn headline(what: &str) -> &str {
    ["; ", " `", " (", ", "].iter().fold(what, |text, end| {
        if text.chars().count() <= TITLE { text } else { text.split_once(end).map_or(text, |(first, _)| first) }
    })
}

/// Time of day in UTC with seconds: `02:14:07`.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// Date and time of day in UTC: `2026-11-21 02:14:07Z`.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Hours and minutes in a time zone; `None` when the zone is not known here.
pub fn wall(at: Timestamp, zone: &str) -> Option<String> {
    let zone = TimeZone::get(zone).ok()?;
    Some(at.to_zoned(zone).strftime("%H:%M").to_string())
}

/// Hours and minutes until or since: `02:13`.
pub fn hours_minutes(seconds: u64) -> String {
    format!("{:02}:{:02}", seconds / 3_600, seconds / 60 % 60)
}

/// What is left of a time that runs out: `4:32`.
pub fn countdown(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// How far ahead a moment is: `in 02:13`, `in 40 s`, or `passed 3 min ago`.
pub fn ahead(now: Timestamp, at: Timestamp) -> String {
    let left = at.duration_since(now);
    if left < SignedDuration::ZERO {
        format!("passed {} ago", age(seconds_between(at, now)))
    } else if left < SignedDuration::from_mins(1) {
        format!("in {} s", left.as_secs())
    } else {
        format!("in {}", hours_minutes(left.as_secs().unsigned_abs()))
    }
}

/// `1 measure`, `2 measures`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_of_what_a_finding_says() {
        let said =
            "lock chain on t017, root pid 4342 (odoo-deploy r118, idle in transaction) `ALTER TABLE x`; 60 blocked";
        assert_eq!(headline(said), "lock chain on t017, root pid 4342");
        assert_eq!(
            headline("connections on pg-a: 92% of connections used"),
            "connections on pg-a: 92% of connections used"
        );
        let long = "x".repeat(99);
        assert_eq!(headline(&long), long);
        assert_eq!(headline(""), "");
    }

    #[test]
    fn spans_ages_and_shares_read_well() {
        let spans: Vec<_> = [0.04, 0.4, 9.96, 62.0, 432.0, 18_180.0, 1_641_600.0].map(span).into();
        assert_eq!(spans, ["0.0 s", "0.4 s", "10 s", "62 s", "7m12s", "5h03m", "19 d"]);
        assert_eq!([41, 60, 7_199, 7_200, 172_800].map(age), ["41 s", "1 min", "119 min", "2 h", "2 d"]);
        assert_eq!([0.0, 0.004, 0.12, 1.0].map(ratio), ["0%", "0.4%", "12%", "100%"]);
        assert_eq!([512.0, 64e6, 1.5e9].map(bytes), ["512 B", "61 MiB", "1.4 GiB"]);
        assert_eq!(span(f64::NAN), "?");
        assert_eq!(known(None::<f64>, span), "?");
        assert_eq!([18.7, 9.99, -0.31].map(|d| value(d, Unit::Days)), ["18 d", "9.9 d", "-0.4 d"]);
    }

    #[test]
    fn a_cut_off_counts_down_and_then_says_that_it_has_passed() {
        let now: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        assert_eq!(ahead(now, "2026-11-21T04:13:59Z".parse().unwrap()), "in 02:13");
        assert_eq!(ahead(now, "2026-11-21T02:00:41Z".parse().unwrap()), "in 41 s");
        assert_eq!(ahead(now, "2026-11-21T01:57:00Z".parse().unwrap()), "passed 3 min ago");
        assert_eq!(wall(now, "Europe/Berlin").as_deref(), Some("03:00"));
        assert_eq!(wall(now, "Nowhere/None"), None);
    }
}
