//! `[metrics]` and `[log]`: how the program itself is watched; `[observe]`: how it watches.

use super::reader::Table;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least that is written: `error`, `warn`, `info` or `debug`; `off` for no log at all.
    pub level: String,
    /// Folder of the log files; `logs` in the state directory when absent.
    pub dir: Option<PathBuf>,
    /// MiB after which a file is followed by another.
    pub file_mib: u64,
    /// Files that are kept, the one that is written among them.
    pub files: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), dir: None, file_mib: 8, files: 5 }
    }
}

/// Where `[metrics]` says that the program tells of itself.
pub(super) fn metrics(mut table: Table<'_, '_>) -> Option<SocketAddr> {
    // Whoever reaches it can ask: nobody but this machine may.
    let parse = |text: &str| text.parse::<SocketAddr>().ok().filter(|a| a.ip().is_loopback());
    let listen = table.parsed("listen", "a loopback address with a port such as \"127.0.0.1:9188\"", parse);
    if !table.has("listen") {
        table.reject("listen", "[metrics] lacks `listen`; for example `listen = \"127.0.0.1:9188\"`");
    }
    table.finish();
    listen
}

/// Whether `[observe]` says that the engines of several bastions share the sources.
pub(super) fn share(mut table: Table<'_, '_>, in_database: bool) -> bool {
    let share = table.boolean("share").unwrap_or(false);
    if share && !in_database {
        table.reject(
            "share",
            "`share` of [observe] needs [journal.postgres]: the engines find each other in the database of their journal; \
             configure that, or leave it out",
        );
    }
    table.finish();
    share
}

/// Decodes `[log]`.
pub(super) fn log(mut table: Table<'_, '_>) -> Log {
    let usual = Log::default();
    let words = ["error", "warn", "info", "debug", "off"];
    let parse = |word: &str| words.contains(&word).then(|| word.to_owned());
    let level = table.parsed("level", "error, warn, info, debug or off", parse).unwrap_or(usual.level);
    let dir = super::decode::path(&mut table, "dir");
    let bounded = |number: Option<i64>, usual| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(usual);
    let file_mib = bounded(table.integer("file_mib", 1, 1024), usual.file_mib);
    let files = bounded(table.integer("files", 1, 100), usual.files);
    table.finish();
    Log { level, dir, file_mib, files }
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    #[test]
    fn without_tables_nothing_listens_and_the_log_is_bounded() {
        let config = decode("c.toml", ESTATE).unwrap();
        assert_eq!((config.metrics, config.log.file_mib * config.log.files), (None, 40));
        let text = format!("{ESTATE}[metrics]\nlisten = \"[::1]:9188\"\n[log]\nlevel = \"warn\"\nfiles = 2\n");
        let config = decode("c.toml", &text).unwrap();
        assert_eq!(config.metrics, Some("[::1]:9188".parse().unwrap()));
        assert_eq!((config.log.level.as_str(), config.log.files), ("warn", 2));
    }

    #[test]
    fn sources_are_shared_where_the_journal_is() {
        let journal = "[journal.postgres]\nhost = \"db1\"\nuser = \"w\"\ntls = \"disable\"\n";
        let share = |table: &str| decode("c.toml", &format!("{ESTATE}{journal}{table}")).unwrap().share;
        assert_eq!((share(""), share("[observe]\n"), share("[observe]\nshare = true\n")), (false, false, true));
    }

    #[test]
    fn what_others_could_reach_is_refused_with_what_is_allowed() {
        for (table, expected) in [
            (
                "[metrics]\nlisten = \"0.0.0.0:9188\"\n",
                "c.toml:5:10: `listen` of [metrics] is `0.0.0.0:9188`; allowed is a loopback",
            ),
            ("[metrics]\n", "c.toml:4:1: [metrics] lacks `listen`"),
            (
                "[log]\nlevel = \"loud\"\n",
                "c.toml:5:9: `level` of [log] is `loud`; allowed is error, warn, info, debug or off",
            ),
            ("[observe]\nshare = true\n", "c.toml:5:9: `share` of [observe] needs [journal.postgres]"),
            ("[observe]\nshare = 1\n", "`share`"),
            ("[log]\nfiles = 0\n", "c.toml:5:9: `files` of [log] is 0; allowed is 1 to 100"),
        ] {
            let found = decode("c.toml", &format!("{ESTATE}{table}")).unwrap_err().to_string();
            assert!(found.contains(expected), "{expected}\n in\n{found}");
        }
    }
}
