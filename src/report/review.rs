//! What went well, where it went otherwise, and what is missing. Each line follows from records by a rule that stands
//! here; nothing is judged that the records do not say.

use super::model::{Action, Comms, Gap, Report, Said};
use crate::domain::risk::Risk;
use jiff::Timestamp;

/// Longest time from detection to acknowledgement that counts as quick, in seconds.
const QUICK: i64 = 5 * 60;

/// Kinds whose records are deviations.
const DEVIATIONS: [&str; 9] = [
    "step.refused",
    "step.cancelled",
    "step.unknown",
    "step.verification_failed",
    "step.rolled_back",
    "run.stopped",
    "approval.denied",
    "approval.expired",
    "glass.broken",
];

/// Completes a report whose facts are all there.
pub(super) fn complete(report: &mut Report, silences: &[(Timestamp, Timestamp)]) {
    report.deviations = report.timeline.iter().filter(|s| deviates(s)).cloned().collect();
    report.went_well = went_well(report);
    report.gaps = gaps(report, silences);
}

/// A step that is skipped because its condition is false goes as the playbook has it.
fn deviates(said: &Said) -> bool {
    DEVIATIONS.contains(&said.kind.as_str())
        || (said.kind == "step.skipped" && !said.text.contains("not needed"))
        || (said.kind == "decision.made" && said.text.contains("start-anyway"))
}

fn actions(report: &Report) -> impl Iterator<Item = (&str, &Action)> {
    report.runs.iter().flat_map(|r| r.actions.iter().map(|a| (r.run.as_str(), a)))
}

/// Actions that changed something.
fn sent(report: &Report) -> impl Iterator<Item = (&str, &Action)> {
    actions(report).filter(|(_, a)| a.verb.is_some() && a.started.is_some())
}

fn went_well(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let taken = |what: &str| report.intervals.iter().find(|i| i.what == what).and_then(|i| i.seconds);
    if let Some(seconds) = taken("to acknowledge").filter(|s| *s <= QUICK) {
        lines.push(format!("a person had seen it {seconds} s after it was detected"));
    }
    let (all, verified) = (sent(report).count(), sent(report).filter(|(_, a)| a.verified == Some(true)).count());
    if all > 0 && verified == all {
        lines.push(format!("each of the {all} actions was seen to work"));
    }
    let high: Vec<&Action> = sent(report).filter(|(_, a)| a.risk == Some(Risk::High)).map(|(_, a)| a).collect();
    if !high.is_empty() && high.iter().all(|a| !a.approved_by.is_empty()) {
        lines.push(format!("each of the {} high-risk actions was approved by another person", high.len()));
    }
    let due: Vec<_> = report.promises.iter().filter(|p| p.outcome != "open").collect();
    if !due.is_empty() && due.iter().all(|p| p.outcome == "kept") {
        lines.push(format!("each of the {} updates that stakeholders were promised came in time", due.len()));
    }
    if !report.measures.is_empty() && report.measures.iter().all(|m| m.lifted.is_some()) {
        lines.push(format!("all {} measures were lifted again", report.measures.len()));
    }
    if report.moments.accepted.is_some() {
        lines.push("the business accepted the recovery".into());
    }
    lines
}

/// Whether a message that did not arrive by one channel did by another, or at another time.
fn has_reached(report: &Report, lost: &Comms) -> bool {
    report.comms.iter().any(|c| c.delivery == "sent" && c.message == lost.message && c.seq > lost.seq)
}

fn gaps(report: &Report, silences: &[(Timestamp, Timestamp)]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut gap = |what: String| gaps.push(Gap { what, owner: None, due: None });
    if !report.comms.iter().any(|c| c.delivery == "sent") {
        gap("stakeholders were told nothing".into());
    }
    for promise in &report.promises {
        let (whom, promised) = (&promise.audience, promise.promised);
        match promise.outcome.as_str() {
            "late" => {
                let minutes = promise.late_s.unwrap_or(0).saturating_add(59) / 60;
                gap(format!("the update promised to {whom} for {promised:.0} came {minutes} min late"));
            }
            "missed" => gap(format!("the update promised to {whom} for {promised:.0} never came")),
            _ => {}
        }
    }
    for lost in report.comms.iter().filter(|c| c.delivery != "sent" && !has_reached(report, c)) {
        let (id, to) = (lost.message.as_deref().unwrap_or("a message"), lost.to.join(", "));
        match lost.delivery.as_str() {
            "unknown" => gap(format!("whether {id} reached {to} is not known")),
            _ => gap(format!("{id} did not reach {to}")),
        }
    }
    for found in report.findings.iter().filter(|f| f.declared_for && f.seen.is_none()) {
        gap(format!("nobody said to have seen {}", found.id));
    }
    for found in report.findings.iter().filter(|f| f.cleared.is_none()) {
        gap(format!("{} is still up", found.id));
    }
    for (run, action) in sent(report) {
        let name = format!("{run} {}", action.step);
        match (action.outcome.as_deref(), action.verified) {
            (Some("unknown"), _) => gap(format!("whether {name} had its effect is not known")),
            (None, _) => gap(format!("{name} was started, and no outcome is recorded")),
            (Some("done"), Some(false)) => gap(format!("{name} was done, and its effect was not seen")),
            (Some("done"), None) => gap(format!("{name} was done, and nobody looked whether it worked")),
            _ => {}
        }
    }
    for run in report.runs.iter().filter(|r| r.ended.is_none()) {
        gap(format!("{} of {} has not ended", run.run, run.playbook));
    }
    for glass in report.glass.iter().filter(|g| g.review.is_none()) {
        gap(format!("the glass that {} broke was not reviewed", glass.by));
    }
    for (from, to) in silences {
        gap(format!("nothing at all was recorded from {from:.0} to {to:.0}"));
    }
    for measure in report.measures.iter().filter(|m| m.lifted.is_none()) {
        let (owner, due) = measure.owner.clone().unzip();
        gaps.push(Gap { what: format!("the measure {} ({}) is in force", measure.id, measure.what), owner, due });
    }
    gaps
}
