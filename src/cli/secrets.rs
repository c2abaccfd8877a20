//! Secret parameters on the command line: `--secret NAME=env:VAR`, `NAME=file:PATH` or `NAME=prompt`; never the value
//! itself, which everybody on the machine could read.

use super::output::Error;
use crate::config::model::SecretRef;
use crate::config::secret;
use crate::domain::secret::SecretText;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

/// Reads each where it is said to be.
pub async fn read(asked: &[(String, String)]) -> Result<BTreeMap<String, SecretText>, Error> {
    let mut all = BTreeMap::new();
    for (name, place) in asked {
        let value = match place.split_once(':') {
            Some(("env", variable)) => from(&SecretRef::Env(variable.to_owned())).await?,
            Some(("file", path)) => from(&SecretRef::File(PathBuf::from(path))).await?,
            None if place == "prompt" => prompt(name)?,
            _ => {
                return Err(Error::Usage(format!(
                    "--secret {name}: env:VARIABLE, file:PATH or prompt is expected; a value on the command line could be \
                     read by everybody on this machine"
                )));
            }
        };
        if all.insert(name.clone(), value).is_some() {
            return Err(Error::Usage(format!("--secret {name} stands twice")));
        }
    }
    Ok(all)
}

async fn from(reference: &SecretRef) -> Result<SecretText, Error> {
    let value = secret::read(reference).await.map_err(Error::failed)?;
    Ok(SecretText::new(value.expose()))
}

fn prompt(name: &str) -> Result<SecretText, Error> {
    // `rpassword` prompts before it turns the echo off: what somebody types quickly would be shown.
    let _unechoed = Unechoed::begin();
    let text = rpassword::prompt_password(format!("{name}: "));
    let text = text.map_err(|e| Error::Failed(format!("{name} can not be asked for without a terminal: {e}")))?;
    Ok(SecretText::new(text))
}

/// The terminal does not show what is typed until this is dropped.
struct Unechoed(File, Termios);

impl Unechoed {
    /// `None` without a terminal, where there is nothing to show.
    fn begin() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let before = termios::tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(&terminal, OptionalActions::Now, &silent).ok()?;
        Some(Self(terminal, before))
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.0, OptionalActions::Now, &self.1);
    }
}
