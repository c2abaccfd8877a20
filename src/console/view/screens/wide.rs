//! The overview on a screen that is wide: three columns. Tenants with every other pane below them; databases, queues and
//! ingress as tables; findings with the series that the worst of them rests on, what was told and what changed.

use super::super::canvas::{Canvas, cells};
use super::finding::evidence;
use super::overview::{changes, ingress, leads_to, queue, tenants, told_lines};
use super::panes::{Form, findings, findings_rows, locks, pane};
use super::{halves, share, split};
use crate::console::msg::Target;
use crate::console::state::{PaneId, State};
use crate::domain::finding::Finding;
use crate::domain::pane::Pane;
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// Rows of a chart with its rule.
const CHART: u16 = 10;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let (left, wall, rest) = halves(area, area.width * 38 / 100);
    let (middle, second, right) = halves(rest, rest.width * 56 / 100);
    first(canvas, state, snapshot, left);
    stores(canvas, state, snapshot, middle);
    rail(canvas, state, snapshot, right);
    canvas.wall(wall);
    canvas.wall(second);
}

/// Tenants, and the panes that are about no tenant where rows are left.
fn first(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let wanted = cells(snapshot.panes.tenants.len().max(1)).saturating_add(2);
    let (top, bottom) = split(area, wanted.max(area.height / 3));
    // A rule and two rows each, or none.
    let shown: Vec<Pane> = (state.view.profile().panes.iter().copied())
        .filter(|pane| Pane::GENERAL.contains(pane) && !snapshot.panes.subjects(*pane).is_empty())
        .take(usize::from(bottom.height / 3))
        .collect();
    if shown.is_empty() {
        return tenants(canvas, state, snapshot, area);
    }
    tenants(canvas, state, snapshot, top);
    let wants: Vec<u16> = shown.iter().map(|pane| cells(snapshot.panes.subjects(*pane).len())).collect();
    let rows = share(bottom.height.saturating_sub(cells(shown.len())), &wants);
    let mut rest = bottom;
    for (which, rows) in shown.into_iter().zip(rows) {
        let (at, below) = split(rest, rows + 1);
        rest = below;
        let Some(id) = PaneId::alone(which).first().copied() else { continue };
        let subjects = snapshot.panes.subjects(which);
        pane(canvas, state, snapshot, at, id, which.title(), subjects, Form::List(24), "");
        // It can not have the cursor here; a click leads to where it can.
        canvas.point(at, Target::Act(leads_to(which)));
    }
}

/// What work waits in and comes through.
fn stores(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let panes = &snapshot.panes;
    let nodes = panes.databases.iter().map(|d| d.locks.len()).max().unwrap_or(0);
    let wants = [
        cells(panes.databases.len()) + 1,
        if nodes > 0 { cells(nodes).min(14) + 1 } else { 1 },
        cells(panes.queues.len()) + 1,
        cells(panes.ingress.len()) + 1,
    ];
    let rows = share(area.height.saturating_sub(4), &wants);
    let mut parts = rows.iter().map(|n| n + 1);
    let (at, below) = split(area, parts.next().unwrap_or(0));
    let rows = &panes.databases;
    pane(canvas, state, snapshot, at, PaneId::Databases, "Database", rows, Form::Table, "no database is configured");
    let (at, below) = split(below, parts.next().unwrap_or(0));
    locks(canvas, state, snapshot, at);
    let (at, below) = split(below, parts.next().unwrap_or(0));
    queue(canvas, state, snapshot, at);
    ingress(canvas, state, snapshot, below);
}

/// What it means and how it came about.
fn rail(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let most = area.height / 2;
    let wanted = findings_rows(canvas, state, snapshot, area.width, most).max(1) + 1;
    let (top, rest) = split(area, wanted.min(most));
    findings(canvas, state, snapshot, top);
    let charted = shown(state, snapshot).filter(|f| !f.evidence.is_empty() && rest.height > CHART * 2);
    let charts = charted.map_or(0, |f| cells(f.evidence.len()).min(rest.height / 2 / CHART) * CHART);
    let (charts, below) = split(rest, charts);
    if let Some(finding) = charted {
        evidence(canvas, state, charts, finding, false);
    }
    let entries = snapshot.current_incident().map_or(0, |i| i.timeline.len());
    if entries == 0 {
        return changes(canvas, state, snapshot, below);
    }
    let told = told_lines(canvas, snapshot, below.width, true).len();
    let wants = [cells(snapshot.changes.len().max(1) + told), cells(entries)];
    let rows = share(below.height.saturating_sub(2), &wants);
    let (at, below) = split(below, rows.first().map_or(0, |n| n + 1));
    changes(canvas, state, snapshot, at);
    super::incident::timeline(canvas, state, snapshot, below);
}

/// The finding under the cursor, where it has been placed; else the worst that rests on a series.
fn shown<'a>(state: &State, snapshot: &'a Snapshot) -> Option<&'a Finding> {
    let pane = state.panes.get(PaneId::Findings);
    let chosen = pane.selected().filter(|_| pane.pinned).and_then(|slot| snapshot.findings.get(slot.index));
    let ordered = pane.order.iter().filter_map(|slot| snapshot.findings.get(slot.index));
    chosen.or_else(|| ordered.clone().find(|f| !f.evidence.is_empty()))
}
