//! Rows of the overview of estates: the estates themselves, their incidents and their newest records.

use super::{Cell, Column, Context, PaneRow, Sort, as_given};
use crate::console::format::{age, clock, count, moment};
use crate::console::state::{EstateIncident, EstateRecord, EstateRow, Reached};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::mode::Mode;

/// How an estate is reached, in words.
pub fn reached_words(row: &EstateRow) -> String {
    match &row.reached {
        Reached::Opening => "being opened".to_owned(),
        Reached::Here => "engine in this console".to_owned(),
        Reached::Attached => "attached".to_owned(),
        Reached::Gone { since, why } => format!("not since {}Z: {why}", clock(*since)),
    }
}

impl PaneRow for EstateRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("estate", 10, 24, 0),
        Column::left("class", 10, 11, 2),
        Column::left("state", 8, 8, 0),
        Column::left("worst", 16, 60, 1),
        Column::left("incident", 12, 24, 0),
        Column::right("runs", 4, 1),
        Column::right("sign", 4, 1),
        Column::left("alarms", 12, 50, 4),
        Column::right("age", 5, 0),
        Column::left("link", 10, 60, 3),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "worst first", compare: |a, b| b.health.cmp(&a.health).then_with(|| a.name.cmp(&b.name)) },
        Sort { label: "as configured", compare: as_given },
        Sort { label: "by name", compare: |a, b| a.name.cmp(&b.name) },
    ];

    fn key(&self) -> String {
        self.name.clone()
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        self.name.clone()
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        match (&self.reached, &self.worst) {
            (Reached::Gone { .. } | Reached::Opening, _) => Strip::of(Role::Unknown, reached_words(self)),
            (_, Some((health, text))) => Strip::of((*health).into(), text),
            (_, None) => Strip::of(Role::Dim, "nothing is wrong that is seen"),
        }
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        // What was seen last of an estate that is gone is no judgement of today.
        let gone = matches!(self.reached, Reached::Gone { .. });
        let seen = |role: Role| if gone { Role::Unknown } else { role };
        let class = match (self.mode, self.environment) {
            (Some(Mode::Drill), _) => "drill".to_owned(),
            (_, Some(environment)) => environment.to_string(),
            (_, None) => "?".to_owned(),
        };
        let worst = match &self.worst {
            Some((health, text)) => Cell::new(seen((*health).into()), text),
            None if self.age_s.is_none() => Cell::new(Role::Unknown, "?"),
            None => Cell::dim("–"),
        };
        let incident = match &self.incident {
            Some((id, severity, commander)) => {
                let commander = commander.as_deref().unwrap_or("no commander");
                let more = if self.incidents > 1 { format!(" +{}", self.incidents - 1) } else { String::new() };
                Cell::new(seen((*severity).into()), format!("{id} {severity} {commander}{more}"))
            }
            None => Cell::known(None::<()>, self.age_s.is_none(), |()| String::new()),
        };
        let number = |n: usize, role: Role| match n {
            0 if self.age_s.is_none() => Cell::new(Role::Unknown, "?"),
            0 => Cell::dim("–"),
            n => Cell::new(seen(role), n.to_string()),
        };
        let alarms: Vec<&str> = self.alarms.iter().map(|a| a.short.as_str()).collect();
        let worst_alarm = self.alarms.iter().max_by_key(|a| a.health).map_or(Role::Dim, |a| a.role);
        let link = if gone { Role::Unknown } else { Role::Dim };
        let age = match self.age_s {
            Some(seconds) if gone => Cell::new(Role::Unknown, age(seconds)),
            Some(seconds) => Cell::dim(age(seconds)),
            None => Cell::new(Role::Unknown, "never"),
        };
        vec![
            Cell::text(&self.name),
            Cell::dim(class),
            Cell::health(self.health),
            worst,
            incident,
            number(self.runs, Role::Accent),
            number(self.waiting, Role::Warn),
            Cell::new(seen(worst_alarm), alarms.join(", ")),
            age,
            Cell::new(link, reached_words(self)),
        ]
    }
}

impl PaneRow for EstateIncident {
    const COLUMNS: &'static [Column] = &[
        Column::left("estate", 10, 24, 0),
        Column::left("incident", 7, 10, 0),
        Column::left("severity", 5, 8, 0),
        Column::left("state", 8, 12, 1),
        Column::left("commander", 8, 16, 1),
        Column::left("declared", 16, 20, 3),
        Column::left("title", 18, 100, 0),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "open first, worst first", compare: as_given }];

    fn key(&self) -> String {
        format!("{}/{}", self.estate, self.incident.id)
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.estate, self.incident.id)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::text(&self.incident.title)
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        let incident = &self.incident;
        vec![
            Cell::text(&self.estate),
            Cell::text(incident.id.as_str()),
            Cell::new(incident.severity.into(), incident.severity.to_string()),
            Cell::text(incident.state.to_string()),
            match &incident.commander {
                Some(commander) => Cell::text(commander.as_str()),
                None => Cell::new(Role::Warn, "nobody"),
            },
            Cell::dim(moment(incident.declared_at)),
            Cell::text(&incident.title),
        ]
    }
}

impl PaneRow for EstateRecord {
    const COLUMNS: &'static [Column] = &[
        Column::left("estate", 10, 24, 0),
        Column::right("record", 6, 1),
        Column::left("at", 8, 8, 0),
        Column::left("kind", 17, 18, 1),
        Column::left("who", 8, 11, 2),
        Column::left("what", 24, 140, 0),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "newest first", compare: as_given }];

    fn key(&self) -> String {
        format!("{}/{}", self.estate, self.entry.seq)
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.estate, clock(self.entry.at))
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::text(&self.entry.text)
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let mut cells = vec![Cell::text(&self.estate)];
        cells.extend(self.entry.cells(context));
        cells
    }
}

/// What the estates are, in a line: `3 estates, 1 can not be reached`.
pub fn estates_words(rows: &[EstateRow]) -> String {
    let gone = rows.iter().filter(|row| matches!(row.reached, Reached::Gone { .. })).count();
    let all = count(rows.len(), "estate");
    if gone == 0 { all } else { format!("{all}, {gone} not reached") }
}
