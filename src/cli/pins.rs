//! The verifier keys that this user knows: one file a log, outside every journal, made at first sight or from a file.
//! A pin is never replaced unasked. When a log that has it changes its key by a rotation that both keys signed, the
//! pin follows, so that the old key can no longer speak for the log.

use super::args::Global;
use super::output::Error;
use super::session;
use crate::config::locate::Places;
use crate::config::model::Config;
use crate::domain::id::Digest;
use crate::journal::key::{KeyRing, VerifierKey};
use crate::journal::verify::own_key;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The pins of the user who runs this process.
#[derive(Clone, Debug)]
pub struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// Those below the state directory.
    pub fn own() -> Self {
        Self { dir: Places::from_env().state_dir().join("pins") }
    }

    /// The file of the pin of a log.
    pub fn path(&self, origin: &str) -> PathBuf {
        // An origin has slashes; nothing else in it can leave the directory.
        self.dir.join(format!("{}.vkey", origin.replace('%', "%25").replace('/', "%2F")))
    }

    /// The pin of a log, if there is one.
    pub fn get(&self, origin: &str) -> Result<Option<VerifierKey>, Error> {
        let path = self.path(origin);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::Usage(format!("the pin {} can not be read: {e}", path.display()))),
        };
        let key = parse(&text, &path.display().to_string())?;
        if key.name() != origin {
            let found = key.name();
            return Err(Error::Usage(format!("the pin {} is of the log `{found}`, not of `{origin}`", path.display())));
        }
        Ok(Some(key))
    }

    /// Writes the pin of a log, whole and durably. Whether it may replace another is for the caller to know.
    pub fn put(&self, key: &VerifierKey) -> Result<PathBuf, Error> {
        let path = self.path(key.name());
        let failed = |e: std::io::Error| Error::Failed(format!("the pin {} can not be written: {e}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        let part = path.with_extension("tmp");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(failed)?;
        writeln!(file, "{}", key.as_str()).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&part, &path).map_err(failed)?;
        std::fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(path)
    }

    /// Remembers a log that was opened under the pin, if there was one: at first sight, and after a rotation. What
    /// was done, for people, when something was.
    pub fn follow(&self, ring: &KeyRing) -> Result<Option<String>, Error> {
        let now = ring.current();
        match self.get(now.name())? {
            Some(pin) if pin == *now => Ok(None),
            Some(pin) if ring.contains(&pin) => {
                self.put(now)?;
                Ok(Some(format!(
                    "the journal's key was rotated from {} to {}, and the pin follows",
                    pin.id(),
                    now.id()
                )))
            }
            // Opened under a key of the configuration: the pin stays as it is.
            Some(_) => Ok(None),
            None => {
                let path = self.put(now)?;
                Ok(Some(format!("the journal's key {} was pinned at first sight in {}", now.id(), path.display())))
            }
        }
    }

    /// Remembers the first policy that a log has pinned, and refuses a log that says it was another: who may approve
    /// hangs on it. What was done, for people, when something was.
    pub fn follow_policy(&self, origin: &str, first: &Digest) -> Result<Option<String>, Error> {
        let path = self.path(origin).with_extension("policy");
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim() == first.as_str() => Ok(None),
            Ok(text) => Err(Error::Damaged(format!(
                "the first policy of the journal {origin} is {first}, and the one pinned in {} is {}; do not use it \
                 before you know why",
                path.display(),
                crate::domain::text::sanitize(text.trim())
            ))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let failed =
                    |e: std::io::Error| Error::Failed(format!("the pin {} can not be written: {e}", path.display()));
                DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
                let part = path.with_extension("policy-tmp");
                let mut file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&part)
                    .map_err(failed)?;
                writeln!(file, "{first}").and_then(|()| file.sync_all()).map_err(failed)?;
                std::fs::rename(&part, &path).map_err(failed)?;
                Ok(Some(format!("the first policy {} was pinned in {}", first.short(), path.display())))
            }
            Err(e) => Err(Error::Usage(format!("the pin {} can not be read: {e}", path.display()))),
        }
    }
}

/// The key of the configuration: the encoding itself, or a file that holds it.
pub fn configured(config: &Config) -> Result<Option<VerifierKey>, Error> {
    match &config.journal.vkey {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(key) => Ok(Some(key)),
            Err(_) => read(Path::new(text)).map(Some),
        },
    }
}

/// Reads a verifier key from a file that a person named.
pub fn read(path: &Path) -> Result<VerifierKey, Error> {
    parse(&session::read_file(path)?, &path.display().to_string())
}

/// The key to verify a journal with, from outside it: what was named, else the configuration's where the journal is
/// the configured one, else the pin.
pub fn outside(
    global: &Global,
    vkey: Option<&Path>,
    journal: Option<&Path>,
    dir: &Path,
) -> Result<Option<VerifierKey>, Error> {
    if let Some(path) = vkey {
        return read(path).map(Some);
    }
    if journal.is_none()
        && global.drill.is_none()
        && let Some(key) = configured(&session::load(global)?.config)?
    {
        return Ok(Some(key));
    }
    // A log without a readable name is for the verification to speak of.
    own_key(dir).map_or(Ok(None), |own| Pins::own().get(own.name()))
}

fn parse(text: &str, name: &str) -> Result<VerifierKey, Error> {
    text.parse().map_err(|e| Error::Usage(format!("{name}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::key::LogKey;

    fn key(origin: &str) -> VerifierKey {
        LogKey::generate(origin).unwrap().verifier().clone()
    }

    #[test]
    fn a_pin_is_made_at_first_sight_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let pins = Pins { dir: dir.path().join("pins") };
        let (first, other) = (key("quarterdeck/plant"), key("quarterdeck/plant"));
        assert_eq!(pins.get("quarterdeck/plant").unwrap(), None);
        assert!(pins.follow(&KeyRing::of(first.clone())).unwrap().is_some_and(|s| s.contains("at first sight")));
        assert_eq!(pins.follow(&KeyRing::of(first.clone())).unwrap(), None);
        assert_eq!(pins.follow(&KeyRing::of(other)).unwrap(), None);
        assert_eq!(pins.get("quarterdeck/plant").unwrap(), Some(first));
    }

    #[test]
    fn names_stay_inside_and_apart() {
        let pins = Pins { dir: "/pins".into() };
        assert_eq!(pins.path("../../etc/x"), Path::new("/pins/..%2F..%2Fetc%2Fx.vkey"));
        assert_ne!(pins.path("a/b"), pins.path("a%2Fb"));
    }

    #[test]
    fn a_pin_of_another_log_or_none_at_all_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let pins = Pins { dir: dir.path().to_owned() };
        std::fs::write(pins.path("a"), key("b").as_str()).unwrap();
        assert!(pins.get("a").unwrap_err().to_string().contains("is of the log `b`, not of `a`"));
        std::fs::write(pins.path("a"), "hello").unwrap();
        assert!(pins.get("a").unwrap_err().to_string().contains("no verifier key"));
    }
}
