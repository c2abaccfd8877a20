//! `playbook list|show|lint|render`: what playbooks there are and what they would do; nothing is sent.

use super::args::{Format, Global, Playbook as What};
use super::opening;
use super::output::{self, Error, Exit};
use super::{session, status};
use crate::config::problem::{Problem, Problems};
use crate::domain::id::PlaybookId;
use crate::domain::mode::Mode;
use crate::engine::preview::{Preview, preview};
use crate::playbook::library::{Entry, Library};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Runs it.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    match what {
        What::List => list(global.format),
        What::Show { id } => show(global.format, id),
        What::Lint { files } => lint(global.format, files),
        What::Render { id, params } => render(global, id, &params.iter().cloned().collect()),
    }
}

/// An error in a playbook, as errors of files are said.
fn problem(found: &crate::playbook::Problem) -> Problem {
    Problem {
        file: found.file.clone(),
        line: usize::try_from(found.line).ok(),
        column: usize::try_from(found.column).ok(),
        message: found.message.clone(),
    }
}

fn summary(entry: &Entry, lint: &[Problem]) -> Value {
    let playbook = entry.playbook();
    json!({
        "id": playbook.id, "name": playbook.name, "version": playbook.version,
        "path": if entry.origin == "built-in" { Value::Null } else { json!(entry.origin) },
        "origin": entry.origin, "severity": playbook.severity, "tenancy": playbook.tenancy, "risk": playbook.risk(),
        "steps": playbook.steps.iter().map(|s| json!({ "id": s.id, "name": s.name, "type": s.kind.word(), "risk": s.declared_risk() })).collect::<Vec<_>>(),
        "lint": lint,
    })
}

/// The playbooks, and the problems of files that were left out.
fn library() -> Result<(Library, Vec<Problem>), Error> {
    let (library, problems) = opening::library()?;
    Ok((library, problems.iter().map(problem).collect()))
}

fn list(format: Format) -> Result<Exit, Error> {
    let (library, problems) = library()?;
    if format == Format::Json {
        output::json(&library.all().map(|e| summary(e, &[])).collect::<Vec<_>>())?;
    } else {
        let row = |e: &Entry| {
            let p = e.playbook();
            let (version, risk, steps) = (p.version.to_string(), p.risk().to_string(), p.steps.len().to_string());
            vec![p.id.to_string(), version, risk, steps, e.origin.clone(), p.name.clone()]
        };
        let rows: Vec<_> = library.all().map(row).collect();
        output::table(&["PLAYBOOK", "VERSION", "RISK", "STEPS", "FROM", "NAME"], &rows)?;
    }
    if problems.is_empty() { Ok(Exit::Done) } else { Err(Problems(problems).into()) }
}

fn entry(library: &Library, id: &str) -> Result<Entry, Error> {
    library.get(&PlaybookId::from(id)).cloned().ok_or_else(|| {
        let ids: Vec<String> = library.all().map(|e| e.playbook().id.to_string()).collect();
        Error::Usage(format!("there is no playbook `{id}`; there are {}", ids.join(", ")))
    })
}

fn show(format: Format, id: &str) -> Result<Exit, Error> {
    let entry = entry(&library()?.0, id)?;
    if format == Format::Json {
        output::json(&summary(&entry, &[]))?;
        return Ok(Exit::Done);
    }
    let playbook = entry.playbook();
    output::line(&format!("{} v{}  {} ({})", playbook.id, playbook.version, playbook.name, entry.origin))?;
    output::line(&playbook.description)?;
    for (name, parameter) in &playbook.parameters {
        let needed = if parameter.required { "needed" } else { "optional" };
        output::line(&format!("  --param {name}=…  {needed}: {}", parameter.description))?;
    }
    for (number, step) in playbook.steps.iter().enumerate() {
        let verb = step.run.as_ref().map_or_else(String::new, |c| format!("  {}", c.name()));
        output::line(&format!(
            "{:>2}. {} [{}, {}]{verb}",
            number + 1,
            step.name,
            step.kind.word(),
            step.declared_risk()
        ))?;
        output::line(&format!("    {}", step.why))?;
    }
    Ok(Exit::Done)
}

fn lint(format: Format, files: &[PathBuf]) -> Result<Exit, Error> {
    let signals = opening::signal_names();
    let (problems, count) = if files.is_empty() {
        let (library, problems) = library()?;
        (problems, library.all().count())
    } else {
        let mut problems = Vec::new();
        for file in files {
            let text = session::read_file(file)?;
            let found = crate::playbook::lint(&text, &file.display().to_string(), &crate::act::catalog(), &signals);
            problems.extend(found.iter().map(problem));
        }
        (problems, files.len())
    };
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    match format {
        Format::Json => output::json(&json!({ "playbooks": count, "problems": [] }))?,
        Format::Table => output::line(&format!("{count} playbooks, no error"))?,
    }
    Ok(Exit::Done)
}

fn render(global: &Global, id: &str, params: &BTreeMap<String, String>) -> Result<Exit, Error> {
    let entry = entry(&library()?.0, id)?;
    let (adapters, mode) = match &global.drill {
        Some(scenario) => (opening::drill_adapters(scenario)?, Mode::Drill),
        None => {
            let mode = session::live_mode(global);
            (opening::adapters(&session::load(global)?, mode)?, mode)
        }
    };
    let verbs = adapters.verbs.clone();
    let seen = session::runtime()?.block_on(status::look_once(adapters));
    let steps = preview(&entry.plan, params, &seen.world, &verbs, mode, seen.at)
        .map_err(|problems| Error::Usage(problems.join("; ")))?;
    if global.format == Format::Json {
        let playbook = entry.playbook();
        output::json(&json!({
            "id": playbook.id, "version": playbook.version, "mode": mode, "params": params, "rendered_at": seen.at,
            "steps": steps,
        }))?;
        return Ok(Exit::Done);
    }
    for step in &steps {
        print(step)?;
    }
    Ok(Exit::Done)
}

fn print(step: &Preview) -> Result<(), Error> {
    output::line(&format!("{} [{}, {}] {}", step.id, step.kind, step.risk, step.name))?;
    if let (Some(request), Some(digest)) = (&step.request, &step.digest) {
        output::line(&format!("  {} on {}: {}", request.verb, request.target.source, request.target.object))?;
        for line in request.operation.lines() {
            output::line(&format!("    {line}"))?;
        }
        output::line(&format!("  digest {digest}"))?;
    }
    if let Some(assessment) = &step.assessment {
        for reason in assessment.reasons.iter().chain(&assessment.denials) {
            output::line(&format!("  {reason}"))?;
        }
    }
    for precondition in &step.preconditions {
        let now = match precondition.holds {
            Some(true) => "true now",
            Some(false) => "false now",
            None => "not known now",
        };
        output::line(&format!("  only if {} ({now}; {})", precondition.text, precondition.detail))?;
    }
    if let Some(pending) = &step.pending {
        output::line(&format!("  not now: {pending}"))?;
    }
    Ok(())
}
