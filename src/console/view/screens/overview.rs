//! The overview: worst first, one line to read aloud, everything at a glance.

use super::super::canvas::{Canvas, cells};
use super::panes::{Form, findings, findings_rows, locks, pane};
use super::{halves, share, split};
use crate::console::format::ABSENT;
use crate::console::keymap::Action;
use crate::console::next::headline;
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::pane::Pane;
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// Draws it: one column below 72, two below 150, from there on as [`super::wide`] has it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let area = if area.height > 6 {
        let (head, rest) = split(area, 1);
        canvas.line(head, 0, &Strip::text(" ").and_strip(headline(state, usize::from(head.width.saturating_sub(1)))));
        if area.height < 12 {
            rest
        } else {
            let (strip, rest) = split(rest, 1);
            canvas.line(strip, 0, &roll_up(canvas, state, snapshot, strip.width));
            rest
        }
    } else {
        area
    };
    match area.width {
        _ if state.facts.plain => one(canvas, state, snapshot, area),
        0..72 => narrow(canvas, state, snapshot, area),
        72..150 => two(canvas, state, snapshot, area),
        _ => super::wide::draw(canvas, state, snapshot, area),
    }
}

/// What opens a pane.
pub(super) const fn leads_to(pane: Pane) -> Action {
    match pane {
        Pane::Tenants => Action::Tenants,
        Pane::Database => Action::Database,
        Pane::Queue => Action::Queue,
        Pane::Ingress => Action::Ingress,
        Pane::Platform => Action::Platform,
        Pane::Recovery => Action::Recovery,
        Pane::Delivery => Action::Delivery,
        Pane::Business => Action::Business,
        Pane::Security => Action::Security,
    }
}

/// Every pane in a word with the sign of its worst row; where there is no room, those alone that have no rows below.
/// A pane that nothing is observed for has the sign of nothing.
fn roll_up(canvas: &Canvas<'_>, state: &State, snapshot: &Snapshot, width: u16) -> Strip {
    let glyphs = canvas.theme.glyphs;
    let build = |panes: &[Pane]| {
        let mut strip = Strip::new();
        for pane in panes {
            strip.push(Role::Accent, format!(" {} ", state.key(leads_to(*pane))));
            match snapshot.panes.health(*pane) {
                Some(health) => {
                    let role = if health == Health::Ok { Role::Dim } else { health.into() };
                    strip.push(health.into(), glyphs.of(health));
                    strip.push(role, format!(" {} ", pane.title()));
                }
                None => strip.push(Role::Dim, format!("{ABSENT} {} ", pane.title())),
            }
        }
        strip
    };
    let profile = state.view.profile();
    let all = build(&profile.panes);
    if all.width() <= usize::from(width) {
        return all;
    }
    let general: Vec<Pane> = profile.panes.into_iter().filter(|pane| Pane::GENERAL.contains(pane)).collect();
    build(&general)
}

/// Rows of the findings pane with its rule.
fn findings_height(canvas: &Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) -> u16 {
    let wanted = findings_rows(canvas, state, snapshot, area.width, 30).clamp(1, 30);
    (wanted + 1).min(area.height * 2 / 5).max(area.height.min(2))
}

fn narrow(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    if area.height < 6 {
        return tenants(canvas, state, snapshot, area);
    }
    let (below, above) = (findings_height(canvas, state, snapshot, area), area.height);
    let (top, bottom) = split(area, above - below);
    tenants(canvas, state, snapshot, top);
    findings(canvas, state, snapshot, bottom);
}

/// Everything below everything else, whole.
fn one(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let panes = &snapshot.panes;
    let rows = |n: usize| cells(n.max(1)) + 2;
    let (at, below) = split(area, rows(snapshot.findings.len() * 3));
    findings(canvas, state, snapshot, at);
    let (at, below) = split(below, rows(panes.tenants.len()));
    tenants(canvas, state, snapshot, at);
    let (at, below) = split(below, rows(panes.databases.len()));
    let why = "no database is configured";
    pane(canvas, state, snapshot, at, PaneId::Databases, "Database", &panes.databases, Form::Table, why);
    let (at, below) = split(below, rows(panes.queues.len()));
    let why = "no queue is configured";
    pane(canvas, state, snapshot, at, PaneId::Queues, "Queue", &panes.queues, Form::List(24), why);
    let (at, below) = split(below, rows(panes.ingress.len()));
    let why = "no ingress is configured";
    pane(canvas, state, snapshot, at, PaneId::Ingress, "Ingress", &panes.ingress, Form::Table, why);
    changes(canvas, state, snapshot, below);
}

fn two(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let left = if area.width < 100 { area.width * 53 / 100 } else { area.width * 58 / 100 };
    let (left, wall, right) = halves(area, left);
    let (top, bottom) = split(left, left.height - findings_height(canvas, state, snapshot, left));
    tenants(canvas, state, snapshot, top);
    findings(canvas, state, snapshot, bottom);
    side(canvas, state, snapshot, right);
    canvas.wall(wall);
}

/// The right side of the two-column layout.
fn side(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let panes = &snapshot.panes;
    let tall = area.height >= 28;
    let nodes = if tall { panes.databases.iter().map(|d| d.locks.len()).max().unwrap_or(0) } else { 0 };
    let lock_rows = if nodes > 0 { cells(nodes).min(9) + 2 } else { 0 };
    let wants = [
        cells(panes.databases.len().max(1)),
        cells(panes.queues.len().max(1)),
        cells(panes.ingress.len().max(1)),
        cells((snapshot.changes.len() + told(snapshot)).max(1)).min(12),
    ];
    let rows = share(area.height.saturating_sub(4 + lock_rows), &wants);
    let mut parts = rows.iter().map(|n| n + 1);
    let (at, below) = split(area, parts.next().unwrap_or(0));
    pane(
        canvas,
        state,
        snapshot,
        at,
        PaneId::Databases,
        "Database",
        &panes.databases,
        labels(area, 10),
        "no database is configured",
    );
    let (at, below) = split(below, lock_rows);
    if lock_rows > 0 {
        locks(canvas, state, snapshot, at);
    }
    let (at, below) = split(below, parts.next().unwrap_or(0));
    queue(canvas, state, snapshot, at);
    let (at, below) = split(below, parts.next().unwrap_or(0));
    ingress(canvas, state, snapshot, at);
    changes(canvas, state, snapshot, below);
}

/// A list with labels of at most that width where the pane is narrow.
const fn labels(area: Rect, narrow: u16) -> Form {
    Form::List(if area.width < 45 { narrow } else { 18 })
}

/// The same, and a table where there is room for columns.
const fn columns(area: Rect, narrow: u16) -> Form {
    if area.width < 60 { labels(area, narrow) } else { Form::Table }
}

pub(super) fn tenants(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let form = if area.width < 52 { Form::List(15) } else { Form::Table };
    pane(
        canvas,
        state,
        snapshot,
        area,
        PaneId::Tenants,
        "Tenants",
        &snapshot.panes.tenants,
        form,
        "no tenant is declared",
    );
}

pub(super) fn queue(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = &snapshot.panes.queues;
    pane(canvas, state, snapshot, area, PaneId::Queues, "Queue", rows, columns(area, 13), "no queue is configured");
}

pub(super) fn ingress(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = &snapshot.panes.ingress;
    pane(
        canvas,
        state,
        snapshot,
        area,
        PaneId::Ingress,
        "Ingress",
        rows,
        columns(area, 12),
        "no ingress is configured",
    );
}

/// Rows for what the crew of a drill was told, a line each.
fn told(snapshot: &Snapshot) -> usize {
    snapshot.drill.as_ref().map_or(0, |d| d.messages.len().min(3))
}

/// What the crew was told lately, newest first; whole where there is room for it.
pub(super) fn told_lines(canvas: &Canvas<'_>, snapshot: &Snapshot, width: u16, whole: bool) -> Vec<Strip> {
    let messages = snapshot.drill.as_ref().map(|d| d.messages.as_slice()).unwrap_or_default();
    let arrow = canvas.theme.glyphs.arrow;
    let mut lines = Vec::new();
    for message in messages.iter().rev().take(3) {
        let room = if whole { usize::from(width.saturating_sub(4)) } else { usize::MAX };
        for (i, line) in wrap(message, room).into_iter().enumerate() {
            let lead = if i == 0 { format!(" {arrow} ") } else { "   ".to_owned() };
            lines.push(Strip::of(Role::Accent, lead).and(Role::Text, line));
        }
    }
    lines
}

/// What the crew was told, and what changed.
pub(super) fn changes(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = usize::from(area.height.saturating_sub(1));
    let mut lines = told_lines(canvas, snapshot, area.width, true);
    if lines.len() + snapshot.changes.len().max(1) > rows {
        lines = told_lines(canvas, snapshot, area.width, false);
    }
    let shown = lines.len().min(rows);
    let name = if shown > 0 { "Told and changed" } else { "What changed" };
    pane(
        canvas,
        state,
        snapshot,
        Rect { height: area.height.min(1), ..area },
        PaneId::Changes,
        name,
        &snapshot.changes,
        labels(area, 12),
        "",
    );
    let (_, body) = split(area, 1);
    let (head, rest) = split(body, cells(shown));
    canvas.lines(head, &lines);
    super::panes::rows_of(
        canvas,
        state,
        snapshot,
        rest,
        PaneId::Changes,
        &|i| snapshot.changes.get(i),
        labels(area, 12),
        "nothing in the last hours",
    );
}
