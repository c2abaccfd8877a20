//! Going from place to place: jumps, marks, own keys, the mouse; and what calls a person who looks elsewhere.

use crate::fixture::{calm, console, drill, snapshot};
use crate::keys::{has_confirm, pressed, with_run};
use crate::{press, screen, theme};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEventKind};
use quarterdeck::console::effect::Effect;
use quarterdeck::console::keymap::Keymap;
use quarterdeck::console::msg::{Msg, Target};
use quarterdeck::console::state::{Overlay, PaneId, Screen, SheetKind, State};
use quarterdeck::console::theme::ColorDepth;
use quarterdeck::console::{update, view};
use quarterdeck::engine::api::StepState;
use std::sync::Arc;

#[test]
fn places_are_gone_back_to_and_on_from_with_their_cursors() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "t Down Down Down");
    let chosen = state.panes.get(PaneId::Tenants).selected_key().unwrap().to_owned();
    press(&mut state, "d Tab q i");
    assert_eq!(state.screen, Screen::Ingress);
    press(&mut state, "< <");
    assert_eq!((&state.screen, state.focus), (&Screen::Database, 1));
    press(&mut state, "C-o");
    assert_eq!(state.screen, Screen::Tenants);
    assert_eq!(state.panes.get(PaneId::Tenants).selected_key(), Some(chosen.as_str()));
    press(&mut state, "> >");
    assert_eq!(state.screen, Screen::Queue);
    // Whoever goes elsewhere has no place to go on to any more.
    press(&mut state, "j >");
    assert_eq!(state.screen, Screen::Journal);
    assert_eq!(state.notice.as_ref().unwrap().text, "there is no place to go on to");
}

#[test]
fn what_is_marked_is_found_again() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "'");
    assert!(state.overlays.is_empty() && state.notice.as_ref().unwrap().text.contains("nothing is marked"));
    press(&mut state, "t Down Down *");
    let marked = state.panes.get(PaneId::Tenants).selected_key().unwrap().to_owned();
    assert!(screen(&state).lines().any(|l| l.starts_with('*')), "{}", screen(&state));
    press(&mut state, "f *");
    let finding = state.panes.get(PaneId::Findings).selected_key().unwrap().to_owned();
    press(&mut state, "j ' Enter");
    assert_eq!(state.screen, Screen::Finding(finding.as_str().into()), "the newest mark is the first");
    press(&mut state, "o ' Down Enter");
    let Some(Overlay::Sheet(sheet)) = state.overlays.last() else { panic!("no sheet") };
    assert_eq!(sheet.kind, SheetKind::Row(PaneId::Tenants, marked));
    press(&mut state, "Esc t *");
    assert_eq!(state.marks.len(), 1, "the second time takes the mark away");
}

#[test]
fn own_keys_are_what_acts_and_what_is_shown() {
    let mut state = console(snapshot(), 120, 40);
    let keys = Keymap::own("keys.toml", "down = [\"j\", \"Down\"]\njournal = [\"F2\"]\n").unwrap();
    state.facts = state.facts.clone().typing(keys);
    press(&mut state, "t j");
    assert_eq!((&state.screen, state.panes.get(PaneId::Tenants).at()), (&Screen::Tenants, 1));
    press(&mut state, "?");
    assert!(screen(&state).contains("j Down "), "{}", screen(&state));
    press(&mut state, "Esc o");
    assert!(screen(&state).contains(" F2 journal"), "{}", screen(&state));
    update(&mut state, Msg::Key(KeyEvent::new(KeyCode::F(2), KeyModifiers::NONE)));
    assert_eq!(state.screen, Screen::Journal);
}

fn targets(state: &State) -> view::Targets {
    let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, state.size.0, state.size.1));
    view::paint(state, &theme(ColorDepth::True, true), &mut buffer)
}

/// What the mouse does at the first place of a text on the screen.
fn click(state: &mut State, text: &str) -> Vec<Effect> {
    let (shown, targets) = (screen(state), targets(state));
    let (row, line) =
        shown.lines().enumerate().find(|(_, l)| l.contains(text)).unwrap_or_else(|| panic!("{text}: {shown}"));
    let column = line[..line.find(text).unwrap()].chars().count();
    let on = targets.at(u16::try_from(column).unwrap(), u16::try_from(row).unwrap());
    update(state, Msg::Mouse { kind: MouseEventKind::Down(MouseButton::Left), on })
}

#[test]
fn a_click_chooses_a_second_one_opens_and_none_confirms() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "t");
    click(&mut state, "t044");
    assert_eq!(state.panes.get(PaneId::Tenants).selected_key(), Some("t044"));
    assert!(state.overlays.is_empty());
    click(&mut state, "t044");
    assert!(matches!(state.overlays.last(), Some(Overlay::Sheet(_))));
    // What lies below a sheet can not be clicked; the row at its left edge is the tenants'.
    assert!(matches!(targets(&state).at(2, 6), Some(Target::Row(..))), "{}", screen(&state));
    let below = Msg::Mouse { kind: MouseEventKind::Down(MouseButton::Left), on: targets(&state).at(2, 6) };
    assert!(update(&mut state, below).is_empty());
    assert_eq!(state.panes.get(PaneId::Tenants).selected_key(), Some("t044"));
    press(&mut state, "Esc");
    click(&mut state, "? help");
    assert!(matches!(state.overlays.last(), Some(Overlay::Sheet(s)) if matches!(s.kind, SheetKind::Help(_))));
    // A dialog that confirms a step takes keys alone.
    let mut state = console(pressed(), 120, 40);
    press(&mut state, "p Space Enter");
    if !has_confirm(&state) {
        press(&mut state, "Enter");
    }
    assert!(has_confirm(&state));
    let before = screen(&state);
    for button in ["Cancel", "Run"] {
        assert!(click(&mut state, button).is_empty());
    }
    assert_eq!(screen(&state), before);
}

#[test]
fn what_a_person_would_look_up_for_is_told_once() {
    let calls = |effects: Vec<Effect>| -> Vec<String> {
        effects.into_iter().filter_map(|e| if let Effect::Call(text) = e { Some(text) } else { None }).collect()
    };
    let mut state = console(calm(), 120, 40);
    let told = calls(update(&mut state, Msg::Snapshot(Arc::new(snapshot()))));
    assert!(told.iter().any(|t| t.starts_with("critical: ")), "{told:?}");
    assert_eq!(calls(update(&mut state, Msg::Snapshot(Arc::new(snapshot())))), [""; 0]);
    let done = with_run(|run| {
        let current = run.current;
        run.steps[current].state = StepState::Failed;
    });
    let told = calls(update(&mut state, Msg::Snapshot(Arc::new(done))));
    assert!(told.iter().any(|t| t.ends_with(" failed")), "{told:?}");
    let mut state = console(calm(), 120, 40);
    let drill = calls(update(&mut state, Msg::Snapshot(Arc::new(drill()))));
    assert!(drill.iter().all(|t| t.starts_with("DRILL ")) && !drill.is_empty(), "{drill:?}");
}

#[test]
fn the_title_of_the_window_says_how_it_stands() {
    let mut state = console(calm(), 120, 40);
    assert!(state.title.ends_with("- quarterdeck") && state.title.starts_with("ok "), "{}", state.title);
    let effects = update(&mut state, Msg::Snapshot(Arc::new(snapshot())));
    let title = effects.iter().find_map(|e| if let Effect::Title(t) = e { Some(t.as_str()) } else { None });
    assert!(title.unwrap().contains("INC-"), "{title:?}");
}

#[test]
fn what_an_editor_leaves_stands_in_the_field_and_secrets_never_leave_it() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "N");
    let asked = press(&mut state, "C-g");
    assert!(matches!(asked.as_slice(), [Effect::EditOutside(text)] if text.is_empty()), "{asked:?}");
    update(&mut state, Msg::Edited(Ok("pump\u{1b}[2J failed\n".into())));
    assert!(screen(&state).contains("pump·[2J failed"), "{}", screen(&state));
    update(&mut state, Msg::Edited(Err("the text stays as it was: vi: not found".into())));
    assert!(screen(&state).contains("pump·[2J failed") && screen(&state).contains("vi: not found"));
}
