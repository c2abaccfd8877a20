//! Rows of the journal and of an incident's timeline, and the measures in force.

use super::{Cell, Column, Context, PaneRow, Sort, as_given};
use crate::console::format::{age, clock, moment, seconds_between};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::incident::TimelineEntry;
use crate::engine::api::Measure;

/// Records that should be found at a glance.
fn role(kind: &str) -> Role {
    let last = kind.rsplit('.').next().unwrap_or(kind);
    match last {
        "failed" | "broken" | "unknown" | "refused" | "denied" | "stopped" => Role::Warn,
        "verified" | "closed" => Role::Ok,
        "started" | "intent" | "confirmed" | "declared" => Role::Accent,
        _ => Role::Text,
    }
}

impl PaneRow for TimelineEntry {
    const COLUMNS: &'static [Column] = &[
        Column::right("record", 6, 1),
        Column::left("at", 8, 8, 0),
        Column::left("kind", 17, 18, 0),
        Column::left("who", 11, 11, 2),
        Column::left("what", 30, 140, 0),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "newest last", compare: as_given }];

    fn key(&self) -> String {
        self.seq.to_string()
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        clock(self.at)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::of(role(&self.kind), &self.kind).and(Role::Text, format!(" {}", self.text))
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        vec![
            Cell::dim(self.seq.to_string()),
            Cell::text(clock(self.at)),
            Cell::new(role(&self.kind), &self.kind),
            Cell::dim(&self.who),
            Cell::text(&self.text),
        ]
    }
}

impl PaneRow for Measure {
    const COLUMNS: &'static [Column] = &[
        Column::left("measure", 12, 24, 0),
        Column::left("what", 16, 50, 0),
        Column::left("by", 6, 12, 2),
        Column::right("for", 7, 1),
        Column::left("owner", 16, 30, 1),
        Column::left("lift with", 16, 50, 3),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "oldest first", compare: |a, b| a.since.cmp(&b.since) }];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        self.id.clone()
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::text(&self.what).and(Role::Dim, format!(" by {}", self.by))
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let owner = match &self.owner {
            Some((person, until)) => Cell::text(format!("{person} until {}", moment(*until))),
            None if self.is_unacknowledged() => {
                let asked = self.asked.as_ref().map(ToString::to_string).unwrap_or_default();
                Cell::new(Role::Warn, format!("{asked}, not acknowledged"))
            }
            None => match &self.acknowledged {
                Some((person, _)) => Cell::text(format!("{person}, acknowledged")),
                None => Cell::new(Role::Warn, "nobody after the incident"),
            },
        };
        vec![
            Cell::text(&self.id),
            Cell::text(&self.what),
            Cell::dim(&self.by),
            Cell::text(age(seconds_between(self.since, context.now))),
            owner,
            Cell::dim(&self.lift),
        ]
    }
}
