//! The digest of a rendered step: what a person confirms and approves. It is the sha256 of the JCS bytes (RFC 8785)
//! of the request with its target, the mode, the run, the step and the preconditions that were shown. It lives in
//! `policy` because the gate has to compute it again; `playbook::render` gets it as a function from its caller.

use super::canonical::Bytes;
use crate::domain::id::{Digest, PlaybookId, RunId, StepId};
use crate::domain::mode::Mode;
use crate::domain::request::Request;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Everything that a confirmation binds. A change of any part gives another digest and voids the confirmation.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The mode it would run in.
    pub mode: Mode,
    /// The playbook and its version.
    pub playbook: (&'a PlaybookId, u32),
    /// The run; none for a request that is only shown (`playbook render`), which therefore can not be confirmed
    /// for any run by accident.
    pub run: Option<&'a RunId>,
    /// The step.
    pub step: &'a StepId,
    /// What would be sent, to what.
    pub request: &'a Request,
    /// Preconditions as they were shown: expression or sentence each, in order.
    pub preconditions: &'a [String],
    /// Time allowed for the execution.
    pub timeout: Duration,
}

/// A step whose digest can not be computed: its request has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has no canonical form: {0}")]
pub struct NotCanonical(String);

impl NotCanonical {
    pub(super) const fn new(why: String) -> Self {
        Self(why)
    }
}

#[derive(Serialize)]
struct Canonical<'a> {
    v: u8,
    mode: &'a str,
    playbook: &'a PlaybookId,
    playbook_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunId>,
    step: &'a StepId,
    request: &'a Request,
    preconditions: &'a [String],
    /// A string, because a record holds no number beyond 2^53.
    timeout_ms: String,
}

/// The object that is digested, so that it can be shown and kept: the sha256 of its JCS bytes is the digest.
///
/// # Errors
/// [`NotCanonical`] when the request can not be written as JSON.
pub fn document(bound: &Bound<'_>) -> Result<Value, NotCanonical> {
    let canonical = Canonical {
        v: 1,
        mode: bound.mode.word(),
        playbook: bound.playbook.0,
        playbook_version: bound.playbook.1,
        run: bound.run,
        step: bound.step,
        request: bound.request,
        preconditions: bound.preconditions,
        timeout_ms: bound.timeout.as_millis().to_string(),
    };
    serde_json::to_value(&canonical).map_err(|e| NotCanonical(e.to_string()))
}

/// The JCS bytes of a document, as text.
///
/// # Errors
/// [`NotCanonical`] when it has no canonical form.
pub fn canonical(document: &Value) -> Result<String, NotCanonical> {
    serde_json_canonicalizer::to_string(document).map_err(|e| NotCanonical(e.to_string()))
}

/// The digest of a document.
///
/// # Errors
/// [`NotCanonical`] when it has no canonical form.
pub fn of_document(document: &Value) -> Result<Digest, NotCanonical> {
    Ok(Digest::from_bytes(&Sha256::digest(canonical(document)?).into()))
}

/// Computes the digest.
///
/// # Errors
/// [`NotCanonical`] when the request can not be written as canonical JSON.
pub fn digest(bound: &Bound<'_>) -> Result<Digest, NotCanonical> {
    both(bound).map(|(digest, _)| digest)
}

/// Computes the digest, and that of the same for no run.
///
/// # Errors
/// [`NotCanonical`] when the request can not be written as canonical JSON.
pub fn both(bound: &Bound<'_>) -> Result<(Digest, Digest), NotCanonical> {
    let Bytes { head, run, tail } = Bytes::of(bound)?;
    let shown = Sha256::new_with_prefix(head);
    let of_run = shown.clone().chain_update(run).chain_update(&tail).finalize();
    Ok((Digest::from_bytes(&of_run.into()), Digest::from_bytes(&shown.chain_update(&tail).finalize().into())))
}
