//! What is usual in words: the value, the hours that it rests on, or why it is not known.

use super::MOST_SERIES;
use super::hours::Local;
use super::places::{Basis, FEW, Known};
use crate::correlate::say;
use crate::domain::pane::UsualView;
use crate::domain::signal::Unit;

const DAYS: [&str; 7] = ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];

/// `Mondays at 02:00`.
fn hour(local: Local) -> String {
    let day = DAYS.get(usize::from(local.place / 24)).copied().unwrap_or("days");
    format!("{day} at {:02}:00", local.place % 24)
}

fn unknown(words: String) -> UsualView {
    UsualView { median: None, low: None, high: None, words }
}

/// Nothing where the signal is not learnt.
pub(super) fn view(known: Known, unit: Unit, local: Local, occasion: Option<&str>) -> Option<UsualView> {
    match known {
        Known::NotLearnt => None,
        Known::LeftOut => Some(unknown(format!(
            "usual not known: {MOST_SERIES} series are learnt, those first that rules compare, and of the most critical tenants"
        ))),
        Known::NotYet { hours } => {
            Some(unknown(format!("usual not known yet: {hours} of {FEW} good hours of {} were seen", hour(local))))
        }
        Known::Yes(normal) => {
            let (low, high) = ((normal.median - normal.spread).max(0.0), normal.median + normal.spread);
            let when = match (normal.basis, occasion) {
                (Basis::Occasion, Some(what)) => format!("in {what}"),
                (Basis::Days, _) if local.place / 24 < 5 => format!("on workdays at {:02}:00", local.place % 24),
                (Basis::Days, _) => format!("on weekends at {:02}:00", local.place % 24),
                _ => format!("on {}", hour(local)),
            };
            let words = format!(
                "usual {} {when}, {} to {} ({} good hours)",
                say::value(normal.median, unit),
                say::value(low, unit),
                say::value(high, unit),
                normal.hours
            );
            Some(UsualView { median: Some(normal.median), low: Some(low), high: Some(high), words })
        }
    }
}
