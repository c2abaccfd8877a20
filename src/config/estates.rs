//! `[[estates]]`: the estates that one console holds. Each stays what one engine runs, with a configuration, a policy,
//! credentials and a journal of its own; here stands only how it is called and how it is reached.

use super::decode;
use super::model::Console;
use super::problem::Problems;
use super::reader::{self, Source, Table};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One estate of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, as its own configuration has it.
    pub name: String,
    /// How it is reached.
    pub way: Way,
}

/// How an estate is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the socket of the engine that is served for it.
    Socket(PathBuf),
    /// By its own configuration file, from the directory of the naming file on: its engine runs in the console, unless one
    /// is served for it already.
    Config(PathBuf),
}

/// A file that names estates and is none itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estates {
    /// In the order of the file; at least one.
    pub estates: Vec<Named>,
    /// Look of the console.
    pub console: Console,
}

/// Reads a file that names estates and is none itself; nothing where it is the configuration of an estate.
///
/// # Errors
/// What is wrong with such a file, each with its place.
pub fn alone(file: &str, text: &str) -> Result<Option<Estates>, Problems> {
    let source = Source::new(file, text);
    let parsed = reader::parse(file, text)?;
    let mut root = Table::root(&source, &parsed);
    if root.has("estate") || !root.has("estates") {
        return Ok(None);
    }
    let tables = root.tables("estates");
    if tables.is_empty() {
        root.reject("estates", "`estates` names none; each takes [[estates]] with a name, and socket or config");
    }
    let estates = all(tables, "");
    let console = root.table("console").map_or_else(Console::default, decode::console);
    root.finish();
    let problems = source.into_problems();
    if problems.is_empty() { Ok(Some(Estates { estates, console })) } else { Err(Problems(problems)) }
}

/// The estates that a file names, beside the one that it may be itself.
pub(super) fn all(tables: Vec<Table<'_, '_>>, own: &str) -> Vec<Named> {
    let mut taken: BTreeSet<String> = BTreeSet::from([own.to_owned()]);
    tables.into_iter().filter_map(|table| one(table, &mut taken)).collect()
}

fn one(mut table: Table<'_, '_>, taken: &mut BTreeSet<String>) -> Option<Named> {
    let name = decode::name(&mut table, "name", "acme-eu");
    if !name.is_empty() && !taken.insert(name.clone()) {
        table.reject("name", format!("`{name}` is the name of another estate; each has its own"));
    }
    let (socket, config) = (decode::path(&mut table, "socket"), decode::path(&mut table, "config"));
    let way = match (socket, config) {
        (Some(socket), None) if socket.is_absolute() => Some(Way::Socket(socket)),
        (Some(socket), None) => {
            let message = format!("`socket` is `{}`; allowed is an absolute path", socket.display());
            table.reject("socket", message);
            None
        }
        (None, Some(config)) => Some(Way::Config(config)),
        (Some(_), Some(_)) => {
            table.reject("config", "an estate has `socket` or `config`: it is reached in one way");
            None
        }
        (None, None) => {
            if !table.has("socket") && !table.has("config") {
                table.note("[[estates]] lacks `socket`, of the engine that is served, or `config`, of its own file");
            }
            None
        }
    };
    table.finish();
    Some(Named { name, way: way? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        alone("c.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_names_estates_and_may_be_one_itself() {
        let text = "[console]\ntheme = \"mono\"\n[[estates]]\nname = \"eu\"\nsocket = \"/run/eu.sock\"\n[[estates]]\n\
                    name = \"us\"\nconfig = \"us.toml\"\n";
        let read = alone("c.toml", text).unwrap().unwrap();
        assert_eq!(read.console.theme.as_deref(), Some("mono"));
        let [eu, us] = read.estates.as_slice() else { panic!("{read:?}") };
        assert_eq!((eu.name.as_str(), &eu.way), ("eu", &Way::Socket("/run/eu.sock".into())));
        assert_eq!((us.name.as_str(), &us.way), ("us", &Way::Config("us.toml".into())));
        let own = format!("[estate]\nname = \"own\"\nenvironment = \"staging\"\n{text}");
        assert_eq!(alone("c.toml", &own).unwrap(), None);
        assert_eq!(decode::decode("c.toml", &own).unwrap().estates.len(), 2);
        assert_eq!(alone("c.toml", "[journal]\n").unwrap(), None);
    }

    #[test]
    fn what_is_wrong_has_its_place_and_what_is_allowed() {
        let two = "[[estates]]\nname = \"eu\"\nsocket = \"eu.sock\"\n[[estates]]\nname = \"eu\"\nconfig = \"a\"\n\
                   socket = \"/b\"\n[[estates]]\nname = \"a b\"\n[postgres]\n";
        let said = wrong(two);
        assert_eq!(
            said,
            [
                "c.toml:3:10: `socket` is `eu.sock`; allowed is an absolute path",
                "c.toml:5:8: `eu` is the name of another estate; each has its own",
                "c.toml:6:10: an estate has `socket` or `config`: it is reached in one way",
                "c.toml:8:1: [[estates]] lacks `socket`, of the engine that is served, or `config`, of its own file",
                "c.toml:9:8: `name` is `a b`; allowed are 1 to 63 letters, digits, `.`, `_` and `-`",
                "c.toml:10:2: unknown key `postgres` in the file; allowed are console, estates",
            ]
        );
        assert!(wrong("estates = []\n")[0].contains("names none"));
        let own = "[estate]\nname = \"eu\"\nenvironment = \"staging\"\n[[estates]]\nname = \"eu\"\nconfig = \"a\"\n";
        let said = decode::decode("c.toml", own).unwrap_err().to_string();
        assert_eq!(said, "c.toml:5:8: `eu` is the name of another estate; each has its own");
    }
}
