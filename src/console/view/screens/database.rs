//! Databases: topology and lag on top, the lock tree in the middle, the chosen session's query below.

use super::super::canvas::{Canvas, cells};
use super::super::widgets::gauge;
use super::panes::{Form, locks, pane};
use super::split;
use crate::console::format::{known, span};
use crate::console::state::{PaneId, State, shown_locks};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::domain::pane::DatabaseRow;
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = &snapshot.panes.databases;
    let wanted = cells(rows.len()).saturating_add(2);
    let (top, rest) = split(area, wanted.min(area.height / 2).max(3));
    pane(canvas, state, snapshot, top, PaneId::Databases, "Database", rows, Form::Table, "no database is configured");
    let detail = u16::from(rest.height >= 6);
    let (strip, rest) = split(rest, detail);
    let slot = state.panes.get(PaneId::Databases).selected();
    if let Some(row) = slot.and_then(|s| rows.get(s.index)) {
        canvas.line(strip, 0, &gauges(canvas, row));
    }
    let query = if rest.height >= 12 { 5 } else { 0 };
    // Right below the tree, however short it is: they are read together.
    let tree = cells(shown_locks(state, snapshot).len()).saturating_add(2).max(3);
    let (middle, below) = split(rest, tree.min(rest.height - query));
    locks(canvas, state, snapshot, middle);
    if query > 0 {
        session(canvas, state, snapshot, below);
    }
}

/// The instance under the cursor: its connections and cache as gauges, its lag.
fn gauges(canvas: &Canvas<'_>, row: &DatabaseRow) -> Strip {
    let glyphs = canvas.theme.glyphs;
    let used = match (row.connections, row.max_connections) {
        (Some(used), Some(most)) if most > 0 => Some(f64::from(used) / f64::from(most)),
        _ => None,
    };
    let mut strip = Strip::of(Role::Strong, format!(" {} ", row.id));
    if row.role == "pgbouncer" {
        let waiting = known(row.clients_waiting, |n| n.to_string());
        strip.push(Role::Text, format!("{waiting} clients wait, at most {}", known(row.max_wait_s, span)));
        return strip;
    }
    strip.push(Role::Dim, " connections ");
    strip.append(gauge(used, 10, &glyphs));
    strip.push(Role::Dim, format!("   lag {}", known(row.lag_s, span)));
    if let Some(hit) = row.cache_hit {
        strip.push(Role::Dim, format!("   cache hit {}", crate::console::format::ratio(hit)));
    }
    if let Some(timeline) = row.timeline {
        strip.push(Role::Dim, format!("   timeline {timeline}"));
    }
    strip
}

/// The session under the cursor of the lock tree.
fn session(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let nodes = shown_locks(state, snapshot);
    let slot = state.panes.get(PaneId::Locks).selected();
    let Some(node) = slot.and_then(|s| nodes.get(s.index)) else {
        canvas.rule(area, 0, &Strip::of(Role::Title, "Query"), &Strip::new());
        canvas.line(area, 1, &Strip::of(Role::Dim, " no session is chosen"));
        return;
    };
    let title = format!("Query of {}", node.pid);
    let right = format!("{}@{} since {}", node.user, node.database, crate::console::format::clock(node.backend_start));
    canvas.rule(area, 0, &Strip::of(Role::Title, title), &Strip::of(Role::Dim, right));
    let width = usize::from(area.width.saturating_sub(2));
    let lines: Vec<_> = wrap(&node.query, width).into_iter().map(|l| Strip::text(format!(" {l}"))).collect();
    canvas.lines(split(area, 1).1, &lines);
}
