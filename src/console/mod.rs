//! The console: what it knows ([`state`]), what can happen to it ([`msg`]), what it answers ([`update`], pure),
//! and how it looks ([`view`], read-only). The `terminal` feeds it and carries out its effects; the command
//! line prints its row models. It reads no clock, file, socket or terminal.

pub mod alarms;
mod attention;
mod chart;
pub mod effect;
mod estates;
pub mod fleet;
pub mod format;
pub mod keymap;
pub mod layout;
pub mod links;
pub mod msg;
pub mod next;
pub mod rows;
pub mod sheet;
pub mod start;
pub mod state;
pub mod strip;
pub mod theme;
mod update;
pub mod view;
pub mod views;

pub use update::{see, update, warn};
