//! `playbook list|show|lint|render|schema`: what playbooks there are and what they would do; nothing is sent. `run` is in
//! `headless`.

use super::args::{Format, Global, Playbook as What};
use super::opening;
use super::output::{self, Error, Exit};
use super::{headless, session, status};
use crate::config::problem::{Problem, Problems};
use crate::domain::estate::Tenancy;
use crate::domain::id::{PlaybookId, StepId};
use crate::domain::incident::Severity;
use crate::domain::mode::Mode;
use crate::domain::risk::Risk;
use crate::engine::api::ParameterView;
use crate::engine::preview::{Preview, preview};
use crate::playbook::library::{BUILT_IN_ORIGIN, Entry, Library};
use crate::playbook::schema::{self, Call, Step};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Runs it.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    match what {
        What::List => list(global.format),
        What::Show { id } => show(global.format, id),
        What::Lint { files } => lint(global.format, files),
        What::Schema => {
            output::line(&format!("{:#}", schema::schema().as_value()))?;
            Ok(Exit::Done)
        }
        What::Run(asked) => headless::run(global, asked),
        What::Render { id, params } => render(global, id, &session::once("--param", params)?),
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

/// One row of `playbook list --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Row {
    /// Id; for a file that is left out, its name without the ending.
    id: String,
    /// Name; absent for a file that is left out.
    name: Option<String>,
    /// Version; absent for a file that is left out.
    version: Option<u32>,
    /// The file; absent for what is built in.
    path: Option<String>,
    /// `built-in`, or the file.
    origin: String,
    /// Severities it is meant for; empty means any.
    severity: Vec<Severity>,
    /// Tenancies it may be run for; empty means any.
    tenancy: Vec<Tenancy>,
    /// Greatest declared risk of its steps; absent for a file that is left out.
    risk: Option<Risk>,
    /// Steps in order.
    steps: Vec<StepRow>,
    /// Why the file is left out; empty for a playbook that can be run.
    lint: Vec<Problem>,
}

/// One step of a playbook.
#[derive(Serialize, JsonSchema)]
struct StepRow {
    /// Id.
    id: StepId,
    /// Name.
    name: String,
    /// Type: check, action and so on.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Declared risk.
    risk: Risk,
    /// What it runs: `adapter.verb`.
    verb: Option<String>,
    /// Why the playbook has it.
    why: String,
}

/// The output contract of `playbook show --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Shown {
    /// As in the list.
    #[serde(flatten)]
    row: Row,
    /// What it is for.
    description: String,
    /// Who answers for it.
    owner: String,
    /// Parameters.
    parameters: Vec<ParameterView>,
}

/// The output contract of `playbook lint --format json` when there is no error; errors go to standard error.
#[derive(Serialize, JsonSchema)]
pub struct Linted {
    /// Number of playbooks without an error.
    playbooks: usize,
    /// Errors: none.
    problems: Vec<Problem>,
}

/// The output contract of `playbook render --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Requests<'a> {
    /// The playbook.
    id: &'a PlaybookId,
    /// Its version.
    version: u32,
    /// What the process may touch.
    mode: Mode,
    /// Parameters as given.
    params: &'a BTreeMap<String, String>,
    /// When it was rendered; in a drill the scenario's time.
    rendered_at: Timestamp,
    /// Steps in order.
    steps: Vec<Preview>,
}

fn row(entry: &Entry) -> Row {
    let playbook = entry.playbook();
    let step = |s: &Step| StepRow {
        id: s.id.clone(),
        name: s.name.clone(),
        kind: s.kind.word(),
        risk: s.declared_risk(),
        verb: s.run.as_ref().map(Call::name),
        why: s.why.clone(),
    };
    Row {
        id: playbook.id.to_string(),
        name: Some(playbook.name.clone()),
        version: Some(playbook.version),
        path: (entry.origin != BUILT_IN_ORIGIN).then(|| entry.origin.clone()),
        origin: entry.origin.clone(),
        severity: playbook.severity.clone(),
        tenancy: playbook.tenancy.clone(),
        risk: Some(playbook.risk()),
        steps: playbook.steps.iter().map(step).collect(),
        lint: Vec::new(),
    }
}

/// One row for each file that is left out, with what lint says of it.
fn left_out(problems: &[Problem]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for problem in problems {
        match rows.iter_mut().find(|r| r.origin == problem.file) {
            Some(row) => row.lint.push(problem.clone()),
            None => rows.push(Row {
                id: Path::new(&problem.file).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                name: None,
                version: None,
                path: Some(problem.file.clone()),
                origin: problem.file.clone(),
                severity: Vec::new(),
                tenancy: Vec::new(),
                risk: None,
                steps: Vec::new(),
                lint: vec![problem.clone()],
            }),
        }
    }
    rows
}

/// The playbooks, and the problems of files that were left out.
pub fn library() -> Result<(Library, Vec<Problem>), Error> {
    let (library, problems) = opening::library()?;
    Ok((library, problems.iter().map(problem).collect()))
}

fn list(format: Format) -> Result<Exit, Error> {
    let (library, problems) = library()?;
    if format == Format::Json {
        output::json(&library.all().map(row).chain(left_out(&problems)).collect::<Vec<_>>())?;
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
        let playbook = entry.playbook();
        output::json(&Shown {
            row: row(&entry),
            description: playbook.description.clone(),
            owner: playbook.owner.clone(),
            parameters: ParameterView::all(playbook),
        })?;
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
    let signals = crate::correlate::signals::names();
    let (problems, count) = if files.is_empty() {
        let (library, mut problems) = library()?;
        let built_in = crate::playbook::library::lint_built_in(&crate::act::catalog(), &signals);
        problems.extend(built_in.iter().map(problem));
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
        Format::Json => output::json(&Linted { playbooks: count, problems: Vec::new() })?,
        _ => output::line(&format!("{count} playbooks, no error"))?,
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
    let (policy, state) = super::policy::known(global)?;
    let (verbs, provider) = (adapters.verbs.clone(), adapters.identity.is_some());
    let runtime = session::runtime()?;
    let seen = runtime.block_on(status::look_once(adapters));
    let known = (&policy.policy, &state, provider);
    let steps = runtime
        .block_on(preview(&entry.plan, params, &seen.world, &verbs, known, mode, seen.at))
        .map_err(|problems| Error::Usage(problems.join("; ")))?;
    if global.format == Format::Json {
        let playbook = entry.playbook();
        let (id, version) = (&playbook.id, playbook.version);
        output::json(&Requests { id, version, mode, params, rendered_at: seen.at, steps })?;
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
