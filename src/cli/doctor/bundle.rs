//! `doctor --bundle FILE`: what somebody needs who helps from elsewhere, in one archive: what doctor says, versions,
//! the configuration without its comments, the policy, whether the journal verifies, the newest log. No record of the
//! journal, and no secret: what the configuration's references lead to is struck out wherever it should appear.

use super::super::log;
use super::super::output::Error;
use super::super::session::{self, Loaded};
use super::Report;
use crate::config::model::Config;
use crate::config::secret::{self, Secret};
use crate::domain::text::conceal;
use crate::engine::attach::wire;
use crate::journal::verify;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Most of the log that goes along, in bytes; the newest.
const LOG: u64 = 4 << 20;
/// A secret of fewer bytes is not looked for: it would be found in every word.
const SHORTEST: usize = 4;

/// Writes the archive, which nobody but its owner can read. A file that is there is left alone.
pub fn write(file: &Path, loaded: &Loaded, report: &Report<'_>) -> Result<(), Error> {
    let failed = |e: io::Error| Error::Failed(format!("{}: {e}", file.display()));
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let open = open.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Error::Usage(format!("{} exists; name another file", file.display())),
        _ => failed(e),
    })?;
    let pretty = |value: &Value| format!("{value:#}\n");
    let doctor = serde_json::to_value(report).map_err(Error::failed)?;
    let table: toml::Table = toml::from_str(&loaded.text).map_err(|_| Error::failed("the configuration is no TOML"))?;
    let secrets = session::runtime()?.block_on(secrets(&loaded.config));
    let dir = session::home(&loaded.config).journal;
    let mut files = vec![
        ("versions.json", pretty(&versions())),
        ("config.toml", toml::to_string(&table).map_err(Error::failed)?),
        ("doctor.json", pretty(&doctor)),
        ("journal.json", pretty(&journal(&dir))),
        ("log.jsonl", newest_log(&log::dir(&loaded.config))),
    ];
    let policy = super::super::policy::of(loaded);
    files.push(("policy.toml", policy.map_or_else(|error| format!("# {error}\n"), |policy| policy.text)));
    let packed = || {
        let mut archive = tar::Builder::new(GzEncoder::new(open, Compression::default()));
        for (name, text) in files {
            let text = struck(&conceal(&text), &secrets);
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(jiff::Timestamp::now().as_second().unsigned_abs());
            archive.append_data(&mut header, format!("quarterdeck/{name}"), text.as_bytes())?;
        }
        archive.into_inner()?.finish()?.flush()
    };
    packed().map_err(failed)
}

fn versions() -> Value {
    let uname = rustix::system::uname();
    let told = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).map(|n| n.trim_matches('"'));
    json!({
        "quarterdeck": env!("CARGO_PKG_VERSION"), "protocol": wire::PROTOCOL, "system": system,
        "kernel": format!("{} {}", told(uname.sysname()), told(uname.release())), "machine": told(uname.machine()),
        "at": jiff::Timestamp::now(),
    })
}

/// Whether the journal verifies by its own key, and its files with their lengths, owners and modes.
fn journal(dir: &Path) -> Value {
    let verified = match verify::verify(dir, &verify::Options::default()) {
        Ok(report) => json!(report),
        Err(error) => json!({ "error": error.to_string() }),
    };
    json!({ "dir": dir, "verified": verified, "files": listed(dir, Path::new("")) })
}

fn listed(dir: &Path, below: &Path) -> Vec<Value> {
    let mut all = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(dir.join(below)).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (name, Ok(about)) = (below.join(entry.file_name()), entry.metadata()) else { continue };
        let mode = format!("{:04o}", about.mode() & 0o7777);
        all.push(json!({ "name": name, "bytes": about.len(), "mode": mode, "uid": about.uid(), "gid": about.gid() }));
        if about.is_dir() {
            all.extend(listed(dir, &name));
        }
    }
    all
}

/// The end of the log, oldest line first.
fn newest_log(dir: &Path) -> String {
    let (mut left, mut parts) = (LOG, Vec::new());
    for path in log::files(dir) {
        let Ok(text) = tail(&path, left) else { continue };
        left = left.saturating_sub(text.len() as u64);
        parts.push(text);
        if left == 0 {
            break;
        }
    }
    parts.into_iter().rev().collect()
}

fn tail(path: &Path, most: u64) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let begin = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line is only a part of one.
    let whole = if begin > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    Ok(whole.to_owned())
}

/// What every reference of the configuration leads to now, as far as it can be read.
async fn secrets(config: &Config) -> Vec<Secret> {
    let mut all = Vec::new();
    for (_, reference) in &config.secrets {
        if let Ok(found) = secret::read(reference).await
            && found.expose().len() >= SHORTEST
        {
            all.push(found);
        }
    }
    // A long one may hold a short one, of which nothing would be left to find.
    all.sort_by_key(|s| std::cmp::Reverse(s.expose().len()));
    all
}

fn struck(text: &str, secrets: &[Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        // As it is, and as JSON writes it.
        let quoted = serde_json::to_string(secret.expose()).unwrap_or_default();
        for form in [secret.expose(), quoted.trim_matches('"')] {
            text = text.replace(form, "***");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_struck_out_also_where_json_has_quoted_it_and_the_longer_first() {
        let secrets = [Secret::new("pass\"word-long"), Secret::new("word")];
        let text = struck("a pass\"word-long b {\"x\":\"pass\\\"word-long\"} word", &secrets);
        assert_eq!(text, "a *** b {\"x\":\"***\"} ***");
    }

    #[test]
    fn the_end_of_the_log_begins_with_a_whole_line_and_is_in_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("quarterdeck.1.jsonl"), "one\ntwo\n").unwrap();
        std::fs::write(dir.path().join("quarterdeck.jsonl"), "three\n").unwrap();
        assert_eq!(newest_log(dir.path()), "one\ntwo\nthree\n");
        assert_eq!(tail(&dir.path().join("quarterdeck.1.jsonl"), 6).unwrap(), "two\n");
    }
}
