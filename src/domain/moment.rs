//! A moment as people type it: `2026-11-21T14:30:00Z`, `2026-11-21`, `14:30`, `today`, `2h`. All in UTC, like every
//! time that the program prints.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Reads a moment; `now` is what `today` and `2h` are counted from.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    let zoned = now.to_zoned(TimeZone::UTC);
    let today = zoned.date();
    let at = |time: DateTime| time.to_zoned(TimeZone::UTC).map(|z| z.timestamp()).ok();
    let found = match text {
        "now" => Some(now),
        "today" => at(today.at(0, 0, 0, 0)),
        "yesterday" => today.yesterday().ok().and_then(|day| at(day.at(0, 0, 0, 0))),
        _ if text.is_empty() => None,
        _ => text
            .parse::<Timestamp>()
            .ok()
            .or_else(|| text.parse::<Date>().ok().filter(|_| text.len() == 10).and_then(|day| at(day.at(0, 0, 0, 0))))
            .or_else(|| text.parse::<DateTime>().ok().and_then(at))
            .or_else(|| text.parse::<Time>().ok().and_then(|time| at(today.to_datetime(time))))
            .or_else(|| {
                text.parse::<Span>().ok().and_then(|ago| zoned.checked_sub(ago.abs()).ok()).map(|z| z.timestamp())
            }),
    };
    found.ok_or_else(|| {
        "allowed are 2026-11-21T14:30:00Z, 2026-11-21 14:30, 2026-11-21, 14:30, now, today, yesterday, and a time ago \
         such as 90s, 2h or 1d 4h; all in UTC"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_people_type_them() {
        let now: Timestamp = "2026-11-21T14:43:07Z".parse().unwrap();
        let of = |text: &str| parse(text, now).map(|t| t.to_string());
        for (typed, meant) in [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20 10:00", "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:00:30", "2026-11-20T10:00:30Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("14:30", "2026-11-21T14:30:00Z"),
            ("now", "2026-11-21T14:43:07Z"),
            ("today", "2026-11-21T00:00:00Z"),
            ("yesterday", "2026-11-20T00:00:00Z"),
            ("2h", "2026-11-21T12:43:07Z"),
            ("2h ago", "2026-11-21T12:43:07Z"),
            ("90 s", "2026-11-21T14:41:37Z"),
            ("1d 4h", "2026-11-20T10:43:07Z"),
            ("2 weeks", "2026-11-07T14:43:07Z"),
        ] {
            assert_eq!(of(typed).as_deref(), Ok(meant), "{typed}");
        }
        for wrong in ["", "soon", "25:00", "2026-13-01", "2h 3x", "last week", "20261121x"] {
            assert!(of(wrong).is_err_and(|why| why.contains("all in UTC")), "{wrong}");
        }
    }
}
