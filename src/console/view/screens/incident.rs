//! The incident: state, roles, timeline, measures in force, what changed.

use super::super::canvas::{Canvas, cells};
use super::panes::{Form, pane};
use super::{halves, share, split};
use crate::console::format::{hours_minutes, moment, seconds_between};
use crate::console::rows::since_words;
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::domain::incident::{Incident, IncidentState, Role as Duty};
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let Some(incident) = snapshot.current_incident() else {
        return none(canvas, snapshot, area);
    };
    let lines = facts(state, incident, snapshot, usize::from(area.width));
    let title = Strip::of(Role::Title, incident.id.as_str())
        .and(incident.severity.into(), format!(" {}", incident.severity))
        .and(Role::Title, format!(" {}", incident.state));
    let elapsed = hours_minutes(seconds_between(incident.declared_at, state.now()));
    canvas.rule(
        area,
        0,
        &title,
        &Strip::of(Role::Dim, format!("declared {} (T+{elapsed})", moment(incident.declared_at))),
    );
    let (_, body) = split(area, 1);
    let (head, rest) = split(body, cells(lines.len()).min(body.height / 2));
    canvas.lines(head, &lines);
    if rest.width >= 110 {
        let (left, wall, right) = halves(rest, rest.width * 60 / 100);
        timeline(canvas, state, snapshot, left);
        let rows = share(right.height.saturating_sub(2), &[cells(snapshot.measures.len().max(1)) + 1, 40]);
        let (top, bottom) = split(right, rows.first().map_or(0, |n| n + 1));
        measures(canvas, state, snapshot, top);
        changes(canvas, state, snapshot, bottom);
        canvas.wall(wall);
    } else {
        let wants = [14, cells(snapshot.measures.len().clamp(1, 3)), 4];
        let rows = share(rest.height.saturating_sub(3), &wants);
        let mut parts = rows.iter().map(|n| n + 1);
        let (top, below) = split(rest, parts.next().unwrap_or(0));
        timeline(canvas, state, snapshot, top);
        let (middle, bottom) = split(below, parts.next().unwrap_or(0));
        measures(canvas, state, snapshot, middle);
        changes(canvas, state, snapshot, bottom);
    }
}

fn facts(state: &State, incident: &Incident, snapshot: &Snapshot, width: usize) -> Vec<Strip> {
    let mut lines: Vec<_> = wrap(&incident.title, width.saturating_sub(2))
        .into_iter()
        .map(|l| Strip::of(Role::Strong, format!(" {l}")))
        .collect();
    let mut roles = Strip::text(" ");
    for (duty, person) in &incident.roles {
        roles.push(Role::Dim, format!("{duty} "));
        roles.push(Role::Text, format!("{person}  "));
    }
    for needed in [Duty::Commander, Duty::Operator, Duty::Comms, Duty::Approver] {
        if !incident.roles.contains_key(&needed) {
            roles.push(Role::Warn, format!("no {needed}  "));
        }
    }
    lines.push(roles);
    if !snapshot.consoles.is_empty() {
        let mut attached = Strip::of(Role::Dim, " attached ");
        for view in &snapshot.consoles {
            let (role, word) = match (view.silent_since.is_some(), view.read_only) {
                (true, _) => (Role::Unknown, " SILENT"),
                (false, true) => (Role::Text, " looks on"),
                (false, false) => (Role::Text, ""),
            };
            attached.push(role, format!("{}{word}  ", view.user));
        }
        lines.push(attached);
    }
    let standing: Vec<_> = incident
        .findings
        .iter()
        .map(|id| match snapshot.findings.iter().find(|f| f.id == *id) {
            Some(finding) => (finding.severity.into(), format!("{id} {}", since_words(finding))),
            None => (Role::Ok, format!("{id} has cleared")),
        })
        .collect();
    if !standing.is_empty() {
        let mut strip = Strip::of(Role::Dim, " for ");
        for (role, text) in standing {
            strip.push(role, text);
            strip.push(Role::Text, "  ");
        }
        lines.push(strip);
    }
    if let Some(run) = state.pressing_run() {
        lines.push(
            Strip::of(Role::Dim, " run ").and(run.state.into(), format!("{} {}: {}", run.id, run.playbook, run.now)),
        );
    }
    lines
}

/// Its timeline, newest last.
pub fn timeline(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let entries = snapshot.current_incident().map(|i| i.timeline.as_slice()).unwrap_or_default();
    let form = if area.width < 70 { Form::List(8) } else { Form::Table };
    pane(canvas, state, snapshot, area, PaneId::Timeline, "Timeline, newest last", entries, form, "nothing yet");
}

fn measures(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = &snapshot.measures;
    let form = if area.height < 4 || area.width < 70 { Form::List(18) } else { Form::Table };
    pane(canvas, state, snapshot, area, PaneId::Measures, "Measures in force", rows, form, "nothing is in force");
}

fn changes(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = &*snapshot.changes;
    let name = "What changed";
    pane(canvas, state, snapshot, area, PaneId::Changes, name, rows, Form::List(12), "nothing in the last hours");
}

fn none(canvas: &mut Canvas<'_>, snapshot: &Snapshot, area: Rect) {
    canvas.rule(area, 0, &Strip::of(Role::Title, "Incident"), &Strip::new());
    let mut lines =
        vec![Strip::text(" No incident is declared. F declares one; you become its commander."), Strip::new()];
    let closed: Vec<_> = snapshot.incidents.iter().filter(|i| i.state == IncidentState::Closed).collect();
    if !closed.is_empty() {
        lines.push(Strip::of(Role::Title, " Closed before"));
        for incident in closed {
            let ended = incident.closed_at.map(moment).unwrap_or_default();
            lines.push(
                Strip::text(format!("   {} {} {}", incident.id, incident.severity, incident.title))
                    .and(Role::Dim, format!("  {ended}")),
            );
        }
    }
    canvas.lines(split(area, 1).1, &lines);
}
