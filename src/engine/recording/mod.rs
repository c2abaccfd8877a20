//! What the consoles were shown while an incident was open, kept beside the journal, and shown again. `piece` is the
//! form of what is kept: a few minutes of the lines that consoles are sent, compressed, under a digest that an
//! `evidence.captured` record names. `recorder` decides what is worth keeping and follows a running engine, `past` finds
//! what is kept of an incident, `courses` reads from it how the signals went, `player` is the engine of a console that looks back.

mod courses;
pub mod past;
pub mod piece;
pub mod player;
pub(super) mod recorder;

pub use courses::courses;

#[cfg(test)]
mod tests;
