//! `[[calendar]]`: the business calendar beside the cut-offs of tenants: planning runs, shifts, month ends, freezes.

use super::reader::Table;
use crate::domain::estate::{Occasion, OccasionDay, OccasionKind, Tenant};
use crate::domain::id::TenantId;
use jiff::civil::{Time, Weekday};

fn kind(word: &str) -> Option<OccasionKind> {
    match word {
        "mrp" => Some(OccasionKind::Mrp),
        "shift" => Some(OccasionKind::Shift),
        "month-end" => Some(OccasionKind::MonthEnd),
        "cut-off" => Some(OccasionKind::CutOff),
        "freeze" => Some(OccasionKind::Freeze),
        _ => None,
    }
}

fn day(word: &str) -> Option<OccasionDay> {
    let week = |day| Some(OccasionDay::Week(day));
    match word {
        "mon" => week(Weekday::Monday),
        "tue" => week(Weekday::Tuesday),
        "wed" => week(Weekday::Wednesday),
        "thu" => week(Weekday::Thursday),
        "fri" => week(Weekday::Friday),
        "sat" => week(Weekday::Saturday),
        "sun" => week(Weekday::Sunday),
        "last" => Some(OccasionDay::Last),
        number => number.parse::<i8>().ok().filter(|n| (1..=31).contains(n)).map(OccasionDay::Month),
    }
}

/// Decodes all of them.
pub(super) fn all(tables: Vec<Table<'_, '_>>, tenants: &[Tenant]) -> Vec<Occasion> {
    tables.into_iter().filter_map(|table| one(table, tenants)).collect()
}

fn one(mut table: Table<'_, '_>, tenants: &[Tenant]) -> Option<Occasion> {
    const TIME: &str = "a time of day such as \"06:00\"";
    let what = table.required("what", "month-end close");
    let kinds = "mrp, shift, month-end, cut-off or freeze";
    if !table.has("kind") {
        table.reject("kind", format!("[[calendar]] lacks `kind`; allowed is {kinds}"));
    }
    let kind = table.parsed("kind", kinds, kind);
    let mut days = Vec::new();
    for word in table.strings("days") {
        match day(&word) {
            Some(day) => days.push(day),
            None => table.reject(
                "days",
                format!(
                    "`{word}` is no day; allowed are mon, tue, wed, thu, fri, sat, sun, 1 to 31, and last of a month"
                ),
            ),
        }
    }
    if !table.has("from") {
        table.reject("from", format!("[[calendar]] lacks `from`; allowed is {TIME}"));
    }
    let time = |text: &str| text.parse::<Time>().ok();
    let (from, to) = (table.parsed("from", TIME, time), table.parsed("to", TIME, time));
    let zone = table.parsed("time_zone", "an IANA time zone such as \"Europe/Berlin\"", |name| {
        jiff::tz::TimeZone::get(name).is_ok().then(|| name.to_owned())
    });
    let mut concerns = Vec::new();
    for id in table.strings("tenants") {
        if tenants.iter().any(|t| t.id.as_str() == id) {
            concerns.push(TenantId::new(id));
        } else {
            table.reject("tenants", format!("`{id}` is no tenant of this file"));
        }
    }
    table.finish();
    let time_zone = zone.unwrap_or_else(|| "UTC".into());
    Some(Occasion { what, kind: kind?, days, from: from?, to, time_zone, tenants: concerns })
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;
    use crate::domain::estate::OccasionDay;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\ntime_zone = \"UTC\"\n";
    const GOOD: &str = "[[calendar]]\nwhat = \"close\"\nkind = \"month-end\"\ndays = [\"last\", \"1\", \"mon\"]\n\
                        from = \"22:00\"\nto = \"04:00\"\ntime_zone = \"Europe/Berlin\"\n";

    #[test]
    fn an_occasion_is_read_with_its_days() {
        let calendar = decode("c.toml", &format!("{ESTATE}{GOOD}")).unwrap().calendar;
        assert_eq!(calendar[0].days.len(), 3);
        assert_eq!(calendar[0].days[..2], [OccasionDay::Last, OccasionDay::Month(1)]);
    }

    #[test]
    fn each_mistake_says_what_is_allowed() {
        for (from, to, said) in [
            ("month-end", "holiday", "allowed is mrp, shift, month-end, cut-off or freeze"),
            ("\"mon\"", "\"32\"", "`32` is no day"),
            ("22:00", "25:00", "a time of day"),
            ("Europe/Berlin", "Europe/Atlantis", "an IANA time zone"),
            ("to = \"04:00\"", "tenants = [\"t9\"]", "`t9` is no tenant"),
            ("from = \"22:00\"\n", "", "lacks `from`"),
        ] {
            let problems = decode("c.toml", &format!("{ESTATE}{}", GOOD.replace(from, to))).unwrap_err().to_string();
            assert!(problems.contains(said) && problems.contains("c.toml:"), "{said}: {problems}");
        }
    }
}
