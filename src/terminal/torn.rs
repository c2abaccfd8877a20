//! Pasted text whose beginning was lost. Where `Esc`, or half a sequence, stands right before the mark that begins a
//! paste, the reader of the keys takes the mark for letters and what was pasted for typed keys: `Enter`, `Ctrl-X` and all.
//! The last letters of the mark, typed faster than anybody types, give it away.
//!
//! The same reader takes `Esc` and the first byte of a sequence right behind it, such as a turn of the wheel, for one
//! `Esc`, and the rest of the sequence for letters (crossterm 0.29, `parse_event`). Who pressed `Esc` while the wheel
//! still turned would press `[`, `<`, digits and `M` as well.

use crossterm::event::{Event, KeyCode};
use std::time::{Duration, Instant};

/// What is left of the mark (`ESC [ 200 ~`) at least: the first byte of a character in UTF-8 swallows three more.
const MARK: [char; 3] = ['0', '0', '~'];
/// Longest time between two of its letters.
const APART: Duration = Duration::from_millis(50);
/// How long nothing may come until what comes is typed again. The mark at the end is never seen.
const QUIET: Duration = Duration::from_secs(1);

/// Watches what comes.
#[derive(Debug, Default)]
pub struct Torn {
    /// Letters of the mark so far.
    seen: usize,
    last: Option<Instant>,
    open: bool,
    rest: Rest,
}

/// Where the rest of a sequence stands whose first byte an `Esc` took with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// None is awaited.
    #[default]
    None,
    /// `Esc` came: a `[` at once is its second byte.
    Esc,
    /// Its parameters, until a letter ends it.
    Parameters,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// No part of a torn paste.
    None,
    /// The end of its mark: from here on text is dropped.
    Begin,
    /// Text of it, or the rest of a torn sequence.
    Text,
}

impl Torn {
    /// Takes in an event; answers what part of a torn paste it is.
    pub fn part(&mut self, event: &Event, now: Instant) -> Part {
        let Event::Key(key) = event else { return Part::None };
        let since = self.last.map(|last| now.duration_since(last));
        self.last = Some(now);
        if self.open {
            if since.is_some_and(|since| since < QUIET) {
                return Part::Text;
            }
            self.open = false;
            self.seen = 0;
        }
        let goes_on = self.seen == 0 || since.is_some_and(|since| since <= APART);
        self.seen = match key.code {
            KeyCode::Char(c) if goes_on && MARK.get(self.seen) == Some(&c) => self.seen + 1,
            // Of more than two zeros the last two count.
            KeyCode::Char('0') if goes_on && self.seen == 2 => 2,
            KeyCode::Char('0') => 1,
            _ => 0,
        };
        self.open = self.seen == MARK.len();
        let at_once = since.is_some_and(|since| since <= APART);
        let rest = self.rest(key.code, at_once);
        match (self.open, rest) {
            (true, _) => Part::Begin,
            (false, true) => Part::Text,
            (false, false) => Part::None,
        }
    }

    /// Whether a key is the rest of a sequence (ECMA-48, 5.4) whose first byte an `Esc` took with it.
    fn rest(&mut self, key: KeyCode, at_once: bool) -> bool {
        let (is, next) = match (self.rest, key) {
            (Rest::Esc, KeyCode::Char('[')) | (Rest::Parameters, KeyCode::Char(' '..='?')) if at_once => {
                (true, Rest::Parameters)
            }
            (Rest::Parameters, KeyCode::Char('@'..='~')) if at_once => (true, Rest::None),
            (_, KeyCode::Esc) => (false, Rest::Esc),
            _ => (false, Rest::None),
        };
        self.rest = next;
        is
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyEvent, KeyModifiers};

    fn press(torn: &mut Torn, text: &str, now: &mut Instant, apart_ms: u64) -> Vec<Part> {
        let event = |c| Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
        text.chars()
            .map(|c| {
                *now += Duration::from_millis(apart_ms);
                torn.part(&event(c), *now)
            })
            .collect()
    }

    #[test]
    fn what_comes_behind_the_letters_of_the_mark_is_dropped_until_it_is_quiet() {
        let (mut torn, mut now) = (Torn::default(), Instant::now());
        for mark in ["[200~", "200~", "00~", "x000~"] {
            let parts = press(&mut torn, &format!("{mark}F\r\u{18}Q"), &mut now, 1);
            assert_eq!(parts.iter().position(|p| *p == Part::Begin), Some(mark.len() - 1));
            assert!(parts.iter().skip(mark.len()).all(|p| *p == Part::Text));
            now += QUIET;
        }
        press(&mut torn, "00~", &mut now, 1);
        assert_eq!(press(&mut torn, "more", &mut now, 900), [Part::Text; 4], "a slow link");
        assert_eq!(press(&mut torn, "j", &mut now, 1000), [Part::None]);
    }

    #[test]
    fn the_rest_of_a_sequence_behind_an_esc_is_no_typing() {
        let esc = Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        let (mut torn, mut now) = (Torn::default(), Instant::now());
        for (rest, then) in [("[<64;10;3M", "Mj"), ("[B", "B"), ("[5~", "~x"), ("[27;5;106~", "["), ("[<0;1m", "m")] {
            assert_eq!(torn.part(&esc, now), Part::None);
            assert!(press(&mut torn, rest, &mut now, 0).iter().all(|p| *p == Part::Text), "{rest}");
            assert!(press(&mut torn, then, &mut now, 0).iter().all(|p| *p == Part::None), "{then} behind {rest}");
            now += QUIET;
        }
        // A paste whose mark lost its first byte, and a person who types.
        torn.part(&esc, now);
        assert_eq!(press(&mut torn, "[200~Q", &mut now, 1)[4..], [Part::Begin, Part::Text]);
        now += QUIET;
        torn.part(&esc, now);
        assert_eq!(press(&mut torn, "[<5M", &mut now, 80), [Part::None; 4]);
    }

    #[test]
    fn who_types_the_letters_types() {
        let (mut torn, mut now) = (Torn::default(), Instant::now());
        assert_eq!(press(&mut torn, "[200~ok", &mut now, 80), [Part::None; 7]);
        assert_eq!(press(&mut torn, "[201~o0k0~", &mut now, 1), [Part::None; 10]);
    }
}
