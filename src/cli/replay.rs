//! `replay`: the console on a past incident, as those who worked on it saw it. Without a terminal, or with `--format
//! json`, one moment of it, in the form of `status`.

use super::args::{Format, Global, Replay};
use super::audit::directory;
use super::files::Files;
use super::looks::Looks;
use super::output::{Error, Exit};
use super::{pins, session, status};
use crate::domain::id::{IncidentId, Person};
use crate::engine::api::ReplayAsk;
use crate::engine::recording::past::Past;
use crate::engine::recording::player::{self, Player};
use crate::terminal::capabilities;
use crate::terminal::console::Ended;
use crate::terminal::desks::Berth;
use crate::terminal::outside::Way;
use std::sync::Arc;

/// Runs it.
pub fn run(global: &Global, asked: &Replay) -> Result<Exit, Error> {
    let dir = directory(global, asked.journal.as_deref())?;
    let id = IncidentId::new(asked.incident.clone());
    let past = Past::open(&dir, &id).map_err(|e| Error::journal(&e))?;
    let past = past.ok_or_else(|| Error::Failed(format!("{} declares no incident {id}", dir.display())))?;
    let me = session::me("replay");
    let mut player = Player::new(past, Person::new(me.user.clone()));
    if let Some(at) = &asked.at {
        player.ask(&ReplayAsk::To(at.clone())).map_err(|why| Error::Usage(format!("--at {at}: {why}")))?;
    }
    if global.format == Format::Json || !global.plain && !capabilities::is_interactive() {
        let snapshot = player.show();
        if let Some(why) = snapshot.replay.as_ref().and_then(|r| r.unseen.as_ref()) {
            crate::note!("quarterdeck: only the records are known of this moment: {why}");
        }
        status::past(global, &snapshot)?;
        return Ok(Exit::Done);
    }
    let looks = Looks::heeding(global)?.with_own_editor();
    let pin = pins::outside(global, None, asked.journal.as_deref(), &dir)?;
    session::runtime()?.block_on(async {
        let client = player::start(player, me);
        match looks
            .show(Berth::one(Way { client, journal: Arc::new(Files { dir, pin }) }))
            .await
            .map_err(Error::failed)?
        {
            Ended::Quit => Ok(Exit::Done),
            Ended::Signal(_) => Ok(Exit::Interrupted),
            Ended::Panicked => Err(Error::Failed("a part of the program failed, as said above".into())),
        }
    })
}
