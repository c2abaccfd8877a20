//! Tests of findings and panes from samples.

mod findings;
mod panes;
pub mod support;
