//! Rows of the findings pane, and of what changed.

use super::{Cell, Column, Context, PaneRow, Sort, as_given};
use crate::console::format::{age, clock, count, seconds_between, value};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::finding::{Change, Class, Evidence, Finding, Offer};
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};

/// What a finding saw: `CAUSE+IMPACT`.
pub fn class_words(finding: &Finding) -> String {
    let words: Vec<_> = finding
        .classes
        .iter()
        .map(|class| match class {
            Class::Pressure => "PRESSURE",
            Class::Cause => "CAUSE",
            Class::Impact => "IMPACT",
        })
        .collect();
    words.join("+")
}

/// Whom a finding hurts, short: `t017 and 2 more, 3 plants`.
pub fn whom_words(finding: &Finding) -> String {
    let text = match finding.whom.tenants.as_slice() {
        [] => "nobody yet".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    };
    match finding.whom.plants.len() {
        0 => text,
        n => format!("{text}, {}", count(n, "plant")),
    }
}

/// Since when: `since 02:01:40`, or `at least since 02:01:40` where nobody saw it begin.
pub fn since_words(finding: &Finding) -> String {
    let word = if finding.onset_seen { "since" } else { "at least since" };
    format!("{word} {}", clock(finding.since))
}

impl PaneRow for Finding {
    const COLUMNS: &'static [Column] = &[
        Column::left("saw", 12, 21, 3),
        Column::left("what", 34, 70, 0),
        Column::left("whom", 10, 24, 2),
        Column::right("since", 8, 1),
        Column::right("for", 7, 2),
        Column::left("playbooks", 12, 34, 4),
        Column::left("seen by", 7, 10, 5),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "worst first", compare: as_given },
        Sort { label: "newest first", compare: |a, b| b.since.cmp(&a.since) },
    ];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        Some(self.severity)
    }

    fn label(&self, _: &Context<'_>) -> String {
        class_words(self)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::of(Role::Text, &self.what)
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let lasts = age(seconds_between(self.since, context.now));
        let offers: Vec<_> = self.playbooks.iter().map(|o| o.id.as_str()).collect();
        vec![
            Cell::new(self.severity.into(), class_words(self)),
            Cell::text(&self.what),
            Cell::text(whom_words(self)),
            Cell::text(clock(self.since)),
            Cell::text(format!("{}{lasts}", if self.onset_seen { "" } else { ">" })),
            Cell::new(Role::Accent, offers.join(", ")),
            self.acknowledged.as_ref().map_or_else(|| Cell::dim("nobody"), |a| Cell::text(a.by.as_str())),
        ]
    }

    fn tenant(&self) -> Option<&TenantId> {
        self.whom.tenants.first()
    }

    fn source(&self) -> Option<&SourceId> {
        self.subject.source()
    }
}

impl PaneRow for Change {
    const COLUMNS: &'static [Column] = &[
        Column::left("at", 5, 8, 0),
        Column::left("where", 6, 16, 0),
        Column::left("what", 12, 60, 0),
        Column::left("by", 8, 20, 1),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "newest first", compare: as_given }];

    fn key(&self) -> String {
        format!("{} {} {}", self.at, self.subject, self.what)
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.at.strftime("%H:%M"), self.subject)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::text(&self.what).and(Role::Dim, format!(" ({})", self.by))
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        vec![
            Cell::text(clock(self.at)),
            Cell::text(self.subject.to_string()),
            Cell::text(&self.what),
            Cell::dim(&self.by),
        ]
    }
}

impl PaneRow for Offer {
    const COLUMNS: &'static [Column] =
        &[Column::left("playbook", 16, 24, 0), Column::left("why", 20, 90, 0), Column::left("with", 12, 40, 1)];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "best first", compare: as_given }];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        self.id.to_string()
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::of(Role::Dim, &self.why)
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        let params: Vec<_> = self.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
        vec![Cell::new(Role::Accent, self.id.as_str()), Cell::text(&self.why), Cell::dim(params.join(" "))]
    }
}

impl PaneRow for Evidence {
    const COLUMNS: &'static [Column] = &[
        Column::left("signal", 16, 26, 0),
        Column::left("of", 8, 20, 1),
        Column::right("now", 9, 0),
        Column::right("limit", 9, 0),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "as judged", compare: as_given }];

    fn key(&self) -> String {
        format!("{} {}", self.signal, self.subject)
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.signal, self.subject)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::text(value(self.now, self.unit)).and(Role::Dim, format!("  limit {}", value(self.threshold, self.unit)))
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        vec![
            Cell::text(&self.signal),
            Cell::dim(self.subject.to_string()),
            Cell::text(value(self.now, self.unit)),
            Cell::dim(value(self.threshold, self.unit)),
        ]
    }
}
