//! Arguments of simulated verbs, and reading a rendered request back.

use crate::domain::estate::Tenant;
use crate::domain::id::TenantId;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::{Operation, Request};
use crate::domain::sample::{Failure, FailureKind};
use serde_json::Value;

/// A text argument; numbers count as text, an empty one as absent.
pub(super) fn optional(context: &RenderContext<'_>, name: &str) -> Result<Option<String>, VerbError> {
    match context.args.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(VerbError::new(format!("the argument {name} is {other}, not a text or a number"))),
    }
}

/// A text argument that must be there.
pub(super) fn required(context: &RenderContext<'_>, name: &str) -> Result<String, VerbError> {
    optional(context, name)?.ok_or_else(|| VerbError::new(format!("the argument {name} is not given")))
}

/// The tenant of the argument `tenant`.
pub(super) fn tenant<'a>(context: &RenderContext<'a>) -> Result<&'a Tenant, VerbError> {
    let id = TenantId::new(required(context, "tenant")?);
    context.estate.tenant(&id).ok_or_else(|| VerbError::new(format!("there is no tenant {id}")))
}

/// A parameter of a rendered SQL statement, from 1: the lines `-- $1 = …` of [`Operation::lines`].
pub(super) fn parameter(request: &Request, number: usize) -> Result<&str, Failure> {
    let prefix = format!("-- ${number} = ");
    let lines = statement(request).lines();
    let found = lines.filter_map(|line| line.strip_prefix(&prefix)).next_back();
    found.ok_or_else(|| Failure::new(FailureKind::Local, format!("the request has no parameter {number}")))
}

/// The text of a rendered request.
pub(super) fn statement(request: &Request) -> &str {
    if let Operation::Simulated { statement } = &request.operation { statement } else { "" }
}

/// The tenant in whose blast radius a request lies.
pub(super) fn target_tenant(request: &Request) -> Result<&TenantId, Failure> {
    let first = request.target.tenants.first();
    first.ok_or_else(|| Failure::new(FailureKind::Local, "the request names no tenant"))
}

/// The thing that a request was aimed at is not there.
pub(super) fn gone(what: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Local, format!("{what} is not there any more, nothing was done"))
}
