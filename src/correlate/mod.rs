//! From samples to what they mean: the table of signals, their history, the rows of the panes, and the rules
//! that turn signals into findings. Pure: the moment, the samples and the time-zone database are arguments.
//! The engine and the drill call it; it knows playbooks by their id only.

mod because;
mod burn;
mod calendar;
pub mod capacity;
pub mod changes;
mod condition;
mod correlator;
mod finding;
mod forecast;
pub mod history;
pub mod index;
pub mod locks;
pub mod logs;
mod look;
mod neighbours;
pub mod panes;
mod phases;
pub mod readings;
pub mod releases;
pub mod rules;
pub mod say;
pub mod settings;
mod shared;
pub mod signals;
mod silence;
pub mod standby;
pub mod usual;
mod whom;
mod words;

#[cfg(test)]
mod tests;

pub use correlator::{Cleared, Correlator, Evaluation, Transitions};
pub use readings::{TenantSignal, tenant_signals};
pub use settings::Settings;
