//! When what happened, and how long it took.

use super::model::{Found, Interval, Report};
use jiff::Timestamp;

/// Completes the moments that follow from findings, and the intervals.
pub(super) fn complete(report: &mut Report) {
    let declared_for = || report.findings.iter().filter(|f| f.declared_for);
    // An incident that was declared for no finding is about all that came up under it.
    let ours: Vec<&Found> = match declared_for().count() {
        0 => report.findings.iter().collect(),
        _ => declared_for().collect(),
    };
    let seen = ours.iter().filter_map(|f| f.seen.as_ref().map(|(_, at)| *at)).min();
    let lasts = ours.is_empty() || report.findings.iter().any(|f| f.cleared.is_none());
    let recovered = report.findings.iter().filter_map(|f| f.cleared).max().filter(|_| !lasts);
    let (began, detected) = (ours.iter().map(|f| f.since).min(), ours.iter().map(|f| f.raised).min());
    let moments = &mut report.moments;
    (moments.began, moments.detected, moments.recovered) = (began, detected, recovered);
    moments.acknowledged = [seen, moments.declared].into_iter().flatten().min();
    moments.told = report.comms.iter().filter(|c| c.delivery == "sent").map(|c| c.at).min();
    report.intervals = intervals(report);
}

fn intervals(report: &Report) -> Vec<Interval> {
    let m = &report.moments;
    let still: Vec<&str> = report.findings.iter().filter(|f| f.cleared.is_none()).map(|f| f.id.as_str()).collect();
    let recovery = match still.as_slice() {
        [] => "no finding belongs to it".to_owned(),
        ids => format!("still up: {}", ids.join(", ")),
    };
    let no_finding = "no finding belongs to it".to_owned();
    let one = |what: &str, between: &str, from: Option<Timestamp>, to: Option<Timestamp>, why: String| {
        let seconds = from.zip(to).map(|(from, to)| to.duration_since(from).as_secs());
        let why = seconds.is_none().then_some(why);
        Interval { what: what.to_owned(), between: between.to_owned(), seconds, why }
    };
    vec![
        one("to detect", "began to detected", m.began, m.detected, no_finding.clone()),
        one("to acknowledge", "detected to acknowledged", m.detected, m.acknowledged, no_finding.clone()),
        one("to declare", "detected to declared", m.detected, m.declared, no_finding.clone()),
        one("to tell", "declared to first told", m.declared, m.told, "nobody was told".into()),
        one(
            "to mitigate",
            "began to the first action that was seen to work",
            m.began,
            m.mitigated,
            "no action was seen to work".into(),
        ),
        one("to recover", "began to the last finding cleared", m.began, m.recovered, recovery),
        one("to accept", "recovered to accepted", m.recovered, m.accepted, "the business has not accepted it".into()),
        one("to close", "declared to closed", m.declared, m.closed, "it is open".into()),
    ]
}
