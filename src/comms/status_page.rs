//! An incident as a status page tells it: what does not work in words that a customer understands, since when, what was
//! said, and when the next word comes. Its title is not there: that is for those inside.

use super::board::Board;
use super::book::{Book, Delivery};
use super::draft::DRILL;
use super::facts::{lasting, moment, services};
use super::letter::Way;
use super::table::{Audience, Moment, Table};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, IncidentState, Severity};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;

/// The page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatusPage {
    /// Version of this form.
    pub schema: u32,
    /// Whether it is of an exercise.
    pub drill: bool,
    /// Which incident.
    pub incident: IncidentId,
    /// `investigating`, `identified`, `monitoring` or `resolved`.
    pub state: &'static str,
    /// How bad: `major outage`, `partial outage`, `degraded` or `minor`.
    pub impact: &'static str,
    /// When the page was made.
    pub at: Timestamp,
    /// Since when it lasts.
    pub since: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// When the next word is promised.
    pub next_update: Option<Timestamp>,
    /// Services.
    pub services: Vec<ServiceView>,
    /// What was said, newest first.
    pub history: Vec<Said>,
    /// Time zone of the estate, in which times are said too.
    pub time_zone: String,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServiceView {
    /// In words: `entering and confirming orders`.
    pub what: String,
    /// Whether it is affected now; else it works again.
    pub affected: bool,
}

/// One message as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Said {
    /// When it was taken by the first channel.
    pub at: Timestamp,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
}

/// From what a page is made.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Templates and services.
    pub table: &'a Table,
    /// What was told.
    pub book: &'a Book,
    /// Which incident.
    pub incident: &'a Incident,
    /// To whom the page speaks.
    pub audience: &'a Audience,
    /// Ways to audiences.
    pub ways: &'a [Way],
    /// Now.
    pub now: Timestamp,
    /// Time zone of the estate.
    pub time_zone: &'a str,
    /// Whether it is an exercise.
    pub drill: bool,
}

impl StatusPage {
    /// The page of an incident.
    pub fn of(source: Source<'_>) -> Self {
        let Source { table, book, incident, audience, ways, now, time_zone, drill } = source;
        let seen = book.seen(&incident.id);
        let (affected, restored) = services(seen, table);
        let service = |affected: bool| move |what: String| ServiceView { what, affected };
        let board = Board::of(table, book, Some(incident), ways);
        let due = board.audiences.iter().find(|a| a.id == audience.id).and_then(|a| a.due);
        let sent = |m: &super::book::Message| {
            let first = m.attempts.iter().filter(|a| a.delivery == Delivery::Sent).filter_map(|a| a.ended).min();
            let said = |at| Said { at, subject: m.subject.clone(), text: m.text.clone() };
            first.map(|at| (said(at), m.moment))
        };
        let own = |m: &&super::book::Message| m.incident == incident.id && m.audience == audience.id;
        let history: Vec<(Said, Moment)> = book.messages().rev().filter(own).filter_map(sent).collect();
        let is_last = history.iter().any(|(_, moment)| *moment == Moment::Resolved);
        let over = incident.state == IncidentState::Closed || is_last;
        let ended = history.iter().find(|(_, m)| *m == Moment::Resolved).map(|(said, _)| said.at);
        let since = seen.iter().map(|s| s.since).chain([incident.declared_at]).min().unwrap_or(incident.declared_at);
        // Once it is said to be over, nothing is affected any more, whatever a finding still says.
        let all = affected.into_iter().map(service(!over)).chain(restored.into_iter().map(service(false)));
        Self {
            schema: 1,
            drill,
            incident: incident.id.clone(),
            state: match incident.state {
                _ if over => "resolved",
                IncidentState::Investigating => "investigating",
                IncidentState::Identified => "identified",
                IncidentState::Monitoring | IncidentState::Closed => "monitoring",
            },
            impact: match incident.severity {
                Severity::Sev1 => "major outage",
                Severity::Sev2 => "partial outage",
                Severity::Sev3 => "degraded",
                Severity::Sev4 => "minor",
            },
            at: now,
            since,
            ended: if over { ended.or(incident.closed_at) } else { None },
            next_update: due.filter(|_| !over),
            services: all.collect(),
            history: history.into_iter().map(|(said, _)| said).collect(),
            time_zone: time_zone.to_owned(),
        }
    }

    fn when(&self, at: Timestamp) -> String {
        let zone = TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC);
        moment(at, self.at, &zone, &self.time_zone)
    }

    /// The lines of the page before its history, without any form.
    fn head(&self) -> Vec<String> {
        let mut lines = vec![format!("Status: {} ({})", self.state, self.impact)];
        let until = self.ended.unwrap_or(self.at);
        let lasts = lasting(self.since, until);
        match self.ended {
            Some(ended) => lines.push(format!("From {} to {}, {lasts}", self.when(self.since), self.when(ended))),
            None => lines.push(format!("Since {}, {lasts}", self.when(self.since))),
        }
        match self.next_update {
            Some(next) if next < self.at => lines.push(format!("Next update: was due {}", self.when(next))),
            Some(next) => lines.push(format!("Next update: {}", self.when(next))),
            None if self.state == "resolved" => {}
            None => lines.push("Next update: not promised".to_owned()),
        }
        lines
    }

    fn service_lines(&self) -> Vec<String> {
        let line = |s: &ServiceView| format!("{}: {}", s.what, if s.affected { "affected" } else { "works" });
        match self.services.as_slice() {
            [] if self.state == "resolved" => vec!["everything works".to_owned()],
            [] => vec!["what is affected is being looked into".to_owned()],
            all => all.iter().map(line).collect(),
        }
    }

    /// As plain text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if self.drill {
            let _ = writeln!(out, "{DRILL}\n");
        }
        let _ = writeln!(out, "{}\n{}\n", self.incident, self.head().join("\n"));
        for line in self.service_lines() {
            let _ = writeln!(out, "- {line}");
        }
        for said in &self.history {
            let _ = writeln!(out, "\n{}  {}\n{}", self.when(said.at), said.subject, indented(&said.text));
        }
        if self.history.is_empty() {
            out.push_str("\nNothing was said yet.\n");
        }
        out
    }

    /// As Markdown; what was said stays text.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        if self.drill {
            let _ = writeln!(out, "> {DRILL}\n");
        }
        let _ = writeln!(out, "# {}\n", escaped(self.incident.as_str()));
        for line in self.head() {
            let _ = writeln!(out, "{}  ", escaped(&line));
        }
        out.push('\n');
        for line in self.service_lines() {
            let _ = writeln!(out, "- {}", escaped(&line));
        }
        out.push_str("\n## What was said\n");
        for said in &self.history {
            let _ = writeln!(out, "\n### {}\n\n{}\n", escaped(&said.subject), escaped(&self.when(said.at)));
            for line in said.text.lines() {
                let _ = writeln!(out, "> {}  ", escaped(line));
            }
        }
        if self.history.is_empty() {
            out.push_str("\nNothing yet.\n");
        }
        out
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Text that stays text in Markdown; a dash at its beginning may make a list.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
