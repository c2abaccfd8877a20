//! `policy …`: what `policy.toml` says, whether it can work, why a step has the risk that it has, and how the policy in
//! force is changed.

use super::args::{Format, Global, Policy as What};
use super::output::{self, Error, Exit};
use super::session::Loaded;
use super::{incident, opening, session, status};
use crate::config::locate::Located;
use crate::config::model::Config;
use crate::config::problem::{Problem, Problems};
use crate::domain::id::{Person, StepId};
use crate::domain::mode::Mode;
use crate::domain::risk::{Assessment, Risk};
use crate::engine::api::Command;
use crate::engine::people::standing;
use crate::engine::preview::{Preview, preview};
use crate::engine::roster::{PolicyFile, pinned_of};
use crate::engine::state::State;
use crate::journal::fold;
use crate::journal::read::Filter;
use crate::policy::rules::{Policy, SecondFactor};
use crate::policy::sshsig::Revoked;
use crate::policy::statement::NAMESPACE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What `policy check` says.
#[derive(Serialize, JsonSchema)]
pub struct Checked {
    /// The file, or `built-in`.
    origin: String,
    /// sha256 of its text.
    digest: String,
    /// Number of people in its roster.
    people: usize,
    /// Number of keys.
    keys: usize,
    /// What may surprise, a sentence each; none of them is an error.
    notes: Vec<String>,
}

/// What `policy explain` says of one step.
#[derive(Serialize, JsonSchema)]
pub struct Explained {
    /// Playbook.
    playbook: String,
    /// Step.
    step: StepId,
    /// Where the policy came from.
    policy: String,
    /// Risk: assessed where it could be rendered, else declared.
    risk: Risk,
    /// Reasons, confirmation, approvals, denials; absent where the step could not be rendered.
    assessment: Option<Assessment>,
    /// Who may approve it now, by the roster; empty where nobody must.
    approvers: Vec<String>,
    /// Why it can not be said in full.
    pending: Option<String>,
}

/// One person of the roster.
#[derive(Serialize, JsonSchema)]
pub struct Member {
    /// Name.
    person: String,
    /// Login name.
    user: Option<String>,
    /// User id.
    uid: Option<u32>,
    /// Roles, with their ends.
    roles: Vec<String>,
    /// Fingerprints of the keys.
    keys: Vec<String>,
}

/// Runs `policy`.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    match what {
        What::Check { file } => check(global, file.as_deref()),
        What::Explain { step, params } => explain(global, step, &session::once("--param", params)?),
        What::Show => {
            output::raw(known(global)?.0.text.as_bytes())?;
            Ok(Exit::Done)
        }
        What::Roster { allowed_signers } => roster(global, *allowed_signers),
        What::Propose { file } => {
            let file = read(file)?;
            let revoked = file.revoked.as_deref().map(|bytes| STANDARD.encode(bytes));
            incident::send(global, Command::ProposePolicy { policy: file.text, revoked })
        }
    }
}

/// The policy of the command line, else the one beside the configuration, else the shipped one. What a journal has
/// pinned is for the engine to know.
pub fn in_force(global: &Global) -> Result<PolicyFile, Error> {
    if let Some(path) = &global.policy {
        return read(path);
    }
    match session::locate(global)? {
        Located::File(_) if global.drill.is_none() => of(&session::load(global)?),
        _ => Ok(PolicyFile::default()),
    }
}

/// The policy of a configured estate as it lies on the disk: that of the command line, else the one that the
/// configuration names, else `policy.toml` beside it, else the shipped one.
pub fn of(loaded: &Loaded) -> Result<PolicyFile, Error> {
    if let Some(path) = &loaded.policy {
        return read(path);
    }
    if let Some(named) = &loaded.config.engine.policy {
        return read(&loaded.path.parent().unwrap_or(Path::new(".")).join(named));
    }
    let beside = loaded.path.with_file_name("policy.toml");
    if beside.exists() { read(&beside) } else { Ok(PolicyFile::default()) }
}

/// What is in force, as far as the records say: the policy that they have pinned, unless the command line names one,
/// and the state that they make (a freeze, elevations).
pub fn known(global: &Global) -> Result<(PolicyFile, State), Error> {
    let mut state = State::default();
    if global.drill.is_some() {
        return Ok((in_force(global)?, state));
    }
    let Located::File(_) = session::locate(global)? else { return Ok((in_force(global)?, state)) };
    let loaded = session::load(global)?;
    let journal = session::home(&loaded.config).journal;
    if journal.exists() {
        fold::replay(&journal, Filter::default(), &mut state).map_err(Error::failed)?;
    }
    let pinned = pinned_of(&journal, &state).filter(|_| global.policy.is_none());
    let policy = match pinned {
        Some(pinned) => pinned.map_err(|why| Error::Failed(format!("the policy in force can not be read: {why}")))?,
        None => of(&loaded)?,
    };
    Ok((policy, state))
}

/// The people of the roster in force, where a cluster is acted on in their names; else nobody is asked for.
pub fn people(global: &Global, config: &Config) -> Result<Vec<Person>, Error> {
    if config.kubernetes.iter().all(|cluster| cluster.impersonate.is_none()) {
        return Ok(Vec::new());
    }
    Ok(known(global)?.0.policy.people.into_iter().map(|member| member.person).collect())
}

/// Reads a policy file with the file of what is revoked beside it.
fn read(path: &Path) -> Result<PolicyFile, Error> {
    let (name, text) = (path.display().to_string(), session::read_file(path)?);
    let mut policy = Policy::decode(&name, &text)?;
    let revoked = match &policy.revoked_file {
        None => None,
        Some(file) => {
            let beside: PathBuf = path.parent().unwrap_or(Path::new(".")).join(file);
            let shown = beside.display().to_string();
            let bytes = std::fs::read(&beside)
                .map_err(|e| Problems(vec![Problem::whole(&shown, format!("can not be read: {e}"))]))?;
            policy.revoked = Revoked::read(&bytes).map_err(|e| {
                let (line, column) = if e.line == 0 { (None, None) } else { (Some(e.line), Some(1)) };
                Problems(vec![Problem { file: shown.clone(), line, column, message: e.why }])
            })?;
            Some(bytes)
        }
    };
    Ok(PolicyFile { policy, text, revoked, origin: name })
}

fn check(global: &Global, file: Option<&Path>) -> Result<Exit, Error> {
    let file = file.map_or_else(|| in_force(global), read)?;
    let policy = &file.policy;
    let now = jiff::Timestamp::now();
    let mut notes = Vec::new();
    if policy.people.is_empty() {
        notes.push(
            "it names nobody, so that in the live mode only breaking the glass lets a step run that needs an approval"
                .to_owned(),
        );
    }
    let standing = policy.standing(now);
    for (risk, rule) in &policy.approvals {
        let may = standing.with(&rule.roles).len();
        let most = rule.quorum.max(rule.quorum_shared).max(rule.quorum_several);
        if !policy.people.is_empty() && may < usize::from(most) {
            notes
                .push(format!("{risk} risk asks for {most} approvals, and {may} may give one today: a role has ended"));
        }
    }
    for member in &policy.people {
        for key in member.keys.iter().filter(|k| policy.revoked.has(k)) {
            notes.push(format!("the key {} of {} is revoked", key.fingerprint(), member.person));
        }
        if member.keys.is_empty() && policy.authorities.is_empty() {
            notes.push(format!("{} has no key and can sign nothing", member.person));
        }
    }
    if policy.mfa_from.is_some() && policy.mfa_source.is_none() {
        notes.push("a second factor is asked for and has no source, so that the answer is no".to_owned());
    }
    let touched = policy.people.iter().flat_map(|m| &m.keys).any(crate::policy::sshsig::PublicKey::is_security_key);
    let by_key = policy.mfa_source == Some(SecondFactor::SecurityKey);
    if by_key && policy.authorities.is_empty() && !touched {
        notes.push("a second factor is a security key's signature, and nobody has such a key".to_owned());
    }
    let keys = policy.people.iter().map(|m| m.keys.len()).sum();
    let (digest, people) = (policy.digest.to_string(), policy.people.len());
    let checked = Checked { origin: file.origin, digest, people, keys, notes };
    if global.format == Format::Json {
        output::json(&checked)?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{}: {people} people, {keys} keys, no error", checked.origin))?;
    for note in &checked.notes {
        output::line(&format!("  {note}"))?;
    }
    Ok(Exit::Done)
}

fn explain(global: &Global, step: &str, params: &BTreeMap<String, String>) -> Result<Exit, Error> {
    let Some((playbook, id)) = step.split_once('/') else {
        return Err(Error::Usage(format!("`{step}` is not of the form PLAYBOOK/STEP")));
    };
    let (library, _) = opening::library()?;
    let entry = library
        .get(&playbook.into())
        .ok_or_else(|| Error::Usage(format!("there is no playbook `{playbook}`; `playbook list` shows them")))?;
    let steps: Vec<&str> = entry.playbook().steps.iter().map(|s| s.id.as_str()).collect();
    if !steps.contains(&id) {
        return Err(Error::Usage(format!("{playbook} has no step `{id}`; it has {}", steps.join(", "))));
    }
    let (file, state) = known(global)?;
    let (adapters, mode) = match &global.drill {
        Some(scenario) => (opening::drill_adapters(scenario)?, Mode::Drill),
        None => {
            let mode = session::live_mode(global);
            (opening::adapters(&session::load(global)?, mode)?, mode)
        }
    };
    let (verbs, provider) = (adapters.verbs.clone(), adapters.identity.is_some());
    let runtime = session::runtime()?;
    let seen = runtime.block_on(status::look_once(adapters));
    let known = (&file.policy, &state, provider);
    let steps = runtime
        .block_on(preview(&entry.plan, params, &seen.world, &verbs, known, mode, seen.at))
        .map_err(|problems| Error::Usage(problems.join("; ")))?;
    let Some(found) = steps.into_iter().find(|s| s.id.as_str() == id) else {
        return Err(Error::Failed(format!("{step} was not rendered")));
    };
    let Preview { id, risk, assessment, pending, .. } = found;
    let terms = assessment.as_ref().and_then(|a| a.terms.as_ref());
    let approvers = terms.map(|terms| {
        let roles: Vec<_> = if terms.roles.is_empty() { vec![] } else { [&terms.roles[..], &terms.also].concat() };
        standing(&file.policy, &state, seen.at).with(&roles).into_iter().map(ToString::to_string).collect()
    });
    let playbook = playbook.to_owned();
    let approvers = approvers.unwrap_or_default();
    let explained = Explained { playbook, step: id, policy: file.origin, risk, assessment, approvers, pending };
    if global.format == Format::Json {
        output::json(&explained)?;
    } else {
        print(&explained)?;
    }
    Ok(Exit::Done)
}

fn print(explained: &Explained) -> Result<(), Error> {
    let Explained { playbook, step, policy, risk, assessment, approvers, pending } = explained;
    output::line(&format!("{playbook}/{step}: {risk} risk, by {policy}"))?;
    if let Some(pending) = pending {
        output::line(&format!("  not now: {pending}"))?;
    }
    let Some(assessment) = assessment else { return Ok(()) };
    for reason in &assessment.reasons {
        output::line(&format!("  {reason}"))?;
    }
    output::line(&match &assessment.confirmation {
        None => "  confirmation: none".to_owned(),
        Some(crate::domain::risk::Confirmation::Keypress) => "  confirmation: a dialog".to_owned(),
        Some(crate::domain::risk::Confirmation::Typed { phrase }) => format!("  confirmation: “{phrase}” is typed"),
    })?;
    if assessment.login {
        output::line("  second factor: who confirms it logs in at the identity provider")?;
    }
    if let Some(terms) = &assessment.terms {
        let who = if approvers.is_empty() { "nobody now".to_owned() } else { approvers.join(", ") };
        let over = if terms.escalates { "escalates" } else { "denies" };
        let line = format!(
            "  approvals: {} by {} ({who}){}, within {} min, then it {over}",
            assessment.approvals,
            terms.who(),
            if terms.login { ", each with a login at the identity provider" } else { "" },
            terms.timeout_s / 60
        );
        output::line(&line)?;
    }
    for denial in &assessment.denials {
        output::line(&format!("  denied: {denial}"))?;
    }
    Ok(())
}

fn roster(global: &Global, allowed_signers: bool) -> Result<Exit, Error> {
    let file = known(global)?.0;
    if allowed_signers {
        output::raw(file.policy.allowed_signers(NAMESPACE).as_bytes())?;
        return Ok(Exit::Done);
    }
    let role = |h: &crate::policy::rules::Held| match h.until {
        None => h.role.to_string(),
        Some(until) => format!("{} until {until:.0}", h.role),
    };
    let people: Vec<Member> = file
        .policy
        .people
        .iter()
        .map(|m| Member {
            person: m.person.to_string(),
            user: m.user.clone(),
            uid: m.uid,
            roles: m.roles.iter().map(role).collect(),
            keys: m.keys.iter().map(crate::policy::sshsig::PublicKey::fingerprint).collect(),
        })
        .collect();
    if global.format == Format::Json {
        output::json(&people)?;
        return Ok(Exit::Done);
    }
    let row = |m: &Member| {
        let login = m.user.clone().unwrap_or_else(|| m.uid.map(|u| format!("uid {u}")).unwrap_or_default());
        vec![m.person.clone(), login, m.roles.join(", "), m.keys.join(", ")]
    };
    output::table(&["PERSON", "LOGIN", "ROLES", "KEYS"], &people.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}
