//! `incident …`, `run …` and `glass …`: the commands that a console sends. They go through the engine that runs;
//! without one they take the journal's lock themselves, and never pass it.

use super::args::{Format, Glass, Global, Incident, Run};
use super::opening;
use super::output::{self, Error, Exit};
use super::session::{self, Home, Scope};
use crate::domain::id::{FindingId, IncidentId, Person, RunId};
use crate::domain::incident::Incident as Known;
use crate::domain::incident::Role;
use crate::engine::api::Command;
use crate::engine::state::State;
use crate::journal::fold;

/// Runs `incident`.
pub fn run(global: &Global, what: Incident) -> Result<Exit, Error> {
    let command = match what {
        Incident::List => return list(global),
        Incident::Brief => return super::brief::run(global),
        Incident::Show { id } => return show(global, &IncidentId::new(id)),
        Incident::Declare { title, severity, findings } => {
            Command::Declare { title, severity, findings: findings.into_iter().map(FindingId::new).collect() }
        }
        Incident::Note { id, text } => Command::Note { incident: Some(IncidentId::new(id)), text },
        Incident::Role { id, role, person } => {
            Command::AssignRole { incident: IncidentId::new(id), role, person: Person::new(person) }
        }
        Incident::Handover { id, person } => {
            let (incident, person) = (IncidentId::new(id), Person::new(person));
            return send_with_brief(global, Command::AssignRole { incident, role: Role::Commander, person });
        }
        Incident::TakeOver { id, reason } => {
            return send_with_brief(global, Command::TakeOver { incident: IncidentId::new(id), reason });
        }
        Incident::Accept { id, text } => Command::AcceptRecovery { incident: IncidentId::new(id), text },
        Incident::Close { id, summary } => Command::Close { incident: IncidentId::new(id), summary },
    };
    send(global, command)
}

/// Runs `run`.
pub fn runs(global: &Global, what: Run) -> Result<Exit, Error> {
    let command = match what {
        Run::List => return list_runs(global),
        Run::Stop { id, reason } => Command::StopRun { run: RunId::new(id), reason },
        Run::Resume { id } => Command::ResumeRun { run: RunId::new(id) },
    };
    send(global, command)
}

/// Runs `glass`.
pub fn glass(global: &Global, what: Glass) -> Result<Exit, Error> {
    send(
        global,
        match what {
            Glass::Break { reason } => Command::BreakGlass { reason },
            Glass::Restore => Command::RestoreGlass,
            Glass::Review { text } => Command::ReviewGlass { text },
        },
    )
}

fn no_drill(global: &Global) -> Result<(), Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a drill keeps its incidents in its own journal; use its console".into()));
    }
    Ok(())
}

fn live_home(global: &Global) -> Result<Home, Error> {
    no_drill(global)?;
    session::engine(global)
}

/// Sends a command to the engine that runs, or opens one for it.
pub(super) fn send(global: &Global, command: Command) -> Result<Exit, Error> {
    let home = live_home(global)?;
    session::runtime()?.block_on(async {
        if let Some(reply) = session::send_to_running(&home, command.clone()).await? {
            return output::reply(&reply, global.format);
        }
        let opened = opening::named(global, false, "cli")?;
        let reply = opened.running.client.send(command).await;
        opened.end().await;
        output::reply(&reply, global.format)
    })
}

/// Sends a command by which the command of an incident changes hands, and prints the brief for whoever has it now.
fn send_with_brief(global: &Global, command: Command) -> Result<Exit, Error> {
    let home = live_home(global)?;
    let (reply, snapshot) = session::runtime()?.block_on(async {
        if let Some(reply) = session::send_to_running(&home, command.clone()).await? {
            return Ok::<_, Error>((reply, session::running_snapshot(&home).await?));
        }
        let opened = opening::named(global, false, "cli")?;
        let reply = opened.running.client.send(command).await;
        let snapshot = opened.running.client.snapshot();
        opened.end().await;
        Ok((reply, Some(snapshot)))
    })?;
    let exit = output::reply(&reply, global.format)?;
    if let (Exit::Done, Format::Table, Some(snapshot)) = (exit, global.format, snapshot) {
        super::brief::print(&snapshot)?;
    }
    Ok(exit)
}

/// Incidents as the journal has them, read without a lock.
pub(super) fn of(home: &Home) -> Result<Vec<Known>, Error> {
    if home.is_served() {
        let snapshot = session::runtime()?.block_on(session::must_run(home))?;
        return Ok(snapshot.incidents.to_vec());
    }
    let state: State =
        if home.journal.exists() { fold::replay_kept(&home.journal).map_err(Error::failed)? } else { State::default() };
    Ok(state.incidents())
}

/// The columns of one.
pub(super) fn row(i: &Known) -> Vec<String> {
    let commander = i.roles.get(&Role::Commander).map(ToString::to_string).unwrap_or_default();
    let declared = i.declared_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    vec![i.id.to_string(), i.severity.to_string(), i.state.to_string(), declared, commander, i.title.clone()]
}

fn list(global: &Global) -> Result<Exit, Error> {
    no_drill(global)?;
    let all = match session::scope(global)? {
        Scope::All(several) => return super::estates::incidents(global, &several),
        Scope::One(target) => of(&session::home_of(target))?,
    };
    if global.format == Format::Json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["INCIDENT", "SEVERITY", "STATE", "DECLARED", "COMMANDER", "TITLE"], &rows)?;
    Ok(Exit::Done)
}

fn show(global: &Global, id: &IncidentId) -> Result<Exit, Error> {
    let all = of(&live_home(global)?)?;
    let found = all.iter().find(|i| i.id == *id).ok_or_else(|| Error::Failed(format!("there is no incident {id}")))?;
    if global.format == Format::Json {
        output::json(found)?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{} {} {}: {}", found.id, found.severity, found.state, found.title))?;
    for (role, person) in &found.roles {
        output::line(&format!("  {role}: {person}"))?;
    }
    let row = |e: &crate::domain::incident::TimelineEntry| {
        vec![e.seq.to_string(), e.at.strftime("%H:%M:%SZ").to_string(), e.kind.clone(), e.who.clone(), e.text.clone()]
    };
    output::table(&["SEQ", "TIME", "KIND", "WHO", "WHAT"], &found.timeline.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

fn list_runs(global: &Global) -> Result<Exit, Error> {
    let home = live_home(global)?;
    let snapshot = session::runtime()?.block_on(session::running_snapshot(&home))?;
    let runs = snapshot.map(|s| s.runs.clone()).unwrap_or_default();
    if global.format == Format::Json {
        output::json(&runs)?;
        return Ok(Exit::Done);
    }
    let row = |r: &crate::engine::api::RunView| {
        vec![r.id.to_string(), r.playbook.to_string(), format!("{:?}", r.state).to_lowercase(), r.now.clone()]
    };
    output::table(&["RUN", "PLAYBOOK", "STATE", "NOW"], &runs.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}
