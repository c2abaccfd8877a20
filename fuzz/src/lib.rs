//! The journal and the vocabulary under it, from the program's own sources, and what the targets share.

#![allow(missing_docs, dead_code, reason = "the sources are documented and checked where they belong")]

#[path = "../../src/domain/mod.rs"]
pub mod domain;
#[path = "../../src/journal/mod.rs"]
pub mod journal;

/// The example key of golang.org/x/mod/sumdb/note.
pub const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
