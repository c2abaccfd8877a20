//! The console through what stands between it and a terminal at night: `script`, `screen`, `tmux` and `mosh`, real ones. Its
//! screen, its keys, a change of size, a word in another alphabet, and the terminal given back at the end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::{CTRL_C, ENTER, ESC, SOON, Start, TAB, Term, kinds, lonely, program, records, verifies};

/// A program on the path, or a line that says why the test does nothing.
fn installed(name: &str) -> Option<PathBuf> {
    let found = support::on_path(name);
    if found.is_none() {
        let why = format!("there is no {name} on this machine (tests/lab/lab install tools)");
        assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "QUARTERDECK_LAB=require, but {why}");
        println!("SKIP: {why}");
    }
    found
}

/// What is typed by hand on the way to a note: its screen and journal show that nothing was lost or added.
fn is_used(mut term: Term, home: &Path) {
    term.until("its first screen", SOON, |t| t.contains("lonely") && t.contains("palette"));
    term.keys("j").shows("Journal, newest last");
    // Alone, Esc is a key and not the beginning of another.
    term.keys(ESC).shows("What changed");
    term.resize(132, 40);
    let wide = |t: &str| t.lines().next().is_some_and(|head| head.trim_end().chars().count() > 120);
    term.until("a head as wide as the new size", SOON, wide);
    term.resize(90, 28);
    let narrow = |t: &str| t.contains("palette") && !wide(t);
    term.until("a head as wide as the size after that", SOON, narrow);
    term.keys("N").shows("Record");
    term.keys("Zoë läßt grüßen, 東京").shows("東京");
    term.keys(TAB).keys(TAB).keys(ENTER).shows("noted");
    term.keys("j").until("the note on the journal's screen", SOON, |t| t.contains("Zoë läßt grüßen, 東京"));
    term.keys(CTRL_C).ends(SOON);
    term.is_given_back();
    let journal = home.join("journal");
    let all = records(home, &journal);
    let notes: Vec<_> = all.iter().filter(|r| r["kind"] == "note.added").collect();
    assert_eq!(notes.len(), 1, "{:?}", kinds(&all));
    assert!(notes[0]["body"].to_string().contains("Zoë läßt grüßen, 東京"), "{}", notes[0]);
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
    verifies(home, &journal);
}

/// Starts a program between the terminal and the console.
fn through(name: &str, args: impl Fn(&str, &str) -> Vec<String>, env: &[(&str, &str)]) {
    let Some(between) = installed(name) else { return };
    let home = tempfile::tempdir().unwrap();
    let file = lonely(home.path());
    let args = args(&program().display().to_string(), &file);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let term = Term::start_program(&between, &Start { args: &args, env, home: home.path(), size: (100, 30) });
    is_used(term, home.path());
}

#[test]
fn through_script() {
    through(
        "script",
        |p, f| ["-q", "-e", "-c", &format!("{p} --config {f}"), "/dev/null"].map(str::to_owned).into(),
        &[],
    );
}

#[test]
fn through_screen() {
    let mine = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let sockets = tempfile::Builder::new().permissions(mine).tempdir().unwrap();
    let folder = sockets.path().display().to_string();
    let args = |p: &str, f: &str| ["-c", "/dev/null", "-q", "-U", p, "--config", f].map(str::to_owned).into();
    through("screen", args, &[("SCREENDIR", folder.as_str())]);
}

#[test]
fn through_tmux() {
    let sockets = tempfile::tempdir().unwrap();
    let folder = sockets.path().display().to_string();
    let args = |p: &str, f: &str| ["-f", "/dev/null", "-u", "new-session", p, "--config", f].map(str::to_owned).into();
    through("tmux", args, &[("TMUX_TMPDIR", folder.as_str())]);
}

#[test]
fn through_mosh() {
    let (Some(server), Some(client)) = (installed("mosh-server"), installed("mosh-client")) else { return };
    let home = tempfile::tempdir().unwrap();
    let file = lonely(home.path());
    let mut serve = Command::new(server);
    serve.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", home.path()).env("USER", "mara");
    serve.env("LANG", "C.UTF-8").env("TERM", "xterm-256color").current_dir(home.path());
    // At a port that is free, until nobody has been there for a while.
    serve.env("MOSH_SERVER_NETWORK_TMOUT", "60").args(["new", "-i", "127.0.0.1", "-p", "0", "--"]);
    let said = serve.arg(program()).args(["--config", &file]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let connect = said.lines().find_map(|l| l.trim().strip_prefix("MOSH CONNECT ")).unwrap_or_else(|| panic!("{said}"));
    let (port, key) = connect.split_once(' ').unwrap();
    let start = Start { args: &["127.0.0.1", port], env: &[("MOSH_KEY", key)], home: home.path(), size: (100, 30) };
    is_used(Term::start_program(&client, &start), home.path());
}
