//! A real export from the lab's Odoo, as a person makes one in the web client, and the line that Odoo logs of it.

use super::tests::{observer_at, records};
use crate::observe::http::rig::{measured, skip};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::process::Command;

#[tokio::test]
async fn a_real_export_is_told_with_who_took_how_much() {
    let (Some(dir), Ok(_)) = (std::env::var_os("QUARTERDECK_LAB_DIR"), std::env::var("LAB_ODOO_URL")) else {
        return skip("exports of Odoo", "no lab (tests/lab/lab up odoo)");
    };
    let log = PathBuf::from(&dir).join("log/odoo.log");
    let (before, length) = (Timestamp::now(), std::fs::metadata(&log).map_or(0, |m| m.len()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/faults.sh");
    let mut command = Command::new("bash");
    command.arg(script).args(["export_records", "t003", "res.country"]).env("QUARTERDECK_LAB_DIR", &dir);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // What it has logged since: the whole of a busy hour is longer than what is read of a log.
    let whole = std::fs::read(&log).unwrap();
    let since = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(since.path(), &whole[usize::try_from(length).unwrap()..]).unwrap();
    let log = since.path();
    let (mut of_t003, _) = observer_at(log, "t003", Timestamp::now());
    let told = measured(&mut of_t003).await;
    // Odoo ships some 250 countries; nothing else in the lab exports that many.
    assert!(records(&told).is_some_and(|n| n >= 200.0), "{told:?}");
    let newest = told.said.iter().find(|s| s.contains("records of res.country")).unwrap();
    assert!(newest.contains("user 2 of t003 exported") && newest.contains("from 127.0.0.1"), "{newest}");
    let at: Timestamp = format!("{}Z", newest.get(..19).unwrap()).replace(' ', "T").parse().unwrap();
    assert!((before.duration_since(at).as_secs()).abs() < 3600, "{newest}");
    // The same file has the lines of all tenants.
    let (mut of_t090, _) = observer_at(log, "t090", Timestamp::now());
    assert_eq!(records(&measured(&mut of_t090).await), Some(0.0));
}
