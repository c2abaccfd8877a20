//! From what Odoo's API answers to facts.

use crate::domain::facts::odoo::{Channel, Crons};
use crate::domain::text::sanitize;
use crate::observe::http::Answer;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::BTreeMap;

/// A field of which the least is asked.
pub(super) type Field = &'static str;

/// Crons that are later count.
const LATE_S: f64 = 600.0;

/// Failures in a row from which on a cron counts as failing.
const FAILING: u64 = 3;

/// What the clock of the server said.
pub(super) fn clock(answer: &Answer) -> Option<Timestamp> {
    let said = answer.headers.get(reqwest::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(said).ok().map(|at| at.timestamp())
}

/// A time as Odoo writes it: UTC without a zone, whole seconds.
pub(super) fn odoo_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Seconds since a time that Odoo has written; `None` where it has none.
fn since(value: Option<&Value>, now: Timestamp) -> Result<Option<f64>, String> {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) => {
            let at: DateTime = text
                .parse()
                .map_err(|_| format!("a time is `{}`", sanitize(&text.chars().take(40).collect::<String>())))?;
            let at = at.to_zoned(TimeZone::UTC).map_err(|_| "a time is out of every calendar".to_owned())?;
            Ok(Some(now.duration_since(at.timestamp()).as_secs_f64()))
        }
        Some(_) => Err("a time is no text".to_owned()),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn text<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    row.get(field).and_then(Value::as_str)
}

/// The version of `base`, and how many modules are in a state like `to upgrade`.
pub(super) fn modules(rows: &[Value]) -> (Option<String>, u32) {
    let base = rows.iter().find(|row| text(row, "name") == Some("base"));
    let version = base.and_then(|row| text(row, "latest_version")).map(sanitize);
    let waits = |row: &&Value| text(row, "state").is_some_and(|state| state.starts_with("to "));
    (version, count(rows.iter().filter(waits).count()))
}

/// Crons, the one that is due first before the others.
pub(super) fn crons(rows: &[Value], now: Timestamp) -> Result<Crons, String> {
    let mut crons = Crons { active: count(rows.len()), ..Crons::default() };
    for row in rows {
        let late = since(row.get("nextcall"), now)?.ok_or("a cron has no `nextcall`")?;
        if late > LATE_S {
            crons.late = crons.late.saturating_add(1);
        }
        if late > crons.lateness_s {
            crons.lateness_s = late;
            let id = || format!("cron {}", row.get("id").and_then(Value::as_i64).unwrap_or_default());
            crons.latest = Some(text(row, "cron_name").map_or_else(id, sanitize));
        }
        if row.get("failure_count").and_then(Value::as_u64).is_some_and(|n| n >= FAILING) {
            crons.failing = crons.failing.saturating_add(1);
        }
    }
    Ok(crons)
}

/// Channels as several questions find them.
#[derive(Debug, Default)]
pub(super) struct Grouped(BTreeMap<String, Channel>);

impl Grouped {
    fn of(&mut self, row: &Value, field: &str) -> &mut Channel {
        // A job without a channel goes through the root.
        let name = text(row, field).map_or_else(|| "root".to_owned(), sanitize);
        self.0.entry(name.clone()).or_insert_with(|| Channel { name, ..Channel::default() })
    }

    /// Jobs by channel and state.
    pub(super) fn counted(&mut self, rows: &[Value]) {
        for row in rows {
            let jobs = counted(row);
            let channel = self.of(row, "channel");
            let place = match text(row, "state") {
                Some("pending") => &mut channel.pending,
                Some("enqueued") => &mut channel.enqueued,
                Some("started") => &mut channel.started,
                Some("failed") => &mut channel.failed,
                _ => continue,
            };
            *place = place.saturating_add(jobs);
        }
    }

    /// Gives each channel the count of its row.
    pub(super) fn each(&mut self, rows: &[Value], put: impl Fn(&mut Channel, u32)) {
        for row in rows {
            put(self.of(row, "channel"), counted(row));
        }
    }

    /// How long the oldest of a field is past; of two questions the older counts.
    pub(super) fn due(&mut self, rows: &[Value], field: Field, now: Timestamp) -> Result<(), String> {
        for row in rows {
            // `read_group` names the least as its field, `formatted_read_group` as it was asked.
            let least = row.get(format!("{field}:min")).or_else(|| row.get(field));
            if let Some(age) = since(least, now)? {
                let channel = self.of(row, "channel");
                channel.oldest_due_s = Some(channel.oldest_due_s.map_or(age, |known| known.max(age)));
            }
        }
        Ok(())
    }

    /// Channels by name, with or without jobs.
    pub(super) fn named(&mut self, rows: &[Value]) {
        for row in rows.iter().filter(|row| text(row, "complete_name").is_some()) {
            self.of(row, "complete_name");
        }
    }

    /// Whether any job waits.
    pub(super) fn waiting(&self) -> bool {
        self.0.values().any(|c| c.depth() > 0)
    }

    /// Whether any job runs.
    pub(super) fn started(&self) -> bool {
        self.0.values().any(|c| c.started > 0)
    }

    /// All of them, by name.
    pub(super) fn channels(self) -> Vec<Channel> {
        self.0.into_values().collect()
    }
}

fn counted(row: &Value) -> u32 {
    row.get("__count").and_then(Value::as_u64).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
}
