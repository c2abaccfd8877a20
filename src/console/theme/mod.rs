//! Colours by role, from TOML, fitted to what the terminal can show; and the glyphs that go with them.
//! Nothing is told by colour alone: every role that means something also has a glyph or a word.

mod depth;
mod glyphs;
mod wardrobe;

use crate::domain::health::Health;
use crate::domain::incident::Severity;
use crate::domain::risk::Risk;
use crate::domain::text::sanitize;
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr as _;

use depth::nearest;
pub use glyphs::{ASCII, Glyphs, UNICODE, WORDS};
pub use wardrobe::Wardrobe;

/// What a piece of the screen is; a theme gives each its look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Less important text.
    Dim,
    /// More important text.
    Strong,
    /// What the eye should find: keys, links, the next verb.
    Accent,
    /// Titles of panes.
    Title,
    /// Lines between panes.
    Rule,
    /// Healthy.
    Ok,
    /// Beyond the first threshold.
    Warn,
    /// Beyond the second threshold.
    Critical,
    /// Not known.
    Unknown,
    /// Banner of a production estate.
    Production,
    /// Banner of any other estate.
    Environment,
    /// Banner of a drill or a replay.
    Drill,
    /// Banner of a console that can not act.
    ReadOnly,
    /// Something that must not be overlooked: engine lost, glass broken, journal broken.
    Alarm,
    /// The row under the cursor.
    Cursor,
    /// A button.
    Button,
    /// The button or field with the focus.
    Focus,
    /// A text field.
    Input,
    /// A chart.
    Chart,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Text,
        Self::Dim,
        Self::Strong,
        Self::Accent,
        Self::Title,
        Self::Rule,
        Self::Ok,
        Self::Warn,
        Self::Critical,
        Self::Unknown,
        Self::Production,
        Self::Environment,
        Self::Drill,
        Self::ReadOnly,
        Self::Alarm,
        Self::Cursor,
        Self::Button,
        Self::Focus,
        Self::Input,
        Self::Chart,
    ];
}

impl From<Health> for Role {
    fn from(health: Health) -> Self {
        match health {
            Health::Ok => Self::Ok,
            Health::Warn => Self::Warn,
            Health::Unknown => Self::Unknown,
            Health::Critical => Self::Critical,
        }
    }
}

impl From<Severity> for Role {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Sev1 | Severity::Sev2 => Self::Critical,
            Severity::Sev3 => Self::Warn,
            Severity::Sev4 => Self::Text,
        }
    }
}

impl From<Risk> for Role {
    fn from(risk: Risk) -> Self {
        match risk {
            Risk::Low => Self::Text,
            Risk::Medium => Self::Warn,
            Risk::High => Self::Critical,
        }
    }
}

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColorDepth {
    /// None: `NO_COLOR`, or a terminal without colours.
    None,
    /// The sixteen named ones.
    Ansi16,
    /// The 256 of xterm.
    Ansi256,
    /// 24 bits.
    True,
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Colours.
    pub colors: ColorDepth,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
}

/// Why a theme can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    /// No theme has that name.
    #[error("no theme is named `{name}`; there are {known}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The text is not a theme.
    #[error("theme `{name}`, line {line}, column {column}: {message}")]
    Text {
        /// Name it was given under.
        name: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What was found and what is allowed.
        message: String,
    },
    /// A role has a colour that does not exist, or has no look at all.
    #[error("theme `{name}`: {message}")]
    Role {
        /// Name it was given under.
        name: String,
        /// What was found and what is allowed.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the theme is made for, and what its contrast is judged against.
    background: Option<String>,
    /// Whether the console paints it; else the terminal's own stays, which has to be of that kind.
    #[serde(default)]
    painted: bool,
    roles: BTreeMap<Role, Look>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one switch of the file format")]
struct Look {
    fg: Option<String>,
    bg: Option<String>,
    bold: bool,
    dim: bool,
    underlined: bool,
    reversed: bool,
}

/// The look of a console.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// What it is for: the comment on the first line of its file.
    pub what: String,
    /// Its signs.
    pub glyphs: Glyphs,
    background: Option<Color>,
    styles: BTreeMap<Role, Style>,
}

/// Themes inside the binary: name and text.
pub const BUILT_IN: [(&str, &str); 9] = [
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("contrast", include_str!("../../../themes/contrast.toml")),
    ("contrast-light", include_str!("../../../themes/contrast-light.toml")),
    ("colorblind", include_str!("../../../themes/colorblind.toml")),
    ("nvg", include_str!("../../../themes/nvg.toml")),
    ("amber", include_str!("../../../themes/amber.toml")),
    ("ansi16", include_str!("../../../themes/ansi16.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

impl Theme {
    /// One theme of all: see [`Wardrobe::open`].
    ///
    /// # Errors
    /// There is no theme of that name, or it can not be read.
    pub fn choose(name: Option<&str>, own: &[(String, String)], can: Capabilities) -> Result<Self, ThemeError> {
        Wardrobe::open(name, own, can).map(|all| all.worn().clone())
    }

    /// Reads a theme from its text.
    pub fn parse(name: &str, text: &str) -> Result<Self, ThemeError> {
        let file: File = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|s| text.get(..s.start)).unwrap_or_default();
            ThemeError::Text {
                name: name.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
                message: e.message().replace('\n', "; "),
            }
        })?;
        let role_error = |message: String| ThemeError::Role { name: name.to_owned(), message };
        let missing: Vec<_> =
            Role::ALL.iter().filter(|r| !file.roles.contains_key(r)).map(|r| format!("{r:?}").to_lowercase()).collect();
        if !missing.is_empty() {
            return Err(role_error(format!("no look is given for {}", missing.join(", "))));
        }
        let background = color(file.background.as_deref()).map_err(role_error)?;
        if file.painted && background.is_none() {
            return Err(role_error("it is to be painted and has no `background`".to_owned()));
        }
        let mut styles = BTreeMap::new();
        for (role, look) in file.roles {
            styles.insert(role, look.style().map_err(role_error)?);
        }
        if let Some(ground) = background.filter(|_| file.painted) {
            // On an own background nothing may be left to the terminal, whose text may have the same colour.
            let text = styles.get(&Role::Text).and_then(|style| style.fg);
            for style in styles.values_mut() {
                style.fg = style.fg.or(text);
                style.bg = style.bg.or(Some(ground));
            }
            if text.is_none() {
                return Err(role_error("it is to be painted and gives `text` no `fg`".to_owned()));
            }
        }
        let what = text.lines().next().and_then(|line| line.strip_prefix('#')).unwrap_or_default();
        let (name, what) = (name.to_owned(), sanitize(what.trim()));
        Ok(Self { name, what, glyphs: UNICODE, background, styles })
    }

    /// The theme with no more colours and signs than the terminal has.
    #[must_use]
    pub fn fitted(mut self, can: Capabilities) -> Self {
        for style in self.styles.values_mut() {
            style.fg = style.fg.and_then(|c| nearest(c, can.colors));
            style.bg = style.bg.and_then(|c| nearest(c, can.colors));
        }
        self.glyphs = if can.unicode { UNICODE } else { ASCII };
        self
    }

    /// With words instead of signs, for who reads line by line.
    #[must_use]
    pub const fn in_words(mut self) -> Self {
        self.glyphs = WORDS;
        self
    }

    /// What its contrast is judged against: what it paints, or what it expects of the terminal.
    pub const fn background(&self) -> Option<Color> {
        self.background
    }

    /// The look of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(&role).copied().unwrap_or_default()
    }
}

fn color(text: Option<&str>) -> Result<Option<Color>, String> {
    let named = |t| {
        Color::from_str(t).map_err(|_| {
            format!("`{t}` is no colour; allowed are #rrggbb, a number from 0 to 255, or a name such as light-red")
        })
    };
    text.map(named).transpose()
}

impl Look {
    fn style(&self) -> Result<Style, String> {
        let (fg, bg) = (color(self.fg.as_deref())?, color(self.bg.as_deref())?);
        let mut style = Style { fg, bg, ..Style::default() };
        for (on, modifier) in [
            (self.bold, Modifier::BOLD),
            (self.dim, Modifier::DIM),
            (self.underlined, Modifier::UNDERLINED),
            (self.reversed, Modifier::REVERSED),
        ] {
            if on {
                style = style.add_modifier(modifier);
            }
        }
        Ok(style)
    }
}

#[cfg(test)]
mod tests;
