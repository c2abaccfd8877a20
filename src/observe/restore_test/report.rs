//! The report of a test that was made outside: `{"at": "2026-11-20T03:10:00Z", "ok": true, "took_s": 840, "evidence":
//! "ticket 4711"}`.

use super::Tested;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use serde::Deserialize;
use std::io::Read as _;
use std::path::Path;

/// Bytes of a report that are taken.
const LARGEST: u64 = 64 << 10;

#[derive(Deserialize)]
struct Report {
    at: Timestamp,
    ok: bool,
    took_s: Option<f64>,
    evidence: Option<String>,
}

/// Reads a report; nothing when there is none yet. Blocks.
pub(super) fn read(path: &Path) -> Result<Option<Tested>, String> {
    let file = path.display();
    let open = match std::fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| format!("{file} can not be read: {e}"))?,
    };
    if !open.metadata().is_ok_and(|m| m.is_file()) {
        return Err(format!("{file} is no file"));
    }
    let mut text = String::new();
    let taken = open.take(LARGEST + 1).read_to_string(&mut text).map_err(|e| format!("{file} can not be read: {e}"))?;
    if taken as u64 > LARGEST {
        return Err(format!("{file} is longer than {LARGEST} bytes, which no report is"));
    }
    let report: Report = serde_json::from_str(&text)
        .map_err(|e| format!("{file}:{}:{}: no report: {}", e.line(), e.column(), sanitize(&e.to_string())))?;
    let took_s = report.took_s.filter(|s| s.is_finite() && *s >= 0.0);
    let evidence = report.evidence.unwrap_or_else(|| file.to_string());
    let evidence = sanitize(&evidence.chars().take(200).collect::<String>());
    Ok(Some(Tested { at: report.at, ok: report.ok, took_s, evidence }))
}
