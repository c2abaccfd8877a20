//! Whether what stands in the directory of Traefik's file provider is in force. Traefik 3 counts good reloads only:
//! a file that does not parse shows in no metric and in no answer of the API, and it holds up every later change
//! of the whole directory (seen on 3.7.15). So the files are read here and compared with what is in force.

use super::api::Router;
use crate::domain::text::sanitize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Time that Traefik is given to take a changed file; its file provider gathers changes for up to 2 s.
const SETTLE: Duration = Duration::from_secs(5);
/// Files read at most.
const FILES: usize = 5_000;
/// Bytes of one file read at most.
const FILE_BYTES: u64 = 4 << 20;
/// Folders below folders looked into at most.
const DEPTH: usize = 8;

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    /// Path below the directory.
    pub(super) name: String,
    /// When it was changed.
    pub(super) modified: SystemTime,
    /// What it says.
    pub(super) content: Content,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// HTTP routers and their rules.
    Routers(BTreeMap<String, String>),
    /// It holds templates that only Traefik expands.
    Template,
    /// Traefik can not take it, and why.
    Broken(String),
}

/// The directory, with what was read of it before.
#[derive(Debug, Default)]
pub(super) struct Directory {
    read: HashMap<PathBuf, (SystemTime, u64, Content)>,
}

impl Directory {
    /// Reads what changed since the last time; blocks.
    pub(super) fn look(&mut self, dir: &Path) -> Result<Vec<Declared>, String> {
        let mut found = Vec::new();
        walk(dir, 0, &mut found)?;
        let mut read = HashMap::with_capacity(found.len());
        let mut declared = Vec::with_capacity(found.len());
        for path in found {
            let unreadable = |e: std::io::Error| format!("{} can not be read: {e}", path.display());
            let meta = match std::fs::metadata(&path) {
                // It was removed since the directory was listed.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                meta => meta.map_err(unreadable)?,
            };
            let (modified, size) = (meta.modified().map_err(unreadable)?, meta.len());
            let content = match self.read.remove(&path) {
                Some((m, s, content)) if m == modified && s == size => content,
                _ if size > FILE_BYTES => return Err(format!("{} is larger than {FILE_BYTES} bytes", path.display())),
                _ => content(&path, &std::fs::read_to_string(&path).map_err(unreadable)?),
            };
            let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
            declared.push(Declared { name: sanitize(&name), modified, content: content.clone() });
            read.insert(path, (modified, size, content));
        }
        self.read = read;
        Ok(declared)
    }
}

/// Traefik reads folders below, hidden files too, and these three endings only.
fn walk(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |e: std::io::Error| format!("{} can not be read: {e}", dir.display());
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if entry.file_type().map_err(unreadable)?.is_dir() {
            if depth < DEPTH {
                walk(&path, depth + 1, found)?;
            }
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml" || e == "toml") {
            if found.len() >= FILES {
                return Err(format!("{} holds more than {FILES} files", dir.display()));
            }
            found.push(path);
        }
    }
    Ok(())
}

fn content(path: &Path, text: &str) -> Content {
    if text.contains("{{") {
        return Content::Template;
    }
    let parsed = if path.extension().is_some_and(|e| e == "toml") {
        toml::from_str::<Value>(text).map_err(|e| e.to_string())
    } else if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
        Ok(Value::Null)
    } else {
        serde_saphyr::from_str::<Value>(text).map_err(|e| e.to_string())
    };
    let value = match parsed {
        Ok(value) => value,
        Err(why) => return Content::Broken(sanitize(why.lines().next().unwrap_or("it does not parse"))),
    };
    let mut routers = BTreeMap::new();
    match &value {
        Value::Null => {}
        Value::Object(sections) => {
            let known = |key: &str| ["http", "tcp", "udp", "tls"].iter().any(|k| key.eq_ignore_ascii_case(k));
            if let Some(unknown) = sections.keys().find(|key| !known(key)) {
                return Content::Broken(format!("the key {} is none of http, tcp, udp, tls", sanitize(unknown)));
            }
            if let Some(Value::Object(declared)) = field(&value, "http").and_then(|http| field(http, "routers")) {
                for (name, router) in declared {
                    let rule = field(router, "rule").and_then(Value::as_str).unwrap_or_default();
                    routers.insert(name.clone(), rule.to_owned());
                }
            }
        }
        _ => return Content::Broken("it is no mapping of http, tcp, udp and tls".into()),
    }
    Content::Routers(routers)
}

/// Traefik takes keys in any case.
fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v)
}

/// Whether the newest reload failed, and the sentence that says why or why that is not known. `reloaded` is the last
/// good reload; `routers` are those that the API shows.
pub(super) fn judge(
    declared: &[Declared],
    reloaded: Option<SystemTime>,
    routers: Option<&[Router]>,
    now: SystemTime,
) -> (Option<bool>, Option<String>) {
    let since_reload = |file: &Declared| reloaded.is_none_or(|at| file.modified > at);
    let rules: Option<HashMap<&str, &str>> =
        routers.map(|all| all.iter().map(|r| (r.name.as_str(), r.rule.as_str())).collect());
    let mut doubt = None;
    let settled = declared.iter().filter(|f| now.duration_since(f.modified).is_ok_and(|age| age >= SETTLE));
    for file in settled {
        match &file.content {
            Content::Broken(why) if since_reload(file) => {
                let all = "Traefik takes no change of the directory until it is mended";
                return (Some(true), Some(format!("{} does not load ({why}); {all}", file.name)));
            }
            Content::Broken(why) => {
                let though = "though Traefik has loaded a configuration since it was changed";
                doubt = Some(format!("{} looks broken ({why}), {though}", file.name));
            }
            Content::Template => {}
            Content::Routers(wanted) => {
                let Some(rules) = &rules else { continue };
                let differs = |(name, rule): &(&String, &String)| {
                    rules.get(format!("{name}@file").as_str()).is_none_or(|r| r != rule)
                };
                if let Some((name, _)) = wanted.iter().find(differs) {
                    let why = format!("router {} of {} is not in force as it is written", sanitize(name), file.name);
                    return (Some(true), Some(why));
                }
            }
        }
    }
    if doubt.is_some() {
        return (None, doubt);
    }
    if rules.is_some() || !declared.iter().any(since_reload) {
        return (Some(false), None);
    }
    (None, Some("a file was changed after the last good reload; only the API could tell whether it is in force".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Content {
        content(Path::new(name), text)
    }

    fn routers(pairs: &[(&str, &str)]) -> Content {
        Content::Routers(pairs.iter().map(|(n, r)| ((*n).to_owned(), (*r).to_owned())).collect())
    }

    #[test]
    fn files_are_read_as_traefik_reads_them() {
        let yaml = "HTTP:\n  Routers:\n    t017:\n      Rule: \"Host(`a`)\"\n      service: s\n";
        assert_eq!(read("a.yml", yaml), routers(&[("t017", "Host(`a`)")]));
        assert_eq!(read("a.toml", "[http.routers.x]\nrule = \"Host(`b`)\"\n"), routers(&[("x", "Host(`b`)")]));
        assert_eq!(read("a.yml", "# nothing\n\n"), routers(&[]));
        assert_eq!(read("a.yml", "tls: {}\n"), routers(&[]));
        assert_eq!(read("a.yml", "http: {{ env \"X\" }}"), Content::Template);
    }

    #[test]
    fn broken_files_say_why() {
        assert!(matches!(read("a.yml", "http: {routers: {x: {rule: \"Ho"), Content::Broken(_)));
        assert!(matches!(read("a.toml", "[http"), Content::Broken(_)));
        assert_eq!(read("a.yml", "htp: {}"), Content::Broken("the key htp is none of http, tcp, udp, tls".into()));
        assert_eq!(read("a.yml", "- a"), Content::Broken("it is no mapping of http, tcp, udp and tls".into()));
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn file(modified: u64, content: Content) -> Declared {
        Declared { name: "f.yml".into(), modified: at(modified), content }
    }

    fn in_force(name: &str, rule: &str) -> Router {
        Router { name: name.into(), rule: rule.into(), ..Router::default() }
    }

    #[test]
    fn a_broken_file_newer_than_the_last_good_reload_is_a_failed_reload() {
        let files = [file(200, Content::Broken("line 1".into()))];
        let (failed, why) = judge(&files, Some(at(100)), None, at(300));
        assert_eq!(failed, Some(true));
        assert!(why.unwrap().starts_with("f.yml does not load (line 1)"));
        assert_eq!(judge(&files, Some(at(250)), None, at(300)).0, None, "Traefik may know better");
        assert_ne!(judge(&files, Some(at(100)), None, at(202)).0, Some(true), "Traefik is given time");
    }

    #[test]
    fn a_router_that_is_not_in_force_as_written_is_a_failed_reload() {
        let files = [file(200, routers(&[("t", "Host(`a`)")]))];
        let judge = |routers: &[Router]| judge(&files, Some(at(100)), Some(routers), at(300)).0;
        assert_eq!(judge(&[in_force("t@file", "Host(`a`)")]), Some(false));
        assert_eq!(judge(&[in_force("t@file", "Host(`old`)")]), Some(true));
        assert_eq!(judge(&[in_force("t@docker", "Host(`a`)")]), Some(true));
    }

    #[test]
    fn without_the_api_a_change_after_the_reload_is_not_known() {
        let files = [file(200, routers(&[]))];
        assert_eq!(judge(&files, Some(at(250)), None, at(300)), (Some(false), None));
        let (failed, why) = judge(&files, Some(at(100)), None, at(300));
        assert!(failed.is_none() && why.is_some());
    }

    #[test]
    fn a_directory_is_read_with_its_folders_and_again_only_where_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/.a.yml"), "http: {}\n").unwrap();
        std::fs::write(dir.path().join("note.txt"), "not: [read").unwrap();
        let mut directory = Directory::default();
        let seen = directory.look(dir.path()).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].name.as_str(), &seen[0].content), ("sub/.a.yml", &routers(&[])));
        std::fs::write(dir.path().join("b.yml"), "oops: 1\n").unwrap();
        assert_eq!(directory.look(dir.path()).unwrap().len(), 2);
        std::fs::remove_file(dir.path().join("b.yml")).unwrap();
        assert_eq!(directory.look(dir.path()).unwrap().len(), 1);
        assert!(directory.look(&dir.path().join("none")).unwrap_err().contains("can not be read"));
    }
}
