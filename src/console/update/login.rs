//! A login at the identity provider that the person at this console has to do before what they asked for is done. Its sheet opens
//! when the engine says so, and closes when it is over; leaving the sheet cancels it.

use super::{act, say, send};
use crate::console::effect::Effect;
use crate::console::state::{Awaited, Overlay, Sheet, SheetKind, State};
use crate::console::theme::Role;
use crate::engine::api::{Command, SignInState, Snapshot};

/// Shows what has to be done.
pub(super) fn open(state: &mut State, id: String) {
    act::sheet(state, SheetKind::Login(id));
    // It may be over already.
    heed(state);
    state.touch();
}

/// Closes the sheets of logins that are over, and says what came of them.
pub(super) fn heed(state: &mut State) {
    let Some(snapshot) = state.snapshot.clone() else { return };
    let mut said = None;
    state.overlays.retain(|overlay| {
        let Overlay::Sheet(Sheet { kind: SheetKind::Login(id), .. }) = overlay else { return true };
        let ended = outcome(&snapshot, id);
        let goes_on = ended.is_none();
        said = ended.or(said.take());
        goes_on
    });
    if let Some((role, text)) = said {
        say(state, role, text);
    }
}

/// What has come of a login; `None` while it is under way.
fn outcome(snapshot: &Snapshot, id: &str) -> Option<(Role, String)> {
    match &snapshot.sign_ins.iter().find(|one| one.id == id)?.state {
        SignInState::Asking | SignInState::Waiting { .. } => None,
        SignInState::Proven { message, .. } => Some((Role::Ok, message.clone())),
        SignInState::Failed { why } => Some((Role::Critical, format!("no second factor was proven: {why}"))),
    }
}

/// Whoever leaves the sheet does not want it any more.
pub(super) fn cancel(state: &mut State, id: String, effects: &mut Vec<Effect>) {
    if state.snapshot.as_ref().is_none_or(|snapshot| outcome(snapshot, &id).is_none()) {
        send(state, Command::CancelSignIn { id }, Awaited::Other("cancelling the login"), effects);
    }
}
