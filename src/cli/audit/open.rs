//! `audit open`: the values that a record only commits to, for whoever has the key. They are printed and nothing else.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::session;
use super::args::Open;
use super::directory;
use crate::domain::text::sanitize;
use crate::journal::commitment::{self, Commitment, CommitmentError, FOLDER, Identities, Reference};
use crate::journal::evidence::digest;
use crate::journal::read::find;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use std::path::Path;
use zeroize::Zeroizing;

/// One value, opened.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Opened {
    /// The record that commits to it, where it was named.
    record: Option<u64>,
    /// The commitment that salt and value lead to.
    commitment: Commitment,
    /// The salt, base64.
    salt: String,
    /// The value.
    value: String,
}

/// Runs it.
pub fn run(global: &Global, what: &Open) -> Result<Exit, Error> {
    let dir = directory(global, what.journal.as_deref())?;
    let text = Zeroizing::new(session::read_file(&what.identity)?);
    let name = what.identity.display().to_string();
    let identities = Identities::parse(&name, &text).map_err(|e| Error::Usage(e.to_string()))?;
    let (record, references) = named(&dir, &what.what)?;
    let mut opened = Vec::new();
    for Reference { commitment, opening } in references {
        let sealed = commitment::sealed(&dir, &commitment).map_err(|e| Error::journal(&e))?;
        let sealed = sealed.ok_or_else(|| {
            let file = format!("{}/{FOLDER}/{}.age", dir.display(), commitment.digits());
            Error::Failed(format!(
                "the opening of {commitment} is not there: it was deleted, or is not in this copy ({file})"
            ))
        })?;
        let found = commitment::open(&commitment, &sealed, &identities).map_err(|e| refusal(&e))?;
        if opening.is_some_and(|expected| expected != digest(&sealed)) {
            return Err(Error::Damaged(format!(
                "the opening of {commitment} leads to it, and is not the file that the record names: it was sealed anew"
            )));
        }
        let (salt, value) = (BASE64_STANDARD.encode(&*found.salt), found.value.to_string());
        opened.push(Opened { record, commitment, salt, value });
    }
    if global.format == Format::Json {
        output::json(&opened)?;
        return Ok(Exit::Done);
    }
    for Opened { commitment, value, .. } in &opened {
        output::line(&format!("{commitment}  {}", sanitize(value)))?;
    }
    Ok(Exit::Done)
}

/// The commitments that are meant.
fn named(dir: &Path, what: &str) -> Result<(Option<u64>, Vec<Reference>), Error> {
    if let Ok(seq) = what.parse::<u64>() {
        let found = find(dir, seq).map_err(|e| Error::journal(&e))?;
        let found = found.ok_or_else(|| Error::Usage(format!("there is no record {seq} in {}", dir.display())))?;
        let references = commitment::references(&found.stored.record.body);
        if references.is_empty() {
            let kind = found.stored.record.kind;
            return Err(Error::Usage(format!("record {seq} ({kind}) commits to no secret value")));
        }
        return Ok((Some(seq), references));
    }
    let commitment = what.parse().map_err(|_| {
        let what = sanitize(what);
        Error::Usage(format!("`{what}` is neither the number of a record nor a commitment, `sha256:` and 64 digits"))
    })?;
    Ok((None, vec![Reference { commitment, opening: None }]))
}

/// A key that does not fit is bad usage; what does not lead to its commitment does not verify.
fn refusal(error: &CommitmentError) -> Error {
    match error {
        CommitmentError::OtherIdentity { .. } => Error::Usage(error.to_string()),
        _ => Error::Damaged(error.to_string()),
    }
}
