//! What stakeholders are told: the sheet with its countdowns, the dialog in which a message is written, the question
//! before it leaves, and that a missed promise is on every screen.

use crate::fixture::{at, console, now, snapshot};
use crate::{press, screen, type_text};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use quarterdeck::comms::board::{AudienceView, Board, LastWord, MessageView, Offer, WayView};
use quarterdeck::comms::{Attempt, Channel, Delivery, Moment};
use quarterdeck::console::effect::{Effect, RequestId};
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::{Overlay, State};
use quarterdeck::console::update;
use quarterdeck::engine::api::{Command, DraftView, Reply, Snapshot};
use std::sync::Arc;

fn way(recipient: &str, channel: Channel, to: &str, delivery: Option<Delivery>, detail: &str) -> WayView {
    let at = delivery.map(|_| at("02:05:10"));
    WayView { recipient: recipient.into(), channel, to: to.into(), delivery, detail: detail.into(), at }
}

fn audience(id: &str, name: &str, due: Option<&str>, ways: Vec<WayView>) -> AudienceView {
    AudienceView {
        id: id.into(),
        name: name.into(),
        every_s: Some(1800),
        last: None,
        due: due.map(at),
        moment: Moment::First,
        templates: vec![format!("{id}-first"), format!("{id}-update")],
        ways,
    }
}

fn board() -> Board {
    let mail = "127.0.0.1:587 said: 550 no such user";
    let told = |a: AudienceView| {
        let last =
            LastWord { at: at("02:05:10"), by: "ines".into(), message: Some("MSG-1".into()), number: 1, last: false };
        AudienceView { last: Some(last), moment: Moment::Update, ..a }
    };
    let customer = audience(
        "customer",
        "customers",
        Some("02:12:00"),
        vec![
            way("customers", Channel::Email, "2 addresses", Some(Delivery::Failed), mail),
            way("customers", Channel::Webhook, "Slack env:CHAT", None, ""),
        ],
    );
    let crew = audience("warehouse", "warehouses and plants", Some("02:16:40"), Vec::new());
    let board_room = audience("executives", "executives", Some("03:05:10"), Vec::new());
    let attempt = Attempt {
        recipient: "customers".into(),
        channel: Channel::Email,
        at: at("02:05:10"),
        delivery: Delivery::Failed,
        detail: mail.into(),
        ended: Some(at("02:05:12")),
        seq: 1210,
    };
    Board {
        incident: Some("INC-42".into()),
        audiences: vec![customer, crew, told(board_room), audience("regulators", "regulators", None, Vec::new())],
        messages: vec![MessageView {
            id: "MSG-2".into(),
            incident: "INC-42".into(),
            audience: "customer".into(),
            moment: Moment::First,
            subject: "SEV1 disturbance of your Odoo service (INC-42)".into(),
            by: "ines".into(),
            at: at("02:05:10"),
            next: Some(at("02:35:10")),
            delivery: Delivery::Failed,
            attempts: vec![attempt],
            offers: vec![Offer { recipient: "customers".into(), channel: Channel::Webhook }],
        }],
        mute: None,
        calls: Vec::new(),
        duties: Vec::new(),
    }
}

fn told() -> Snapshot {
    Snapshot { comms: Arc::new(board()), ..snapshot() }
}

fn draft() -> DraftView {
    DraftView {
        draft: "1-1".into(),
        incident: "INC-42".into(),
        audience: "customer".into(),
        name: "customers".into(),
        moment: Moment::First,
        template: "customer-first".into(),
        origin: "built-in".into(),
        subject: "SEV1 disturbance of your Odoo service (INC-42)".into(),
        text: "We are working on a disturbance of your Odoo service since 01:59 UTC (02:59 Europe/Berlin).\n\n\
               Affected:\n- entering and confirming orders\n\nNext word from us: 02:43 UTC (03:43 Europe/Berlin)."
            .into(),
        next: Some(at("02:43:00")),
        ways: board().audiences[0].ways.clone(),
        mute: None,
    }
}

fn sent(effects: &[Effect]) -> Vec<(RequestId, Command)> {
    let command = |e: &Effect| match e {
        Effect::Command { id, command } => Some((*id, command.clone())),
        _ => None,
    };
    effects.iter().filter_map(command).collect()
}

fn key(state: &mut State, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    update(state, Msg::Key(KeyEvent::new(code, modifiers)))
}

/// The dialog on a draft, as `U` and Enter lead to it.
fn writing(size: (u16, u16)) -> State {
    let mut state = console(told(), size.0, size.1);
    press(&mut state, "U");
    let asked = sent(&key(&mut state, KeyCode::Enter, KeyModifiers::NONE));
    let [(id, Command::Draft { audience, template: None, .. })] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(audience, "customer", "what is due first has the mark");
    update(&mut state, Msg::Reply { to: *id, reply: Reply::Drafted { view: Box::new(draft()) } });
    assert!(matches!(state.overlays.last(), Some(Overlay::Compose(_))));
    state
}

#[test]
fn the_sheet_counts_down_and_says_what_did_not_arrive() {
    for size in [(80, 24), (120, 40)] {
        let mut state = console(told(), size.0, size.1);
        press(&mut state, "U");
        insta::assert_snapshot!(format!("comms-{}x{}", size.0, size.1), screen(&state));
    }
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "U");
    assert!(screen(&state).contains("No incident is open"), "{}", screen(&state));
}

#[test]
fn a_missed_promise_is_on_every_screen_and_a_near_one_counts_down() {
    assert_eq!(now(), at("02:14:07"));
    let mut state = console(told(), 120, 40);
    let alarms = |state: &State| screen(state).lines().nth(1).unwrap().to_owned();
    assert!(alarms(&state).contains("update of customers OVERDUE 02:07 (U)"), "{}", alarms(&state));
    press(&mut state, "j");
    assert!(alarms(&state).contains("update of customers OVERDUE 02:07 (U)"), "{}", alarms(&state));
    let mut near = board();
    near.audiences.remove(0);
    let state = console(Snapshot { comms: Arc::new(near.clone()), ..snapshot() }, 120, 40);
    assert!(alarms(&state).contains("update of warehouses and plants due in 02:33 (U)"), "{}", alarms(&state));
    near.audiences.remove(0);
    let state = console(Snapshot { comms: Arc::new(near), ..snapshot() }, 120, 40);
    assert!(!alarms(&state).contains("update of"), "{}", alarms(&state));
}

#[test]
fn a_message_is_read_edited_asked_about_and_sent_once() {
    for size in [(80, 24), (120, 40)] {
        let mut state = writing(size);
        insta::assert_snapshot!(format!("compose-{}x{}", size.0, size.1), screen(&state));
        key(&mut state, KeyCode::Char('s'), KeyModifiers::CONTROL);
        insta::assert_snapshot!(format!("compose-send-{}x{}", size.0, size.1), screen(&state));
    }
    let mut state = writing((80, 24));
    type_text(&mut state, "Hello. ");
    key(&mut state, KeyCode::Enter, KeyModifiers::NONE);
    update(&mut state, Msg::Paste("one\u{1b}[2J\ntwo\n".into()));
    key(&mut state, KeyCode::Char('w'), KeyModifiers::CONTROL);
    assert!(screen(&state).contains("changed by hand"), "{}", screen(&state));
    key(&mut state, KeyCode::Char('t'), KeyModifiers::CONTROL);
    assert!(screen(&state).contains("changed by hand: Esc leaves it"), "no edit is lost: {}", screen(&state));
    assert!(sent(&key(&mut state, KeyCode::Char('s'), KeyModifiers::CONTROL)).is_empty(), "it asks first");
    assert!(sent(&key(&mut state, KeyCode::Enter, KeyModifiers::NONE)).is_empty(), "Cancel has the focus");
    assert!(matches!(state.overlays.last(), Some(Overlay::Compose(_))), "the text is still there");
    key(&mut state, KeyCode::Char('s'), KeyModifiers::CONTROL);
    key(&mut state, KeyCode::Tab, KeyModifiers::NONE);
    let asked = sent(&key(&mut state, KeyCode::Enter, KeyModifiers::NONE));
    let [(_, Command::Tell { audience, text, by, draft, .. })] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((audience.as_str(), draft.as_deref()), ("customer", Some("1-1")));
    assert!(text.starts_with("Hello. \none·[2J\ntwoWe are working"), "{text}");
    assert_eq!(by.iter().map(|w| w.channel).collect::<Vec<_>>(), [Channel::Email]);
    assert!(!state.overlays.iter().any(|o| matches!(o, Overlay::Compose(_))));
}

#[test]
fn what_can_not_be_sent_says_so_in_the_dialog() {
    let mut state = writing((80, 24));
    key(&mut state, KeyCode::BackTab, KeyModifiers::NONE);
    for _ in 0..80 {
        key(&mut state, KeyCode::Backspace, KeyModifiers::NONE);
    }
    key(&mut state, KeyCode::Char('s'), KeyModifiers::CONTROL);
    assert!(screen(&state).contains("the subject must be one line of 1 to 200 characters"), "{}", screen(&state));
    assert!(matches!(state.overlays.last(), Some(Overlay::Compose(_))));
}

#[test]
fn what_did_not_arrive_goes_by_the_next_channel_after_a_question() {
    let mut state = console(told(), 80, 24);
    press(&mut state, "U R");
    let shown = screen(&state);
    for part in ["Send MSG-2 again?", "customers by email failed", "It goes to customers by webhook"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    key(&mut state, KeyCode::Tab, KeyModifiers::NONE);
    let asked = sent(&key(&mut state, KeyCode::Enter, KeyModifiers::NONE));
    let [(_, Command::Resend { message, channel, .. })] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((message.as_str(), *channel), ("MSG-2", Some(Channel::Webhook)));
}

#[test]
fn what_was_written_is_not_lost_by_leaving_or_quitting() {
    let mut state = writing((80, 24));
    type_text(&mut state, "Hello. ");
    let effects = key(&mut state, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Quit)), "it asks first: {effects:?}");
    assert!(screen(&state).contains("Quit with a message unsent?"), "{}", screen(&state));
    key(&mut state, KeyCode::Enter, KeyModifiers::NONE);
    assert!(matches!(state.overlays.last(), Some(Overlay::Compose(_))), "Cancel has the focus");
    key(&mut state, KeyCode::Esc, KeyModifiers::NONE);
    assert!(screen(&state).contains("again takes it up"), "{}", screen(&state));
    let effects = key(&mut state, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Quit)), "nor while it is kept: {effects:?}");
    key(&mut state, KeyCode::Enter, KeyModifiers::NONE);
    assert!(sent(&key(&mut state, KeyCode::Enter, KeyModifiers::NONE)).is_empty(), "no draft is asked for");
    let Some(Overlay::Compose(compose)) = state.overlays.last() else { panic!("{:?}", state.overlays) };
    assert!(compose.written().text.starts_with("Hello. "));
    key(&mut state, KeyCode::Esc, KeyModifiers::NONE);
    assert!(state.unsent.is_none(), "left as it is, it is let go");
    key(&mut state, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!screen(&state).contains("a message unsent"), "{}", screen(&state));
}
