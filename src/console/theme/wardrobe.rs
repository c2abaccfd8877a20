//! All themes that a console can wear, read and fitted to its terminal once, so that one is as quickly put on as another.

use super::{BUILT_IN, Capabilities, ColorDepth, Theme, ThemeError};

/// The themes: the built-in ones, and the user's own, which go before those of the same name.
#[derive(Clone, Debug)]
pub struct Wardrobe {
    worn: Theme,
    themes: Vec<Theme>,
}

impl Wardrobe {
    /// All themes, with the one of that name on; without a name the one that suits the terminal. `own` are names and
    /// texts. An own theme that is not asked for and can not be read is left out.
    ///
    /// # Errors
    /// There is no theme of that name, or it can not be read.
    pub fn open(name: Option<&str>, own: &[(String, String)], can: Capabilities) -> Result<Self, ThemeError> {
        let name = name.unwrap_or(match can.colors {
            ColorDepth::None => "mono",
            ColorDepth::Ansi16 => "ansi16",
            ColorDepth::Ansi256 | ColorDepth::True => "dark",
        });
        let mut themes: Vec<Theme> = Vec::new();
        let mut known = Vec::new();
        for (each, text) in own.iter().map(|(n, t)| (n.as_str(), t.as_str())).chain(BUILT_IN) {
            if known.contains(&each) {
                continue;
            }
            known.push(each);
            match Theme::parse(each, text) {
                Ok(theme) => themes.push(theme.fitted(can)),
                Err(e) if each == name => return Err(e),
                Err(_) => {}
            }
        }
        let worn = themes.iter().find(|theme| theme.name == name).cloned().ok_or_else(|| {
            known.sort_unstable();
            ThemeError::NotFound { name: name.to_owned(), known: known.join(", ") }
        })?;
        Ok(Self { worn, themes })
    }

    /// The one that was on at first.
    pub const fn worn(&self) -> &Theme {
        &self.worn
    }

    /// The one of that name; the one that was on at first where there is none.
    pub fn named(&self, name: &str) -> &Theme {
        self.themes.iter().find(|theme| theme.name == name).unwrap_or(&self.worn)
    }

    /// Their names, and what each is for.
    pub fn names(&self) -> Vec<(String, String)> {
        self.themes.iter().map(|theme| (theme.name.clone(), theme.what.clone())).collect()
    }
}
