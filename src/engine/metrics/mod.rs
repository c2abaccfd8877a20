//! What the program says of itself to a Prometheus: one table of measures, written down when somebody asks, and a small
//! server on the loopback that answers `GET /metrics`. Only `cli` starts it, where `[metrics]` says so.

pub mod listen;
mod process;
pub mod table;
#[cfg(test)]
mod tests;

pub use process::Process;
