//! `audit …` as it is typed.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// About the journal.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Records, as a table or as stored
    Show(Show),
    /// Checks every record, root and signature; exit 3 and the first bad record
    Verify(Verify),
    /// The key of the log: show, pin, export, rotate
    Keys {
        /// What about it
        #[command(subcommand)]
        what: Keys,
    },
    /// Begins a new log in the empty directory of the configured estate, and pins its key
    Begin(Begin),
    /// Compares the log with its copies in object storage, or brings it back from there
    Anchors(Anchors),
    /// The database of a journal that several bastions write: the SQL that sets it up, or its records in a directory
    Database {
        /// What about it
        #[command(subcommand)]
        what: Database,
    },
    /// Copies sealed segments to the archive of the estate's region, and lets go of those that need not stay here
    Archive(Archive),
    /// Follows a log from elsewhere and alerts on stall, fork, shrinking, damage, missing cosignatures and a broken glass
    Monitor(Monitor),
    /// Files that records name: list, show, check
    Evidence {
        /// What about them
        #[command(subcommand)]
        what: Evidence,
    },
    /// Deletes a file of evidence, and records that first
    Redact(Redact),
    /// The secret values that a record commits to, opened with a key of age and checked against the record
    Open(Open),
    /// One record with its proof, for somebody who has the verifier key and not the journal
    Prove(Prove),
    /// The journal as a directory for any static file server (C2SP tlog-tiles)
    Export(Export),
}

/// About the database of `[journal.postgres]`.
#[derive(Debug, Subcommand)]
pub enum Database {
    /// Prints the SQL that a superuser runs in it; with --apply it is run
    Init {
        /// Run it at the first configured server
        #[arg(long, requires = "user")]
        apply: bool,
        /// The superuser who runs it
        #[arg(long, value_name = "ROLE", requires = "apply")]
        user: Option<String>,
        /// Where the superuser's password is: `env:NAME`, `file:PATH`, or what else a configuration takes
        #[arg(long, value_name = "SECRET", requires = "apply")]
        password: Option<String>,
    },
    /// Brings all records and evidence into an empty directory, as they stand there, for `audit … --journal DIR`
    Fetch {
        /// The directory
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
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

/// What to open.
#[derive(Debug, Args)]
pub struct Open {
    /// Number of a record, or a commitment `sha256:…`
    #[arg(value_name = "SEQ|COMMITMENT")]
    pub what: String,
    /// A file with the private key of a recipient, as `age-keygen` writes it
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// Journal directory; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
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
    /// A directory with what was moved from the log to an archive: it is shown too
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Go on as records come, until interrupted
    #[arg(long)]
    pub follow: bool,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    crate::domain::moment::parse(text, Timestamp::now())
}

/// What to verify against what.
#[derive(Debug, Args)]
pub struct Verify {
    /// Journal directory; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Verifier key from outside the log; the configured one when absent
    #[arg(long, value_name = "FILE")]
    pub vkey: Option<PathBuf>,
    /// A signed checkpoint that was kept elsewhere, with cosignatures or without: the log must contain it (repeatable)
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
    /// Verifier key of a witness that must have signed for the log (repeatable)
    #[arg(long, value_name = "FILE")]
    pub witness_key: Vec<PathBuf>,
    /// A file of such keys, one a line; empty lines and lines that begin with `#` are passed over (repeatable)
    #[arg(long, value_name = "FILE")]
    pub witness_keys: Vec<PathBuf>,
    /// How many of those witnesses must have signed; all of them when absent. Without keys here the witnesses and the
    /// quorum of the configuration count, when the log is the configured one
    #[arg(long, value_name = "N")]
    pub quorum: Option<usize>,
    /// Holds the log against the copies of its checkpoints too: those in the configured bucket, or in a directory with
    /// such a folder `checkpoint`; exit 3 when none of them vouches for the log
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with_all = ["from", "to"])]
    #[allow(clippy::option_option, reason = "absent, without a directory, with one: as clap has it")]
    pub anchor: Option<Option<PathBuf>>,
    /// The first record to look at; those before it are only hashed
    #[arg(long, value_name = "SEQ")]
    pub from: Option<u64>,
    /// The last record to look at
    #[arg(long, value_name = "SEQ", requires = "from")]
    pub to: Option<u64>,
    /// A copy of the log's tiles: where a signed root vouches for it, it tells which record was changed (repeatable)
    #[arg(long, value_name = "DIR")]
    pub tiles: Vec<PathBuf>,
    /// A directory with what was moved from the log to an archive: it is verified too
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Check each signature by itself, as other tools would, and not many together
    #[arg(long)]
    pub every_signature: bool,
    /// A proof from `audit prove` instead of a journal; needs --vkey
    #[arg(long, value_name = "FILE", requires = "vkey", conflicts_with_all = ["journal", "checkpoint", "from", "to", "tiles", "archive", "every_signature", "anchor"])]
    pub proof: Option<PathBuf>,
    /// The exact bytes of the record that --proof is about, when the proof does not carry them
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub record: Option<PathBuf>,
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
    /// A directory with what was moved from the log to an archive
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
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

/// What to do with the archive of the configured estate.
#[derive(Debug, Args)]
pub struct Archive {
    /// Says what would be copied and what would go, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Writes what was moved into a new directory, for the --archive of the other commands
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub fetch: Option<PathBuf>,
    /// Brings what was moved back into the journal; no engine may be running
    #[arg(long, conflicts_with_all = ["dry_run", "fetch"])]
    pub restore: bool,
}

/// What to follow, and what is still calm.
#[derive(Debug, Args)]
pub struct Monitor {
    /// Where the log is served: the prefix of its `checkpoint` and `tile/`
    #[arg(long, value_name = "URL", conflicts_with = "journal")]
    pub url: Option<String>,
    /// A local copy of what is served
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Verifier key of the log, from outside it
    #[arg(long, value_name = "FILE")]
    pub vkey: PathBuf,
    /// Verifier key of a witness that must go on cosigning; once for each
    #[arg(long, value_name = "FILE")]
    pub witness_key: Vec<PathBuf>,
    /// Time between two looks: seconds, or 30s, 5m
    #[arg(long, value_name = "S", default_value = "60", value_parser = span)]
    pub interval: Duration,
    /// How long no record may come, heartbeats included: seconds, or 15m
    #[arg(long, value_name = "S", default_value = "900", value_parser = span)]
    pub stall: Duration,
    /// How long records may go without the cosignature of a given witness: seconds, or 10m
    #[arg(long, value_name = "S", default_value = "600", value_parser = span)]
    pub uncosigned: Duration,
    /// Look once; exit 3 if anything is wrong
    #[arg(long)]
    pub once: bool,
    /// Where to remember what was seen; without it a restart begins anew
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// Seconds, or a number with its unit.
fn span(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let named = || text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    let found = seconds.or_else(named).filter(|d| *d >= Duration::from_secs(1));
    found.ok_or_else(|| "a number of seconds, or a duration such as 30s, 5m or 2h, at least 1s, is expected".to_owned())
}

/// What to do about the key.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// The verifier key, where its private half lies, its rotations, and what is known of it outside the log
    Show {
        /// Journal directory; that of the configured estate when absent
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
    },
    /// Remembers the key outside the log; a pin is never replaced by another key
    Pin {
        /// Journal directory; that of the configured estate when absent
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
        /// The key to pin, as somebody you trust gave it to you; the one beside the records when absent
        #[arg(long, value_name = "FILE")]
        vkey: Option<PathBuf>,
    },
    /// Prints the verifier key, to be kept elsewhere
    Export {
        /// Journal directory; that of the configured estate when absent
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
        /// A file that is not there yet
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Gives the log of the configured estate a new key, signed by both; no engine may be running
    Rotate,
}

/// What the new log follows.
#[derive(Debug, Args)]
pub struct Begin {
    /// The last signed checkpoint of the log that this one follows; its first record carries it
    #[arg(long, value_name = "FILE")]
    pub follows: Option<PathBuf>,
}
