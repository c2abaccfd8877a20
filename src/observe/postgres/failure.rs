//! What went wrong with a PostgreSQL server, as a class and a sentence.

use crate::domain::sample::{Failure, FailureKind};
use crate::observe::http::tls_failure;
use std::error::Error as _;
use std::io;
use tokio_postgres::error::{DbError, SqlState};

/// `host:port` as people write it.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Classifies an error of the driver; the sentence begins with the address.
pub fn classify(address: &str, error: &tokio_postgres::Error) -> Failure {
    if let Some(said) = error.as_db_error() {
        return Failure::new(kind_of(said), format!("{address}: {}", sentence(said)));
    }
    let cause = error.source();
    let io = cause.and_then(|c| c.downcast_ref::<io::Error>());
    // The driver keeps the class of an error to itself; its text is what tells (tokio-postgres 0.7, `Kind`).
    let text = error.to_string();
    let kind = match (text.as_str(), io.map(io::Error::kind)) {
        ("error performing TLS handshake", _) => FailureKind::Tls,
        // What TLS 1.3 says of our certificate comes after its handshake.
        _ if tls_failure(error).is_some() => FailureKind::Tls,
        ("authentication error" | "invalid configuration", _) => FailureKind::Authentication,
        (_, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) => FailureKind::Protocol,
        ("connection closed" | "error connecting to server" | "error communicating with the server", _) => {
            FailureKind::Unreachable
        }
        _ => FailureKind::Protocol,
    };
    let mut message = format!("{address}: {text}");
    let mut cause = cause;
    while let Some(c) = cause {
        message.push_str(": ");
        message.push_str(&c.to_string());
        cause = c.source();
    }
    Failure::new(kind, message)
}

/// Whether the server itself refused a statement and lives on: then the statement had no effect.
pub fn is_refusal(error: &tokio_postgres::Error) -> bool {
    use tokio_postgres::error::Severity::Error;
    error.as_db_error().is_some_and(|said| said.parsed_severity() == Some(Error))
}

/// SQLSTATE classes: PostgreSQL documentation, appendix A.
fn kind_of(said: &DbError) -> FailureKind {
    let code = said.code();
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return FailureKind::Permission;
    }
    if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE {
        return FailureKind::Timeout;
    }
    match code.code().get(..2) {
        Some("28") => FailureKind::Authentication,
        // PgBouncer has used "protocol violation" for a refused login.
        Some("08") if said.message().contains("authentication") => FailureKind::Authentication,
        // Shut down, crashed, starting; out of connections or memory; no such database.
        Some("57" | "53" | "3D" | "08") => FailureKind::Unreachable,
        _ => FailureKind::Protocol,
    }
}

fn sentence(said: &DbError) -> String {
    let mut text = said.message().to_owned();
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}
