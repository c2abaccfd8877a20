//! Screens that are one table, with what is known of the row under the cursor below it.

use super::super::canvas::Canvas;
use super::panes::{Form, pane};
use super::split;
use crate::console::format::{ahead, moment};
use crate::console::rows::{limit_words, signal_words};
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::domain::estate::Tenancy;
use crate::domain::pane::Pane;
use crate::engine::api::Snapshot;
use jiff::tz::TimeZone;
use ratatui::layout::Rect;

/// Tenants.
pub fn tenants(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let (table, below) = split(area, area.height.saturating_sub(if area.height >= 14 { 4 } else { 0 }));
    let rows = &snapshot.panes.tenants;
    pane(canvas, state, snapshot, table, PaneId::Tenants, "Tenants", rows, Form::Table, "no tenant is declared");
    let slot = state.panes.get(PaneId::Tenants).selected();
    let Some(row) = slot.and_then(|s| rows.get(s.index)) else { return };
    let tenancy = if row.tenancy == Tenancy::Dedicated { "dedicated" } else { "shares its parts" };
    canvas.rule(below, 0, &Strip::of(Role::Title, format!("{} {}", row.id, row.name)), &Strip::new());
    let plants = if row.plants.is_empty() { "no plant".to_owned() } else { row.plants.join(", ") };
    let shares = format!("   {tenancy}, criticality {}", row.criticality);
    let mut to_come = Strip::text(" ");
    if let Some(tenant) = snapshot.estate.tenant(&row.id) {
        for cutoff in &tenant.cutoffs {
            if let Some(at) = next_time(state.now(), cutoff) {
                to_come.push(Role::Strong, format!("{} {}", cutoff.what, ahead(state.now(), at)));
                to_come.push(Role::Dim, format!(" ({} {})   ", cutoff.at.strftime("%H:%M"), cutoff.time_zone));
            }
        }
    }
    if let Some(finding) = snapshot.findings.iter().find(|f| f.whom.tenants.contains(&row.id)) {
        to_come.push(finding.severity.into(), &finding.what);
    }
    let mut lines = vec![Strip::text(format!(" {plants}")).and(Role::Dim, shares)];
    lines.extend((to_come.width() > 1).then_some(to_come));
    lines.push(image(row));
    canvas.lines(split(below, 1).1, &lines);
}

fn image(row: &crate::domain::pane::TenantRow) -> Strip {
    let age = row.image_age_s.map(|s| format!(", in the pod template for {}", crate::console::format::span(s)));
    match &row.image {
        Some(image) => {
            let digest = row.digest.as_ref().map(|d| format!(" ({d})")).unwrap_or_default();
            Strip::of(Role::Dim, format!(" image {image}{digest}{}", age.unwrap_or_default()))
        }
        None => Strip::new(),
    }
}

/// The next moment of a time of day.
fn next_time(now: jiff::Timestamp, cutoff: &crate::domain::estate::Cutoff) -> Option<jiff::Timestamp> {
    let zone = TimeZone::get(&cutoff.time_zone).ok()?;
    let here = now.to_zoned(zone.clone());
    let today = here.date().to_datetime(cutoff.at).to_zoned(zone.clone()).ok()?.timestamp();
    if today >= now {
        return Some(today);
    }
    Some(here.date().tomorrow().ok()?.to_datetime(cutoff.at).to_zoned(zone).ok()?.timestamp())
}

/// Ingress.
pub fn ingress(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = &snapshot.panes.ingress;
    pane(canvas, state, snapshot, area, PaneId::Ingress, "Ingress", rows, Form::Table, "no ingress is configured");
}

/// A pane whose rows are subjects, with the signals of the one under the cursor below it.
pub fn subjects(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, which: Pane) {
    let Some(id) = PaneId::alone(which).first().copied() else { return };
    let rows = snapshot.panes.subjects(which);
    let below = if area.height >= 12 && !rows.is_empty() { 5 } else { 0 };
    let (table, below) = split(area, area.height.saturating_sub(below));
    let empty = "nothing is observed for it: no source is configured that tells of it";
    pane(canvas, state, snapshot, table, id, which.title(), rows, Form::Table, empty);
    let slot = state.panes.get(id).selected();
    let Some(row) = slot.and_then(|s| rows.get(s.index)) else { return };
    let owner = row.owner.as_deref().unwrap_or("not declared");
    canvas.rule(
        below,
        0,
        &Strip::of(Role::Title, format!("{} {}", row.kind, row.name)),
        &Strip::of(Role::Dim, format!("owner {owner}")),
    );
    let glyphs = canvas.theme.glyphs;
    let lines: Vec<_> = (row.signals.iter())
        .map(|signal| {
            Strip::text(" ")
                .and(signal.health.into(), glyphs.of(signal.health))
                .and(Role::Text, format!(" {}", signal_words(signal)))
                .and(Role::Dim, format!("   {}   from {}", limit_words(signal), signal.source))
        })
        .collect();
    canvas.lines(split(below, 1).1, &lines);
}

/// Sources.
pub fn sources(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let (table, below) = split(area, area.height.saturating_sub(if area.height >= 12 { 5 } else { 0 }));
    let rows = &snapshot.panes.sources;
    pane(canvas, state, snapshot, table, PaneId::Sources, "Sources", rows, Form::Table, "no source is configured");
    let slot = state.panes.get(PaneId::Sources).selected();
    let Some(row) = slot.and_then(|s| rows.get(s.index)) else { return };
    canvas.rule(below, 0, &Strip::of(Role::Title, row.id.as_str()), &Strip::of(Role::Dim, &row.address));
    let seen = row.observed_at.map_or_else(|| "never seen".to_owned(), |at| format!("last good at {}", moment(at)));
    let mut lines = vec![Strip::text(format!(" {} {seen}", row.kind))];
    if let Some(since) = row.unknown_since {
        lines.push(Strip::of(Role::Unknown, format!(" unknown since {}", moment(since))));
    }
    let width = usize::from(below.width.saturating_sub(2));
    if let Some(why) = &row.why {
        lines.extend(wrap(why, width).into_iter().map(|l| Strip::of(row.health.into(), format!(" {l}"))));
    }
    for missing in &row.missing {
        lines.push(Strip::of(Role::Warn, format!(" not seen: {}; would help: {}", missing.disables, missing.remedy)));
    }
    canvas.lines(split(below, 1).1, &lines);
}
