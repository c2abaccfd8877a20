//! Who is on call by a roster: a file with a rotation by local time.

use crate::config::problem::Problems;
use crate::config::reader::{self, Source, Table};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A rotation: each person for so many days, from a moment of local time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    zone: TimeZone,
    starts: DateTime,
    days: i64,
    people: Vec<String>,
    instead: Vec<Instead>,
}

/// Somebody stands in for whoever would be on call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Instead {
    from: DateTime,
    to: DateTime,
    person: String,
}

/// A date and time of day as a roster has it.
fn moment(table: &mut Table<'_, '_>, key: &'static str) -> Option<DateTime> {
    table.parsed(key, "a local date and time such as \"2026-01-05T08:00\"", |text| text.parse().ok())
}

impl Roster {
    /// Reads a roster; `known` are the names of people that can be reached.
    ///
    /// # Errors
    /// Everything that is wrong with it, with its places.
    pub fn decode(file: &str, text: &str, known: &[String]) -> Result<Self, Problems> {
        let root = reader::parse(file, text)?;
        let source = Source::new(file, text);
        let mut root = Table::root(&source, &root);
        let person = |name: &str| {
            let why = || format!("`{name}` is no [[comms.audience]], so nobody can be called by it");
            known.iter().any(|k| k == name).then_some(()).ok_or_else(why)
        };
        let zone = root.parsed("time_zone", "an IANA time zone such as \"Europe/Berlin\"", |t| TimeZone::get(t).ok());
        let starts = if root.has("starts") {
            moment(&mut root, "starts")
        } else {
            root.required("starts", "2026-01-05T08:00");
            None
        };
        let days = root.integer("days", 1, 366).unwrap_or(7);
        let people = root.checked_strings("people", person);
        if people.is_empty() {
            root.reject("people", "a roster has `people`, for example `people = [\"ines\", \"jon\"]`");
        }
        let mut instead = Vec::new();
        for mut table in root.tables("instead") {
            let (from, to) = (moment(&mut table, "from"), moment(&mut table, "to"));
            let name = table.required("person", "jon");
            if let (false, Err(why)) = (name.is_empty(), person(&name)) {
                table.reject("person", why);
            }
            match (from, to) {
                (Some(from), Some(to)) if from < to => instead.push(Instead { from, to, person: name }),
                (Some(_), Some(_)) => table.reject("to", "`to` is not later than `from`"),
                _ if table.has("from") && table.has("to") => {}
                _ => table.reject("from", "[[instead]] needs `from` and `to`"),
            }
            table.finish();
        }
        root.finish();
        let problems = source.into_problems();
        match (starts, problems.is_empty()) {
            (Some(starts), true) => Ok(Self { zone: zone.unwrap_or(TimeZone::UTC), starts, days, people, instead }),
            _ => Err(Problems(problems)),
        }
    }

    /// Everybody, whoever is on call first, then those who follow; nobody before it starts.
    pub fn order(&self, now: Timestamp) -> Vec<String> {
        let local = now.to_zoned(self.zone.clone()).datetime();
        if local < self.starts {
            return Vec::new();
        }
        // By days of the calendar: a change of the clock moves no hand-over.
        let days = i64::from(local.date().since(self.starts.date()).map_or(0, |span| span.get_days()));
        let days = if local.time() < self.starts.time() { days - 1 } else { days };
        let turn = usize::try_from(days.max(0) / self.days.max(1)).unwrap_or(0);
        let n = self.people.len().max(1);
        let mut order: Vec<String> = Vec::new();
        let instead = self.instead.iter().rfind(|i| i.from <= local && local < i.to).map(|i| i.person.clone());
        let turns = (0..n).filter_map(|k| self.people.get((turn + k) % n).cloned());
        for person in instead.into_iter().chain(turns) {
            if !order.contains(&person) {
                order.push(person);
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "time_zone = \"Europe/Berlin\"\nstarts = \"2026-03-23T08:00\"\ndays = 7\n\
        people = [\"ines\", \"jon\", \"mara\"]\n[[instead]]\nfrom = \"2026-03-31T00:00\"\nto = \"2026-04-01T00:00\"\nperson = \"mara\"\n";

    fn known() -> Vec<String> {
        ["ines", "jon", "mara", "duty-manager"].map(str::to_owned).to_vec()
    }

    #[test]
    fn the_hand_over_keeps_to_local_time_and_somebody_may_stand_in() {
        let roster = Roster::decode("r.toml", TEXT, &known()).unwrap();
        let first = |at: &str| roster.order(at.parse().unwrap()).first().cloned().unwrap_or_default();
        assert_eq!(first("2026-03-23T06:59:00Z"), "", "before it starts nobody is on call");
        assert_eq!((first("2026-03-23T07:00:00Z").as_str(), first("2026-03-29T22:00:00Z").as_str()), ("ines", "ines"));
        // Summer time began on the 29th: eight o'clock is an hour earlier.
        assert_eq!((first("2026-03-30T05:59:00Z").as_str(), first("2026-03-30T06:00:00Z").as_str()), ("ines", "jon"));
        assert_eq!(first("2026-03-30T22:30:00Z"), "mara", "instead of jon");
        assert_eq!(roster.order("2026-03-31T09:00:00Z".parse().unwrap()), ["mara", "jon", "ines"]);
        assert_eq!((first("2026-04-06T06:00:00Z").as_str(), first("2026-04-13T06:00:00Z").as_str()), ("mara", "ines"));
    }

    #[test]
    fn what_is_wrong_with_a_roster_is_said_with_its_place() {
        let text = "time_zone = \"Mars\"\ndays = 0\npeople = [\"ines\", \"nobody\"]\ncolour = 1\n[[instead]]\n\
                    from = \"2026-01-02T00:00\"\nto = \"2026-01-01T00:00\"\nperson = \"ghost\"\n";
        let found = Roster::decode("r.toml", text, &known()).unwrap_err().to_string();
        for part in [
            "r.toml:1:13: `time_zone` of the file is `Mars`; allowed is an IANA time zone",
            "lacks `starts`; for example `starts = \"2026-01-05T08:00\"`",
            "r.toml:2:8: `days` of the file is 0; allowed is 1 to 366",
            "r.toml:3:19: `nobody` is no [[comms.audience]]",
            "r.toml:4:1: unknown key `colour`",
            "r.toml:7:6: `to` is not later than `from`",
            "r.toml:8:10: `ghost` is no [[comms.audience]]",
        ] {
            assert!(found.contains(part), "{part}\n---\n{found}");
        }
    }
}
