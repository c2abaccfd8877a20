//! `elevate`: asks for a role for a time. Where policy wants a second factor, it is waited until that was proven.

use super::args::{Elevation, Global};
use super::desk::with_engine;
use super::output::{self, Error, Exit};
use super::{incident, login};
use crate::domain::incident::Role;
use crate::engine::api::Command;
use crate::engine::client::Client;

/// Runs `elevate`.
pub fn run(global: &Global, what: &Elevation) -> Result<Exit, Error> {
    if let Some(id) = &what.cancel {
        return incident::send(global, Command::CancelSignIn { id: id.clone() });
    }
    let role = what.role.ok_or_else(|| Error::Usage("which role is it about?".into()))?;
    if what.end {
        return incident::send(global, Command::EndElevation { role });
    }
    if global.drill.is_some() {
        return Err(Error::Usage("a drill keeps its roles in its own journal; use its console".into()));
    }
    ask(global, role, what)
}

fn ask(global: &Global, role: Role, what: &Elevation) -> Result<Exit, Error> {
    let reason = what.reason.clone().ok_or_else(|| Error::Usage("an elevation needs --reason".into()))?;
    let lasts_s = u64::try_from(super::people::span(&what.lasts)?.as_secs()).unwrap_or(0);
    with_engine(global, async |client: &Client| {
        let reply = client.send(Command::Elevate { role, lasts_s, reason }).await;
        match login::through(client, reply).await? {
            Some(reply) => output::reply(&reply, global.format),
            None => Ok(Exit::Interrupted),
        }
    })
}
