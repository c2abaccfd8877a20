//! The file in which all limits of one tenant stand: its name, its first line with the settings, the routers and
//! middlewares that follow from them, and how it is read. `limits` is the verb.

use crate::act::args;
use crate::domain::ports::VerbError;
use crate::domain::sample::Failure;
use crate::domain::text::sanitize;
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value, json};
use std::io::Read as _;
use std::path::Path;

pub(super) const PREFIX: &str = "quarterdeck-limits-";
/// First words of each such file; the settings follow as JSON.
const MARK: &str = "# Quarterdeck: limits of tenant ";
/// Below the maintenance page, above what follows from the length of a rule.
const USUAL: i64 = 900_000;
/// Bytes of such a file at most.
const LONGEST: u64 = 64 << 10;

fn digest(text: &str) -> String {
    args::name_of(text)
}

/// What stands at the path, not following a link; `None` for nothing.
pub(super) fn read(path: &Path) -> Result<Option<String>, Failure> {
    let said = |e: std::io::Error| super::limits::local(format!("{} can not be read: {e}", path.display()));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        file => std::fs::File::from(file.map_err(|e| said(e.into()))?),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(said)?;
    match String::from_utf8(bytes) {
        Ok(text) if text.starts_with(MARK) && text.len() as u64 <= LONGEST => Ok(Some(text)),
        _ => Err(super::limits::local(format!(
            "{} is a file that Quarterdeck did not write; it was left as it is",
            path.display()
        ))),
    }
}

/// The settings that a file says in its first line.
pub(super) fn settings(text: Option<&str>) -> Map<String, Value> {
    let first = text.and_then(|t| t.lines().next()).unwrap_or_default();
    let json = first.find('{').and_then(|at| first.get(at..)).unwrap_or("{}");
    serde_json::from_str(json).unwrap_or_default()
}

/// A name as Traefik has it for services and middlewares, with its provider.
pub(super) fn qualified(name: &str, provider: &str) -> Result<String, VerbError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name.is_empty() || name.len() > 200 || !name.chars().all(fine) {
        return Err(VerbError::new(format!("{} is no name of a service or middleware", sanitize(name))));
    }
    Ok(if name.contains('@') { name.to_owned() } else { format!("{name}@{provider}") })
}

/// The digest that the object of a request names.
pub(super) fn stands(text: Option<&str>) -> String {
    text.map_or_else(|| "absent".to_owned(), digest)
}

/// The whole file for these settings; YAML takes JSON, so every value is quoted by rule.
pub(super) fn content(
    tenant: &str,
    host: &str,
    settings: &Map<String, Value>,
    router: &Value,
) -> Result<String, VerbError> {
    let text = |name: &str| router.get(name).and_then(Value::as_str).unwrap_or_default();
    let provider = Some(text("provider")).filter(|p| !p.is_empty()).unwrap_or("file");
    let mut service = qualified(text("service"), provider)?;
    let mut priority = USUAL;
    let mut names = Vec::new();
    for name in router.get("middlewares").and_then(Value::as_array).into_iter().flatten() {
        names.push(qualified(name.as_str().unwrap_or_default(), provider)?);
    }
    let (mut middlewares, mut services) = (Map::new(), Map::new());
    for (key, setting) in settings {
        let own = format!("quarterdeck-{}-{tenant}", key.replace('_', "-"));
        match key.as_str() {
            "route_priority" => {
                priority = setting.get("priority").and_then(Value::as_i64).unwrap_or(USUAL);
                if let Some(other) = setting.get("service").and_then(Value::as_str) {
                    other.clone_into(&mut service);
                }
            }
            "weight_region" => {
                services.insert(own, setting.clone());
            }
            _ => {
                // The limit stands before what the tenant's own middlewares do.
                names.insert(0, own.clone());
                middlewares.insert(own, setting.clone());
            }
        }
    }
    if let Some(own) = services.keys().next() {
        service.clone_from(own);
    }
    let rule = format!("Host(`{host}`)");
    let mut routers = Map::new();
    for (prefix, tls) in [(PREFIX, false), ("quarterdeck-tls-limits-", true)] {
        let mut one = json!({ "rule": rule, "priority": priority, "service": service });
        if let Some(into) = one.as_object_mut() {
            if !names.is_empty() {
                into.insert("middlewares".into(), json!(names));
            }
            if tls {
                into.insert("tls".into(), json!({}));
            }
        }
        routers.insert(format!("{prefix}{tenant}"), one);
    }
    let mut http = json!({ "routers": routers });
    for (key, map) in [("middlewares", middlewares), ("services", services)] {
        if let (false, Some(http)) = (map.is_empty(), http.as_object_mut()) {
            http.insert(key.into(), Value::Object(map));
        }
    }
    // Traefik makes a template of each file: nothing of ours may begin one.
    let body = format!("{:#}", json!({ "http": http }));
    let text = format!("{MARK}{tenant} {}\n{body}\n", Value::Object(settings.clone()));
    if text.contains("{{") {
        return Err(VerbError::new("the settings can not be written, since {{ begins a template of Traefik"));
    }
    Ok(text)
}
