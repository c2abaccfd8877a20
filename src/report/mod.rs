//! Reports, made from the journal's records alone: [`Collector`] is a fold over them, [`Report`] what an incident
//! amounts to, [`markdown`] and [`html`] how it is read; [`Trends`] and [`Governance`] are the same over all incidents. Called by the command line; it reads no clock and no file, so
//! that equal records give equal reports.

mod collect;
mod governance;
mod model;
mod moments;
mod promises;
mod releases;
mod review;
mod spare;
mod write;

pub use collect::Collector;
pub use governance::{Exercised, Governance, Stale, Trends};
pub use model::{
    Action, Comms, Decision, Exercise, Found, Gap, Glass, Held, Hurt, Interval, Measure, Moments, Objectives, Point,
    Promise, Proof, Ran, Report, Said,
};
pub use releases::{Fate, Released};
pub use spare::{Fit, Spare};
pub use write::{governance_html, governance_markdown, html, markdown};

#[cfg(test)]
mod tests;
