//! `audit redact`: the record is durable before the file is deleted. It needs the writer: the engine that runs is
//! asked, else the journal is opened for it.

use super::super::args::Global;
use super::super::incident;
use super::super::output::{Error, Exit};
use super::args::Redact;
use crate::domain::id::Digest;
use crate::engine::api::Command;

/// Runs it.
pub fn run(global: &Global, what: &Redact) -> Result<Exit, Error> {
    if Digest::parse(&what.digest).is_none() {
        return Err(Error::Usage(format!(
            "`{}` is no digest: it has 64 digits from 0 to 9 and a to f; `audit evidence list` shows them",
            crate::domain::text::sanitize(&what.digest)
        )));
    }
    incident::send(global, Command::Redact { sha256: what.digest.clone(), reason: what.reason.clone() })
}
