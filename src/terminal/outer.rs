//! Sequences for the terminal that a person looks at, which may stand outside of tmux or screen: clipboard, notification,
//! title.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What runs between this program and the person's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing that is known of.
    Nothing,
    /// tmux: takes a sequence itself, or hands it on in a passthrough when `allow-passthrough` is on.
    Tmux,
    /// GNU screen: hands on what stands in a device control string.
    Screen,
}

/// Longest device control string that screen hands on; a longer one is cut into pieces.
const SCREEN_MOST: usize = 700;

impl Between {
    /// From named variables. Over ssh only `TERM` crosses.
    pub fn decide(var: impl Fn(&str) -> Option<String>) -> Self {
        let term = var("TERM").unwrap_or_default();
        if var("TMUX").is_some() || term.starts_with("tmux") {
            Self::Tmux
        } else if var("STY").is_some() || term.starts_with("screen") {
            Self::Screen
        } else {
            Self::Nothing
        }
    }

    /// A sequence so that it reaches the outer terminal: as it is, and again wrapped for what is between. Whoever takes
    /// both puts the same text on the clipboard twice.
    pub fn wrap(self, sequence: &str) -> String {
        match self {
            Self::Nothing => sequence.to_owned(),
            Self::Tmux => format!("{sequence}\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
            Self::Screen => {
                let mut wrapped = String::new();
                let mut rest = sequence;
                while !rest.is_empty() {
                    let at = (0..=SCREEN_MOST.min(rest.len()))
                        .rev()
                        .find(|at| rest.is_char_boundary(*at))
                        .unwrap_or(rest.len());
                    let (piece, left) = rest.split_at(at.max(1));
                    wrapped.push_str("\x1bP");
                    wrapped.push_str(piece);
                    wrapped.push_str("\x1b\\");
                    rest = left;
                }
                // screen before 4.99 ends the string at an inner BEL only; what it does not know it drops.
                wrapped
            }
        }
    }
}

/// A text without anything that could end the sequence that it stands in.
fn clean(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// Sets the title of the window (OSC 2). Every multiplexer takes it for its own pane.
pub fn title(text: &str) -> String {
    format!("\x1b]2;{}\x07", clean(text, 120))
}

/// Keeps the title that the window has (XTWINOPS 22), so that [`RESTORE_TITLE`] can bring it back.
pub const KEEP_TITLE: &str = "\x1b[22;2t";
/// Brings the kept title back (XTWINOPS 23).
pub const RESTORE_TITLE: &str = "\x1b[23;2t";

/// A notification as iTerm2, `WezTerm`, kitty and Ghostty know it (OSC 9). A text that begins with a digit would be a
/// command of `ConEmu`.
pub fn osc9(text: &str) -> String {
    format!("\x1b]9;quarterdeck: {}\x07", clean(text, 200))
}

/// A notification as urxvt, foot and VTE know it (OSC 777). Its fields end at `;`.
pub fn osc777(text: &str) -> String {
    format!("\x1b]777;notify;quarterdeck;{}\x07", clean(text, 200).replace(';', ","))
}

/// Puts a text, in base64, on the clipboard (OSC 52).
pub fn clipboard(base64: &str) -> String {
    format!("\x1b]52;c;{base64}\x07")
}

/// Says where the cells that come lead (OSC 8), or that they lead nowhere. Pieces of one address are told to be one by an
/// `id` made of it. What is no character of an address is left out: nothing in it can end the sequence.
pub fn link(address: Option<&str>) -> String {
    let Some(address) = address else { return "\x1b]8;;\x07".to_owned() };
    let address: String = address.chars().filter(char::is_ascii_graphic).collect();
    let mut id = DefaultHasher::new();
    address.hash(&mut id);
    format!("\x1b]8;id={:x};{address}\x07", id.finish() & 0xffff_ffff)
}

/// Whether the terminal is taken to know OSC 8, or to pass over what it does not know. Over ssh only `TERM` crosses, which
/// most terminals set to one of xterm's names.
pub fn follows_links(var: impl Fn(&str) -> Option<String>) -> bool {
    let term = var("TERM").unwrap_or_default();
    // The console of Linux, serial terminals, and what hands nothing on (screen, tmux under that name).
    let poor = ["", "dumb", "linux", "ansi", "eterm"].contains(&term.as_str())
        || ["vt", "screen", "rxvt", "cons", "sun"].iter().any(|name| term.starts_with(name));
    // VTE before 0.50.1 printed the sequence or fell over it; the version is a number such as 6800 for 0.68.0.
    let old = var("VTE_VERSION").and_then(|v| v.parse::<u32>().ok()).is_some_and(|v| v <= 5000);
    !poor && !old && var("STY").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Between {
        Between::decide(|n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn what_is_between_is_known_from_the_environment() {
        assert_eq!(with(&[("TERM", "xterm-256color")]), Between::Nothing);
        assert_eq!(with(&[("TERM", "screen-256color"), ("TMUX", "/tmp/x,1,0")]), Between::Tmux);
        assert_eq!(with(&[("TERM", "tmux-256color")]), Between::Tmux);
        assert_eq!(with(&[("TERM", "screen.xterm-256color"), ("STY", "1.pts")]), Between::Screen);
    }

    #[test]
    fn a_sequence_goes_through_and_a_text_can_not_end_it() {
        assert_eq!(Between::Nothing.wrap("\x1b]2;a\x07"), "\x1b]2;a\x07");
        assert_eq!(Between::Tmux.wrap("\x1b]2;a\x07"), "\x1b]2;a\x07\x1bPtmux;\x1b\x1b]2;a\x07\x1b\\");
        let long = "é".repeat(SCREEN_MOST);
        let wrapped = Between::Screen.wrap(&long);
        let pieces: String = wrapped.split("\x1b\\").map(|p| p.trim_start_matches("\x1bP")).collect();
        assert_eq!(pieces, long);
        assert!(wrapped.split("\x1b\\").all(|p| p.len() <= SCREEN_MOST + 2));
        assert_eq!(osc777("a;b\x07\x1b[2Jc"), "\x1b]777;notify;quarterdeck;a,b[2Jc\x07");
        assert_eq!(title("a\x07b").matches('\x07').count(), 1);
    }

    #[test]
    fn a_link_can_not_be_ended_from_within() {
        let open = link(Some("https://a.example/\x07\x1b]0;x\x1b\\é b"));
        assert!(open.starts_with("\x1b]8;id=") && open.ends_with(";https://a.example/]0;x\\b\x07"), "{open:?}");
        assert_eq!(open.matches(['\x07', '\x1b']).count(), 2);
        assert_eq!(link(Some("https://a")), link(Some("https://a")));
        assert_ne!(link(Some("https://a")), link(Some("https://b")));
        assert_eq!(link(None), "\x1b]8;;\x07");
    }

    #[test]
    fn links_are_left_out_where_they_could_be_seen_as_text() {
        let follows =
            |vars: &[(&str, &str)]| follows_links(|n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned()));
        for term in ["xterm-256color", "xterm-kitty", "alacritty", "tmux-256color", "foot", "wezterm"] {
            assert!(follows(&[("TERM", term)]), "{term}");
        }
        for term in ["", "dumb", "linux", "vt220", "screen-256color", "rxvt-unicode"] {
            assert!(!follows(&[("TERM", term)]), "{term}");
        }
        assert!(!follows(&[]));
        assert!(!follows(&[("TERM", "xterm-256color"), ("STY", "1.pts")]));
        assert!(!follows(&[("TERM", "xterm-256color"), ("VTE_VERSION", "5000")]));
        assert!(follows(&[("TERM", "xterm-256color"), ("VTE_VERSION", "6800")]));
    }
}
