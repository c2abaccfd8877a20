//! From the text of template files to the table. What is wrong is told with its file, line and column.

use super::draft;
use super::table::{Audience, BUILT_IN, Cadence, Moment, SHIPPED, Service, Table, Template};
use crate::config::decode::name;
use crate::config::problem::{Problem, Problems};
use crate::config::reader::{self, Source};
use crate::domain::incident::Severity;
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Least time between two messages: who hears more often than that reads nothing any more.
const LEAST: Duration = Duration::from_mins(5);
/// Longest time between two messages.
const MOST: Duration = Duration::from_hours(7 * 24);

const SEVERITIES: [(&str, Severity); 4] =
    [("SEV1", Severity::Sev1), ("SEV2", Severity::Sev2), ("SEV3", Severity::Sev3), ("SEV4", Severity::Sev4)];

fn severity(word: &str) -> Option<Severity> {
    SEVERITIES.iter().find(|(name, _)| *name == word).map(|(_, severity)| *severity)
}

/// The shipped table; a test holds that nothing is wrong with it.
pub fn shipped() -> Arc<Table> {
    static SHIPPED: LazyLock<Arc<Table>> = LazyLock::new(|| {
        let nothing = || Table { audiences: Vec::new(), templates: Vec::new(), services: Vec::new() };
        Arc::new(table(None).unwrap_or_else(|_| nothing()))
    });
    SHIPPED.clone()
}

/// The shipped table with the user's file (path and text) over it.
///
/// # Errors
/// Everything that is wrong with the user's file.
pub fn table(own: Option<(&str, &str)>) -> Result<Table, Problems> {
    let mut table = Table { audiences: Vec::new(), templates: Vec::new(), services: Vec::new() };
    let mut problems = put(&mut table, BUILT_IN, SHIPPED);
    if let Some((file, text)) = own {
        problems.extend(put(&mut table, file, text));
    }
    if problems.is_empty() { Ok(table) } else { Err(Problems(problems)) }
}

/// Puts what one file says in its place; answers what is wrong with it.
fn put(table: &mut Table, file: &str, text: &str) -> Vec<Problem> {
    let root = match reader::parse(file, text) {
        Ok(root) => root,
        Err(Problems(syntax)) => return syntax,
    };
    let source = Source::new(file, text);
    let mut root = reader::Table::root(&source, &root);
    let (audiences, services, templates) = (root.tables("audience"), root.tables("service"), root.tables("template"));
    root.finish();
    let mut seen = Seen::default();
    let mut asked = Vec::new();
    for mut one in audiences {
        let audience = audience(&mut one, &mut seen);
        asked.push((one, audience.id.clone()));
        replace(&mut table.audiences, audience, |a| &a.id);
    }
    for one in services {
        let service = service(one, &mut seen);
        replace(&mut table.services, service, |s| &s.id);
    }
    for one in templates {
        let template = template(one, file, table, &mut seen);
        // At the end: of several that fit the later counts.
        table.templates.retain(|t| t.id != template.id);
        table.templates.push(template);
    }
    for (one, id) in asked {
        complete(&one, &id, table);
        one.finish();
    }
    source.into_problems()
}

/// Ids that a file has used, by the name of their table.
#[derive(Default)]
struct Seen(Vec<(&'static str, String)>);

impl Seen {
    fn id(&mut self, table: &mut reader::Table<'_, '_>, kind: &'static str, example: &str) -> String {
        let id = name(table, "id", example);
        let key = (kind, id.clone());
        if !id.is_empty() && self.0.contains(&key) {
            table.reject("id", format!("there are two {kind}s `{id}` in this file"));
        }
        self.0.push(key);
        id
    }
}

fn replace<T>(all: &mut Vec<T>, new: T, id: impl Fn(&T) -> &String) {
    match all.iter_mut().find(|old| id(old) == id(&new)) {
        Some(old) => *old = new,
        None => all.push(new),
    }
}

fn audience(table: &mut reader::Table<'_, '_>, seen: &mut Seen) -> Audience {
    let id = seen.id(table, "audience", "customer");
    let name = table.string("name").unwrap_or_else(|| id.clone());
    let also = table.strings("also");
    let every = spans(table, "cadence");
    let first = spans(table, "first");
    let mut cadence = BTreeMap::new();
    for (severity, every) in &every {
        let first = first.get(severity).unwrap_or(every);
        cadence.insert(*severity, Cadence { first: *first, every: *every });
    }
    if let Some(lonely) = first.keys().find(|s| !every.contains_key(s)) {
        table.reject("first", format!("`first` has {lonely}, for which `cadence` says nothing"));
    }
    let (worse, other): (Vec<_>, Vec<_>) = every.iter().zip(every.iter().skip(1)).unzip();
    for ((worse, slow), (severity, fast)) in worse.into_iter().zip(other) {
        if slow > fast {
            let why =
                format!("`cadence` is {slow:#} at {worse} and {fast:#} at {severity}: worse is told at least as often");
            table.reject("cadence", why);
        }
    }
    Audience { id, name, also, cadence }
}

/// A table of durations by severity.
fn spans(table: &mut reader::Table<'_, '_>, key: &'static str) -> BTreeMap<Severity, SignedDuration> {
    let Some(mut spans) = table.table(key) else { return BTreeMap::new() };
    let mut all = BTreeMap::new();
    for (word, severity) in SEVERITIES {
        if let Some(span) = spans.duration(word, LEAST, MOST).and_then(|d| SignedDuration::try_from(d).ok()) {
            all.insert(severity, span);
        }
    }
    spans.finish();
    all
}

fn service(mut table: reader::Table<'_, '_>, seen: &mut Seen) -> Service {
    let id = seen.id(&mut table, "service", "pages");
    let says = table.required("says", "entering and confirming orders");
    let rules = table.strings("rules");
    if rules.is_empty() {
        table.reject("rules", format!("the service `{id}` names no rule, for example `rules = [\"lock-chain\"]`"));
    }
    table.finish();
    Service { id, says, rules }
}

fn template(mut table: reader::Table<'_, '_>, file: &str, known: &Table, seen: &mut Seen) -> Template {
    let id = seen.id(&mut table, "template", "customer-first");
    let audience = table.required("audience", "customer");
    if !audience.is_empty() && !known.audiences.iter().any(|a| a.id == audience) {
        let ids: Vec<&str> = known.audiences.iter().map(|a| a.id.as_str()).collect();
        table.reject("audience", format!("there is no audience `{audience}`; known are {}", ids.join(", ")));
    }
    if !table.has("moment") {
        table.reject("moment", "[[template]] lacks `moment`; allowed is first, update or resolved");
    }
    let moment = table.parsed("moment", "first, update or resolved", |word| {
        Moment::ALL.into_iter().find(|moment| moment.word() == word)
    });
    let check = |word: &str| {
        severity(word)
            .map(drop)
            .ok_or_else(|| format!("`{word}` is no severity; allowed are SEV1, SEV2, SEV3 and SEV4"))
    };
    let severities = table.checked_strings("severity", check);
    let subject = table.required("subject", "Update {{ number }}: {{ incident.title }}");
    let text = table.required("text", "As of {{ now }}: {{ incident.state }}.");
    for (key, source) in [("subject", &subject), ("text", &text)] {
        for why in draft::check(source) {
            table.reject(key, format!("`{key}` of the template `{id}`: {why}"));
        }
    }
    table.finish();
    Template {
        id,
        audience,
        moment: moment.unwrap_or(Moment::Update),
        severity: severities.iter().filter_map(|word| severity(word)).collect(),
        subject,
        text,
        origin: file.to_owned(),
    }
}

/// An audience to which something is promised has words for every moment.
fn complete(table: &reader::Table<'_, '_>, id: &str, all: &Table) {
    let Some(audience) = all.audiences.iter().find(|a| a.id == id) else { return };
    for severity in audience.cadence.keys() {
        for moment in Moment::ALL {
            if all.fitting(id, moment, *severity).is_none() {
                let why = format!("the audience `{id}` has no [[template]] with moment = \"{moment}\" for {severity}");
                table.reject("id", why);
                return;
            }
        }
    }
}
