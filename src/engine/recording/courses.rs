//! How the signals behind the findings of a past incident went, read from what the consoles showed.

use super::past::Past;
use crate::drill::from_incident::Course;
use jiff::{SignedDuration, Timestamp};

/// Least time between two looks at the recording.
const STEP: SignedDuration = SignedDuration::from_secs(15);

/// The courses of all signals that were evidence of a finding in a time. Empty where nothing was recorded of it.
pub fn courses(past: &mut Past, (from, to): (Timestamp, Timestamp)) -> Vec<Course> {
    let mut all: Vec<Course> = Vec::new();
    let mut at = from;
    while at <= to {
        if let Ok(shown) = past.shown(at) {
            for finding in shown.findings.iter() {
                for evidence in &finding.evidence {
                    let ours = |c: &&mut Course| c.finding == finding.id.as_str() && c.signal == evidence.signal;
                    let point = (shown.at, evidence.now);
                    match all.iter_mut().find(ours) {
                        // Nothing new was shown since.
                        Some(course) if course.points.last().is_some_and(|(last, _)| *last >= shown.at) => {}
                        Some(course) => course.points.push(point),
                        None => all.push(Course {
                            finding: finding.id.to_string(),
                            signal: evidence.signal.clone(),
                            usual: evidence.usual,
                            points: vec![point],
                        }),
                    }
                }
            }
        }
        let Ok(next) = at.checked_add(STEP) else { break };
        at = next;
    }
    all
}
