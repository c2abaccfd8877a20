//! Tests of findings and panes from samples.

mod findings;
mod measured;
mod offered;
mod panes;
mod phases;
pub mod support;
