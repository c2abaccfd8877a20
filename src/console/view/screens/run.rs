//! One run: its steps; then of the step under the cursor what will happen, to what, what was checked, and how
//! it is known to have worked.

use super::super::canvas::{Canvas, cells};
use super::super::widgets::window;
use super::split;
use crate::console::rows::{PaneRow, layout, place, run_words, step_sign, step_words};
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::{Glyphs, Role};
use crate::domain::id::RunId;
use crate::domain::risk::Confirmation;
use crate::engine::api::{CheckView, RunView, Snapshot, StepState, StepView};
use ratatui::layout::Rect;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, id: &RunId) {
    let Some(run) = snapshot.runs.iter().find(|r| r.id == *id) else {
        canvas.rule(area, 0, &Strip::of(Role::Title, id.as_str()), &Strip::new());
        canvas.line(area, 1, &Strip::of(Role::Unknown, " The engine does not know this run (any more)."));
        return;
    };
    let params: Vec<_> = run.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let title = Strip::of(Role::Title, format!("{} v{} ", run.playbook, run.version)).and(Role::Dim, params.join(" "));
    let number = run.current.saturating_add(1).min(run.steps.len());
    let right = Strip::of(run.state.into(), run_words(run.state)).and(
        Role::Dim,
        format!(
            " {} {} {} step {number}/{}",
            canvas.theme.glyphs.dot,
            run.id,
            canvas.theme.glyphs.dot,
            run.steps.len()
        ),
    );
    canvas.rule(area, 0, &title, &right);
    let (_, body) = split(area, 1);
    let selected = state.panes.get(PaneId::Steps).at();
    let Some(step) = run.steps.get(selected).or_else(|| run.steps.get(run.current)) else { return };
    let width = usize::from(area.width.saturating_sub(2));
    let parts = parts(run, step, width, &canvas.theme.glyphs, body.height < 22);
    let wanted: u16 = parts.iter().map(|(_, _, lines)| cells(lines.len()) + 1).sum();
    let most = body.height.saturating_sub(wanted).max(body.height / 4).max(2);
    let (top, mut rest) = split(body, cells(run.steps.len()).min(most));
    steps(canvas, state, snapshot, top, run);
    let heights = heights(rest.height, &parts);
    for ((title, right, lines), height) in parts.iter().zip(heights) {
        let (at, below) = split(rest, height);
        rest = below;
        if height > 0 {
            canvas.rule(at, 0, title, right);
            let (_, inner) = split(at, 1);
            let hidden = lines.len().saturating_sub(usize::from(inner.height));
            canvas.lines(inner, lines);
            if hidden > 0 && inner.height > 0 {
                let last = Rect { y: inner.bottom() - 1, height: 1, ..inner };
                canvas.clear(last);
                let text = format!(" {} {} more lines (Enter shows all)", canvas.theme.glyphs.ellipsis, hidden + 1);
                canvas.line(last, 0, &Strip::of(Role::Dim, text));
            }
        }
    }
}

type Part = (Strip, Strip, Vec<Strip>);

/// Rows for each part with its rule: the first parts first, but each at least its rule and a line.
fn heights(total: u16, parts: &[Part]) -> Vec<u16> {
    let mut left = total;
    let mut out: Vec<u16> = parts
        .iter()
        .map(|(_, _, lines)| {
            let least = if lines.is_empty() { 1 } else { 2 }.min(left);
            left -= least;
            least
        })
        .collect();
    for ((_, _, lines), height) in parts.iter().zip(&mut out) {
        let wanted = cells(lines.len()) + 1;
        let more = wanted.saturating_sub(*height).min(left);
        if *height > 0 {
            *height += more;
            left -= more;
        }
    }
    out
}

fn steps(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, run: &RunView) {
    let pane = state.panes.get(PaneId::Steps);
    let context = state.context(snapshot);
    let columns = layout(StepView::COLUMNS, area.width.saturating_sub(6), 1);
    let first = window(run.steps.len(), usize::from(area.height), pane.at());
    for (row, (i, step)) in (0..area.height).zip(run.steps.iter().enumerate().skip(first)) {
        let (sign, role) = step_sign(step.state, &canvas.theme.glyphs);
        let number = i + 1;
        let mut strip = Strip::text(" ").and(role, sign).and(Role::Dim, format!("{number:>2} "));
        let all = step.cells(&context);
        for (at, width) in columns.iter().map(|(at, width)| (*at, *width)) {
            let (Some(column), Some(cell)) = (StepView::COLUMNS.get(at), all.get(at)) else { continue };
            strip.push(cell.role, place(&cell.text, column.align, width, canvas.theme.glyphs.ellipsis));
            strip.push(Role::Text, " ");
        }
        canvas.line(area, row, &strip);
        if i == pane.at() {
            let line = Rect { y: area.y + row, height: 1, ..area };
            canvas.text(line, 0, 0, Role::Cursor, canvas.theme.glyphs.cursor);
            canvas.tint(line, Role::Cursor);
        }
    }
}

fn parts(run: &RunView, step: &StepView, width: usize, glyphs: &Glyphs, terse: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let over = matches!(step.state, StepState::Done | StepState::Failed | StepState::Skipped | StepState::Unknown);
    if !step.output.is_empty() || over {
        parts.push(outcome(step, width));
    }
    parts.push(request(run, step, width, glyphs));
    if !step.checks.is_empty() {
        let title = Strip::of(Role::Title, if over { "Checked before" } else { "Checked just now" });
        parts.push((title, Strip::new(), checks(&step.checks, width, glyphs, terse)));
    }
    if !step.verify.is_empty() {
        let title = Strip::of(Role::Title, "Worked when");
        let mut lines = checks(&step.verify, width, glyphs, terse);
        if terse {
            lines.truncate(2);
        }
        parts.push((title, Strip::new(), lines));
    }
    if let Some(part) = risk(step, width) {
        parts.push(part);
    }
    parts
}

fn outcome(step: &StepView, width: usize) -> Part {
    let mut lines = Vec::new();
    if let Some(text) = &step.outcome {
        lines.extend(wrap(text, width).into_iter().map(|l| Strip::of(Role::Strong, format!(" {l}"))));
    }
    lines.extend(step.output.iter().flat_map(|l| wrap(l, width)).map(|l| Strip::text(format!(" {l}"))));
    if lines.is_empty() {
        lines.push(Strip::of(Role::Dim, " nothing was recorded"));
    }
    (Strip::of(Role::Title, "Outcome"), Strip::of(Role::Dim, step_words(step.state)), lines)
}

fn request(run: &RunView, step: &StepView, width: usize, glyphs: &Glyphs) -> Part {
    let title = Strip::of(Role::Title, "Request");
    let Some(request) = &step.request else {
        let mut lines: Vec<_> = wrap(&step.why, width).into_iter().map(|l| Strip::text(format!(" {l}"))).collect();
        let text = match step.state {
            StepState::Pending => " Rendered when it is reached; until then nothing is known of its target.",
            _ => " No request.",
        };
        lines.push(Strip::of(Role::Dim, text));
        return (title, Strip::of(Role::Dim, step_words(step.state)), lines);
    };
    let target = &request.target;
    let mut lines = Vec::new();
    let mut add = |role: Role, text: &str| {
        lines.extend(wrap(text, width).into_iter().map(|l| Strip::of(role, format!(" {l}"))));
    };
    let identity = if target.identity.is_empty() { String::new() } else { format!(" ({})", target.identity) };
    add(
        Role::Strong,
        &format!("{} {} on {}{identity}: {}", target.environment, request.verb, target.source, target.object),
    );
    for line in request.operation.lines() {
        add(Role::Text, &line);
    }
    for check in &request.server_checks {
        add(Role::Dim, &format!("{check} (the server checks)"));
    }
    add(Role::Warn, &format!("Hurts: {}", request.hurts));
    add(Role::Text, &format!("Undo: {}", request.undo));
    let digest = step.digest.as_ref().map(|d| format!("digest {} ", d.short())).unwrap_or_default();
    let count = crate::console::format::count(usize::try_from(target.count).unwrap_or(usize::MAX), "object");
    let right = Strip::of(Role::Dim, format!("{digest}{} {count} {} plan {}", glyphs.dot, glyphs.dot, run.generation));
    (title, right, lines)
}

fn checks(all: &[CheckView], width: usize, glyphs: &Glyphs, terse: bool) -> Vec<Strip> {
    let [_, _, unknown, _] = glyphs.health;
    let one = |check: &CheckView| {
        let (sign, role) = match check.holds {
            Some(true) => (glyphs.done, Role::Ok),
            Some(false) => (glyphs.failed, Role::Critical),
            None => (unknown, Role::Unknown),
        };
        let detail = if check.detail.is_empty() { String::new() } else { format!(" ({})", check.detail) };
        Strip::text(" ").and(role, sign).and(Role::Text, format!(" {}", check.text)).and(Role::Dim, detail)
    };
    let mut lines: Vec<Strip> = Vec::new();
    for strip in all.iter().map(one) {
        match lines.last_mut() {
            Some(last) if terse && last.width() + strip.width() + 2 <= width => {
                last.push(Role::Text, "  ");
                last.append(strip);
            }
            _ => lines.push(strip),
        }
    }
    lines
}

fn risk(step: &StepView, width: usize) -> Option<Part> {
    let assessment = step.assessment.as_ref()?;
    let title = Strip::of(Role::Title, "Risk ").and(step.risk.into(), step.risk.to_string().to_uppercase());
    let mut needs = Vec::new();
    match &assessment.confirmation {
        Some(Confirmation::Typed { phrase }) => needs.push(format!("type {phrase}")),
        Some(Confirmation::Keypress) => needs.push("confirm".into()),
        None => {}
    }
    if assessment.approvals > 0 {
        needs.push(crate::console::format::count(usize::from(assessment.approvals), "approval"));
    }
    if assessment.needs_incident {
        needs.push("declared incident".into());
    }
    let mut lines = Vec::new();
    for denial in &assessment.denials {
        lines.extend(
            wrap(&format!("refused: {denial}"), width).into_iter().map(|l| Strip::of(Role::Critical, format!(" {l}"))),
        );
    }
    lines
        .extend(wrap(&assessment.reasons.join("; "), width).into_iter().map(|l| Strip::of(Role::Dim, format!(" {l}"))));
    Some((title, Strip::of(Role::Dim, needs.join(", ")), lines))
}
