//! The signals of a subject: a chart of the one under the cursor, then all of them with value, age, thresholds and source.

use super::Page;
use crate::console::chart::chart;
use crate::console::format::{age, seconds_between};
use crate::console::rows::{limit_words, signal_words};
use crate::console::state::{PaneId, State, subject_of};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::pane::SignalView;
use crate::engine::api::Snapshot;

/// Rows of a chart, its axis included.
const CHART: u16 = 8;

/// Writes them, as far as the engine has said.
pub(super) fn write(out: &mut Page, state: &State, snapshot: &Snapshot, pane: PaneId, key: &str) {
    let Some(subject) = subject_of(snapshot, pane, key) else { return };
    let Some(looked) = state.looked.as_ref().filter(|l| l.subject == subject) else { return };
    let signals = looked.signals();
    match &looked.answer {
        None => out.line(Role::Dim, "The engine is asked for its signals."),
        Some(Err(why)) => out.line(Role::Unknown, format!("Its signals are not known: {why}")),
        Some(Ok(_)) if signals.is_empty() => out.line(Role::Unknown, "No signal tells of it now."),
        Some(Ok(_)) => {}
    }
    let at = looked.at();
    let Some(chosen) = signals.get(at) else {
        out.heading("Row");
        return;
    };
    picture(out, chosen);
    out.heading(format!("Signals, {} of {}", at + 1, signals.len()));
    for (i, signal) in signals.iter().enumerate() {
        let mark = if i == at { "> " } else { "  " };
        let old = age(seconds_between(signal.observed_at, state.now()));
        let line = Strip::of(Role::Accent, mark)
            .and(signal.now.health.into(), format!("{:<8}", signal.now.health.word()))
            .and(Role::Text, format!(" {:<36}", signal_words(&signal.now)))
            .and(Role::Dim, format!(" {}, {old} old, {}", limit_words(&signal.now), signal.now.source));
        out.lines.push(line);
    }
    out.heading("Row");
}

fn picture(out: &mut Page, signal: &SignalView) {
    let title = Strip::of(signal.now.health.into(), signal_words(&signal.now))
        .and(Role::Dim, format!("   {}", limit_words(&signal.now)));
    out.lines.push(title);
    out.lines.extend(chart(signal, u16::try_from(out.width).unwrap_or(u16::MAX), CHART));
    out.line(Role::Text, format!("{}; from {}: {}", signal.what, signal.now.source, signal.origin));
    if let Some(usual) = &signal.usual {
        out.line(if usual.median.is_some() { Role::Text } else { Role::Unknown }, &usual.words);
    }
    if let Some(forecast) = &signal.forecast {
        out.line(Role::Strong, forecast);
    }
}
