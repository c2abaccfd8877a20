//! When what happened, and how long it took.

use super::model::{Action, Found, Interval, Objectives, Report};
use jiff::Timestamp;
use serde_json::Value;

/// Verbs that put data of an earlier moment in the place of the present one.
const RESTORES: [&str; 2] = ["backup.restore_aside", "cnpg.restore_aside"];
/// What stands before the moment in their requests: an argument, a field of a Cluster, an option of pgBackRest.
const MARKS: [&str; 3] = ["target_time", "targetTime", "--target="];

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
    let objective = |of: fn(&Objectives) -> Option<i64>| {
        let promised = report.runs.iter().filter_map(|r| Some((of(&r.objectives)?, r.playbook.as_str())));
        promised.min_by_key(|(seconds, _)| *seconds)
    };
    // The strictest promise of the playbooks that were run is what counts.
    let against = |mut interval: Interval, promise: Option<(i64, &str)>| {
        match (promise, interval.seconds) {
            (Some((most, by)), Some(seconds)) => {
                let word = if seconds <= most { "kept" } else { "MISSED" };
                interval.between.push_str(&format!("; {} min promised by {by}: {word}", most / 60));
            }
            (Some((most, by)), None) => interval.between.push_str(&format!("; {} min promised by {by}", most / 60)),
            (None, _) => interval.between.push_str("; no playbook that was run promises any"),
        }
        interval
    };
    let rto = one("RTO reached", "began to the last finding cleared", m.began, m.recovered, recovery.clone());
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
        against(rto, objective(|o| o.rto_s)),
        against(lost(report), objective(|o| o.rpo_s)),
    ]
}

/// The bookings that were given up: from the moment that was restored to until the trouble began.
fn lost(report: &Report) -> Interval {
    let done = |a: &&Action| {
        let restores = a.verb.as_deref().is_some_and(|verb| RESTORES.contains(&verb));
        restores && a.outcome.as_deref() == Some("done")
    };
    let restores: Vec<&Action> = report.runs.iter().flat_map(|r| &r.actions).filter(done).collect();
    let (seconds, between, why) = match (restores.last(), report.moments.began) {
        (None, _) => (Some(0), "nothing was restored, so no booking was given up", None),
        (Some(Action { restores_to: Some(to), .. }), Some(began)) => {
            let seconds = began.duration_since(*to).as_secs().max(0);
            (Some(seconds), "the moment that was restored to until the trouble began", None)
        }
        (Some(Action { restores_to: None, .. }), _) => {
            (None, "the moment that was restored to", Some("a whole backup was restored; the records name no moment"))
        }
        (Some(_), None) => (None, "the moment that was restored to", Some("no finding says when the trouble began")),
    };
    let (what, why) = ("RPO reached".to_owned(), why.map(str::to_owned));
    Interval { what, between: between.to_owned(), seconds, why }
}

/// The moment to which a request restores, where it says one.
pub(super) fn restored_to(request: &Value) -> Option<Timestamp> {
    let verb = request.get("verb").and_then(Value::as_str)?;
    let text = RESTORES.contains(&verb).then(|| request.to_string())?;
    MARKS.iter().find_map(|mark| {
        let rest = text.split_once(mark)?.1;
        let from = rest.find(|c: char| c.is_ascii_digit())?;
        let moment: String =
            rest.get(from..)?.chars().take_while(|c| c.is_ascii_digit() || "-:T .+Z".contains(*c)).collect();
        let moment = moment.trim().replacen(' ', "T", 1);
        // PostgreSQL writes an offset of hours alone.
        let moment = moment.strip_suffix("+00").map(|m| format!("{m}Z")).unwrap_or(moment);
        moment.parse().ok()
    })
}
