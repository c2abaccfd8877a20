//! Colours by role, from TOML, fitted to what the terminal can show; and the glyphs that go with them.
//! Nothing is told by colour alone: every role that means something also has a glyph or a word.

mod depth;
mod glyphs;

use crate::domain::health::Health;
use crate::domain::incident::Severity;
use crate::domain::risk::Risk;
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr as _;

use depth::nearest;
pub use glyphs::{ASCII, Glyphs, UNICODE};

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
    /// Its signs.
    pub glyphs: Glyphs,
    styles: BTreeMap<Role, Style>,
}

/// Themes inside the binary: name and text.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("dark", include_str!("../../../themes/dark.toml")),
    ("ansi16", include_str!("../../../themes/ansi16.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

impl Theme {
    /// The theme of that name, from the user's own (name and text) or the built-in ones, fitted to the
    /// terminal; without a name the one that suits the terminal.
    pub fn choose(name: Option<&str>, own: &[(String, String)], can: Capabilities) -> Result<Self, ThemeError> {
        let name = name.unwrap_or(match can.colors {
            ColorDepth::None => "mono",
            ColorDepth::Ansi16 => "ansi16",
            ColorDepth::Ansi256 | ColorDepth::True => "dark",
        });
        let text = own
            .iter()
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .chain(BUILT_IN)
            .find(|(n, _)| *n == name)
            .map(|(_, text)| text);
        let Some(text) = text else {
            let mut known: Vec<_> =
                BUILT_IN.iter().map(|(n, _)| *n).chain(own.iter().map(|(n, _)| n.as_str())).collect();
            known.sort_unstable();
            known.dedup();
            return Err(ThemeError::NotFound { name: name.to_owned(), known: known.join(", ") });
        };
        Ok(Self::parse(name, text)?.fitted(can))
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
        let mut styles = BTreeMap::new();
        for (role, look) in file.roles {
            styles.insert(role, look.style().map_err(role_error)?);
        }
        Ok(Self { name: name.to_owned(), glyphs: UNICODE, styles })
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

    /// The look of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(&role).copied().unwrap_or_default()
    }
}

impl Look {
    fn style(&self) -> Result<Style, String> {
        let color = |text: &Option<String>| {
            text.as_deref()
                .map(|t| {
                    Color::from_str(t).map_err(|_| {
                        format!("`{t}` is no colour; allowed are #rrggbb, a number from 0 to 255, or a name such as light-red")
                    })
                })
                .transpose()
        };
        let mut style = Style { fg: color(&self.fg)?, bg: color(&self.bg)?, ..Style::default() };
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
mod tests {
    use super::*;

    const FULL: Capabilities = Capabilities { colors: ColorDepth::True, unicode: true };

    #[test]
    fn every_built_in_theme_reads_and_fits_every_terminal() {
        for (name, _) in BUILT_IN {
            for colors in [ColorDepth::None, ColorDepth::Ansi16, ColorDepth::Ansi256, ColorDepth::True] {
                let theme = Theme::choose(Some(name), &[], Capabilities { colors, unicode: true }).unwrap();
                let all: Vec<Color> =
                    Role::ALL.iter().flat_map(|r| [theme.style(*r).fg, theme.style(*r).bg]).flatten().collect();
                let allowed = |c: &Color| match colors {
                    ColorDepth::None => false,
                    ColorDepth::Ansi16 => !matches!(c, Color::Rgb(..) | Color::Indexed(_)),
                    ColorDepth::Ansi256 => !matches!(c, Color::Rgb(..)),
                    ColorDepth::True => true,
                };
                assert!(all.iter().all(allowed), "{name} at {colors:?}: {all:?}");
            }
        }
    }

    #[test]
    fn the_terminal_decides_when_no_theme_is_named() {
        let name = |colors| Theme::choose(None, &[], Capabilities { colors, unicode: true }).unwrap().name;
        assert_eq!(name(ColorDepth::None), "mono");
        assert_eq!(name(ColorDepth::Ansi16), "ansi16");
        assert_eq!(name(ColorDepth::True), "dark");
    }

    #[test]
    fn bad_themes_get_a_sentence_with_the_place() {
        let e = Theme::parse("x", "[roles]\ntext = { fgg = \"red\" }\n").unwrap_err();
        assert!(matches!(&e, ThemeError::Text { line: 2, .. }), "{e}");
        assert!(e.to_string().contains("fgg"), "{e}");
        let e = Theme::choose(Some("none"), &[], FULL).unwrap_err();
        assert_eq!(e.to_string(), "no theme is named `none`; there are ansi16, dark, mono");
        let bad = BUILT_IN[2].1.replacen("[roles.text]", "[roles.text]\nfg = \"reddish\"", 1);
        let e = Theme::parse("x", &bad).unwrap_err();
        assert!(e.to_string().contains("`reddish` is no colour"), "{e}");
        let e = Theme::parse("x", "[roles.text]\n").unwrap_err();
        assert!(e.to_string().contains("no look is given for dim"), "{e}");
    }

    #[test]
    fn an_own_theme_replaces_a_built_in_one() {
        let own = BUILT_IN[2].1.to_owned() + "\n";
        let theme = Theme::choose(Some("dark"), &[("dark".into(), own)], FULL).unwrap();
        assert_eq!(theme.style(Role::Ok).fg, None);
    }
}
