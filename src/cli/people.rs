//! `freeze …`, `measures …` and `continuity …`: the hold on changes, what is in force, what is done by hand.

use super::args::{Continuity, Format, Freeze, Global, Measures};
use super::incident;
use super::output::{self, Error, Exit};
use super::session;
use crate::domain::id::{Person, TenantId};
use crate::engine::api::{ByHand, Command, Measure};
use crate::engine::state::State;
use crate::journal::fold;
use jiff::{SignedDuration, Timestamp};

/// Runs `freeze`.
pub fn freeze(global: &Global, what: &Freeze) -> Result<Exit, Error> {
    incident::send(
        global,
        match what {
            Freeze::Set { reason, lasts } => {
                let until = lasts.as_deref().map(end).transpose()?;
                Command::SetFreeze { reason: reason.clone(), until }
            }
            Freeze::Lift { reason } => Command::LiftFreeze { reason: reason.clone() },
        },
    )
}

/// Runs `measures`.
pub fn measures(global: &Global, what: &Measures) -> Result<Exit, Error> {
    let all = in_force(global)?;
    match what {
        Measures::List => list(&all, global.format),
        Measures::Assign { id, owner, lasts } => {
            let command =
                Command::AssignMeasure { measure: id.clone(), owner: Person::new(owner.clone()), until: end(lasts)? };
            incident::send(global, command)
        }
        Measures::Done { id, text } => {
            incident::send(global, Command::DutyDone { duty: id.clone(), text: text.clone() })
        }
        Measures::LiftHint { id } => {
            let measure = all.iter().find(|m| m.id == *id).ok_or_else(|| {
                let there: Vec<&str> = all.iter().map(|m| m.id.as_str()).collect();
                let there = if there.is_empty() { "none is in force".to_owned() } else { there.join(", ") };
                Error::Usage(format!("there is no measure {id}; {there}"))
            })?;
            output::line(&measure.lift)?;
            Ok(Exit::Done)
        }
    }
}

/// Runs `continuity`.
pub fn continuity(global: &Global, what: Continuity) -> Result<Exit, Error> {
    let act = match what {
        Continuity::List => {
            let mut all = in_force(global)?;
            all.retain(|m| ["fallback/", "reconcile/"].iter().any(|kind| m.id.starts_with(kind)));
            return by_hand(&all, global.format);
        }
        Continuity::Start { process, tenant, how, plant, owner } => {
            ByHand::Start { process, tenant: TenantId::new(tenant), plant, owner: Person::new(owner), how }
        }
        Continuity::Acknowledge { id } => ByHand::Acknowledge { measure: id },
        Continuity::End { id } => ByHand::End { measure: id },
        Continuity::Reconcile { id, sheets, documents, text } => {
            ByHand::Reconcile { measure: id, sheets, documents, text }
        }
    };
    incident::send(global, Command::ByHand { act })
}

fn by_hand(all: &[Measure], format: Format) -> Result<Exit, Error> {
    if format == Format::Json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let row = |m: &Measure| {
        let asked = m.asked.as_ref().map(ToString::to_string).unwrap_or_default();
        let known = m.acknowledged.as_ref().map_or_else(|| "NOT YET".to_owned(), |(_, at)| format!("{at:.0}"));
        vec![m.id.clone(), asked, known, m.what.clone()]
    };
    output::table(&["WHAT", "OWNER", "ACKNOWLEDGED", "HOW"], &all.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

/// A time that somebody writes.
pub(super) fn span(text: &str) -> Result<SignedDuration, Error> {
    let span = text.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive);
    span.ok_or_else(|| Error::Usage(format!("`{text}` is no duration such as 30m or 2h")))
}

fn end(text: &str) -> Result<Timestamp, Error> {
    Timestamp::now().checked_add(span(text)?).map_err(|_| Error::Usage(format!("`{text}` ends beyond all calendars")))
}

/// What the records say is in force, read without a lock.
fn in_force(global: &Global) -> Result<Vec<Measure>, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a drill keeps its measures in its own journal; use its console".into()));
    }
    let home = session::engine(global)?;
    if home.is_served() {
        return Ok(session::runtime()?.block_on(session::must_run(&home))?.measures.clone());
    }
    let state: State =
        if home.journal.exists() { fold::replay_kept(&home.journal).map_err(Error::failed)? } else { State::default() };
    Ok(state.measures())
}

fn list(all: &[Measure], format: Format) -> Result<Exit, Error> {
    if format == Format::Json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let row = |m: &Measure| {
        let owner = m.owner.as_ref().map(|(who, until)| format!("{who} until {until:.0}")).unwrap_or_default();
        let since = m.since.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        vec![m.id.clone(), since, m.by.clone(), owner, m.what.clone(), m.lift.clone()]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["MEASURE", "SINCE", "BY", "OWNER", "WHAT", "LIFT"], &rows)?;
    Ok(Exit::Done)
}
