//! The journal and the vocabulary under it, from the program's own sources and without the rest of the program.

#![allow(missing_docs, dead_code, reason = "the sources are documented and checked where they belong")]

#[path = "../../../src/domain/mod.rs"]
pub mod domain;
#[path = "../../../src/journal/mod.rs"]
pub mod journal;
