//! Witnesses: others' servers that cosign the log's checkpoints and remember them (C2SP tlog-witness). [`client`]
//! asks one of them once, [`board`] is what is known of all, and the tasks in [`follow`] ask them as the log grows
//! and at its opening. The engine starts them; `doctor` asks one by one.

pub mod board;
pub mod client;
pub mod follow;
pub mod log;
#[cfg(test)]
mod tests;

pub use board::{Alarm, Board, Standing};
pub use follow::{Cover, Witnesses, start};
pub use log::{Log, OnDisk};

use crate::journal::cosignature::WitnessKey;
use std::path::PathBuf;
use std::time::Duration;

/// One configured witness.
#[derive(Clone, Debug)]
pub struct Witness {
    /// What it is called here.
    pub name: String,
    /// Its submission prefix: `/add-checkpoint` comes after it.
    pub url: String,
    /// Its key.
    pub key: WitnessKey,
    /// Who runs it; witnesses of one administrator count once.
    pub administrator: String,
    /// A file with the certificate authorities that are trusted for it, PEM; those of the system when absent.
    pub ca: Option<PathBuf>,
}

/// How to work with witnesses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which.
    pub witnesses: Vec<Witness>,
    /// How many administrators' witnesses must cover the start of a high-risk step; 0 for none.
    pub quorum: u32,
    /// How long a record may wait for the quorum before that is said.
    pub max_uncosigned_age: Duration,
    /// Where the newest cosigned note is kept: `cosigned` in this directory.
    pub dir: PathBuf,
    /// Pace and patience.
    pub pace: Pace,
}

/// Times of the follower; tests take shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Least time between two checkpoints that are sent out.
    pub interval: Duration,
    /// Time allowed for one answer.
    pub timeout: Duration,
    /// First wait after a failure; doubled with each further one.
    pub first_wait: Duration,
    /// Longest wait after a failure.
    pub longest_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
        }
    }
}

impl Settings {
    /// The quorum that says which cosigned note is worth keeping: one witness at least.
    pub fn quorum_or_one(&self) -> u32 {
        self.quorum.max(1)
    }

    /// The keys of all witnesses.
    pub fn keys(&self) -> Vec<WitnessKey> {
        self.witnesses.iter().map(|w| w.key.clone()).collect()
    }
}

/// Name of the file with the newest cosigned note, in the journal's directory.
pub const COSIGNED: &str = "cosigned";
