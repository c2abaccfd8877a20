//! What a message may say of an incident: plain words and numbers, made from what the journal and the findings say.

use super::book::Seen;
use super::table::Table;
use crate::domain::estate::Estate;
use crate::domain::incident::{Incident, Role};
use crate::domain::text::sanitize;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeSet;

/// From what the facts are made.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// The declared estate.
    pub estate: &'a Estate,
    /// What hurts or has hurt in it.
    pub seen: &'a [Seen],
    /// Now.
    pub now: Timestamp,
    /// When the next word is promised; nothing for a last word.
    pub next: Option<Timestamp>,
    /// Which message of the incident to the audience it is, from 1.
    pub number: u64,
    /// What is being done, a line each.
    pub doing: &'a [String],
    /// What is done by hand meanwhile, a line each.
    pub fallbacks: &'a [String],
    /// How it ended.
    pub summary: &'a str,
}

/// What templates see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    incident: IncidentFacts,
    estate: String,
    environment: String,
    now: String,
    next_update: String,
    number: u64,
    affected: Vec<String>,
    restored: Vec<String>,
    tenants: Vec<TenantFacts>,
    plants: Vec<String>,
    findings: Vec<String>,
    doing: Vec<String>,
    fallbacks: Vec<String>,
    summary: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct IncidentFacts {
    id: String,
    title: String,
    severity: String,
    state: String,
    since: String,
    lasts: String,
    commander: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct TenantFacts {
    id: String,
    name: String,
    plants: Vec<String>,
}

/// The names that templates may use; a test holds that they are those of [`Facts`].
pub const NAMES: [&str; 20] = [
    "incident.id",
    "incident.title",
    "incident.severity",
    "incident.state",
    "incident.since",
    "incident.lasts",
    "incident.commander",
    "estate",
    "environment",
    "now",
    "next_update",
    "number",
    "affected",
    "restored",
    "tenants",
    "plants",
    "findings",
    "doing",
    "fallbacks",
    "summary",
];

impl Facts {
    /// The facts of an incident.
    pub fn of(about: &About<'_>, table: &Table) -> Self {
        let About { incident, estate, seen, now, .. } = *about;
        let zone = TimeZone::get(&estate.time_zone).unwrap_or(TimeZone::UTC);
        let when = |at: Timestamp| moment(at, now, &zone, &estate.time_zone);
        let began = seen.iter().map(|s| s.since).chain([incident.declared_at]).min().unwrap_or(incident.declared_at);
        let end = incident.closed_at.unwrap_or(now);
        let (affected, restored) = services(seen, table);
        let hurt: BTreeSet<&str> = seen.iter().flat_map(|s| s.tenants.iter().map(String::as_str)).collect();
        let tenants: Vec<TenantFacts> = estate
            .tenants
            .iter()
            .filter(|t| hurt.contains(t.id.as_str()))
            .map(|t| TenantFacts {
                id: t.id.to_string(),
                name: sanitize(&t.name),
                plants: t.plants.iter().map(|p| sanitize(&p.name)).collect(),
            })
            .collect();
        let plants: BTreeSet<String> = seen.iter().flat_map(|s| s.plants.iter().map(|p| sanitize(p))).collect();
        let commander = incident.roles.get(&Role::Commander).map(ToString::to_string).unwrap_or_default();
        Self {
            incident: IncidentFacts {
                id: incident.id.to_string(),
                title: sanitize(&incident.title),
                severity: incident.severity.to_string(),
                state: incident.state.to_string(),
                since: when(began),
                lasts: lasting(began, end),
                commander: sanitize(&commander),
            },
            estate: estate.name.clone(),
            environment: estate.environment.to_string(),
            now: when(now),
            next_update: about.next.map(when).unwrap_or_default(),
            number: about.number,
            affected,
            restored,
            tenants,
            plants: plants.into_iter().collect(),
            findings: seen.iter().filter(|s| s.cleared.is_none()).map(|s| s.what.clone()).collect(),
            doing: about.doing.to_vec(),
            fallbacks: about.fallbacks.to_vec(),
            summary: sanitize(about.summary),
        }
    }

    /// Facts that have something for every name, to try templates with; with `poor` all that may be missing is.
    pub(super) fn sample(poor: bool) -> Self {
        let text = |word: &str| if poor { String::new() } else { word.to_owned() };
        let list = |word: &str| if poor { Vec::new() } else { vec![word.to_owned(), word.to_owned()] };
        let tenant = || TenantFacts { id: "t1".into(), name: "A".into(), plants: list("Lyon") };
        Self {
            incident: IncidentFacts {
                id: "INC-1".into(),
                title: "orders hang".into(),
                severity: "SEV1".into(),
                state: "identified".into(),
                since: "02:01 UTC".into(),
                lasts: "12 min".into(),
                commander: "mara".into(),
            },
            estate: "acme".into(),
            environment: "production".into(),
            now: "02:13 UTC".into(),
            next_update: text("02:43 UTC"),
            number: 1,
            affected: list("orders"),
            restored: list("pages"),
            tenants: if poor { Vec::new() } else { vec![tenant(), tenant()] },
            plants: list("Lyon"),
            findings: list("41 blocked"),
            doing: list("cancel the blocker"),
            fallbacks: list("orders on paper"),
            summary: text("released"),
        }
    }
}

/// What does not work and what works again, in words for outsiders, each once.
pub fn services(seen: &[Seen], table: &Table) -> (Vec<String>, Vec<String>) {
    let says = |one: &Seen| table.service(&one.rule).map(|s| s.says.as_str());
    let up: BTreeSet<&str> = seen.iter().filter(|s| s.cleared.is_none()).filter_map(says).collect();
    let all: BTreeSet<&str> = seen.iter().filter_map(says).collect();
    let ordered = |wanted: &dyn Fn(&str) -> bool| {
        table.services.iter().map(|s| s.says.as_str()).filter(|s| wanted(s)).map(str::to_owned).collect()
    };
    (ordered(&|s| up.contains(s)), ordered(&|s| all.contains(s) && !up.contains(s)))
}

/// A moment in both times; with the day where it is another one than now.
pub fn moment(at: Timestamp, now: Timestamp, zone: &TimeZone, name: &str) -> String {
    let utc = at.to_zoned(TimeZone::UTC);
    let day = if utc.date() == now.to_zoned(TimeZone::UTC).date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    let text = format!("{} UTC", utc.strftime(day));
    if name == "UTC" { text } else { format!("{text} ({} {name})", at.to_zoned(zone.clone()).strftime("%H:%M")) }
}

/// How long something lasts: `1 h 12 min`, `12 min`.
pub fn lasting(from: Timestamp, to: Timestamp) -> String {
    let minutes = to.duration_since(from).as_mins().max(0);
    match (minutes / 60, minutes % 60) {
        (0, m) => format!("{m} min"),
        (h, m) => format!("{h} h {m:02} min"),
    }
}
