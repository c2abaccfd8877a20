//! What lies on top of a screen.

use super::canvas::{Canvas, cells};
use super::widgets::window;
use crate::console::estates;
use crate::console::keymap::Action;
use crate::console::layout::{self, body, centered};
use crate::console::msg::Target;
use crate::console::sheet;
use crate::console::state::{
    Answering, Asked, Button, Confirm, Field, FieldKind, Focus, Form, Offers, Overlay, Palette, Question, Sheet, State,
};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use ratatui::layout::Rect;
use ratatui::widgets::Widget as _;
use tui_textarea::TextArea;

/// Draws the topmost alone.
pub fn draw_top(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    if let Some(overlay) = state.overlays.last() {
        one(canvas, state, area, overlay);
    }
}

fn one(canvas: &mut Canvas<'_>, state: &State, area: Rect, overlay: &Overlay) {
    match overlay {
        Overlay::Sheet(sheet) => draw_sheet(canvas, state, sheet),
        Overlay::Confirm(dialog) => confirm(canvas, state, dialog),
        Overlay::Asked(shown) => asked(canvas, state, shown),
        Overlay::Question(question) => ask(canvas, state, area, question),
        Overlay::Compose(shown) => super::compose::compose(canvas, state, shown),
        Overlay::Form(dialog) => form(canvas, state, area, dialog),
        Overlay::Palette(found) => palette(canvas, state, area, found),
        Overlay::Filter(_) => {}
    }
}

/// Draws what lies on top; the filter line is part of the hints.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    for overlay in &state.overlays {
        one(canvas, state, area, overlay);
    }
}

/// In which estate a dialog was opened, where this console holds several.
pub(super) fn whose(state: &State) -> Strip {
    if state.estates.are_several() { Strip::of(Role::Strong, estates::own_words(state)) } else { Strip::new() }
}

fn draw_sheet(canvas: &mut Canvas<'_>, state: &State, shown: &Sheet) {
    let (width, rows) = layout::sheet_text(state.size);
    let lines = sheet::lines(state, &shown.kind, width);
    // No higher than its text: what lies below it is still to be seen.
    let longest = layout::sheet(state.size);
    let edges = longest.height.saturating_sub(rows);
    let height = u16::try_from(lines.len()).map_or(longest.height, |lines| lines.saturating_add(edges));
    let area = Rect { height: height.min(longest.height), ..longest };
    let more = lines.len().saturating_sub(shown.scroll + usize::from(rows));
    let right =
        if more > 0 { Strip::of(Role::Accent, format!("{more} more below")) } else { Strip::of(Role::Dim, "end") };
    let inner = canvas.framed(area, &Strip::of(Role::Title, sheet::title(state, &shown.kind)), &right);
    let text = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    canvas.lines(text, lines.iter().skip(shown.scroll));
}

fn confirm(canvas: &mut Canvas<'_>, state: &State, dialog: &Confirm) {
    let placed = layout::confirm(state.size, dialog);
    let (number, of) = dialog.number;
    let title = Strip::of(Role::Title, format!("Confirm step {number}/{of}: {} ", dialog.name))
        .and(dialog.risk.into(), format!("risk {}", dialog.risk.to_string().to_uppercase()));
    let right = Strip::of(Role::Dim, format!("plan {}", dialog.generation));
    let inner = canvas.framed(placed.area, &title, &right);
    if inner.height == 0 {
        return;
    }
    let text = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let head: Vec<_> = placed.head.iter().map(|l| Strip::of(Role::Strong, l)).collect();
    let mut row = canvas.lines(text, &head);
    let total = placed.lines.len();
    let last = (dialog.scroll + usize::from(placed.rows)).min(total);
    let page = if total > usize::from(placed.rows) {
        let role = if dialog.read { Role::Dim } else { Role::Warn };
        Strip::of(role, format!("lines {}-{last} of {total}", dialog.scroll + 1))
    } else {
        Strip::of(Role::Dim, "all of it")
    };
    canvas.rule(
        inner,
        row,
        &Strip::of(Role::Dim, format!("{} {} digest {}", dialog.what, canvas.theme.glyphs.dot, dialog.digest.short())),
        &page,
    );
    row += 1;
    for (line, at) in placed.lines.iter().skip(dialog.scroll).zip(0..placed.rows) {
        canvas.text(text, 0, row + at, Role::Text, line);
    }
    row += placed.rows;
    canvas.rule(inner, row, &Strip::new(), &Strip::new());
    row += 1;
    if let Some(typed) = &dialog.typed {
        let question = format!("type {} to confirm: ", typed.phrase);
        canvas.text(text, 0, row, Role::Text, &question);
        let at = cells(question.chars().count());
        input(
            canvas,
            Rect {
                x: text.x + at.min(text.width),
                y: text.y + row,
                width: text.width.saturating_sub(at).min(24),
                height: u16::from(row < text.height),
            },
            &typed.input,
            true,
        );
        row += 1;
    }
    match dialog.obstacle() {
        Some(why) => canvas.text(text, 0, row, Role::Warn, &format!("Not yet: {why}")),
        None => canvas.text(text, 0, row, Role::Ok, "Ready: nothing stands in the way."),
    }
    canvas.buttons(text, row + 1, &[("Cancel", dialog.focus == Button::Cancel), ("Run", dialog.focus == Button::Run)]);
}

fn asked(canvas: &mut Canvas<'_>, state: &State, shown: &Asked) {
    let placed = layout::asked(state.size, shown);
    let at = shown.waiting.iter().position(|id| *id == shown.request.id).map_or(1, |at| at + 1);
    let title = Strip::of(Role::Title, format!("Request {}", shown.request.id));
    let others: Vec<&str> = shown.waiting.iter().filter(|id| **id != shown.request.id).map(String::as_str).collect();
    let more = if others.is_empty() { String::new() } else { format!(", then {}", others.join(" ")) };
    let right = Strip::of(Role::Dim, format!("{at} of {} waiting{more}", shown.waiting.len()));
    let inner = canvas.framed(placed.area, &title, &right);
    if inner.height == 0 {
        return;
    }
    let text = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let head: Vec<_> = placed.head.iter().map(|l| Strip::of(Role::Strong, l)).collect();
    let mut row = canvas.lines(text, &head);
    let total = placed.lines.len();
    let last = (shown.scroll + usize::from(placed.rows)).min(total);
    let role = if shown.read { Role::Dim } else { Role::Warn };
    let page = if total > usize::from(placed.rows) {
        Strip::of(role, format!("lines {}-{last} of {total}", shown.scroll + 1))
    } else {
        Strip::of(Role::Dim, "all of it")
    };
    canvas.rule(inner, row, &Strip::of(Role::Dim, "what is signed"), &page);
    row += 1;
    for (line, at) in placed.lines.iter().skip(shown.scroll).zip(0..placed.rows) {
        canvas.text(text, 0, row + at, Role::Text, line);
    }
    row += placed.rows;
    canvas.rule(inner, row, &Strip::new(), &Strip::new());
    row += 1;
    match shown.obstacle() {
        Some(why) => canvas.text(text, 0, row, Role::Warn, &format!("Not yet: {why}")),
        None => canvas.text(text, 0, row, Role::Ok, "Read: your ssh-agent can sign it."),
    }
    let focus = |button| shown.focus == button;
    let buttons = [
        ("Cancel", focus(Answering::Cancel)),
        ("Deny", focus(Answering::Deny)),
        ("Approve", focus(Answering::Approve)),
    ];
    canvas.buttons(text, row + 1, &buttons);
}

fn ask(canvas: &mut Canvas<'_>, state: &State, area: Rect, question: &Question) {
    let inner = body(area);
    let width = inner.width.min(78);
    let lines: Vec<_> = question.lines.iter().flat_map(|l| wrap(l, usize::from(width.saturating_sub(4)))).collect();
    let area = centered(inner, width, cells(lines.len()) + 4);
    let inner = canvas.framed(area, &Strip::of(Role::Title, &question.title), &whose(state));
    let text = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let lines: Vec<_> = lines.iter().map(Strip::text).collect();
    canvas.lines(text, &lines);
    let last = inner.height.saturating_sub(1);
    canvas.buttons(
        text,
        last,
        &[("Cancel", question.focus == Button::Cancel), (question.yes, question.focus == Button::Run)],
    );
}

pub(super) fn input(canvas: &mut Canvas<'_>, area: Rect, text: &TextArea<'static>, focused: bool) {
    let area = area.intersection(canvas.buffer().area);
    if area.width == 0 || area.height == 0 {
        return;
    }
    let style = canvas.theme.style(Role::Input);
    let mut shown = text.clone();
    shown.set_style(style);
    shown.set_cursor_style(if focused { canvas.theme.style(Role::Focus) } else { style });
    shown.render(area, canvas.buffer());
}

fn form(canvas: &mut Canvas<'_>, state: &State, area: Rect, dialog: &Form) {
    let outer = body(area);
    let width = outer.width.min(92);
    let text_width = usize::from(width.saturating_sub(4));
    let intro: Vec<_> = dialog.intro.iter().flat_map(|l| wrap(l, text_width)).collect();
    let error: Vec<_> = dialog.error.iter().flat_map(|l| wrap(l, text_width)).collect();
    let per_field: u16 = 2;
    let fields = cells(dialog.fields.len()).saturating_mul(per_field);
    let fixed = fields + cells(error.len()) + 4;
    let room = outer.height.saturating_sub(fixed);
    let intro_rows = cells(intro.len()).min(room);
    let area = centered(outer, width, fixed + intro_rows);
    let title = Strip::of(if dialog.danger { Role::Warn } else { Role::Title }, &dialog.title);
    let inner = canvas.framed(area, &title, &whose(state));
    let text = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let shown: Vec<_> = intro.iter().take(usize::from(intro_rows)).map(|l| Strip::of(Role::Dim, l)).collect();
    let mut row = canvas.lines(text, &shown) + u16::from(intro_rows < room);
    let label = dialog.fields.iter().map(|f| f.label.chars().count()).max().unwrap_or(0);
    let label = cells(label).min(text.width / 3);
    // When there is no room for all fields, those around the focus are shown.
    let focus = match dialog.focus {
        Focus::Field(i) => i,
        Focus::Cancel | Focus::Send => dialog.fields.len().saturating_sub(1),
    };
    let fit = usize::from(text.height.saturating_sub(row + cells(error.len()) + 1) / per_field).max(1);
    let first = window(dialog.fields.len(), fit, focus);
    for (i, field) in dialog.fields.iter().enumerate().skip(first).take(fit) {
        draw_field(canvas, text, row, label, field, dialog.focus == Focus::Field(i));
        row += per_field;
    }
    for line in &error {
        canvas.text(text, 0, row, Role::Critical, line);
        row += 1;
    }
    let last = inner.height.saturating_sub(1);
    canvas.clear(Rect { y: text.y + last, height: u16::from(inner.height > 0), ..text });
    canvas.buttons(
        text,
        last,
        &[("Cancel", dialog.focus == Focus::Cancel), (dialog.send, dialog.focus == Focus::Send)],
    );
}

fn draw_field(canvas: &mut Canvas<'_>, area: Rect, row: u16, label: u16, field: &Field, focused: bool) {
    let mark = if focused { canvas.theme.glyphs.cursor } else { " " };
    canvas.text(area, 0, row, Role::Accent, mark);
    canvas.text(area, 1, row, if focused { Role::Strong } else { Role::Text }, &field.label);
    let at = label + 3;
    let place = Rect {
        x: area.x + at.min(area.width),
        y: area.y + row,
        width: area.width.saturating_sub(at),
        height: u16::from(row < area.height),
    };
    match &field.kind {
        FieldKind::Text(text) => input(canvas, place, text, focused),
        FieldKind::Choice { options, at } => {
            let chosen = options.get(*at).map_or("?", |(_, label)| label.as_str());
            let role = if focused { Role::Focus } else { Role::Input };
            let strip = Strip::of(Role::Accent, "< ").and(role, chosen).and(Role::Accent, " >");
            canvas.line(place, 0, &strip);
        }
    }
    if focused {
        canvas.text(area, at, row + 1, Role::Dim, &field.help);
    }
}

fn palette(canvas: &mut Canvas<'_>, state: &State, area: Rect, found: &Palette) {
    let outer = body(area);
    let width = outer.width.min(90.max(outer.width / 5 * 3));
    let height = (cells(found.found.len().max(1)) + 4).min(outer.height);
    let area = Rect { height, ..centered(outer, width, outer.height) };
    let (keep, close) = (state.key(Action::Press), state.key(Action::Back));
    let (title, hint) = match found.offers {
        Offers::Themes => ("Themes", format!("as you go through them; {keep} keeps, {close} does not")),
        Offers::Marks => ("Marks", format!("{close} closes")),
        Offers::Everything => ("Palette", format!("{} of everything; {close} closes", found.found.len())),
    };
    let inner = canvas.framed(area, &Strip::of(Role::Title, title), &Strip::of(Role::Dim, hint));
    if inner.height == 0 {
        return;
    }
    canvas.text(inner, 1, 0, Role::Accent, ":");
    input(
        canvas,
        Rect { x: inner.x + 3, width: inner.width.saturating_sub(4), height: 1, ..inner },
        &found.input,
        true,
    );
    let list = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    if found.found.is_empty() {
        canvas.text(list, 1, 0, Role::Dim, "nothing fits");
    }
    let first = window(found.found.len(), usize::from(list.height), found.at);
    for (row, (i, (item, label, key, danger))) in (0..list.height).zip(found.found.iter().enumerate().skip(first)) {
        let stop = matches!(item, crate::console::state::PaletteItem::Act(Action::EmergencyStop));
        let role = if stop {
            Role::Critical
        } else if *danger {
            Role::Warn
        } else {
            Role::Text
        };
        canvas.line(Rect { width: list.width.saturating_sub(12), ..list }, row, &Strip::text(" ").and(role, label));
        canvas.right(Rect { width: list.width.saturating_sub(1), ..list }, row, &Strip::of(Role::Accent, key));
        let line = Rect { y: list.y + row, height: 1, ..list };
        canvas.point(line, Target::Line(i));
        if i == found.at {
            canvas.text(line, 0, 0, Role::Cursor, canvas.theme.glyphs.cursor);
            canvas.tint(line, Role::Cursor);
        }
    }
}
