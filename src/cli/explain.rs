//! `explain`: a rule in words, or a finding of the engine that runs with the rule that made it. Reads the user's rules.

use super::args::{Format, Global};
use super::output::{self, Error, Exit};
use super::{brief, session};
use crate::config::problem::Problem;
use crate::correlate::rules::{Rules, decode};
use crate::correlate::settings;
use crate::domain::finding::Finding;
use crate::playbook::library::Library;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// The output contract of `explain --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Explanation {
    /// Version of this schema: 1.
    schema: u32,
    /// The rule or the finding.
    about: String,
    /// The rule of it.
    rule: String,
    /// What there is to say, in order.
    lines: Vec<Line>,
}

/// One thing to say.
#[derive(Serialize, JsonSchema)]
struct Line {
    /// What it is about; empty where it goes on with the one before.
    name: String,
    /// The text.
    text: String,
}

/// The rules in force: the shipped ones with the user's in their places, and what is wrong with those.
pub fn rules() -> Result<(Arc<Rules>, Vec<Problem>), Error> {
    let files = session::own_files_of("rules", "toml")?;
    if files.is_empty() {
        return Ok((Rules::built_in(), Vec::new()));
    }
    // Playbooks that are left out are said where these are read.
    Ok(decoded(&files, &super::opening::library()?.0))
}

/// The same of files that were read, where the playbooks are known.
pub fn decoded(files: &[(String, String)], library: &Library) -> (Arc<Rules>, Vec<Problem>) {
    if files.is_empty() {
        return (Rules::built_in(), Vec::new());
    }
    let playbooks: Vec<String> = library.all().map(|e| e.playbook().id.to_string()).collect();
    let (rules, problems) = decode::all(files, &playbooks);
    (Arc::new(rules), problems)
}

/// Runs it.
pub fn run(global: &Global, what: Option<&str>) -> Result<Exit, Error> {
    let (rules, problems) = rules()?;
    for problem in problems {
        crate::note!("quarterdeck: a rule is left out: {problem}");
    }
    let Some(what) = what else { return list(global, &rules) };
    let finding = if what.contains('/') { Some(found(global, what)?) } else { None };
    let name = finding.as_ref().map_or(what, |f| f.rule.as_str());
    let mut lines: Vec<Line> = Vec::new();
    let mut say = |name: &str, text: String| lines.push(Line { name: name.to_owned(), text });
    if let Some(finding) = &finding {
        of_finding(finding, &mut say);
    }
    match rules.find(name) {
        Some(rule) => {
            let configured = if global.drill.is_some() { None } else { session::load(global).ok() };
            let config = configured.as_ref().map(|loaded| &loaded.config);
            let thresholds = config.and_then(|c| settings::thresholds(&c.thresholds).ok()).unwrap_or_default();
            for (name, text) in rules.explain(rule, &thresholds, config.map(|c| c.calendar.as_slice())) {
                say(name, text);
            }
            if rule.usual.is_some() {
                let known = brief::running(global).map(|snapshot| snapshot.usual.words());
                say("known", known.unwrap_or_else(|_| "no engine runs that could tell how far that is known".into()));
            }
        }
        None if finding.is_some() => {}
        None => {
            let known: Vec<&str> = rules.iter().map(|r| r.name.as_str()).collect();
            let message = format!(
                "there is no rule `{what}`, and a finding is named RULE/SUBJECT; rules are {}",
                known.join(", ")
            );
            return Err(Error::Usage(message));
        }
    }
    let (about, rule) = (what.to_owned(), name.to_owned());
    if global.format == Format::Json {
        output::json(&Explanation { schema: 1, about, rule, lines })?;
    } else {
        for line in lines {
            output::line(&format!("{:<10} {}", line.name, line.text))?;
        }
    }
    Ok(Exit::Done)
}

/// All rules, a line each.
fn list(global: &Global, rules: &Rules) -> Result<Exit, Error> {
    if global.format == Format::Json {
        let lines = rules.iter().map(|r| Line { name: r.name.clone(), text: r.disproof.clone() }).collect();
        output::json(&Explanation { schema: 1, about: "rules".into(), rule: String::new(), lines })?;
        return Ok(Exit::Done);
    }
    let row = |r: &crate::correlate::rules::Rule| {
        vec![r.name.clone(), format!("{:?}", r.class).to_uppercase(), r.signals.join(" "), r.origin.clone()]
    };
    output::table(&["RULE", "CLASS", "SIGNALS", "FROM"], &rules.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

/// The finding of the engine that runs.
fn found(global: &Global, id: &str) -> Result<Finding, Error> {
    let snapshot = brief::running(global)?;
    let finding = snapshot.findings.iter().find(|f| f.id.as_str() == id).cloned();
    finding.ok_or_else(|| {
        let known: Vec<&str> = snapshot.findings.iter().map(|f| f.id.as_str()).collect();
        let known =
            if known.is_empty() { "there is none now".to_owned() } else { format!("there are {}", known.join(", ")) };
        Error::Usage(format!("there is no finding `{id}`; {known}"))
    })
}

fn of_finding(finding: &Finding, say: &mut impl FnMut(&str, String)) {
    say("finding", finding.what.clone());
    let begun = if finding.onset_seen { "" } else { ", and perhaps longer" };
    say("since", format!("{}{begun}", finding.since));
    for (i, text) in finding.because.iter().enumerate() {
        say(if i == 0 { "because" } else { "" }, text.clone());
    }
    let tenants: Vec<&str> = finding.whom.tenants.iter().map(crate::domain::id::TenantId::as_str).collect();
    say("hurts", if tenants.is_empty() { "nobody yet".into() } else { tenants.join(" ") });
    for change in &finding.changed {
        say("changed", format!("{} {} {} ({})", change.at, change.subject, change.what, change.by));
    }
    for offer in &finding.playbooks {
        say("playbook", format!("{}: {}", offer.id, offer.why));
    }
    say("refute", finding.disproof.clone());
}
