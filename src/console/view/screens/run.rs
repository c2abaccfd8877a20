//! One run: its steps; then of the step under the cursor what will happen, to what, what was checked, and how
//! it is known to have worked.

use super::super::canvas::{Canvas, cells};
use super::super::widgets::{row_of, window};
use super::finding::evidence;
use super::{halves, split};
use crate::console::format::clock;
use crate::console::keymap::Action;
use crate::console::rows::{PaneRow, layout, needs, place, run_words, step_sign, step_words};
use crate::console::state::{PaneId, State, can_confirm};
use crate::console::strip::{Strip, fit, wrap};
use crate::console::theme::{Glyphs, Role};
use crate::domain::finding::Finding;
use crate::domain::id::RunId;
use crate::domain::request::Operation;
use crate::domain::risk::Confirmation;
use crate::engine::api::{CheckView, RunView, Snapshot, StepState, StepView};
use ratatui::layout::Rect;

/// Width from which on the steps stand beside what they do.
const WIDE: u16 = 150;

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
    if area.width >= WIDE {
        let (left, wall, right) = halves(body, area.width * 45 / 100);
        let (top, below) = split(left, cells(run.steps.len()).min(left.height));
        steps(canvas, state, snapshot, top, run);
        beside(canvas, state, snapshot, below, run);
        let parts = parts(state, run, step, right, &canvas.theme.glyphs);
        draw_parts(canvas, state, right, &parts);
        return canvas.wall(wall);
    }
    let parts = parts(state, run, step, body, &canvas.theme.glyphs);
    let rows = |lines: &dyn Fn(&Part) -> usize| parts.iter().map(|p| cells(lines(p)) + 1).sum::<u16>();
    let wanted = rows(&|p| p.lines.len().min(p.least));
    // What is left where every part is whole is for the steps.
    let spare = body.height.saturating_sub(rows(&|p| p.lines.len()));
    let most = body.height.saturating_sub(wanted).clamp(2, 5.max(body.height / 3)).max(spare);
    let (top, rest) = split(body, cells(run.steps.len()).min(most));
    steps(canvas, state, snapshot, top, run);
    draw_parts(canvas, state, rest, &parts);
}

/// What stands below the steps where the screen is wide: the series of what the run is for, and the incident's timeline.
fn beside(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, run: &RunView) {
    let incident = snapshot.incidents.iter().find(|i| run.incident.as_ref() == Some(&i.id));
    let declared = |f: &&Finding| incident.is_some_and(|i| i.findings.contains(&f.id));
    let offers = |f: &&Finding| f.playbooks.iter().any(|offer| offer.id == run.playbook);
    let findings = || snapshot.findings.iter().filter(|f| !f.evidence.is_empty());
    let finding = findings().find(declared).or_else(|| findings().find(offers));
    let (charts, below) = split(area, if finding.is_some() { area.height / 2 } else { 0 });
    if let Some(finding) = finding {
        evidence(canvas, state, charts, finding, false);
    }
    // Only that of the current one is kept in a pane.
    if incident.is_some_and(|i| snapshot.current_incident().is_some_and(|current| current.id == i.id)) {
        super::incident::timeline(canvas, state, snapshot, below);
    }
}

fn draw_parts(canvas: &mut Canvas<'_>, state: &State, area: Rect, parts: &[Part]) {
    let mut rest = area;
    for (part, height) in parts.iter().zip(heights(area.height, parts)) {
        let (at, below) = split(rest, height);
        rest = below;
        if height > 0 {
            canvas.rule(at, 0, &part.title, &part.right);
            let (_, inner) = split(at, 1);
            let hidden = part.lines.len().saturating_sub(usize::from(inner.height));
            canvas.lines(inner, &part.lines);
            if hidden > 0 && inner.height > 0 {
                let last = Rect { y: inner.bottom() - 1, height: 1, ..inner };
                canvas.clear(last);
                let (dots, key) = (canvas.theme.glyphs.ellipsis, state.key(Action::Open));
                let text = format!(" {dots} {} more ({key} shows all)", hidden + 1);
                canvas.line(last, 0, &Strip::of(Role::Dim, text));
            }
        }
    }
}

/// A part of the screen below the steps.
struct Part {
    title: Strip,
    right: Strip,
    lines: Vec<Strip>,
    /// Lines that it gets before others get more.
    least: usize,
}

/// Rows for each part with its rule: first a rule and a line for each for which there is room, then its least
/// lines, then all of its lines, first come first served.
fn heights(total: u16, parts: &[Part]) -> Vec<u16> {
    let mut left = total;
    let mut out: Vec<u16> = Vec::new();
    for part in parts {
        let need = 1 + cells(part.lines.len().min(1));
        let given = if need <= left { need } else { 0 };
        left -= given;
        out.push(given);
    }
    for least in [true, false] {
        for (part, height) in parts.iter().zip(&mut out).filter(|(_, height)| **height > 0) {
            let lines = if least { part.lines.len().min(part.least) } else { part.lines.len() };
            let more = (1 + cells(lines)).saturating_sub(*height).min(left);
            *height += more;
            left -= more;
        }
    }
    out
}

fn steps(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, run: &RunView) {
    let pane = state.panes.get(PaneId::Steps);
    let (context, marked) = (state.context(snapshot), state.marked(PaneId::Steps));
    let rows = usize::from(area.height);
    let first = window(run.steps.len(), rows, pane.at());
    let shown: Vec<_> =
        run.steps.iter().enumerate().skip(first).take(rows).map(|(i, s)| (i, s, s.cells(&context))).collect();
    let wide = needs(StepView::COLUMNS, shown.iter().map(|(_, _, all)| all.as_slice()));
    let columns = layout(StepView::COLUMNS, &wide, area.width.saturating_sub(6), 1);
    for (row, (i, step, all)) in (0..area.height).zip(shown) {
        let (sign, role) = step_sign(step.state, &canvas.theme.glyphs);
        let number = i + 1;
        let mut strip = Strip::text(" ").and(role, sign).and(Role::Dim, format!("{number:>2} "));
        for (at, width) in columns.iter().map(|(at, width)| (*at, *width)) {
            let (Some(column), Some(cell)) = (StepView::COLUMNS.get(at), all.get(at)) else { continue };
            strip.push(cell.role, place(&cell.text, column.align, width, canvas.theme.glyphs.ellipsis));
            strip.push(Role::Text, " ");
        }
        canvas.line(area, row, &strip);
        let line = Rect { y: area.y + row, height: 1, ..area };
        let key = step.id.as_str();
        row_of(canvas, line, key, PaneId::Steps, marked.contains(&key), i == pane.at());
    }
}

/// The parts for an area: in few words where it is low.
fn parts(state: &State, run: &RunView, step: &StepView, area: Rect, glyphs: &Glyphs) -> Vec<Part> {
    let (width, terse) = (usize::from(area.width.saturating_sub(2)), area.height < 24);
    let mut parts = Vec::new();
    let over = matches!(step.state, StepState::Done | StepState::Failed | StepState::Skipped | StepState::Unknown);
    if !step.output.is_empty() || over || step.outcome.is_some() {
        parts.push(outcome(step, width));
    }
    parts.extend(comms(state, step, width));
    parts.extend(targets(step, width, glyphs));
    parts.push(request(run, step, width, glyphs, terse));
    if !step.checks.is_empty() {
        let title = Strip::of(Role::Title, if over { "Checked before" } else { "Checked just now" });
        parts.push(Part { title, right: Strip::new(), lines: checks(&step.checks, width, glyphs, terse), least: 3 });
    }
    if !step.verify.is_empty() {
        let title = Strip::of(Role::Title, "Worked when");
        parts.push(Part { title, right: Strip::new(), lines: checks(&step.verify, width, glyphs, terse), least: 2 });
    }
    parts.extend(risk(step, width, terse));
    parts
}

/// What stakeholders are to be told, and whom.
fn comms(state: &State, step: &StepView, width: usize) -> Option<Part> {
    let comms = step.comms.as_ref()?;
    let mut lines = Vec::new();
    for line in wrap(&comms.text, width) {
        lines.push(Strip::of(Role::Strong, format!(" {line}")));
    }
    let title = Strip::of(Role::Title, "Tell ").and(Role::Warn, comms.audience.join(", "));
    // Where the step waits for its confirmation, Enter is for that; it asks whether they were told before or after it.
    let how =
        if can_confirm(step) { String::new() } else { format!(" ({} when they were told)", state.key(Action::Open)) };
    let right = Strip::of(Role::Dim, format!("due {}{how}", clock(comms.due)));
    Some(Part { title, right, lines, least: 2 })
}

/// The targets of a step over several: those that need eyes first.
fn targets(step: &StepView, width: usize, glyphs: &Glyphs) -> Option<Part> {
    if step.targets.is_empty() {
        return None;
    }
    let order = |state: StepState| match state {
        StepState::Failed | StepState::Unknown => 0,
        StepState::Executing | StepState::Verifying => 1,
        StepState::Pending => 2,
        _ => 3,
    };
    let mut all: Vec<_> = step.targets.iter().collect();
    all.sort_by_key(|t| order(t.state));
    let of = |wanted: &[StepState]| step.targets.iter().filter(|t| wanted.contains(&t.state)).count();
    let done = of(&[StepState::Done, StepState::Verifying]);
    let cells = 20.min(width / 4).max(4);
    let filled = (done * cells).checked_div(step.targets.len()).unwrap_or(0);
    let bar = format!("[{}{}]", "#".repeat(filled), ".".repeat(cells - filled));
    let lines = all
        .iter()
        .map(|t| {
            let (sign, role) = step_sign(t.state, glyphs);
            let words = if t.outcome.is_empty() { step_words(t.state) } else { t.outcome.as_str() };
            Strip::text(" ").and(role, sign).and(Role::Strong, format!(" {} ", t.name)).and(Role::Text, words)
        })
        .collect();
    let title = Strip::of(Role::Title, "Targets ").and(Role::Text, format!("{bar} {done} of {}", step.targets.len()));
    let failed = of(&[StepState::Failed, StepState::Unknown]);
    let right =
        if failed > 0 { Strip::of(Role::Critical, format!("{failed} failed or not known")) } else { Strip::new() };
    Some(Part { title, right, lines, least: 4 })
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
    Part {
        title: Strip::of(Role::Title, "Outcome"),
        right: Strip::of(Role::Dim, step_words(step.state)),
        lines,
        least: 3,
    }
}

fn request(run: &RunView, step: &StepView, width: usize, glyphs: &Glyphs, terse: bool) -> Part {
    let word = match step.kind.as_str() {
        "notify" => "Message",
        "escalate" => "Call",
        _ => "Request",
    };
    let title = Strip::of(Role::Title, word);
    let Some(request) = &step.request else {
        let mut lines: Vec<_> = wrap(&step.why, width).into_iter().map(|l| Strip::text(format!(" {l}"))).collect();
        let text = match step.state {
            StepState::Pending | StepState::Preparing => {
                " Rendered when it is reached; until then nothing is known of its target."
            }
            _ => " Nothing was sent.",
        };
        lines.push(Strip::of(Role::Dim, text));
        return Part { title, right: Strip::new(), lines, least: 2 };
    };
    let target = &request.target;
    let mut lines = Vec::new();
    let mut add = |role: Role, most: usize, text: &str| {
        let mut wrapped = wrap(text, width);
        if wrapped.len() > most {
            wrapped.truncate(most);
            if let Some(last) = wrapped.last_mut() {
                *last = format!("{}{}", fit(last, width.saturating_sub(1), ""), glyphs.ellipsis);
            }
        }
        lines.extend(wrapped.into_iter().map(|l| Strip::of(role, format!(" {l}"))));
    };
    if let Some(said) = &step.dry_run {
        add(Role::Text, if terse { 1 } else { usize::MAX }, &format!("The server would: {said}"));
    }
    if terse {
        // The whole of it is in the dialog that confirms; here it is enough to know what it is.
        add(Role::Strong, 2, &format!("{} on {}: {}", request.verb, target.source, target.object));
        let whole: Vec<_> = request.operation.lines().iter().map(|l| l.trim().to_owned()).collect();
        add(Role::Text, 1, &whole.join(" "));
        add(Role::Warn, 1, &format!("Hurts: {}", request.hurts));
        add(Role::Text, 1, &format!("Undo: {}", request.undo));
    } else {
        let identity = if target.identity.is_empty() { String::new() } else { format!(" ({})", target.identity) };
        let environment = match request.operation {
            Operation::Simulated { .. } => "SIMULATED".to_owned(),
            _ => target.environment.to_string(),
        };
        let place = format!("{environment} {} on {}{identity}: ", request.verb, target.source);
        add(Role::Strong, usize::MAX, &format!("{place}{}", target.object));
        for line in request.operation.lines() {
            add(Role::Text, usize::MAX, &line);
        }
        for check in &request.server_checks {
            add(Role::Dim, usize::MAX, &format!("The server checks: {check}"));
        }
        add(Role::Warn, usize::MAX, &format!("Hurts: {}", request.hurts));
        add(Role::Text, usize::MAX, &format!("Undo: {}", request.undo));
    }
    let dot = glyphs.dot;
    let digest = step.digest.as_ref().map(|d| format!("digest {} {dot} ", d.short())).unwrap_or_default();
    let count = crate::console::format::count(usize::try_from(target.count).unwrap_or(usize::MAX), "object");
    let right = Strip::of(Role::Dim, format!("{digest}{count} {dot} plan {}", run.generation));
    Part { title, right, lines, least: 5 }
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

fn risk(step: &StepView, width: usize, terse: bool) -> Option<Part> {
    let assessment = step.assessment.as_ref()?;
    let mut title = Strip::of(Role::Title, "Risk ").and(step.risk.into(), step.risk.to_string().to_uppercase());
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
        let wrapped = wrap(&format!("refused: {denial}"), width);
        lines.extend(wrapped.into_iter().map(|l| Strip::of(Role::Critical, format!(" {l}"))));
    }
    let reasons = assessment.reasons.join("; ");
    if terse && lines.is_empty() {
        title.push(Role::Dim, format!(": {reasons}"));
        return Some(Part { title, right: Strip::new(), lines, least: 0 });
    }
    lines.extend(wrap(&reasons, width).into_iter().map(|l| Strip::of(Role::Dim, format!(" {l}"))));
    Some(Part { title, right: Strip::of(Role::Dim, needs.join(", ")), lines, least: 1 })
}
