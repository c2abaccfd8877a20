//! `keys`: every action with its keys, as they are in force for this person.

use super::args::{Format, Global};
use super::looks;
use super::output::{self, Error, Exit};
use crate::console::keymap::Place;
use schemars::JsonSchema;
use serde::Serialize;

/// One action in one kind of place: the output contract of `keys --format json` is a list of these.
#[derive(Serialize, JsonSchema)]
pub struct KeyRow {
    /// The word by which `keys.toml` names it.
    action: String,
    /// Its keys, the one that is shown first.
    keys: Vec<String>,
    /// What it does.
    what: &'static str,
    /// Where it is valid; empty when that is everywhere.
    places: Vec<&'static str>,
    /// Whether it can change the estate or cut somebody off.
    danger: bool,
}

/// Runs it.
pub fn run(global: &Global) -> Result<Exit, Error> {
    let keys = looks::own_keys(false)?;
    let rows: Vec<KeyRow> = keys
        .all()
        .map(|(binding, keys)| {
            let places = Place::ALL.into_iter().filter(|p| binding.scope.holds(*p));
            let everywhere = Place::ALL.into_iter().all(|p| binding.scope.holds(p));
            KeyRow {
                action: binding.action.word(),
                keys: keys.iter().map(|k| k.name()).collect(),
                what: binding.help,
                places: if everywhere { Vec::new() } else { places.map(Place::words).collect() },
                danger: binding.danger,
            }
        })
        .collect();
    if global.format == Format::Json {
        output::json(&rows)?;
        return Ok(Exit::Done);
    }
    let place = |row: &KeyRow| match row.places.as_slice() {
        [] => "everywhere".to_owned(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one}, {two}"),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    };
    let line = |row: &KeyRow| vec![row.action.clone(), row.keys.join(" "), row.what.to_owned(), place(row)];
    output::table(&["ACTION", "KEYS", "WHAT", "WHERE"], &rows.iter().map(line).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}
