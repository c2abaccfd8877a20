//! What `y` copies to the clipboard of the person's own terminal.

use super::say;
use crate::console::effect::Effect;
use crate::console::rows::{Column, PaneRow};
use crate::console::state::{Overlay, PaneId, Screen, SheetKind, State, no_estate, shown_finding};
use crate::console::theme::Role;

/// Copies.
pub(super) fn copy(state: &mut State, effects: &mut Vec<Effect>) {
    let text = match state.overlays.last() {
        Some(Overlay::Sheet(sheet)) => match &sheet.kind {
            SheetKind::ByHand(run, step) => state
                .run(run)
                .and_then(|r| r.steps.iter().find(|s| s.id == *step))
                .and_then(|s| s.request.as_ref())
                .map(|r| r.by_hand.clone()),
            kind => {
                let lines = crate::console::sheet::lines(state, kind, 200);
                Some(lines.iter().map(crate::console::strip::Strip::plain).collect::<Vec<_>>().join("\n"))
            }
        },
        _ => under_cursor(state),
    };
    match text {
        Some(text) => {
            let first = text.lines().next().unwrap_or_default().to_owned();
            effects.push(Effect::Copy(text));
            say(state, Role::Text, format!("copied: {first}"));
        }
        None => say(state, Role::Dim, "there is nothing to copy"),
    }
}

/// What `y` copies on a screen: a step's digest, a finding's or a record's line, else the row's cells.
pub(super) fn under_cursor(state: &State) -> Option<String> {
    if let Some((_, step)) = state.shown_step() {
        return step.digest.as_ref().map(|d| d.as_str().to_owned());
    }
    let pane = state.panes.get(state.focused());
    if Screen::Estates.panes().contains(&state.focused()) {
        let (nothing, estates) = (no_estate(), &state.estates);
        let (cx, i) = (state.context_of(&nothing), pane.selected()?.index);
        return match state.focused() {
            PaneId::Estates => row(estates.rows.get(i), &cx),
            PaneId::EstateIncidents => row(estates.incidents.get(i), &cx),
            _ => row(estates.records.get(i), &cx),
        };
    }
    let snapshot = state.snapshot.as_deref()?;
    let slot = pane.selected()?;
    let cx = state.context(snapshot);
    let i = slot.index;
    match state.focused() {
        PaneId::Tenants => row(snapshot.panes.tenants.get(i), &cx),
        PaneId::Databases => row(snapshot.panes.databases.get(i), &cx),
        PaneId::Queues => row(snapshot.panes.queues.get(i), &cx),
        PaneId::Ingress => row(snapshot.panes.ingress.get(i), &cx),
        PaneId::Sources => row(snapshot.panes.sources.get(i), &cx),
        PaneId::Platform => row(snapshot.panes.platform.get(i), &cx),
        PaneId::Recovery => row(snapshot.panes.recovery.get(i), &cx),
        PaneId::Delivery => row(snapshot.panes.delivery.get(i), &cx),
        PaneId::Business => row(snapshot.panes.business.get(i), &cx),
        PaneId::Security => row(snapshot.panes.security.get(i), &cx),
        PaneId::Findings => row(snapshot.findings.get(i), &cx),
        PaneId::Changes => row(snapshot.changes.get(i), &cx),
        PaneId::Measures => row(snapshot.measures.get(i), &cx),
        PaneId::Runs => row(snapshot.runs.get(i), &cx),
        PaneId::Playbooks => row(snapshot.playbooks.get(i), &cx),
        PaneId::Locks => row(crate::console::state::shown_locks(state, snapshot).get(i), &cx),
        PaneId::Journal => row(state.records().get(i).copied(), &cx),
        PaneId::Timeline => row(snapshot.current_incident().and_then(|n| n.timeline.get(i)), &cx),
        PaneId::Offers => row(shown_finding(state, snapshot).and_then(|f| f.playbooks.get(i)), &cx),
        PaneId::Evidence => row(shown_finding(state, snapshot).and_then(|f| f.evidence.get(i)), &cx),
        PaneId::Steps | PaneId::Estates | PaneId::EstateIncidents | PaneId::EstateRecords => None,
    }
}

/// A row as text: the titles and the cells.
fn row<R: PaneRow>(row: Option<&R>, cx: &crate::console::rows::Context<'_>) -> Option<String> {
    let columns: &[Column] = R::COLUMNS;
    let cells = row?.cells(cx);
    let pairs = columns.iter().zip(cells).filter(|(_, c)| !c.text.is_empty());
    Some(pairs.map(|(column, cell)| format!("{}: {}", column.title, cell.text)).collect::<Vec<_>>().join(", "))
}
