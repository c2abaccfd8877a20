//! A whole incident, recorded as it is played by real keys: an asciicast and the moving picture made of it.

use super::picture::Film;
use super::support::{CTRL_C, END, ENTER, ESC, Start, TAB, Term};
use super::{file, settle};
use std::time::{Duration, Instant};

const SIZE: (u16, u16) = (100, 30);
/// Longest wait for what the exercise does by itself.
const LONG: Duration = Duration::from_mins(3);
/// How long something that is to be read stays, and the pause between two letters of a person who types.
const READ: Duration = Duration::from_millis(2600);
const LETTER: Duration = Duration::from_millis(90);
/// Longest time for which nothing but the heartbeat may go on in the recording.
const IDLE: Duration = Duration::from_millis(2600);
/// Frames that come closer together are one.
const FRAME: f64 = 0.25;

/// Plays the default exercise to its score and writes `demo.cast` and `demo.svg`.
pub fn record() {
    let home = tempfile::tempdir().unwrap();
    let args = ["drill", "--seed", "7", "--speed", "8"];
    let mut term = Term::start(&Start { args: &args, env: &[], home: home.path(), size: SIZE });
    play(&mut term);
    let cast = shortened(&term.recording());
    std::fs::write(file("demo.cast"), asciicast(&cast)).unwrap();
    let (film, length) = film(&cast);
    std::fs::write(file("demo.svg"), film.svg(length)).unwrap();
    println!("{}: {} pieces, {length:.0} s; {} frames", file("demo.cast").display(), cast.len(), film.frames());
}

fn read() {
    std::thread::sleep(READ);
}

fn types(term: &mut Term, text: &str) {
    for letter in text.chars() {
        term.keys(letter.encode_utf8(&mut [0; 4]));
        std::thread::sleep(LETTER);
    }
}

fn play(term: &mut Term) {
    term.until("the calm estate", LONG, |t| t.contains("Tenants"));
    read();
    term.until("a lock chain", LONG, |t| t.contains("lock chain on t017") && t.contains("declare an incident"));
    read();
    term.keys("d").shows("Database");
    read();
    term.keys("o");
    settle();
    term.keys(" ").shows("Declare an incident");
    read();
    for _ in 0..3 {
        term.keys(TAB);
        std::thread::sleep(LETTER * 3);
    }
    term.keys(ENTER).shows("INC-1");
    term.until("the playbook to be next", LONG, |t| t.contains("start schema-lock"));
    read();
    term.keys(" ").shows("[ Start ]");
    read();
    term.keys(TAB).keys(TAB).shows("> Start <");
    term.keys(ENTER).shows("risk M");
    read();
    term.keys(ENTER).shows("> Cancel <");
    term.keys(END).shows("Ready");
    read();
    term.keys(TAB).shows("> Run <");
    settle();
    term.keys(ENTER).until("the step of high risk to wait", LONG, |t| t.contains("risk H") && t.contains("confirm"));
    read();
    term.keys(ENTER).shows("> Cancel <");
    term.keys(END);
    read();
    types(term, "t017");
    read();
    term.keys(TAB).keys(ENTER);
    term.until("the end of the incident to be next", LONG, |t| t.contains("close INC-1"));
    read();
    term.keys("j").shows("Journal");
    read();
    term.keys("o");
    settle();
    term.keys(" ").shows("Close INC-1");
    types(term, "the deploy job was ended");
    term.keys(TAB).keys(TAB).shows("> Close <");
    settle();
    term.keys(ENTER).until("the score to be next", LONG, |t| t.contains("read how the exercise went"));
    read();
    term.keys(" ").until("the score", LONG, |t| t.contains("points in"));
    read();
    read();
    term.keys(ESC);
    settle();
    term.keys(CTRL_C);
}

/// What was written, with the seconds from the beginning; where only the heartbeat goes on for long, time is cut short.
fn shortened(recording: &[(Instant, Vec<u8>)]) -> Vec<(f64, Vec<u8>)> {
    let Some((begun, _)) = recording.first() else { return Vec::new() };
    // A piece of this size is more than a heartbeat and its clock.
    let moves = |piece: &[u8]| piece.len() > 200;
    let (mut out, mut cut, mut last) = (Vec::new(), Duration::ZERO, *begun);
    for (at, piece) in recording {
        let still = at.duration_since(last);
        let shown = last.duration_since(*begun).saturating_sub(cut) + still.min(IDLE);
        if moves(piece) {
            cut += still.saturating_sub(IDLE);
            last = *at;
        }
        out.push((shown.as_secs_f64(), piece.clone()));
    }
    out
}

/// Version 2 of the format of asciinema: a line that says what it is, then one of each piece.
fn asciicast(cast: &[(f64, Vec<u8>)]) -> String {
    let title = "Quarterdeck: a schema lock at a plant, from the first sign to the score";
    let head = serde_json::json!({
        "version": 2, "width": SIZE.0, "height": SIZE.1, "title": title,
        "env": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    });
    let mut out = format!("{head}\n");
    // A character that was cut in two waits for its other half.
    let mut waiting: Vec<u8> = Vec::new();
    for (at, piece) in cast {
        waiting.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&waiting) {
            Ok(_) => waiting.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = waiting.split_off(whole);
        let text = String::from_utf8(std::mem::replace(&mut waiting, rest)).unwrap();
        out += &serde_json::json!([(at * 1e3).round() / 1e3, "o", text]).to_string();
        out.push('\n');
    }
    out
}

fn film(cast: &[(f64, Vec<u8>)]) -> (Film, f64) {
    let mut parser = vt100::Parser::new(SIZE.1.try_into().unwrap(), SIZE.0.try_into().unwrap(), 0);
    let mut film = Film::new(parser.screen());
    let length = cast.last().map_or(1.0, |(at, _)| at + 1.0);
    for (n, (at, piece)) in cast.iter().enumerate() {
        parser.process(piece);
        let next = cast.get(n + 1).map_or(length, |(next, _)| *next);
        // The alternate screen is left at the end: the shell that follows is no part of it.
        if next - at >= FRAME && parser.screen().alternate_screen() {
            film.add(*at, parser.screen());
        }
    }
    (film, length)
}
