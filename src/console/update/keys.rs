//! From keys, pasted text and the mouse to actions: the topmost layer first.

use super::act::act;
use super::{comms, dialogs, log, palette, say, send};
use crate::console::effect::Effect;
use crate::console::keymap::Action;
use crate::console::state::{Awaited, Button, FieldKind, Focus, Overlay, PaneId, SheetKind, State, Writing};
use crate::console::theme::Role;
use crate::domain::text::sanitize;
use crate::engine::api::{Command, StepState};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jiff::SignedDuration;
use tui_textarea::TextArea;

/// Absence after which `since you left` begins.
const AWAY: SignedDuration = SignedDuration::from_secs(60);

/// Takes in a key.
pub fn press(state: &mut State, key: &KeyEvent, effects: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    state.touch();
    let now = state.now();
    if now.duration_since(state.last_key) >= AWAY {
        state.left_at = Some(state.last_key);
    }
    state.last_key = now;
    let binding = state.facts.keys.lookup(state.place(), key);
    // A key that is held down moves; it never opens, presses or stops anything.
    if key.kind == KeyEventKind::Repeat && binding.is_some_and(|b| !moves(b.action)) {
        return;
    }
    state.notice = None;
    hold(state, effects);
    match binding {
        Some(binding) if binding.scope.is_always() => act(state, binding.action, effects),
        Some(binding) if state.overlays.is_empty() => act(state, binding.action, effects),
        Some(binding) => in_overlay(state, binding.action, effects),
        None => type_key(state, key),
    }
}

/// Any key keeps a step from running by itself.
fn hold(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(snapshot) = state.snapshot.clone() else { return };
    let counting = snapshot.runs.iter().filter_map(|run| {
        let step = run.steps.get(run.current)?;
        let counts = step.state == StepState::AwaitsConfirmation && step.by_itself_at.is_some();
        counts.then(|| (run.id.clone(), step.id.clone()))
    });
    for (run, step) in counting {
        say(state, Role::Warn, format!("{step} is kept from running by itself; it waits for you"));
        send(state, Command::Hold { run, step }, Awaited::Other("keeping a step back"), effects);
    }
}

const fn moves(action: Action) -> bool {
    matches!(action, Action::Up | Action::Down | Action::PageUp | Action::PageDown)
}

/// Takes in pasted text: into the text field with the focus, and nowhere else. A phrase that has to be typed
/// can not be pasted.
pub fn paste(state: &mut State, text: &str) {
    state.touch();
    if let Some(Overlay::Compose(compose)) = state.overlays.last_mut()
        && compose.focus == Writing::Text
    {
        let lines: Vec<String> = text.lines().map(sanitize).collect();
        compose.text.insert_str(lines.join("\n"));
        return;
    }
    let text = sanitize(text.trim_end_matches(['\r', '\n']));
    match state.overlays.last_mut() {
        Some(Overlay::Compose(compose)) => {
            if let Some(area) = compose.focused_text() {
                area.insert_str(text);
            }
        }
        Some(Overlay::Form(form)) => {
            if let Some(area) = form.focused_text() {
                area.insert_str(text);
            }
        }
        Some(Overlay::Palette(found)) => {
            found.input.insert_str(text);
            palette::search(state);
        }
        Some(Overlay::Filter(filter)) => {
            filter.input.insert_str(text);
            dialogs::apply_filter(state);
        }
        Some(Overlay::Confirm(_) | Overlay::Asked(_)) => {
            say(state, Role::Warn, "pasted text is ignored here: read, then press or type");
        }
        Some(Overlay::Sheet(_) | Overlay::Question(_)) | None => {
            say(state, Role::Dim, "pasted text is ignored where there is no text field");
        }
    }
}

/// Takes in what a person has made of a text in their own editor.
pub fn edited(state: &mut State, edited: Result<String, String>) {
    state.touch();
    let text = match edited {
        Ok(text) => text,
        Err(why) => return say(state, Role::Critical, why),
    };
    let put = |area: &mut TextArea<'static>, text: &str| {
        area.select_all();
        area.cut();
        area.insert_str(text);
    };
    match state.overlays.last_mut() {
        Some(Overlay::Compose(compose)) if compose.focus == Writing::Text => {
            let lines: Vec<String> = text.trim_end().lines().map(sanitize).collect();
            put(&mut compose.text, &lines.join("\n"));
        }
        Some(Overlay::Compose(compose)) => {
            if let Some(area) = compose.focused_text() {
                put(area, &sanitize(text.trim()));
            }
        }
        Some(Overlay::Form(form)) => {
            if let Some(area) = form.focused_text() {
                put(area, &sanitize(text.trim()));
            }
        }
        _ => say(state, Role::Warn, "the dialog has closed meanwhile: the text that was edited is not used"),
    }
}

/// The text of the field with the focus, for the person's own editor.
fn edit_outside(state: &mut State, effects: &mut Vec<Effect>) {
    let text = match state.overlays.last_mut() {
        Some(Overlay::Compose(compose)) => compose.focused_text().map(|area| area.lines().join("\n")),
        Some(Overlay::Form(form)) if !form.is_secret() => form.focused_text().map(|area| area.lines().join("\n")),
        _ => None,
    };
    match text {
        Some(text) => effects.push(Effect::EditOutside(text)),
        None => say(state, Role::Dim, "there is no text to edit in this field"),
    }
}

/// An action of the table while something lies on top.
pub(super) fn in_overlay(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::EditOutside {
        return edit_outside(state, effects);
    }
    let page = usize::from(state.size.1.saturating_sub(8)).max(1);
    match state.overlays.last_mut() {
        Some(Overlay::Sheet(sheet)) => match action {
            Action::Copy
            | Action::SaveProof
            | Action::Logs
            | Action::Write
            | Action::AskAgain
            | Action::AcknowledgeCall => {
                act(state, action, effects);
            }
            Action::NextPane | Action::PreviousPane if sheet.kind == SheetKind::Comms => {
                comms::turn(state, action == Action::NextPane);
            }
            Action::NextPane | Action::PreviousPane if sheet.kind == SheetKind::Logs => {
                sheet.scroll = 0;
                super::logs::turn(state, action == Action::NextPane, effects);
            }
            Action::NextPane | Action::PreviousPane => {
                sheet.scroll = 0;
                if let Some(looked) = &mut state.looked {
                    looked.turn(action == Action::NextPane);
                }
            }
            _ => sheet.scroll = scrolled(sheet.scroll, action, page),
        },
        Some(Overlay::Confirm(dialog)) => match action {
            Action::MoveFocus => dialog.focus = dialog.focus.other(),
            Action::Press => dialogs::press_confirm(state, effects),
            _ => {
                let rows = usize::from(crate::console::layout::confirm(state.size, dialog).rows);
                dialog.scroll = scrolled(dialog.scroll, action, rows.max(1));
            }
        },
        Some(Overlay::Asked(asked)) => match action {
            Action::MoveFocus => asked.focus = asked.focus.next(),
            Action::TurnRole => asked.turn_role(),
            Action::NextRequest => {
                let after = asked.request.id.clone();
                state.overlays.pop();
                dialogs::requests(state, Some(&after));
            }
            Action::Press => dialogs::press_asked(state, effects),
            _ => {
                let rows = usize::from(crate::console::layout::asked(state.size, asked).rows);
                asked.scroll = scrolled(asked.scroll, action, rows.max(1));
            }
        },
        Some(Overlay::Question(question)) => match action {
            Action::MoveFocus => question.focus = question.focus.other(),
            Action::Press => {
                let (yes, then) = (question.focus == Button::Run, question.action);
                state.overlays.pop();
                if yes {
                    dialogs::answered(state, then, effects);
                }
            }
            _ => {}
        },
        Some(Overlay::Compose(_)) => comms::in_compose(state, action, effects),
        Some(Overlay::Form(form)) => match action {
            Action::NextPane => form.focus = form.next(),
            Action::PreviousPane => form.focus = form.previous(),
            Action::Press => dialogs::press_form(state, effects),
            _ => {}
        },
        Some(Overlay::Palette(found)) => match action {
            Action::Up => found.at = found.at.saturating_sub(1),
            Action::Down => found.at = (found.at + 1).min(found.found.len().saturating_sub(1)),
            Action::Press => palette::choose(state, effects),
            _ => {}
        },
        Some(Overlay::Filter(filter)) if action == Action::Press => {
            let searches = filter.pane == PaneId::Journal;
            state.overlays.pop();
            if searches {
                log::keep(state, effects);
            }
        }
        Some(Overlay::Filter(_)) | None => {}
    }
}

/// A scroll position after a move; the caller keeps it within the text.
fn scrolled(at: usize, action: Action, page: usize) -> usize {
    match action {
        Action::Up => at.saturating_sub(1),
        Action::Down => at.saturating_add(1),
        Action::PageUp => at.saturating_sub(page),
        Action::PageDown => at.saturating_add(page),
        Action::Top => 0,
        Action::Bottom => usize::MAX / 2,
        _ => at,
    }
}

/// A key that means nothing in this place: text, where there is a field.
fn type_key(state: &mut State, key: &KeyEvent) {
    match state.overlays.last_mut() {
        Some(Overlay::Form(form)) => {
            let sideways = matches!(key.code, KeyCode::Left | KeyCode::Right);
            let on_choice = matches!(form.focus, Focus::Field(i)
                if form.fields.get(i).is_some_and(|f| matches!(f.kind, FieldKind::Choice { .. })));
            if sideways && on_choice {
                form.turn(key.code == KeyCode::Right);
            } else if sideways && !matches!(form.focus, Focus::Field(_)) {
                form.focus = if form.focus == Focus::Cancel { Focus::Send } else { Focus::Cancel };
            } else if let Some(area) = form.focused_text() {
                edit(area, key);
            }
            form.error = None;
        }
        Some(Overlay::Compose(compose)) => {
            compose.error = None;
            let sideways = matches!(key.code, KeyCode::Left | KeyCode::Right);
            if sideways && compose.focused_text().is_none() {
                compose.focus = if compose.focus == Writing::Cancel { Writing::Send } else { Writing::Cancel };
            } else if let Some(area) = compose.focused_text() {
                edit(area, key);
            }
        }
        Some(Overlay::Confirm(dialog)) => {
            if let Some(typed) = &mut dialog.typed {
                edit(&mut typed.input, key);
            }
        }
        Some(Overlay::Palette(found)) => {
            edit(&mut found.input, key);
            palette::search(state);
        }
        Some(Overlay::Filter(filter)) => {
            edit(&mut filter.input, key);
            dialogs::apply_filter(state);
        }
        Some(Overlay::Sheet(_) | Overlay::Question(_) | Overlay::Asked(_)) | None => {}
    }
}

/// Edits a field of one line: nothing that breaks the line or yanks what was cut elsewhere.
fn edit(area: &mut TextArea<'static>, key: &KeyEvent) {
    let breaks = key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('m' | 'j' | 'y'));
    if !breaks && !matches!(key.code, KeyCode::Enter | KeyCode::Tab | KeyCode::BackTab) {
        area.input(*key);
    }
}
