//! A campaign against the console in pseudo-terminals: terminals that lie, break off and vanish, sizes from one cell to a
//! hundred thousand, keys and pastes without sense. Nothing may panic, stay raw, lose the journal's end, or act. The cases
//! come from numbers, so that a failing one can be run again: `QUARTERDECK_CASE=17 cargo test --test terminal_campaign`.
//! `QUARTERDECK_CAMPAIGN=full` runs all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use fastrand::Rng;
use rustix::process::Signal;
use std::path::Path;
use support::{CTRL_C, SOON, Start, Term, kinds, lonely, records, verifies};

const FEW: u64 = 16;
const ALL: u64 = 300;
/// Cases that run beside each other.
const BESIDE: u64 = 4;

const TERMS: &[&str] = &["xterm-256color", "xterm", "screen", "tmux-256color", "linux", "vt100", "dumb", "nonsense"];
const LANGS: &[&str] = &["C.UTF-8", "C", "", "de_AT@euro"];
const SIZES: &[(u16, u16)] =
    &[(1, 1), (2, 1), (1, 50), (23, 4), (24, 5), (47, 11), (80, 24), (120, 40), (200, 60), (300, 80), (500, 200)];

/// Halves of sequences, and answers to questions that nobody asked: cursor, device, colours, clipboard, a mouse that is
/// nowhere, focus, a key that there is not. Left out is what crossterm 0.29 waits for the end of with all that comes
/// (crossterm-rs/crossterm#993, #1104): half a report of the mouse (until an `m`) and a report of a mode (`ESC [ ? … n`,
/// until a `c` or `u`).
const NOISE: &[&str] = &[
    "\x1b[",
    "\x1bO",
    "\x1bP",
    "\x1b]",
    "\x1b]52;c;",
    "\x1b[200",
    "\x1b[1;5",
    "\x1b[<0;1m",
    "\x1b[24;80R",
    "\x1b[?1;2c",
    "\x1b]11;rgb:0000/0000/0000\x07",
    "\x1bP>|liar 9\x1b\\",
    "\x1b[<0;999;999M",
    "\x1b[<64;1;1M",
    "\x1b[I",
    "\x1b[O",
    "\x1b[9999999999;1~",
    "\x1b[?62;22c",
    "\x1b[27;5;106~",
    "\x1b[201~",
    "\u{9b}31m",
    "\0",
    "\u{7f}",
    "\x1b\x1b\x1b",
    "\x1b\x1b[<64;1;1M",
    "\x1b\x1b[1;5B",
];

/// Keys that look, move, open and go back. Left out are those that a person acts with: Enter presses a button, `x` and
/// Ctrl-X act at once, `Q` and Ctrl-C leave, Ctrl-Z is a case of its own.
fn key(rng: &mut Rng) -> String {
    let ordinary = "abcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPRSTUVWXYZ0123456789 ?:/'*<>[]{}@+-=.,;#!";
    let special = [
        "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F", "\t", "\x1b[Z", "\x14",
        "\x0f",
    ];
    match rng.u8(0..10) {
        0..=6 => ordinary.chars().nth(rng.usize(0..ordinary.len())).unwrap().to_string(),
        7 | 8 => special[rng.usize(0..special.len())].to_owned(),
        _ => "\x1b".to_owned(),
    }
}

/// Plays one case; what is wrong with it panics.
fn play(case: u64) {
    let mut rng = Rng::with_seed(case);
    let home = tempfile::tempdir().unwrap();
    let file = lonely(home.path());
    let size = SIZES[rng.usize(0..SIZES.len())];
    let env = [("TERM", TERMS[rng.usize(0..TERMS.len())]), ("LANG", LANGS[rng.usize(0..LANGS.len())])];
    let mut term = Term::start(&Start { args: &["--config", &file], env: &env, home: home.path(), size });
    // What is said before it is no screen yet, and its keys would be the shell's.
    term.until_screen("its screen", SOON, |s| s.alternate_screen() && !s.contents().trim().is_empty());
    for _ in 0..rng.usize(5..40) {
        match rng.u8(0..20) {
            0..=11 => term.keys(&key(&mut rng)),
            12..=14 => term.keys(NOISE[rng.usize(0..NOISE.len())]).keys("\x1b\\"),
            15 | 16 => {
                let (width, height) = SIZES[rng.usize(0..SIZES.len())];
                term.resize(width, height);
                &mut term
            }
            17 => {
                // What a paste holds would declare, note, stop and quit, if it were typed.
                let paste = "F\r\t\t\rN\x18\x03:quit\r ".repeat(rng.usize(1..600));
                term.keys("\x1b[200~").keys(&paste).keys("\x1b[201~")
            }
            18 => {
                term.signal(Signal::STOP);
                term.until_stopped();
                term.signal(Signal::CONT);
                &mut term
            }
            _ => {
                let bytes: Vec<u8> = (0..rng.usize(1..200)).map(|_| rng.u8(0x80..)).collect();
                term.send(&bytes)
            }
        };
    }
    // Whatever was begun ends here, and the screen can be read again.
    term.keys("\x1b\\").keys("\x1b[201~");
    term.resize(100, 30);
    term.until("the estate's name", SOON, |t| t.contains("lonely"));
    let code = match rng.u8(0..4) {
        0 => {
            term.signal(Signal::TERM);
            130
        }
        1 => {
            term.signal(Signal::HUP);
            130
        }
        2 => {
            term.lose();
            130
        }
        _ => {
            // What comes within a second of a torn paste is taken for a part of it. Three changes of the clock that is
            // on the screen already take two seconds at least; its first appearance may be the answer to the resize.
            let clock = |t: &str| {
                let mut words = t.lines().next()?.split_whitespace();
                words.find(|word| word.ends_with('Z') && word.contains(':')).map(str::to_owned)
            };
            let mut before = None;
            for _ in 0..4 {
                before = clock(&term.until("the clock to go on", SOON, |t| {
                    let now = clock(t);
                    now.is_some() && now != before
                }));
            }
            term.keys(CTRL_C);
            0
        }
    };
    assert_eq!(term.ends(SOON).exit_code(), code, "{}", term.text());
    check(home.path());
}

/// The journal is whole and closed, and says that nobody has done anything.
fn check(home: &Path) {
    let journal = home.join("journal");
    let all = records(home, &journal);
    let kinds = kinds(&all);
    assert_eq!(kinds.last(), Some(&"journal.closed"), "{kinds:?}");
    let looked = |kind: &&&str| ["journal", "config", "console", "finding"].contains(&kind.split('.').next().unwrap());
    let acted: Vec<_> = kinds.iter().filter(|kind| !looked(kind)).collect();
    assert!(acted.is_empty(), "{acted:?}");
    verifies(home, &journal);
}

#[test]
fn nothing_panics_stays_raw_or_acts() {
    let one = std::env::var("QUARTERDECK_CASE").ok().and_then(|n| n.parse::<u64>().ok());
    let full = std::env::var("QUARTERDECK_CAMPAIGN").is_ok_and(|v| v == "full");
    let cases: Vec<u64> = one.map_or_else(|| (0..if full { ALL } else { FEW }).collect(), |n| vec![n]);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let share = |part: u64| cases.iter().copied().filter(move |case| case % BESIDE == part);
        let work = |part| {
            move || {
                let failed = |case: &u64| std::panic::catch_unwind(|| play(*case)).is_err();
                share(part).filter(failed).map(|case| format!("case {case}")).collect::<Vec<_>>()
            }
        };
        let parts: Vec<_> = (0..BESIDE).map(|part| scope.spawn(work(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    println!("{} cases, {} failed", cases.len(), failed.len());
    assert!(failed.is_empty(), "{failed:?}");
}
