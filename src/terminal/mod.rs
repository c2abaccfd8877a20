//! The terminal as a device: raw mode and its certain end, what it can show, signals, one write a frame, and the
//! loop of a console. Only `cli` calls it.

pub mod attention;
pub mod capabilities;
pub mod console;
pub mod desks;
mod editor;
pub mod frame;
pub mod guard;
mod linked;
pub mod outer;
pub mod outside;
mod pace;
pub mod plain;
pub mod signals;
mod signing;
pub mod start;
mod torn;
