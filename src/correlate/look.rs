//! All that is known of one subject: for the sheet about it, which asks when it is opened.

use super::forecast::forecast;
use super::history::{History, SLOT_S};
use super::settings::Settings;
use super::usual::Baselines;
use crate::domain::health::Health;
use crate::domain::pane::{SignalValue, SignalView, SubjectView};
use crate::domain::signal::Subject;
use crate::domain::world::World;
use jiff::Timestamp;
use smol_str::SmolStr;

/// Every signal of a subject with its past, worst first. What its source no longer tells is left out.
pub(super) fn look(
    world: &World,
    settings: &Settings,
    history: &History,
    baselines: &Baselines,
    subject: &Subject,
    now: Timestamp,
) -> SubjectView {
    let signals = history.newest(subject).filter_map(|newest| {
        let state = newest.told_by(world)?;
        let name = newest.signal.name;
        let limits = settings.thresholds.of(newest.signal);
        let fresh = state.freshness(now).is_fresh();
        let series = history.slots(subject, name);
        let forecast = if fresh { forecast(newest.signal, limits, &series, newest.value) } else { None };
        Some(SignalView {
            now: SignalValue {
                signal: SmolStr::new_static(name),
                value: Some(newest.value),
                unit: newest.signal.unit,
                health: if fresh { settings.thresholds.grade(newest.signal, newest.value) } else { Health::Unknown },
                source: newest.source.clone(),
                warn: limits.map(|l| l.warn),
                critical: limits.map(|l| l.critical),
            },
            observed_at: Timestamp::from_millisecond(newest.at_ms).ok()?,
            what: newest.signal.what.to_owned(),
            origin: newest.signal.source.to_owned(),
            series,
            step_s: u32::try_from(SLOT_S).unwrap_or(u32::MAX),
            forecast,
            usual: baselines.view(subject, newest.signal, now),
        })
    });
    let mut signals: Vec<SignalView> = signals.collect();
    signals.sort_by(|a, b| {
        (b.now.health.cmp(&a.now.health))
            .then_with(|| b.now.warn.is_some().cmp(&a.now.warn.is_some()))
            .then_with(|| a.now.signal.cmp(&b.now.signal))
    });
    SubjectView { subject: subject.clone(), signals }
}
