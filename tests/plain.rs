//! The console in plain lines, as a screen reader or a script has it: a process with pipes, no terminal anywhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/plain.rs"]
mod plain_lines;
mod support;

use plain_lines::Plain;
use support::{kinds, lonely, records, verifies};

#[test]
fn everything_can_be_reached_without_a_screen() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = lonely(home);
    let mut plain = Plain::start(home, &["--config", &file], "C.UTF-8");
    plain.until(0, "the overview> ");
    for (line, tells) in [
        ("t", "-- Tenants"),
        ("", "-- Tenants"),
        ("database", "-- Lock tree"),
        ("Esc", "the screen of tenants> "),
        ("/nobody", "none of 1 fits `nobody`"),
        ("Esc", "-- Tenants: 1 UNKNOWN"),
        ("Enter", "the sheet of a row> "),
        ("Esc", "the screen of tenants> "),
        (":journal", "the palette> "),
        ("Enter", "-- Journal, newest last"),
        ("?", "-- Help"),
        ("Esc", "the journal> "),
        ("help", "Each line that you type is one of these:"),
        ("frobnicate", "`frobnicate` is no key and no action of the journal"),
        ("overview", "-- Findings"),
    ] {
        plain.line(line, tells);
    }
    // A note: text where text is asked for, `=` where it is the name of a key, and Cancel has to be passed.
    plain.line("note", "a form> ");
    plain.line("pump 3 stands, ", "pump 3 stands");
    plain.line("=Tab", "pump 3 stands, Tab");
    plain.line("Tab", "> Cancel <");
    plain.line("Tab", "> Record <");
    plain.line("Enter", "noted");
    plain.line("j", "pump 3 stands, Tab");
    let (code, told) = plain.end();
    assert_eq!(code, Some(130), "the end of the input is a hang-up");
    assert!(!told.contains(&0x1b), "no control sequence: {}", String::from_utf8_lossy(&told));
    let all = records(home, &home.join("journal"));
    assert_eq!(kinds(&all).iter().filter(|k| **k == "note.added").count(), 1, "{:?}", kinds(&all));
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
    verifies(home, &home.join("journal"));
}

#[test]
fn a_terminal_without_unicode_gets_ascii_and_quit_leaves() {
    let home = tempfile::tempdir().unwrap();
    let mut plain = Plain::start(home.path(), &["drill"], "C");
    plain.until(0, "-- Tenants");
    plain.types("quit");
    let (code, told) = plain.end();
    assert_eq!(code, Some(0));
    assert!(told.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')), "{}", String::from_utf8_lossy(&told));
}
