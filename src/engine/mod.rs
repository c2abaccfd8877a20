//! The one owner of incident state: commands in, snapshots out. Consoles and the command line hold a
//! [`api::Client`]; nothing else reaches the state.

pub mod api;
