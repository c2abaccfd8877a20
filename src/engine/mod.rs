//! The one owner of incident state: commands in, snapshots out. Consoles and the command line hold a
//! [`client::Client`]; nothing else reaches the state.

pub mod adapters;
pub mod api;
mod approvals;
mod archive;
mod assess;
pub mod attach;
mod beside;
mod calls;
pub mod client;
mod commands;
pub mod core;
mod duties;
mod evidence;
mod exercise;
mod gateway;
pub mod inbox;
pub mod judge;
mod keeping;
pub mod logs;
mod measures;
mod offers;
mod outsiders;
pub mod people;
pub mod presence;
pub mod preview;
pub mod recording;
mod recover;
mod requests;
pub mod roster;
mod run_view;
mod runs;
mod secrets;
pub mod state;
pub mod stepped;
pub mod usual;
mod work;
