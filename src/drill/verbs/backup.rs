//! pgBackRest of the simulated estate: one stanza for each pair, of its name.

use super::effect::{Aim, Done, Effect, Look};
use super::given::Given;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::request::Operation;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::backups::Backups;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "backup.pgbackrest_check", aim: |g, s| command(g, s, "check"), act: check, stands: |_, _| false },
    Effect { name: "backup.pgbackrest_backup", aim: |g, s| command(g, s, "backup"), act: take, stands: |_, _| false },
    Effect { name: "backup.restore_aside", aim: restore_aim, act: restore, stands: |g, s| restored(g, s) },
];

pub(super) static LOOKS: &[Look] =
    &[Look { name: "backup.pgbackrest_info", aim: |g, s| command(g, s, "info"), tell: info }];

fn id(given: &Given<'_>) -> Result<SourceId, VerbError> {
    given.text("backup").map(SourceId::new)
}

fn found<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Backups, VerbError> {
    let id = id(given)?;
    let found = sim.instances.get(&id).map(|i| &i.backups);
    found.ok_or_else(|| VerbError::new(format!("there is no [[pgbackrest]] {}", sanitize(id.as_str()))))
}

fn found_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Backups, VerbError> {
    let id = id(given)?;
    let found = sim.instances.get_mut(&id).map(|i| &mut i.backups);
    found.ok_or_else(|| VerbError::new(format!("there is no [[pgbackrest]] {}", sanitize(id.as_str()))))
}

fn command(given: &Given<'_>, sim: &Simulation, word: &str) -> Result<Aim, VerbError> {
    let (id, backups) = (id(given)?, found(given, sim)?);
    let mut argv = vec!["pgbackrest".to_owned(), format!("--stanza={id}"), word.to_owned()];
    argv.extend(given.optional("type")?.map(|kind| format!("--type={kind}")));
    let by_hand = argv.join(" ");
    let aim = Aim::at(
        id.clone(),
        format!("stanza {id}, newest {}", backups.label),
        Operation::Command { argv, sha256: String::new() },
    );
    Ok(aim
        .bound(json!({ "newest": backups.label }))
        .means("nobody; disk and network are busy", "need not be taken back")
        .by_hand(by_hand))
}

/// What pgBackRest says when it fails.
fn works(backups: &Backups) -> Result<(), VerbError> {
    backups.failing.as_ref().map_or(Ok(()), |why| Err(VerbError::new(format!("pgbackrest: {why}"))))
}

fn check(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    let backups = found_mut(given, sim)?;
    works(backups)?;
    backups.archive(tick);
    Ok((json!({ "newest": backups.label }), "a WAL segment reached the repository".into()))
}

fn take(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    let backups = found_mut(given, sim)?;
    works(backups)?;
    backups.taken(tick);
    Ok((json!({ "newest": backups.label }), format!("backup {} is complete", backups.label)))
}

fn target(given: &Given<'_>, sim: &Simulation) -> Result<i64, VerbError> {
    let Some(text) = given.optional("target_time")? else { return Ok(sim.elapsed_s()) };
    let at: Timestamp =
        text.parse().map_err(|_| VerbError::new(format!("target_time {} is not RFC 3339", sanitize(&text))))?;
    let (tick, first) = (sim.tick_of(at), found(given, sim)?.ended);
    if tick < first || tick > sim.elapsed_s() {
        return Err(VerbError::new(format!("target_time lies between the newest backup, {}, and now", sim.at(first))));
    }
    Ok(tick)
}

fn restore_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (into, to) = (given.text("into")?, target(given, sim)?);
    if found(given, sim)?.aside(&into).is_some() {
        return Err(VerbError::new(format!("{} holds a cluster already", sanitize(&into))));
    }
    let aim = command(given, sim, "restore")?;
    let object = format!("new directory {into}, as of {}", sim.at(to));
    Ok(Aim { object, ..aim }.means("nobody: the running cluster is not touched", "the directory can be deleted"))
}

fn restore(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (into, to, tick) = (given.text("into")?, target(given, sim)?, sim.elapsed_s());
    let backups = found_mut(given, sim)?;
    works(backups)?;
    backups.restored(&into, to, tick);
    Ok((json!({ "newest": backups.label, "into": into }), format!("{into} holds the data of the backup")))
}

fn restored(given: &Given<'_>, sim: &Simulation) -> bool {
    let Ok(into) = given.text("into") else { return false };
    found(given, sim).is_ok_and(|backups| backups.aside(&into).is_some())
}

fn info(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let (id, backups) = (id(given)?, found(given, sim)?);
    let (code, message) =
        if backups.failing.is_some() { (1, backups.failing.as_deref().unwrap_or_default()) } else { (0, "ok") };
    let stop = sim.at(backups.ended).as_second();
    let result: Value = json!({
        "name": id, "status": { "code": code, "message": message },
        "backup": [{ "label": backups.label, "error": false, "timestamp": { "start": stop - 40, "stop": stop } }],
        "archive": [{ "id": format!("17-1"), "max": format!("{:024X}", backups.archived) }],
    });
    Ok((result, format!("1 backup, the newest {} ended {}; status {message}", backups.label, sim.at(backups.ended))))
}
