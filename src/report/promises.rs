//! Which updates were promised to stakeholders, and whether they came in time. A promise is what a message says; the
//! next word to the same audience keeps it, by whatever way.

use super::model::{Comms, Promise, Report};
use crate::comms::decode;
use jiff::Timestamp;

/// The promises of a report whose communications are all there; `end` is that of the incident, or of the records.
pub(super) fn of(report: &Report, end: Timestamp) -> Vec<Promise> {
    let reached = |c: &&Comms| c.delivery == "sent";
    let made = report.comms.iter().filter(reached);
    let mut all: Vec<Promise> = Vec::new();
    for (audience, promised, comms) in made.filter_map(|c| Some((c.to.first()?, c.next?, c))) {
        // Several recipients of one message are one promise.
        if all.iter().any(|p| p.audience == *audience && p.message == comms.message) {
            continue;
        }
        let later =
            |c: &&Comms| c.seq > comms.seq && c.message != comms.message && c.to.iter().any(|t| same(audience, t));
        let kept = report.comms.iter().filter(reached).find(later).map(|c| c.at);
        let late_s = kept.map_or(end, |at| at).duration_since(promised).as_secs();
        let outcome = match kept {
            Some(at) if at <= promised => "kept",
            Some(_) => "late",
            None if end >= promised => "missed",
            // The incident ended first.
            None => "open",
        };
        all.push(Promise {
            audience: audience.clone(),
            message: comms.message.clone(),
            made: comms.at,
            promised,
            kept,
            outcome: outcome.to_owned(),
            late_s: Some(late_s).filter(|s| *s > 0),
        });
    }
    all
}

/// Whether two names mean the same audience, by the table that ships.
fn same(audience: &str, name: &str) -> bool {
    audience.eq_ignore_ascii_case(name) || decode::shipped().audience(audience).is_some_and(|a| a.is(name))
}
