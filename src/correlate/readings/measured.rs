//! Readings of sources that only deliver signals: what the table knows is taken as it is.

use super::Out;
use crate::correlate::signals::{self, SubjectKind};
use crate::domain::facts::MeasuredFacts;

/// Drops what the table does not have, or not about such a subject.
pub(super) fn read(facts: &MeasuredFacts, out: &mut Out) {
    for measured in &facts.readings {
        let known = signals::find(&measured.signal);
        if let Some(signal) = known.filter(|s| s.subjects.contains(&SubjectKind::of(&measured.subject))) {
            out.push(&measured.subject, signal.name, measured.value);
        }
    }
}
