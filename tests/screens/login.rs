//! A role that is asked for from the console, and the sheet of a login that the person has to do before what they want is done.

use super::fixture::{at, console, snapshot};
use super::{key, press, screen, type_text};
use quarterdeck::console::effect::Effect;
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::State;
use quarterdeck::console::update;
use quarterdeck::domain::incident::Role;
use quarterdeck::engine::api::{Command, Reply, SignIn, SignInState, Snapshot};
use std::sync::Arc;

const ID: &str = "LOGIN-7";

/// The commands of effects.
fn commands(effects: &[Effect]) -> Vec<Command> {
    let command = |e: &Effect| match e {
        Effect::Command { command, .. } => Some(command.clone()),
        _ => None,
    };
    effects.iter().filter_map(command).collect()
}

/// With a login that stands so.
fn with(state: Option<SignInState>) -> Snapshot {
    let one = |state| SignIn {
        id: ID.into(),
        person: "mara".into(),
        title: "mara confirms promote of RUN-9".into(),
        at: at("02:13:00"),
        state,
    };
    Snapshot { sign_ins: state.map(one).into_iter().collect(), ..snapshot() }
}

fn waiting() -> SignInState {
    SignInState::Waiting {
        uri: "https://login.example/device".into(),
        uri_complete: Some("https://login.example/device?user_code=FLMZ-FCQG".into()),
        code: "FLMZ-FCQG".into(),
        until: at("02:25:00"),
    }
}

/// A console whose wish for a role the engine has answered with a login.
fn asked(then: Option<SignInState>) -> State {
    let mut state = console(with(then), 100, 30);
    press(&mut state, "L Tab Tab");
    type_text(&mut state, "the replica has to be rebuilt");
    let effects = press(&mut state, "Enter");
    let [Effect::Command { id, command: Command::Elevate { role, lasts_s, reason } }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!((*role, *lasts_s, reason.as_str()), (Role::Approver, 1800, "the replica has to be rebuilt"));
    let message = format!("{ID}: policy asks for a second factor");
    update(&mut state, Msg::Reply { to: *id, reply: Reply::Accepted { message, id: Some(ID.into()) } });
    state
}

fn hear(state: &mut State, login: SignInState) {
    update(state, Msg::Snapshot(Arc::new(with(Some(login)))));
}

#[test]
fn a_role_for_a_time_is_asked_for_with_its_reason_and_minutes_that_are_a_number() {
    let mut state = console(with(None), 100, 30);
    press(&mut state, "L");
    assert!(screen(&state).contains("Ask for a role for a time"), "{}", screen(&state));
    assert!(screen(&state).contains("Another person grants it"), "{}", screen(&state));
    press(&mut state, "Right Tab");
    type_text(&mut state, "x");
    press(&mut state, "Tab");
    type_text(&mut state, "because");
    assert!(commands(&press(&mut state, "Enter")).is_empty());
    assert!(screen(&state).contains("`minutes` is `30x`; a whole number is asked for"), "{}", screen(&state));
    press(&mut state, "BackTab Backspace Tab");
    let sent = commands(&press(&mut state, "Enter"));
    assert!(
        matches!(&sent[..], [Command::Elevate { role: Role::BusinessOwner, lasts_s: 1800, .. }]),
        "the next role in the list: {sent:?}"
    );
    // The palette has it too.
    let mut state = console(with(None), 100, 30);
    press(&mut state, ":");
    type_text(&mut state, "role for a time");
    press(&mut state, "Enter");
    assert!(screen(&state).contains("Another person grants it"), "{}", screen(&state));
}

#[test]
fn the_sheet_shows_what_for_where_and_how_long_and_closes_with_what_came_of_it() {
    let mut state = asked(None);
    assert!(screen(&state).contains("The identity provider is asked for a code."), "{}", screen(&state));
    hear(&mut state, waiting());
    let shown = screen(&state);
    for part in ["LOGIN-7", "promote of RUN-9", "https://login.example/device", "FLMZ-FCQG", "10:5", "Esc cancels it"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    hear(&mut state, SignInState::Proven { request: "RUN-9".into(), message: "confirmed".into() });
    assert!(state.overlays.is_empty() && screen(&state).contains("confirmed"), "{}", screen(&state));
    // One that has failed already when the answer comes does not stay.
    let state = asked(Some(SignInState::Failed { why: "nobody has used the code".into() }));
    assert!(state.overlays.is_empty());
    let shown = screen(&state);
    assert!(shown.contains("no second factor was proven: nobody has used the code"), "{shown}");
}

#[test]
fn leaving_the_sheet_cancels_the_login_and_what_is_over_is_not_cancelled() {
    let mut state = asked(Some(waiting()));
    let sent = commands(&update(&mut state, Msg::Key(key("Esc"))));
    assert!(matches!(&sent[..], [Command::CancelSignIn { id }] if id == ID), "{sent:?}");
    assert!(state.overlays.is_empty());
    // The emergency stop passes it by; the sheet stays.
    let mut state = asked(Some(waiting()));
    let sent = commands(&press(&mut state, "C-x"));
    assert!(matches!(&sent[..], [Command::EmergencyStop]), "{sent:?}");
    assert!(screen(&state).contains("FLMZ-FCQG"), "{}", screen(&state));
}
