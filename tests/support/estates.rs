//! Several estates of one test: a folder each below one home, with the configurations that name them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

use crate::engine::Served;
use crate::support::{Start, Term, lonely_named};
use std::path::{Path, PathBuf};

/// The estates of a test: a folder each below one home.
pub struct Estates {
    home: tempfile::TempDir,
}

impl Estates {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    pub fn journal(&self, name: &str) -> PathBuf {
        self.path().join(name).join("journal")
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.journal(name).join("engine.sock")
    }

    /// The configuration of one, whose only system is not there.
    pub fn config(&self, name: &str) -> String {
        let folder = self.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        lonely_named(name, &folder, &self.journal(name))
    }

    pub fn serve(&self, name: &str) -> Served {
        let file = self.config(name);
        Served::start(self.path(), &["--config", &file])
    }

    /// A file that names estates: `name=socket` or `name=config`.
    pub fn fleet(&self, of: &[(&str, Way)]) -> String {
        let each = |(name, way): &(&str, Way)| match way {
            Way::Socket(path) => format!("[[estates]]\nname = \"{name}\"\nsocket = \"{}\"\n", path.display()),
            Way::Config(path) => format!("[[estates]]\nname = \"{name}\"\nconfig = \"{path}\"\n"),
        };
        let path = self.path().join("fleet.toml");
        std::fs::write(&path, of.iter().map(each).collect::<String>()).unwrap();
        path.display().to_string()
    }

    pub fn console(&self, args: &[&str], size: (u16, u16)) -> Term {
        Term::start(&Start { args, env: &[], home: self.path(), size })
    }
}

/// How a console reaches one.
pub enum Way {
    Socket(PathBuf),
    Config(String),
}
