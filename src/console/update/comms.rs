//! The sheet of communications and the dialog in which a message is written: choosing an audience, asking for a draft,
//! editing, one more question, sending; and trying again what has not arrived.

use super::{say, send};
use crate::comms::board::{AudienceView, MessageView};
use crate::comms::{Delivery, Moment};
use crate::console::effect::Effect;
use crate::console::keymap::Action;
use crate::console::state::{Awaited, Button, Compose, Overlay, Question, SheetKind, State, Writing};
use crate::console::theme::Role;
use crate::domain::mode::Mode;
use crate::engine::api::{Command, DraftView};

/// Opens the sheet, on the audience that is due first.
pub(super) fn open(state: &mut State) {
    state.telling = None;
    super::act::sheet(state, SheetKind::Comms);
}

/// The audience that has the mark.
fn marked(state: &State) -> Option<&AudienceView> {
    let board = &state.snapshot.as_ref()?.comms;
    crate::console::sheet::comms::marked(state, board)
}

/// Marks the next audience.
pub(super) fn turn(state: &mut State, forward: bool) {
    let Some(snapshot) = state.snapshot.clone() else { return };
    let all = &snapshot.comms.audiences;
    let at = marked(state).and_then(|m| all.iter().position(|a| a.id == m.id)).unwrap_or(0);
    let n = all.len().max(1);
    let next = all.get(if forward { (at + 1) % n } else { (at + n - 1) % n });
    state.telling = next.map(|a| a.id.clone());
}

/// Asks for a draft to the marked audience.
pub(super) fn write(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(audience) = marked(state).map(|a| a.id.clone()) else {
        return say(state, Role::Dim, "no incident is open: there is nothing to tell");
    };
    let ours = state.snapshot.as_ref().and_then(|s| s.comms.incident.clone());
    match state.unsent.take() {
        Some(mut compose) if compose.draft.audience == audience && Some(&compose.draft.incident) == ours.as_ref() => {
            compose.taken_up = Some(compose.written());
            state.overlays.push(Overlay::Compose(compose));
            say(state, Role::Accent, "this is what was left unsent; leaving it as it is lets it go");
        }
        other => {
            state.unsent = other;
            ask(state, audience, None, None, effects);
        }
    }
}

/// The dialog was left without sending: what was written by hand is kept for once.
pub(super) fn left(state: &mut State, compose: Box<Compose>) {
    if compose.is_unsaved() {
        let audience = compose.draft.name.clone();
        state.unsent = Some(compose);
        say(state, Role::Text, format!("nothing was sent; writing to {audience} again takes it up"));
    } else {
        say(state, Role::Text, "cancelled: nothing was sent");
    }
}

/// What is asked before the console ends with a message that was written and not sent.
pub(super) fn unsent(state: &State) -> Option<Question> {
    let open = state.overlays.iter().find_map(|o| match o {
        Overlay::Compose(compose) if compose.is_changed() => Some(compose),
        _ => None,
    });
    let compose = open.or(state.unsent.as_ref())?;
    Some(Question {
        title: "Quit with a message unsent?".into(),
        lines: vec![format!("What was written to {} was not sent, and is lost with this console.", compose.draft.name)],
        yes: "Quit",
        action: Action::Quit,
        focus: Button::Cancel,
    })
}

fn ask(
    state: &mut State,
    audience: String,
    moment: Option<Moment>,
    template: Option<String>,
    effects: &mut Vec<Effect>,
) {
    let command = Command::Draft { incident: None, audience, moment, template };
    send(state, command, Awaited::Draft, effects);
}

/// Opens the dialog on a draft, or puts it in the place of the one that is open.
pub(super) fn drafted(state: &mut State, view: DraftView) {
    let audiences = state.snapshot.as_ref().map(|s| s.comms.clone()).unwrap_or_default();
    let templates = audiences.audiences.iter().find(|a| a.id == view.audience).map(|a| a.templates.clone());
    let compose = Compose::new(view, templates.unwrap_or_default());
    if matches!(state.overlays.last(), Some(Overlay::Compose(_))) {
        state.overlays.pop();
    }
    state.overlays.push(Overlay::Compose(Box::new(compose)));
    state.touch();
}

/// An action of the table in the dialog.
pub(super) fn in_compose(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let Some(Overlay::Compose(compose)) = state.overlays.last_mut() else { return };
    match action {
        Action::NextPane | Action::PreviousPane => compose.turn(action == Action::NextPane),
        Action::TurnWay => compose.turn_way(),
        Action::NextTemplate => match compose.next_template().cloned() {
            None => say(state, Role::Dim, "there is no other template for this audience"),
            Some(_) if compose.is_changed() => {
                let back = state.key(Action::Back);
                let why = format!("the text was changed by hand: {back} leaves it, then another template can be taken");
                say(state, Role::Warn, why);
            }
            Some(next) => {
                let audience = compose.draft.audience.clone();
                ask(state, audience, None, Some(next), effects);
            }
        },
        Action::Press => match compose.focus {
            Writing::Subject => compose.focus = Writing::Text,
            Writing::Text => compose.text.insert_newline(),
            Writing::Cancel => {
                if let Some(Overlay::Compose(compose)) = state.overlays.pop() {
                    left(state, compose);
                }
            }
            Writing::Send => question(state),
        },
        Action::AskSend => question(state),
        _ => {}
    }
}

/// Asks once more, with all that will happen.
fn question(state: &mut State) {
    let drill = state.mode() == Mode::Drill;
    let Some(Overlay::Compose(compose)) = state.overlays.last_mut() else { return };
    if let Some(mute) = &compose.draft.mute {
        compose.error = Some(mute.clone());
        return;
    }
    if compose.ways().is_empty() {
        compose.error = Some("there is no way to this audience: give it a [[comms.audience]]".into());
        return;
    }
    if let Err(why) = compose.written().checked(drill) {
        compose.error = Some(why);
        return;
    }
    compose.error = None;
    let mut lines: Vec<String> =
        compose.ways().iter().map(|(who, channel, to)| format!("{who} by {channel}: {to}")).collect();
    lines.push(match compose.draft.next {
        Some(next) => format!("It promises the next word at {}Z.", next.strftime("%H:%M")),
        None => "It promises no further word.".to_owned(),
    });
    lines.push(if drill {
        "Nothing leaves the exercise.".to_owned()
    } else {
        "It can not be taken back: another message has to correct it.".to_owned()
    });
    let title = format!("Send to {}?", compose.draft.name);
    let question = Question { title, lines, yes: "Send", action: Action::SendMessage, focus: Button::Cancel };
    state.overlays.push(Overlay::Question(question));
}

/// Sends what was written.
pub(super) fn send_message(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(Overlay::Compose(compose)) = state.overlays.last() else { return };
    let command = compose.command();
    state.overlays.pop();
    send(state, command, Awaited::Other("sending the message"), effects);
}

/// The newest message to the marked audience that has not reached everybody.
fn unreached(state: &State) -> Option<&MessageView> {
    let audience = marked(state)?;
    let board = &state.snapshot.as_ref()?.comms;
    let open = |m: &&MessageView| matches!(m.delivery, Delivery::Failed | Delivery::Unknown);
    board
        .messages
        .iter()
        .find(|m| m.audience == audience.id && board.incident.as_ref() == Some(&m.incident))
        .filter(open)
}

/// Asks whether a message is tried again, and by what.
pub(super) fn ask_again(state: &mut State) {
    let Some(message) = unreached(state) else {
        return say(state, Role::Dim, "the newest message to this audience has arrived, or there is none");
    };
    let mut lines = Vec::new();
    for attempt in message.attempts.iter().filter(|a| a.delivery != Delivery::Sent) {
        let (who, channel, word) = (&attempt.recipient, attempt.channel, attempt.delivery.word());
        lines.push(format!("{who} by {channel} {word}: {}", attempt.detail));
    }
    lines.push(match message.offers.first() {
        Some(offer) => format!("It goes to {} by {}, under the same name.", offer.recipient, offer.channel),
        None => "It goes by the same channel again, under the same name.".to_owned(),
    });
    if message.delivery == Delivery::Unknown {
        lines.push("Whether it has arrived is not known: look there first, it may come twice.".to_owned());
    }
    let title = format!("Send {} again?", message.id);
    let question = Question { title, lines, yes: "Again", action: Action::ResendMessage, focus: Button::Cancel };
    state.overlays.push(Overlay::Question(question));
}

/// Acknowledges the oldest call that nobody has acknowledged.
pub(super) fn acknowledge(state: &mut State, effects: &mut Vec<Effect>) {
    let open = state.snapshot.as_ref().and_then(|s| s.comms.calls.iter().find(|c| c.acknowledged.is_none()).cloned());
    let Some(call) = open else { return say(state, Role::Dim, "no call waits to be acknowledged") };
    let command = Command::AcknowledgeCall { run: call.run, step: call.step };
    send(state, command, Awaited::Other("acknowledging the call"), effects);
}

/// Tries it again.
pub(super) fn send_again(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(message) = unreached(state) else {
        return say(state, Role::Dim, "it has arrived meanwhile: nothing was sent again");
    };
    let offer = message.offers.first();
    let command = Command::Resend {
        message: message.id.clone(),
        recipient: offer.map(|o| o.recipient.clone()),
        channel: offer.map(|o| o.channel),
    };
    send(state, command, Awaited::Other("sending the message again"), effects);
}
