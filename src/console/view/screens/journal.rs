//! The journal: every record, newest last; what vouches for it; what it is searched for.

use super::super::canvas::Canvas;
use super::panes::{Form, rows_of};
use super::split;
use crate::console::keymap::Action;
use crate::console::rows::{Custody, custody};
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, fit};
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// Least height of the body at which each custody has a line of its own.
const TALL: u16 = 26;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let journal = &snapshot.journal;
    let custody = custody(journal, state.now());
    let tall = area.height >= TALL;
    let (top, area) = split(area, if tall { 5 } else { 0 });
    if tall {
        canvas.rule(top, 0, &Strip::of(Role::Title, "What vouches for it"), &Strip::new());
        for (row, one) in (1..).zip(&custody) {
            canvas.line(top, row, &in_full(canvas, one));
        }
        canvas.line(top, 4, &Strip::of(Role::Dim, format!("   root       {}  in {}", journal.root, journal.dir)));
    }
    let (head, body) = split(area, 1);
    canvas.rule(head, 0, &title(state), &searched(state));
    let foot = u16::from(!tall && body.height >= 6);
    let (list, below) = split(body, body.height - foot);
    let records = state.records();
    let none = match &state.log.scan {
        Some(scan) if !scan.done => "none found yet".to_owned(),
        Some(_) => format!("no record fits ({} shows all)", state.key(Action::Back)),
        None => "no record yet".to_owned(),
    };
    rows_of(canvas, state, snapshot, list, PaneId::Journal, &|i| records.get(i).copied(), Form::Table, &none);
    canvas.line(below, 0, &in_one_line(canvas, &custody, usize::from(below.width)));
}

fn title(state: &State) -> Strip {
    let mut strip = Strip::of(Role::Title, "Journal, newest last");
    let narrowed = state.log.wanted.words();
    if !narrowed.is_empty() {
        strip.push(Role::Accent, format!(" {narrowed}"));
    }
    if state.log.is_detached() && !state.log.wanted.narrows() {
        strip.push(Role::Warn, " not the newest (End)");
    }
    strip
}

/// How the search stands.
fn searched(state: &State) -> Strip {
    let log = &state.log;
    let Some(scan) = &log.scan else { return Strip::new() };
    let mut strip = Strip::new();
    let seq = state.panes.get(PaneId::Journal).selected_key().and_then(|key| key.parse().ok()).unwrap_or(u64::MAX);
    match log.hit_at(seq) {
        Some((at, of)) => {
            let of = if scan.done { of.to_string() } else { format!("{of}+") };
            strip.push(Role::Accent, format!("/{} ", log.wanted.text));
            strip.push(Role::Text, format!("{at} of {of}"));
        }
        None => strip.push(Role::Text, format!("{} found", scan.hits.len())),
    }
    let words = scan.words();
    if !words.is_empty() {
        let role = if scan.trouble.is_some() { Role::Critical } else { Role::Dim };
        strip.push(role, format!(", {words}"));
    }
    strip
}

fn role(one: &Custody) -> Role {
    match one.health {
        None => Role::Dim,
        Some(Health::Critical) => Role::Alarm,
        Some(health) => health.into(),
    }
}

fn in_full(canvas: &Canvas<'_>, one: &Custody) -> Strip {
    let sign = one.health.map_or(" ", |health| canvas.theme.glyphs.of(health));
    Strip::of(role(one), format!(" {sign} {:<10} ", one.word))
        .and(if one.health == Some(Health::Ok) { Role::Text } else { role(one) }, &one.long)
}

/// The three in one line; where it is too narrow the words in full give way, never one of the three.
fn in_one_line(canvas: &Canvas<'_>, custody: &[Custody; 3], width: usize) -> Strip {
    let ellipsis = canvas.theme.glyphs.ellipsis;
    let build = |longest: usize| {
        let mut strip = Strip::text(" ");
        for (i, one) in custody.iter().enumerate() {
            if i > 0 {
                strip.push(Role::Dim, format!(" {} ", canvas.theme.glyphs.dot));
            }
            strip.push(role(one), one.word);
            strip.push(if one.health == Some(Health::Ok) { Role::Text } else { role(one) }, " ");
            let text = fit(&one.short, longest, ellipsis);
            strip.push(if one.health == Some(Health::Ok) { Role::Text } else { role(one) }, text);
        }
        strip
    };
    (4..=40).rev().map(build).find(|s| s.width() <= width).unwrap_or_else(|| build(3))
}
