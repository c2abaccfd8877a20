//! A way to the engine that stays open while a command is worked on: attached to the one that runs, else to one opened for it.

use super::args::Global;
use super::opening::{self, Opened};
use super::output::{Error, Exit};
use super::session;
use crate::engine::api::Reply;
use crate::engine::attach::remote::{self, Away, Remote};
use crate::engine::client::Client;

enum Desk {
    Attached(Remote),
    Own(Box<Opened>),
}

async fn desk(global: &Global) -> Result<Desk, Error> {
    let caller = if global.drill.is_some() {
        let none = || Error::Failed("no drill of this user is served".into());
        session::caller(&session::running_drill().ok_or_else(none)?, "cli", false)
    } else {
        session::engine(global)?.caller("cli", false)
    };
    match remote::attach(caller).await {
        Ok(remote) => Ok(Desk::Attached(remote)),
        Err(Away::Nobody(_)) if global.drill.is_none() => {
            Ok(Desk::Own(Box::new(opening::named(global, false, "cli")?)))
        }
        Err(away) => Err(Error::failed(away)),
    }
}

/// Does some work with the engine, and lets go of it in good order.
pub(super) fn with_engine(
    global: &Global,
    work: impl AsyncFnOnce(&Client) -> Result<Exit, Error>,
) -> Result<Exit, Error> {
    session::runtime()?.block_on(async {
        match desk(global).await? {
            Desk::Attached(remote) => work(&remote.client).await,
            Desk::Own(opened) => {
                let came = work(&opened.running.client).await;
                opened.end().await;
                came
            }
        }
    })
}

/// What a refusal leaves behind.
pub(super) fn refused(reply: Reply) -> Error {
    match reply {
        Reply::Refused { why, denied: true } => Error::Denied(why),
        Reply::Refused { why, denied: false } if why == remote::UNANSWERED => Error::Unanswered(why),
        other => Error::Failed(other.words().to_owned()),
    }
}
