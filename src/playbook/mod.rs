//! Playbooks: their YAML schema, the lint that names every error with its place, expressions (CEL), templates, the
//! library of what ships, and the pure state machine that steps through one. It knows policy and verbs only as data
//! that the caller passes in, and reads no clock, file or socket. The engine and the command line call it.

pub mod expr;
pub mod library;
mod lint;
pub(crate) use lint::yaml;
pub mod params;
pub mod plan;
mod render;
pub mod run;
pub mod schema;
pub mod template;

pub use lint::{Problem, lint, load};
pub use render::{Around, Draft, Piece, Rendered, Requested, draft, pieces};
