//! Quarterdeck: a terminal console from which an incident commander runs an outage of managed Odoo hosting.
//! The map of the modules is in `docs/architecture.md`; arrows point down the list there only.

/// Gives memory to the whole program; in the library, so that what is measured is what is used.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Says something on standard error, as `eprintln!` does; but a terminal that is gone is no reason to panic, least of all
/// while a step is in hand.
#[macro_export]
macro_rules! note {
    ($($said:tt)*) => { $crate::said(format_args!($($said)*)) };
}

pub mod act;
pub mod attest;
pub mod cli;
pub mod comms;
pub mod config;
pub mod console;
pub mod correlate;
pub mod domain;
pub mod drill;
pub mod engine;
pub mod journal;
mod notes;
pub mod observe;
pub mod playbook;
pub mod policy;
pub mod report;
pub mod terminal;

#[doc(hidden)]
pub use notes::say as said;
