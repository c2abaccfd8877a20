//! `drill new`: a commented scenario to start from, which the lint finds nothing wrong with. `drill from-incident`: one
//! from the journal of a real incident.

use crate::cli::args::Global;
use crate::cli::audit::directory;
use crate::cli::output::{self, Error, Exit};
use crate::domain::id::IncidentId;
use crate::drill::from_incident::Gathered;
use crate::drill::parse;
use crate::engine::recording::{self, past::Past};
use crate::journal::fold;
use crate::journal::read::Filter;
use jiff::Timestamp;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// What every new scenario begins as; `ID` stands for its id.
const TEMPLATE: &str = include_str!("template.yaml");

/// The text of a new scenario.
///
/// # Errors
/// Why that is no id.
pub fn text(id: &str) -> Result<String, Error> {
    let text = TEMPLATE.replace("ID", id);
    match parse("new", &text) {
        Ok(_) => Ok(text),
        Err(errors) => Err(Error::Usage(errors.first().map_or_else(String::new, |e| e.message.clone()))),
    }
}

/// Writes a new scenario to a file, or to standard output. A file that is there stays as it is.
pub fn run(id: &str, file: Option<&Path>) -> Result<Exit, Error> {
    put(&text(id)?, file)
}

/// Makes a scenario of an incident.
pub fn from_incident(
    global: &Global,
    incident: &str,
    file: Option<&Path>,
    journal: Option<&Path>,
) -> Result<Exit, Error> {
    let dir = directory(global, journal)?;
    let mut gathered = Gathered::new(IncidentId::new(incident));
    fold::replay(&dir, Filter::default(), &mut gathered).map_err(|e| Error::journal(&e))?;
    let followed = match gathered.untouched() {
        Some(time) => follow(&dir, &mut gathered, time)?,
        None => 0,
    };
    let text = gathered.scenario().map_err(|why| Error::Failed(format!("{}: {why}", dir.display())))?;
    output::complaint(&match followed {
        0 => "no signal of it was recorded: each cause comes at its usual strength".to_owned(),
        n => format!("{n} signals behind its findings were recorded: causes follow them until somebody acted"),
    });
    put(&text, file)
}

/// Takes over how the signals behind the findings went, as the consoles showed them; how many there are.
fn follow(dir: &Path, gathered: &mut Gathered, time: (Timestamp, Timestamp)) -> Result<usize, Error> {
    let Some(mut past) = Past::open(dir, gathered.incident()).map_err(|e| Error::journal(&e))? else { return Ok(0) };
    let courses = recording::courses(&mut past, time);
    let n = courses.len();
    gathered.follow(courses);
    Ok(n)
}

fn put(text: &str, file: Option<&Path>) -> Result<Exit, Error> {
    let Some(path) = file else {
        output::raw(text.as_bytes())?;
        return Ok(Exit::Done);
    };
    write(path, text)?;
    output::complaint(&format!("{} is written; `drill lint {}` checks it", path.display(), path.display()));
    Ok(Exit::Done)
}

/// Writes a file that is not there yet.
///
/// # Errors
/// Why it was not written.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let new = std::fs::File::options().write(true).create_new(true).open(path);
    new.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => Error::Usage(format!("{} is there already; it stays as it is", path.display())),
        _ => Error::Failed(format!("{}: {e}", path.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_scenario_has_no_error_and_keeps_what_is_there() {
        let text = text("my-first").unwrap();
        assert!(text.contains("id: my-first") && !text.contains("ID"));
        assert!(text_error("Not An Id").contains("lower-case"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        write(&file, &text).unwrap();
        assert!(write(&file, "x").unwrap_err().to_string().contains("is there already"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }

    fn text_error(id: &str) -> String {
        super::text(id).unwrap_err().to_string()
    }
}
