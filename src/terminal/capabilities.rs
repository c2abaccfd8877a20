//! What the terminal can show, from the environment. `COLORTERM` does not cross ssh by default, so that its
//! absence says nothing; `NO_COLOR` wins over everything.

use crate::console::theme::{Capabilities, ColorDepth};
use std::io::IsTerminal as _;

/// Reads the process's environment.
pub fn detect() -> Capabilities {
    decide(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}

/// Decides from named variables.
pub fn decide(var: impl Fn(&str) -> Option<String>) -> Capabilities {
    let term = var("TERM").unwrap_or_default();
    let colorterm = var("COLORTERM").unwrap_or_default();
    let colors = if var("NO_COLOR").is_some() || matches!(term.as_str(), "dumb" | "" | "vt100" | "vt220") {
        ColorDepth::None
    } else if matches!(colorterm.as_str(), "truecolor" | "24bit") || term.ends_with("-direct") {
        ColorDepth::True
    } else if term.contains("256color") || matches!(term.as_str(), "alacritty" | "xterm-kitty" | "foot") {
        ColorDepth::Ansi256
    } else {
        ColorDepth::Ansi16
    };
    // The first that is set decides, as in setlocale(3). Nothing set at all is the C locale.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|n| var(n)).unwrap_or_default().to_lowercase();
    let unicode = (locale.contains("utf-8") || locale.contains("utf8")) && term != "linux";
    Capabilities { colors, unicode }
}

/// Whether both ends are a terminal, so that a full screen makes sense.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Capabilities {
        decide(|n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn no_color_wins_and_a_bare_terminal_gets_sixteen() {
        let full = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")];
        assert_eq!(with(&full), Capabilities { colors: ColorDepth::True, unicode: true });
        assert_eq!(with(&[("TERM", "screen"), ("LANG", "en_US.utf8")]).colors, ColorDepth::Ansi16);
        assert_eq!(with(&[("TERM", "tmux-256color")]), Capabilities { colors: ColorDepth::Ansi256, unicode: false });
        assert_eq!(with(&[("NO_COLOR", "1"), ("TERM", "xterm-256color")]).colors, ColorDepth::None);
        assert!(!with(&[("TERM", "linux"), ("LANG", "C.UTF-8")]).unicode);
        assert!(!with(&[("TERM", "xterm"), ("LC_ALL", "C"), ("LANG", "C.UTF-8")]).unicode);
    }
}
