//! Readings of sources that only deliver signals: what the table knows is taken as it is.

use super::{Out, Reading};
use crate::correlate::signals::{self, SubjectKind};
use crate::domain::facts::MeasuredFacts;

/// Drops what the table does not have, or not about such a subject.
pub(super) fn read(facts: &MeasuredFacts, out: &mut Out) {
    for measured in &facts.readings {
        let known = signals::find(&measured.signal);
        if let Some(signal) = known.filter(|s| s.subjects.contains(&SubjectKind::of(&measured.subject))) {
            out.put(&measured.subject, signal, measured.value);
        }
    }
    // What is known to be unknown is a reading that is no number: it is graded so, and ends no condition.
    for untold in &facts.untold {
        let known = signals::find(&untold.signal);
        if let Some(signal) = known.filter(|s| s.subjects.contains(&SubjectKind::of(&untold.subject))) {
            out.0.push(Reading { subject: untold.subject.clone(), signal, value: f64::NAN });
        }
    }
}
