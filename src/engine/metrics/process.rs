//! What the kernel says of this process (`proc(5)`).

use rustix::process::{Resource, getrlimit};
use std::path::Path;

/// Figures of this process; one that the kernel does not give is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Resident memory in bytes.
    pub resident: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub descriptors: Option<u64>,
    /// How many may be open.
    pub most_descriptors: Option<u64>,
    /// Bytes that are free where the journal lies, for this user.
    pub journal_free: Option<u64>,
}

impl Process {
    /// Reads them now.
    pub fn now(journal: &Path) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let space = rustix::fs::statvfs(journal).ok();
        Self {
            resident: field(&status, "VmRSS:").map(|kib| kib.saturating_mul(1024)),
            threads: field(&status, "Threads:"),
            // One of them is the one that reads the folder.
            descriptors: std::fs::read_dir("/proc/self/fd").ok().map(|all| (all.count() as u64).saturating_sub(1)),
            most_descriptors: getrlimit(Resource::Nofile).current,
            journal_free: space.map(|s| s.f_bavail.saturating_mul(s.f_frsize)),
        }
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
