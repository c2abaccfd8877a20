//! Panes that stand on more than one screen: a rule with title and counts, and below it rows.

use super::super::canvas::{Canvas, cells};
use super::super::widgets::{Listing, branches, counts, list, row_of, spark, table};
use super::split;
use crate::console::format::{ahead, clock, value};
use crate::console::keymap::Action;
use crate::console::msg::Target;
use crate::console::rows::{PaneRow, class_words, whom_words};
use crate::console::state::{PaneId, State, shown_locks};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::domain::finding::Finding;
use crate::domain::pane::LockNode;
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// How a pane shows its rows.
#[derive(Clone, Copy)]
pub enum Form {
    /// A short list with labels of this width.
    List(u16),
    /// A table.
    Table,
}

/// Title of a pane with its filter, and its counts.
pub fn title(canvas: &mut Canvas<'_>, state: &State, area: Rect, id: PaneId, name: &str, right: &Strip) {
    let pane = state.panes.get(id);
    // The cursor's row says it too, where there is one.
    let focused = state.focused() == id && state.screen.panes().len() > 1;
    let mut strip = Strip::of(if focused { Role::Accent } else { Role::Title }, name);
    if !pane.filter.is_empty() {
        strip.push(Role::Accent, format!(" /{} {} of {}", pane.filter, pane.order.len(), pane.total));
    }
    if let Some(by) = pane.group {
        strip.push(Role::Accent, format!(" by {}", by.word()));
    }
    canvas.rule(area, 0, &strip, right);
}

/// What stands where a pane has no rows: never a blank.
pub fn empty(canvas: &mut Canvas<'_>, state: &State, area: Rect, id: PaneId, why: &str) {
    let pane = state.panes.get(id);
    let replay = state.snapshot.as_ref().and_then(|s| s.replay.as_ref());
    // Measures are known from the records.
    if let Some(unseen) = replay.and_then(|r| r.unseen.as_ref()).filter(|_| id != PaneId::Measures) {
        return canvas.line(area, 0, &Strip::of(Role::Unknown, format!(" not known: {unseen}")));
    }
    let text = if pane.filter.is_empty() || pane.total == 0 {
        format!(" {why}")
    } else {
        format!(" none of {} fits `{}` ({} clears the filter)", pane.total, pane.filter, state.key(Action::Back))
    };
    canvas.line(area, 0, &Strip::of(Role::Dim, text));
}

/// A pane with its rule and its rows.
#[allow(clippy::too_many_arguments, reason = "each is one word of what a pane is; a struct would only repeat them")]
pub fn pane<R: PaneRow>(
    canvas: &mut Canvas<'_>,
    state: &State,
    snapshot: &Snapshot,
    area: Rect,
    id: PaneId,
    name: &str,
    rows: &[R],
    form: Form,
    why_empty: &str,
) {
    let (head, body) = split(area, 1);
    let healths: Vec<_> = rows.iter().filter_map(PaneRow::health).collect();
    let tally = counts(healths, &canvas.theme.glyphs);
    title(canvas, state, head, id, name, &tally);
    rows_of(canvas, state, snapshot, body, id, &|i| rows.get(i), form, why_empty);
}

/// The rows of a pane.
#[allow(clippy::too_many_arguments, reason = "each is one word of what a pane is; a struct would only repeat them")]
pub fn rows_of<'r, R: PaneRow>(
    canvas: &mut Canvas<'_>,
    state: &State,
    snapshot: &Snapshot,
    area: Rect,
    id: PaneId,
    row: &dyn Fn(usize) -> Option<&'r R>,
    form: Form,
    why_empty: &str,
) {
    let pane = state.panes.get(id);
    if pane.order.is_empty() {
        return empty(canvas, state, area, id, why_empty);
    }
    let context = state.context(snapshot);
    let cursor = (state.focused() == id).then(|| pane.at());
    let (more, marked) = (id == PaneId::Tenants, state.marked(id));
    canvas.point(area, Target::Pane(id));
    let slots = &pane.order;
    let listing = Listing { row, slots, cursor, context: &context, lead: &[], more, pane: id, marked: &marked };
    match form {
        Form::List(label) => list(canvas, area, label, &listing),
        Form::Table => table(canvas, area, &listing),
    }
}

/// The lock tree of the database under the cursor.
pub fn locks(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let nodes: &[LockNode] = shown_locks(state, snapshot);
    let (head, body) = split(area, 1);
    let waiting = nodes.iter().filter(|n| n.depth > 0).count();
    let roots = nodes.len() - waiting;
    let right = if nodes.is_empty() {
        Strip::of(Role::Ok, "no chains")
    } else {
        Strip::of(Role::Critical, format!("{waiting} wait behind {roots}"))
    };
    title(canvas, state, head, PaneId::Locks, "Lock tree, root blockers first", &right);
    let pane = state.panes.get(PaneId::Locks);
    if pane.order.is_empty() {
        return empty(canvas, state, body, PaneId::Locks, "no session waits for another");
    }
    let depths: Vec<u16> = nodes.iter().map(|n| n.depth).collect();
    let lead = branches(&depths, &canvas.theme.glyphs);
    let context = state.context(snapshot);
    let cursor = (state.focused() == PaneId::Locks).then(|| pane.at());
    let (row, marked) = (|i: usize| nodes.get(i), state.marked(PaneId::Locks));
    let (slots, context, lead) = (&pane.order, &context, &lead[..]);
    canvas.point(body, Target::Pane(PaneId::Locks));
    let listing =
        Listing { row: &row, slots, cursor, context, lead, more: false, pane: PaneId::Locks, marked: &marked };
    table(canvas, body, &listing);
}

/// Findings as cards of up to three lines: what; whom and since when; evidence and playbooks.
pub fn findings(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let (head, body) = split(area, 1);
    let tally = counts(snapshot.findings.iter().map(|f| f.severity), &canvas.theme.glyphs);
    title(canvas, state, head, PaneId::Findings, "Findings", &tally);
    let pane = state.panes.get(PaneId::Findings);
    if pane.order.is_empty() {
        return empty(canvas, state, body, PaneId::Findings, "none: no rule sees anything wrong");
    }
    let cursor = (state.focused() == PaneId::Findings).then(|| pane.at());
    let marked = state.marked(PaneId::Findings);
    canvas.point(body, Target::Pane(PaneId::Findings));
    let at = cursor.unwrap_or(0);
    let rows = usize::from(body.height);
    let total = pane.order.len();
    let roomy = findings_rows(canvas, state, snapshot, area.width, body.height.saturating_add(1)) <= body.height;
    let tall = |i: usize| -> usize {
        if rows >= total * 3 || (i == at && rows >= total.min(rows.saturating_sub(2)) + 2) { 3 } else { 1 }
    };
    let first =
        if rows >= total * 3 { 0 } else { super::super::widgets::window(total, rows.saturating_sub(2).max(1), at) };
    let mut y = 0;
    for (i, slot) in pane.order.iter().enumerate().skip(first) {
        let Some(finding) = snapshot.findings.get(slot.index) else { continue };
        if y >= body.height {
            break;
        }
        let lines = if roomy {
            whole(canvas, state, finding, body.width)
        } else {
            card(canvas, state, finding, tall(i), body.width)
        };
        let card = Rect { y: body.y + y, height: body.height - y, ..body };
        let used = canvas.lines(card, &lines);
        canvas.point(Rect { height: used, ..card }, Target::Row(PaneId::Findings, slot.key.clone()));
        let line = Rect { height: 1, ..card };
        row_of(canvas, line, &slot.key, PaneId::Findings, marked.contains(&slot.key.as_str()), cursor == Some(i));
        y += used;
    }
}

/// Rows that all findings take where nothing of them is cut; counted no further than `most`, since there may be hundreds.
pub fn findings_rows(canvas: &Canvas<'_>, state: &State, snapshot: &Snapshot, width: u16, most: u16) -> u16 {
    let shown = state.panes.get(PaneId::Findings).order.iter().filter_map(|slot| snapshot.findings.get(slot.index));
    let mut rows = 0_u16;
    for finding in shown {
        if rows >= most {
            break;
        }
        rows = rows.saturating_add(cells(whole(canvas, state, finding, width).len()));
    }
    rows
}

/// A card of which nothing is cut: what it is over as many lines as it takes, what lies ahead on its own where it is long.
fn whole(canvas: &Canvas<'_>, state: &State, finding: &Finding, width: u16) -> Vec<Strip> {
    let mut card = card(canvas, state, finding, 3, width).into_iter();
    let room = usize::from(width).saturating_sub(4);
    let mut out: Vec<Strip> = Vec::new();
    if let Some(first) = card.next() {
        let sign = canvas.theme.glyphs.of(finding.severity);
        let lead = Strip::text(" ").and(finding.severity.into(), format!("{sign} "));
        let lines = wrap(&finding.what, room.max(8));
        if lines.len() > 1 {
            let leads = std::iter::once(lead).chain(std::iter::repeat(Strip::text("   ")));
            out.extend(leads.zip(lines).map(|(lead, line)| lead.and(Role::Text, line)));
        } else {
            out.push(first);
        }
    }
    if let (Some(second), Some(cutoff)) = (card.next(), &finding.whom.next_cutoff) {
        let words = format!("{} {}", cutoff.what, ahead(state.now(), cutoff.at));
        if second.width() >= usize::from(width) {
            out.push(seen(canvas, finding));
            out.push(Strip::text("   ").and(Role::Strong, words));
        } else {
            out.push(second);
        }
    } else {
        out.push(seen(canvas, finding));
    }
    out.extend(card);
    out
}

/// What a finding saw, since when, and whom it hurts.
fn seen(canvas: &Canvas<'_>, finding: &Finding) -> Strip {
    let dot = canvas.theme.glyphs.dot;
    let class = class_words(finding);
    let space = if class.is_empty() { "" } else { " " };
    Strip::text("   ")
        .and(finding.severity.into(), class)
        .and(Role::Dim, format!("{space}{} {dot} {}", clock(finding.since), whom_words(finding)))
}

/// A card of so many lines, each cut to its width.
fn card(canvas: &Canvas<'_>, state: &State, finding: &Finding, lines: usize, width: u16) -> Vec<Strip> {
    let glyphs = canvas.theme.glyphs;
    let sign = glyphs.of(finding.severity);
    let mut out =
        vec![Strip::text(" ").and(finding.severity.into(), format!("{sign} ")).and(Role::Text, &finding.what)];
    if lines < 2 {
        return out;
    }
    let dot = format!(" {} ", glyphs.dot);
    let mut second = seen(canvas, finding);
    if let Some(cutoff) = &finding.whom.next_cutoff {
        second.push(Role::Strong, format!("{dot}{} {}", cutoff.what, ahead(state.now(), cutoff.at)));
    }
    out.push(second);
    let mut third = Strip::text("  ");
    for offer in &finding.playbooks {
        third.push(Role::Accent, format!(" {} {}", glyphs.arrow, offer.id));
    }
    if let Some(evidence) = finding.evidence.first() {
        let now = format!(" {} {}", evidence.signal, value(evidence.now, evidence.unit));
        let room = usize::from(width).saturating_sub(third.width() + now.len() + 4);
        if room >= 6 {
            third.push(Role::Text, "  ");
            third.append(spark(&evidence.series, evidence.threshold, room.min(24), &glyphs));
            third.push(Role::Dim, now);
        }
    }
    if third.width() > 2 {
        out.push(third);
    }
    out
}
