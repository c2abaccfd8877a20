//! The signs that are drawn, for terminals with Unicode and for those without.

use crate::domain::health::Health;

/// The signs that are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Signs of ok, warn, unknown, critical.
    pub health: [&'static str; 4],
    /// Mark of the cursor's row.
    pub cursor: &'static str,
    /// The two states of the heartbeat.
    pub beat: [&'static str; 2],
    /// Ends a text that was cut.
    pub ellipsis: &'static str,
    /// Horizontal line.
    pub rule: &'static str,
    /// Vertical line.
    pub wall: &'static str,
    /// Joints: `┬ ┴ ├ ┤ ┼`.
    pub joints: [&'static str; 5],
    /// Corners: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    /// Done.
    pub done: &'static str,
    /// Failed.
    pub failed: &'static str,
    /// In hand.
    pub current: &'static str,
    /// Waits.
    pub waits: &'static str,
    /// Separates facts in a line.
    pub dot: &'static str,
    /// Leads to something.
    pub arrow: &'static str,
    /// Tree: branch, last branch, trunk.
    pub tree: [&'static str; 3],
    /// Shade at both sides of a banner.
    pub shade: &'static str,
    /// Eight heights of a bar, lowest first.
    pub bars: [&'static str; 8],
    /// Full and empty parts of a gauge.
    pub gauge: [&'static str; 2],
    /// Whether text is told in ASCII too.
    pub ascii: bool,
}

/// Signs for terminals that show Unicode.
pub const UNICODE: Glyphs = Glyphs {
    health: ["●", "▲", "?", "✖"],
    cursor: "▌",
    beat: ["◉", "○"],
    ellipsis: "…",
    rule: "─",
    wall: "│",
    joints: ["┬", "┴", "├", "┤", "┼"],
    corners: ["┌", "┐", "└", "┘"],
    done: "✔",
    failed: "✖",
    current: "▶",
    waits: "◌",
    dot: "·",
    arrow: "→",
    tree: ["├─", "└─", "│ "],
    shade: "▓",
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    gauge: ["█", "░"],
    ascii: false,
};

/// Words instead of signs, for who reads line by line: a screen reader, a serial line. Lines between panes stay, so that
/// the text can be taken apart at them.
pub const WORDS: Glyphs = Glyphs {
    health: ["ok", "WARN", "UNKNOWN", "CRITICAL"],
    cursor: ">",
    beat: [" ", " "],
    done: "done",
    failed: "FAILED",
    current: "now",
    waits: "waits",
    dot: ",",
    arrow: "to",
    tree: ["  ", "  ", "  "],
    shade: "",
    bars: [".", ".", ":", ":", "=", "=", "#", "#"],
    gauge: ["#", "."],
    ..UNICODE
};

/// Signs for terminals that show ASCII only.
pub const ASCII: Glyphs = Glyphs {
    health: ["o", "^", "?", "x"],
    cursor: ">",
    beat: ["*", "+"],
    ellipsis: "~",
    rule: "-",
    wall: "|",
    joints: ["+", "+", "+", "+", "+"],
    corners: ["+", "+", "+", "+"],
    done: "v",
    failed: "x",
    current: ">",
    waits: ".",
    dot: "-",
    arrow: "->",
    tree: ["|-", "`-", "| "],
    shade: "#",
    bars: [".", ".", ":", ":", "=", "=", "#", "#"],
    gauge: ["#", "."],
    ascii: true,
};

impl Glyphs {
    /// The sign of a health.
    pub const fn of(&self, health: Health) -> &'static str {
        let [ok, warn, unknown, critical] = self.health;
        match health {
            Health::Ok => ok,
            Health::Warn => warn,
            Health::Unknown => unknown,
            Health::Critical => critical,
        }
    }
}
