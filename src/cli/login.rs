//! A login at the identity provider that somebody waits for at a terminal: the page, the code, and how long it is good. An
//! interruption cancels it.

use super::desk::refused;
use super::output::Error;
use crate::console::format::{countdown, seconds_between};
use crate::engine::api::{Command, Reply, SignInState};
use crate::engine::client::Client;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use std::time::Duration;

/// How often the countdown is drawn.
const TICK: Duration = Duration::from_millis(500);

/// What a command has come to: its reply, or, where that asks for a login, what came of the login. `None` when a person has
/// cancelled it here.
///
/// # Errors
/// No second factor was proven, or the engine is gone.
pub(super) async fn through(client: &Client, reply: Reply) -> Result<Option<Reply>, Error> {
    let Some(id) = reply.login().map(str::to_owned) else { return Ok(Some(reply)) };
    crate::note!("{}", reply.words());
    follow(client, &id).await
}

/// Shows what has to be done until it is known what came of it.
async fn follow(client: &Client, id: &str) -> Result<Option<Reply>, Error> {
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
                return Ok(Some(Reply::Accepted { message, id: Some(request) }));
            }
            Some(SignInState::Failed { why }) => {
                countdown.finish_and_clear();
                return Err(Error::Denied(format!("no second factor was proven: {why}")));
            }
        }
        if link.borrow_and_update().lost.is_some() {
            let why = "the engine is gone; what has become of the login, its records say later";
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
                        Ok(None)
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
