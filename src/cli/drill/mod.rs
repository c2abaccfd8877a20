//! `drill` and what follows it: scenarios without playing them (list, show, lint, new), an exercise without a screen
//! (`play`), its score, and what the crew and the facilitator ask of one that runs.

mod keys;
mod new;
pub mod play;
pub mod running;
pub mod score;

use super::args::{Drill, Format, Global};
use super::opening;
use super::output::{self, Error, Exit};
use super::session;
use crate::config::problem::{Problem, Problems};
use crate::drill::parse;
use schemars::JsonSchema;
use serde::Serialize;

/// Runs it.
pub fn run(global: &Global, what: &Drill) -> Result<Exit, Error> {
    let format = global.format;
    match what {
        Drill::List => list(format),
        Drill::Show { id } => show(id, format),
        Drill::New { id, file } => new::run(id, file.as_deref()),
        Drill::FromIncident { incident, file, journal } => {
            new::from_incident(global, incident, file.as_deref(), journal.as_deref())
        }
        Drill::Score { of, journal } => score::run(global, of.as_deref(), journal.as_deref()),
        Drill::Hint(to) => running::hint(global, to),
        Drill::Facilitate { to, act } => running::facilitate(global, to, act.as_ref()),
        Drill::Lint { files } if files.is_empty() => {
            crate::drill::catalog::lint()
                .map_err(|errors| Problems(errors.into_iter().map(opening::problem).collect()))?;
            good(opening::scenarios()?.len(), format)
        }
        Drill::Lint { files } => {
            let mut problems = Vec::new();
            for file in files {
                let text = session::read_file(file)?;
                if let Err(errors) = parse(&file.display().to_string(), &text) {
                    problems.extend(errors.into_iter().map(opening::problem));
                }
            }
            if !problems.is_empty() {
                return Err(Problems(problems).into());
            }
            good(files.len(), format)
        }
    }
}

/// The output contract of `drill lint --format json` when there is no error; errors go to standard error.
#[derive(Serialize, JsonSchema)]
pub struct Linted {
    /// Number of scenarios without an error.
    scenarios: usize,
    /// Errors: none.
    problems: Vec<Problem>,
}

fn good(scenarios: usize, format: Format) -> Result<Exit, Error> {
    match format {
        Format::Json => output::json(&Linted { scenarios, problems: Vec::new() })?,
        _ => output::line(&format!("{scenarios} scenarios, no error"))?,
    }
    Ok(Exit::Done)
}

fn list(format: Format) -> Result<Exit, Error> {
    let all: Vec<_> = opening::scenarios()?.iter().map(crate::drill::catalog::Entry::summary).collect();
    if format == Format::Json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let row = |s: &crate::drill::catalog::Summary| {
        vec![s.id.clone(), s.name.clone(), s.minutes.to_string(), s.roles.join(", "), s.origin.clone()]
    };
    output::table(&["SCENARIO", "NAME", "MINUTES", "ROLES", "FROM"], &all.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

fn show(id: &str, format: Format) -> Result<Exit, Error> {
    let all = opening::scenarios()?;
    let entry = all.iter().find(|e| e.scenario.exercise.id == id);
    let entry = entry.ok_or_else(|| Error::Usage(format!("there is no scenario `{id}`; `drill list` names them")))?;
    if format == Format::Json {
        output::json(&entry.shown())?;
        return Ok(Exit::Done);
    }
    for line in entry.lines() {
        output::line(&line)?;
    }
    Ok(Exit::Done)
}
