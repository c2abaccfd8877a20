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
    /// One record with its proof, for somebody who has the verifier key and not the journal
    Prove(Prove),
    /// The journal as a directory for any static file server (C2SP tlog-tiles)
    Export(Export),
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
    /// A proof from `audit prove` instead of a journal; needs --vkey
    #[arg(long, value_name = "FILE", conflicts_with_all = ["journal", "checkpoint"], requires = "vkey")]
    pub proof: Option<PathBuf>,
    /// The exact bytes of the record that --proof is about, when the proof does not carry them
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub record: Option<PathBuf>,
    /// Keys of witnesses, one a line, whose cosignatures in --proof must be valid and are listed
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub witness_keys: Vec<PathBuf>,
}

/// Which record to prove.
#[derive(Debug, Args)]
pub struct Prove {
    /// Number of the record
    #[arg(value_name = "SEQ")]
    pub seq: u64,
    /// Journal directory; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// A new file for the proof; standard output when absent
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Put the record into the proof too
    #[arg(long)]
    pub with_record: bool,
}

/// What to export where.
#[derive(Debug, Args)]
pub struct Export {
    /// A new or empty directory, or that of an earlier export, which then grows
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Journal directory; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Verifier key from outside the log
    #[arg(long, value_name = "FILE")]
    pub vkey: Option<PathBuf>,
}
