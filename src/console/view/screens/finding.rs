//! Findings: the list with the chosen one below it, and one finding with its evidence and what it offers.

use super::super::canvas::{Canvas, cells};
use super::super::widgets::chart;
use super::panes::{Form, pane, rows_of};
use super::{halves, split};
use crate::console::format::{ahead, clock, moment, value};
use crate::console::keymap::Action;
use crate::console::rows::class_words;
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::domain::finding::{Finding, Level};
use crate::domain::id::FindingId;
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// All findings.
pub fn all(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let rows = &*snapshot.findings;
    let wanted = cells(rows.len()).saturating_add(2).max(3);
    let (top, bottom) = split(area, wanted.min(area.height / 3).max(4));
    pane(
        canvas,
        state,
        snapshot,
        top,
        PaneId::Findings,
        "Findings",
        rows,
        Form::Table,
        "none: no rule sees anything wrong",
    );
    let slot = state.panes.get(PaneId::Findings).selected();
    if let Some(finding) = slot.and_then(|s| rows.get(s.index)) {
        detail(canvas, state, snapshot, bottom, finding, false);
    }
}

/// One finding.
pub fn one(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, id: &FindingId) {
    if let Some(finding) = snapshot.findings.iter().find(|f| f.id == *id) {
        return detail(canvas, state, snapshot, area, finding, true);
    }
    canvas.rule(area, 0, &Strip::of(Role::Title, format!("Finding {id}")), &Strip::new());
    let lines = [
        Strip::of(Role::Ok, " It has cleared: three good intervals in a row."),
        Strip::of(Role::Dim, format!(" The journal keeps it; {} goes back.", state.key(Action::Back))),
    ];
    canvas.lines(split(area, 1).1, &lines);
}

const fn level_words(level: Level) -> &'static str {
    match level {
        Level::Note => "a note: pressure alone is no incident",
        Level::Alert => "an alert: a cause, no proven impact; low-risk checks are offered",
        Level::Incident => "an incident: a cause with impact; playbooks are offered",
    }
}

fn facts(state: &State, finding: &Finding, width: usize) -> Vec<Strip> {
    let mut lines = Vec::new();
    let mut pair = |name: &str, role: Role, text: &str| {
        for (i, line) in wrap(text, width.saturating_sub(10).max(8)).into_iter().enumerate() {
            let name = if i == 0 { name } else { "" };
            lines.push(Strip::of(Role::Dim, format!(" {name:<8} ")).and(role, line));
        }
    };
    pair("what", Role::Strong, &finding.what);
    pair("is", finding.severity.into(), &format!("{}, {}", finding.severity, level_words(finding.level)));
    let begun = if finding.onset_seen { "" } else { ", and perhaps longer: nobody saw it begin" };
    pair("since", Role::Text, &format!("{}{begun}", moment(finding.since)));
    let tenants: Vec<_> = finding.whom.tenants.iter().map(crate::domain::id::TenantId::as_str).collect();
    let mut whom = if tenants.is_empty() { "nobody yet".to_owned() } else { tenants.join(" ") };
    if !finding.whom.plants.is_empty() {
        whom = format!("{whom}: {}", finding.whom.plants.join(", "));
    }
    pair("hurts", Role::Text, &whom);
    if let Some(cutoff) = &finding.whom.next_cutoff {
        pair("ahead", Role::Strong, &format!("{} {} ({})", cutoff.what, ahead(state.now(), cutoff.at), cutoff.tenant));
    }
    for change in finding.changed.iter().take(3) {
        pair("after", Role::Warn, &format!("{} {} {} ({})", clock(change.at), change.subject, change.what, change.by));
    }
    pair("refute", Role::Dim, &finding.disproof);
    if let Some(logged) = state.logged.as_ref().filter(|l| l.wanting.finding.as_ref() == Some(&finding.id)) {
        let whose = format!("{}: ", logged.wanting.tenant);
        let (role, words) = match &logged.answer {
            None => (Role::Dim, "being read".to_owned()),
            Some(Err(why)) => (Role::Unknown, format!("not known: {why}")),
            Some(Ok(view)) => crate::console::sheet::logs::verdict(view, state.mode()),
        };
        pair("logs", role, &format!("{whose}{words}; l shows them"));
    }
    let seen = finding.acknowledged.as_ref().map_or_else(
        || "nobody has said so; x says that you have".to_owned(),
        |a| format!("{} at {}", a.by, clock(a.at)),
    );
    pair("seen by", Role::Dim, &seen);
    if finding.good_intervals > 0 {
        pair("clears", Role::Ok, &format!("{} of 3 good intervals", finding.good_intervals));
    }
    lines
}

fn detail(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, finding: &Finding, alone: bool) {
    let title = Strip::of(finding.severity.into(), canvas.theme.glyphs.of(finding.severity))
        .and(Role::Title, format!(" {}", class_words(finding)));
    canvas.rule(area, 0, &title, &Strip::of(Role::Dim, finding.id.as_str()));
    let (_, body) = split(area, 1);
    let offers = if alone { cells(finding.playbooks.len().max(1)) + 2 } else { 0 };
    let (body, below) = split(body, body.height.saturating_sub(offers.min(body.height / 3)));
    let wide = body.width >= 110;
    let (text, picture) = if wide {
        let (left, _, right) = halves(body, body.width / 2);
        (left, right)
    } else {
        let lines = cells(facts(state, finding, usize::from(body.width)).len());
        split(body, lines.min(body.height.saturating_sub(if body.height > 12 { 6 } else { 0 })))
    };
    let lines = facts(state, finding, usize::from(text.width));
    canvas.lines(text, &lines);
    evidence(canvas, state, picture, finding, alone);
    if wide {
        canvas.wall(halves(body, body.width / 2).1);
    }
    if alone && below.height > 0 {
        let (head, rest) = split(below, 1);
        let how = format!("{} starts one", state.key(Action::Open));
        canvas.rule(head, 0, &Strip::of(Role::Title, "Playbooks that fit"), &Strip::of(Role::Dim, how));
        rows_of(
            canvas,
            state,
            snapshot,
            rest,
            PaneId::Offers,
            &|i| finding.playbooks.get(i),
            if rest.height > cells(finding.playbooks.len()) { Form::Table } else { Form::List(18) },
            "none: the rule offers nothing at this level",
        );
    }
}

/// The series that the rule judged, from the one under the cursor on, as many as there is room for.
pub(super) fn evidence(canvas: &mut Canvas<'_>, state: &State, area: Rect, finding: &Finding, alone: bool) {
    if area.height < 2 {
        return;
    }
    if finding.evidence.is_empty() {
        canvas.line(area, 0, &Strip::of(Role::Dim, " no series: the rule judged a state, not a number"));
        return;
    }
    let at = if alone { state.panes.get(PaneId::Evidence).at() } else { 0 };
    let focused = alone && state.focused() == PaneId::Evidence;
    let shown = cells(finding.evidence.len()).min(area.height / 7).max(1);
    let mut rest = area;
    for (i, one) in finding.evidence.iter().enumerate().skip(at).take(usize::from(shown)) {
        let (part, below) = split(rest, (area.height / shown).min(15));
        rest = below;
        let name = format!("{}/{} {} {}", i + 1, finding.evidence.len(), one.signal, one.subject);
        let title = if focused && i == at {
            Strip::of(Role::Accent, format!("{}{name}", canvas.theme.glyphs.cursor))
        } else {
            Strip::of(Role::Title, name)
        };
        // What is usual is left out before the limit, and the limit before what is now.
        let mut right = Strip::text(format!("now {}", value(one.now, one.unit)));
        let limit = Strip::of(Role::Warn, format!("  limit {}", value(one.threshold, one.unit)));
        let usual = one.usual.map(|u| Strip::of(Role::Dim, format!("  usual {}", value(u, one.unit))));
        for more in std::iter::once(limit).chain(usual) {
            if title.width() + right.width() + more.width() + 6 <= usize::from(part.width) {
                right.append(more);
            }
        }
        canvas.rule(part, 0, &title, &right);
        let (_, body) = split(part, 1);
        chart(canvas, Rect { width: body.width.saturating_sub(1), ..body }, one);
    }
}
