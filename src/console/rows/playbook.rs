//! Rows of the playbooks and of the runs.

use super::{Cell, Column, Context, PaneRow, Sort, as_given};
use crate::console::format::{age, seconds_between};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::risk::Risk;
use crate::engine::api::{PlaybookSummary, RunState, RunView};

/// The risk in one letter: L, M, H.
pub const fn risk_letter(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "L",
        Risk::Medium => "M",
        Risk::High => "H",
    }
}

impl PaneRow for PlaybookSummary {
    const COLUMNS: &'static [Column] = &[
        Column::left("playbook", 19, 24, 0),
        Column::left("risk", 6, 6, 0),
        Column::right("steps", 5, 1),
        Column::left("for what", 24, 100, 0),
        Column::left("from", 8, 24, 2),
    ];
    const SORTS: &'static [Sort<Self>] =
        &[Sort { label: "as given", compare: as_given }, Sort { label: "by name", compare: |a, b| a.id.cmp(&b.id) }];

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
        Strip::of(Role::Dim, &self.description)
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        vec![
            Cell::text(format!("{} v{}", self.id, self.version)),
            Cell::new(self.risk.into(), self.risk.to_string()),
            Cell::text(self.steps.len().to_string()),
            Cell::text(&self.description),
            Cell::dim(&self.origin),
        ]
    }
}

/// The state of a run in words.
pub const fn run_words(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Waiting => "waits for you",
        RunState::Stopped => "stopped",
        RunState::Finished => "finished",
        RunState::Failed => "failed",
        RunState::Unknown => "outcome unknown",
        RunState::RolledBack => "rolled back",
    }
}

/// Whether a run may still do something.
pub const fn is_open(state: RunState) -> bool {
    matches!(state, RunState::Running | RunState::Waiting | RunState::Stopped | RunState::Unknown)
}

impl From<RunState> for Role {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Running => Self::Accent,
            RunState::Waiting | RunState::Stopped | RunState::RolledBack => Self::Warn,
            RunState::Finished => Self::Ok,
            RunState::Failed => Self::Critical,
            RunState::Unknown => Self::Unknown,
        }
    }
}

impl PaneRow for RunView {
    const COLUMNS: &'static [Column] = &[
        Column::left("run", 7, 10, 0),
        Column::left("playbook", 14, 20, 0),
        Column::left("state", 15, 15, 0),
        Column::right("step", 5, 1),
        Column::left("now", 14, 70, 1),
        Column::left("parameters", 12, 40, 2),
        Column::right("began", 10, 3),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "newest first", compare: as_given }];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.id, self.playbook)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::of(self.state.into(), run_words(self.state)).and(Role::Dim, format!("  {}", self.now))
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let params: Vec<_> = self.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let step = self.current.saturating_add(1).min(self.steps.len());
        vec![
            Cell::text(self.id.as_str()),
            Cell::text(self.playbook.as_str()),
            Cell::new(self.state.into(), run_words(self.state)),
            Cell::text(format!("{step}/{}", self.steps.len())),
            Cell::text(&self.now),
            Cell::dim(params.join(" ")),
            Cell::dim(format!("{} ago", age(seconds_between(self.started_at, context.now)))),
        ]
    }
}
