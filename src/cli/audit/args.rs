//! `audit …` as it is typed.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::path::PathBuf;

/// About the journal.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Records, as a table or as stored
    Show(Show),
    /// Checks every record, root and signature; exit 3 and the first bad record
    Verify(Verify),
    /// Files that records name: list, show, check
    Evidence {
        /// What about them
        #[command(subcommand)]
        what: Evidence,
    },
    /// Deletes a file of evidence, and records that first
    Redact(Redact),
    /// Compares the log with its copies in object storage, or brings it back from there
    Anchors(Anchors),
}

/// About evidence.
#[derive(Debug, Subcommand)]
pub enum Evidence {
    /// All of it, with the record that names each and how it stands
    List {
        /// Journal directory; that of the configured estate when absent
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
    },
    /// The bytes of one, its digest checked, on standard output
    Show {
        /// Its digest, or at least the first eight digits of it
        digest: String,
        /// Journal directory; that of the configured estate when absent
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
    },
    /// Reads every file; exit 3 when one is missing or altered
    Check {
        /// Journal directory; that of the configured estate when absent
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
    },
}

/// What to delete, and why.
#[derive(Debug, Args)]
pub struct Redact {
    /// Its digest, all 64 digits
    pub digest: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
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
    /// Only of these kinds or groups of kinds: `step.started`, `step,glass`
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,
    /// Not before this moment: 2026-11-21T14:30:00Z, 2026-11-21, 14:30, today, yesterday, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Before this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// From this sequence number on
    #[arg(long, value_name = "SEQ")]
    pub from: Option<u64>,
    /// Up to this sequence number
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
    /// One record in full: its fields, its exact bytes, its place and the checkpoint that covers it
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["incident", "actor", "kind", "since", "until", "from", "to", "follow"])]
    pub seq: Option<u64>,
    /// Go on as records come, until interrupted
    #[arg(long)]
    pub follow: bool,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    super::super::moment::parse(text, Timestamp::now())
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
