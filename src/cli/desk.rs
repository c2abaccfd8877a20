//! A way to the engine that stays open while a command is worked on: attached to the one that runs, else to one opened for it.

use super::args::Global;
use super::opening::{self, Opened};
use super::output::{Error, Exit};
use super::session::{self, Home};
use crate::engine::api::Reply;
use crate::engine::attach::remote::{self, Away, Remote};
use crate::engine::client::Client;

/// How the engine is reached.
pub(super) enum Desk {
    /// It runs already.
    Attached(Remote),
    /// It was opened for this command.
    Own(Box<Opened>),
}

impl Desk {
    /// The engine that runs for the estate, else an own one that observes it; a drill is always played by an own one.
    pub(super) async fn observing(global: &Global) -> Result<Self, Error> {
        if global.drill.is_some() {
            return Ok(Self::Own(Box::new(opening::named(global, true, "cli")?)));
        }
        Self::at(global, &session::engine(global)?, true).await
    }

    /// The engine that runs, also of a drill that is served; for an estate else an own one that observes nothing.
    async fn running(global: &Global) -> Result<Self, Error> {
        Self::at(global, &session::reached(global)?, false).await
    }

    async fn at(global: &Global, home: &Home, observe: bool) -> Result<Self, Error> {
        match remote::attach(home.caller("cli", false)).await {
            Ok(remote) => Ok(Self::Attached(remote)),
            Err(Away::Nobody(_)) if global.drill.is_none() => {
                Ok(Self::Own(Box::new(opening::named(global, observe, "cli")?)))
            }
            Err(away) => Err(Error::failed(away)),
        }
    }

    /// Does some work with it, and lets go of it in good order.
    pub(super) async fn work(self, work: impl AsyncFnOnce(&Client) -> Result<Exit, Error>) -> Result<Exit, Error> {
        match self {
            Self::Attached(remote) => work(&remote.client).await,
            Self::Own(opened) => {
                let came = work(&opened.running.client).await;
                opened.end().await;
                came
            }
        }
    }
}

/// Does some work with the engine that runs, else with one that observes nothing.
pub(super) fn with_engine(
    global: &Global,
    work: impl AsyncFnOnce(&Client) -> Result<Exit, Error>,
) -> Result<Exit, Error> {
    session::runtime()?.block_on(async { Desk::running(global).await?.work(work).await })
}

/// What a refusal leaves behind.
pub(super) fn refused(reply: Reply) -> Error {
    match reply {
        Reply::Refused { why, denied: true } => Error::Denied(why),
        Reply::Refused { why, denied: false } if why == remote::UNANSWERED => Error::Unanswered(why),
        other => Error::Failed(other.words().to_owned()),
    }
}
