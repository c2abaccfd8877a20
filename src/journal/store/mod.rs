//! I/O of the journal.
