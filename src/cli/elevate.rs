//! `elevate`: asks for a role for a time. Where policy wants a second factor, the page and the code of the identity provider are
//! shown, and it is waited until they were used.

use super::args::{Elevation, Global};
use super::desk::{refused, with_engine};
use super::incident;
use super::output::{self, Error, Exit};
use crate::console::format::{countdown, seconds_between};
use crate::domain::incident::Role;
use crate::engine::api::{Command, Reply, SignInState};
use crate::engine::client::Client;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use std::time::Duration;

/// How often the countdown is drawn.
const TICK: Duration = Duration::from_millis(500);

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
    with_engine(global, async |client: &Client| match client.send(Command::Elevate { role, lasts_s, reason }).await {
        Reply::Accepted { id: Some(id), message } if id.starts_with("LOGIN-") => {
            crate::note!("{message}");
            follow(global, client, &id).await
        }
        other => output::reply(&other, global.format),
    })
}

/// Shows what has to be done until it is known what came of it; an interruption cancels.
async fn follow(global: &Global, client: &Client, id: &str) -> Result<Exit, Error> {
    let countdown = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        countdown.set_style(style);
    }
    let (mut snapshots, mut link) = (client.snapshots.clone(), client.link.clone());
    let mut shown = false;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let view = snapshots.borrow_and_update().sign_ins.iter().find(|one| one.id == id).cloned();
        match view.map(|view| view.state) {
            None | Some(SignInState::Asking) => {}
            Some(SignInState::Waiting { uri, uri_complete, code, until }) => {
                if !std::mem::replace(&mut shown, true) {
                    let left = until.duration_since(Timestamp::now());
                    crate::note!("Open {uri} and enter the code {code} (good for {} s)", left.as_secs().max(0));
                    if let Some(uri) = &uri_complete {
                        crate::note!("or open {uri}");
                    }
                }
                countdown.set_message(left(until));
            }
            Some(SignInState::Proven { request, message }) => {
                countdown.finish_and_clear();
                return output::reply(&Reply::Accepted { message, id: Some(request) }, global.format);
            }
            Some(SignInState::Failed { why }) => {
                countdown.finish_and_clear();
                return Err(Error::Denied(format!("no second factor was proven: {why}")));
            }
        }
        if link.borrow_and_update().lost.is_some() {
            let why = "the engine is gone; whether it has taken the login, `request list` says later";
            return Err(Error::Unanswered(why.into()));
        }
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return Err(Error::Unanswered("the engine ended before the login did".into()));
                }
            }
            Ok(()) = link.changed() => {}
            () = tokio::time::sleep(TICK) => {}
            _ = &mut interrupted => {
                countdown.finish_and_clear();
                return match client.send(Command::CancelSignIn { id: id.to_owned() }).await {
                    Reply::Accepted { message, .. } => {
                        crate::note!("{message}");
                        Ok(Exit::Interrupted)
                    }
                    other => Err(refused(other)),
                };
            }
        }
    }
}

/// What is left, for people.
fn left(until: Timestamp) -> String {
    let left = countdown(seconds_between(Timestamp::now(), until));
    format!("waiting for the login, {left} left; Ctrl-C cancels")
}
