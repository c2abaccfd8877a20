//! `audit …` as it is typed.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// About the journal.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Records, as a table or as stored
    Show(Show),
    /// Checks every record, root and signature; exit 3 and the first bad record
    Verify(Verify),
    /// Compares the log with its copies in object storage, or brings it back from there
    Anchors(Anchors),
}

/// Which records.
#[derive(Debug, Args)]
pub struct Show {
    /// Journal directory; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Only of this incident
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
    /// Only of this user
    #[arg(long, value_name = "USER")]
    pub actor: Option<String>,
    /// Only of this kind, or of a group: `step.started`, `step`
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Not before this moment
    #[arg(long, value_name = "TIME")]
    pub since: Option<jiff::Timestamp>,
    /// Before this moment
    #[arg(long, value_name = "TIME")]
    pub until: Option<jiff::Timestamp>,
    /// From this sequence number on
    #[arg(long, value_name = "SEQ")]
    pub from: Option<u64>,
    /// Up to this sequence number
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
    /// Go on as records come
    #[arg(long)]
    pub follow: bool,
}

/// What to verify against what.
#[derive(Debug, Args)]
pub struct Verify {
    /// Journal directory; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Verifier key from outside the log
    #[arg(long, value_name = "FILE")]
    pub vkey: Option<PathBuf>,
    /// A signed checkpoint that was kept elsewhere: the log must contain it
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

/// Which log to compare with the copies of the configured estate.
#[derive(Debug, Args)]
pub struct Anchors {
    /// Journal directory; that of the configured estate when absent
    #[arg(long, value_name = "DIR", conflicts_with = "fetch")]
    pub journal: Option<PathBuf>,
    /// Verifier key from outside the log
    #[arg(long, value_name = "FILE", conflicts_with = "fetch")]
    pub vkey: Option<PathBuf>,
    /// Shows every copy, also those that agree
    #[arg(long, conflicts_with = "fetch")]
    pub list: bool,
    /// Writes the copied records and evidence into a new directory instead
    #[arg(long, value_name = "DIR")]
    pub fetch: Option<PathBuf>,
}
