//! Where configuration and state lie.

use super::model::Config;
use super::problem::{Problem, Problems};
use std::path::{Path, PathBuf};

/// One place that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// As it is shown: `$QUARTERDECK_CONFIG`, a path.
    pub place: String,
    /// What was found: `not set`, `does not exist`.
    pub found: String,
}

/// The answer of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// This file.
    File(PathBuf),
    /// None; these places were looked at.
    Nowhere(Vec<Looked>),
}

/// What of the process's environment decides where things lie.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `QUARTERDECK_CONFIG`.
    pub config: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, else `$HOME/.config`.
    pub config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, else `$HOME/.local/state`.
    pub state_home: Option<PathBuf>,
}

impl Places {
    /// Reads the environment.
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = var("HOME");
        Self {
            config: var("QUARTERDECK_CONFIG"),
            config_home: var("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|h| h.join(".config"))),
            state_home: var("XDG_STATE_HOME").or_else(|| home.as_ref().map(|h| h.join(".local/state"))),
        }
    }

    /// The user's own configuration directory.
    pub fn user_dir(&self) -> Option<PathBuf> {
        self.config_home.as_ref().map(|c| c.join("quarterdeck"))
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.state_home.clone().unwrap_or_else(|| PathBuf::from(".")).join("quarterdeck")
    }

    /// Directory of a live estate's journal.
    pub fn journal(&self, config: &Config) -> PathBuf {
        let own = || self.state_dir().join("journals").join(&config.estate.name);
        config.journal.dir.clone().unwrap_or_else(own)
    }

    /// Finds the configuration: what was asked for, then the environment, the user's, the machine's. A file
    /// that was named and is not there is an error; the others are only looked at.
    pub fn config_file(&self, asked: Option<&Path>) -> Result<Located, Problems> {
        let named = asked.map(Path::to_path_buf).or_else(|| self.config.clone());
        if let Some(path) = named {
            if path.is_file() {
                return Ok(Located::File(path));
            }
            let by = if asked.is_some() { "--config" } else { "$QUARTERDECK_CONFIG" };
            let what = if path.exists() { "is not a file" } else { "does not exist" };
            let message = format!("this configuration, named by {by}, {what}");
            return Err(Problems(vec![Problem::whole(&path.display().to_string(), message)]));
        }
        let mut looked = vec![Looked { place: "$QUARTERDECK_CONFIG".into(), found: "not set".into() }];
        let user = self.user_dir().map(|d| d.join("config.toml"));
        for path in user.into_iter().chain([PathBuf::from("/etc/quarterdeck/config.toml")]) {
            if path.is_file() {
                return Ok(Located::File(path));
            }
            let found = if path.exists() { "is not a file" } else { "does not exist" };
            looked.push(Looked { place: path.display().to_string(), found: found.into() });
        }
        Ok(Located::Nowhere(looked))
    }
}
