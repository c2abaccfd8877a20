//! Who is attached, and the brief for whoever takes the command over: what the screens show, without a screen.

use super::args::{Format, Global};
use super::output::{self, Error, Exit};
use super::session;
use crate::console::msg::Msg;
use crate::console::sheet;
use crate::console::state::{Facts, SheetKind, State};
use crate::console::strip::Strip;
use crate::console::update;
use crate::domain::id::IncidentId;
use crate::engine::api::{ConsoleView, Snapshot};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// Width of the lines that are printed.
const WIDTH: u16 = 100;

/// The output contract of `incident brief --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Brief {
    /// The open incident that it is about; absent when none is declared.
    incident: Option<IncidentId>,
    /// When it was made, by the clock of the estate.
    at: Timestamp,
    /// Its lines.
    lines: Vec<String>,
}

/// The lines of the brief, as the console has them.
fn lines(snapshot: &Arc<Snapshot>) -> Vec<String> {
    let facts = Facts::of(snapshot);
    let mut state = State::new(facts, (WIDTH, 40), Timestamp::now());
    // What it would have done outside, there being no outside, is nothing.
    let _ = update(&mut state, Msg::Snapshot(snapshot.clone()));
    sheet::lines(&state, &SheetKind::Brief, WIDTH).iter().map(Strip::plain).map(|l| l.trim_end().to_owned()).collect()
}

/// Prints the brief for people.
pub fn print(snapshot: &Arc<Snapshot>) -> Result<(), Error> {
    lines(snapshot).iter().try_for_each(|line| output::line(line))
}

pub fn running(global: &Global) -> Result<Arc<Snapshot>, Error> {
    let home = session::reached(global)?;
    let snapshot = session::runtime()?.block_on(session::running_snapshot(&home))?;
    snapshot.ok_or_else(|| Error::Failed("no engine runs for this estate; `quarterdeck serve` starts one".into()))
}

/// `incident brief`.
pub fn run(global: &Global) -> Result<Exit, Error> {
    let snapshot = running(global)?;
    match global.format {
        Format::Json => {
            let incident = snapshot.current_incident().map(|i| i.id.clone());
            output::json(&Brief { incident, at: snapshot.at, lines: lines(&snapshot) })?;
        }
        _ => print(&snapshot)?,
    }
    Ok(Exit::Done)
}

/// `consoles`.
pub fn consoles(global: &Global) -> Result<Exit, Error> {
    let snapshot = running(global)?;
    if global.format == Format::Json {
        output::json(&snapshot.consoles)?;
        return Ok(Exit::Done);
    }
    let row = |c: &ConsoleView| {
        let held = snapshot.current_incident().map(|i| &i.roles);
        let roles = held.into_iter().flatten().filter(|(_, p)| **p == c.user).map(|(r, _)| r.to_string());
        vec![
            c.id.to_string(),
            c.user.to_string(),
            c.proof.words(),
            roles.collect::<Vec<_>>().join(", "),
            if c.read_only { "looks on".to_owned() } else { "acts".to_owned() },
            c.console.clone().unwrap_or_default(),
            c.from.clone().unwrap_or_default(),
            c.since.strftime("%H:%M:%SZ").to_string(),
            c.silent_since.map(|t| t.strftime("%H:%M:%SZ").to_string()).unwrap_or_default(),
        ]
    };
    let titles = ["N", "WHO", "PROVEN", "ROLES", "MAY", "TERMINAL", "FROM", "SINCE", "SILENT SINCE"];
    output::table(&titles, &snapshot.consoles.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}
