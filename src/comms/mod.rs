//! What an incident tells stakeholders: who they are, how often they hear something and in which words ([`table`]), what
//! was told and what is promised ([`book`], a fold over the journal's records), and how it reads ([`draft`],
//! [`status_page`]). Pure: no clock, file or socket. The engine, adapters, console and command line call it.

pub mod board;
pub mod book;
pub mod decode;
pub mod draft;
pub mod facts;
pub mod letter;
pub mod oncall;
pub mod roster;
pub mod status_page;
pub mod table;

pub use board::{AudienceView, Board, LastWord, MessageView, WayView};
pub use book::{Attempt, Book, Delivery, Message, Seen};
pub use draft::Draft;
pub use facts::{About, Facts};
pub use letter::{Channel, Letter, Post, Way};
pub use table::{Audience, Cadence, Moment, Table, Template};

#[cfg(test)]
mod tests;
