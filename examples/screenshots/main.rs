//! Takes the pictures in `screenshots/` from the running program: `screenshots/make`. It plays the default exercise
//! with real keys in a pseudo-terminal, and writes what the terminal then shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers; it fails by panicking"
)]

mod demo;
#[path = "../../tests/support/engine.rs"]
mod engine;
#[path = "../../tests/support/estates.rs"]
mod estates;
#[path = "../../tests/support/picture.rs"]
mod picture;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tour;

use std::path::{Path, PathBuf};
use std::time::Duration;
use support::Term;

/// A file beside the pictures.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots").join(name)
}

fn picture(term: &Term, name: &str) {
    let parser = term.shared.parser.lock().unwrap();
    let path = file(&format!("{name}.svg"));
    std::fs::write(&path, picture::svg(parser.screen())).unwrap();
    println!("{}", path.display());
}

/// What was typed last has to be drawn: longer than a frame takes, also where the machine is busy.
fn settle() {
    std::thread::sleep(Duration::from_millis(700));
}

fn main() {
    let parts: [(&str, fn()); 6] = [
        ("first-drill", tour::first_drill),
        ("attached", tour::attached),
        ("screens", tour::screens),
        ("estates", tour::estates),
        ("themes", tour::themes),
        ("demo", demo::record),
    ];
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = asked.iter().find(|a| parts.iter().all(|(name, _)| name != a)) {
        eprintln!("there is no part `{unknown}`; allowed are {}", parts.map(|(name, _)| name).join(", "));
        std::process::exit(2);
    }
    for (name, take) in parts {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            take();
        }
    }
}
