//! The I/O of the journal: the only place in it that touches files. [`file`] keeps a log in a directory.

pub mod file;
