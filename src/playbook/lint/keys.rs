//! Which keys a step of each type has, which it can not do without, and what their values may be.

use super::rules::{Found, empty, is_id, is_name};
use crate::domain::id::StepId;
use crate::domain::incident::Role;
use crate::domain::risk::Risk;
use crate::playbook::schema::{
    ApprovalSpec, Class, ConfirmationKind, Next, OnFailure, OnTimeout, OnUnknown, ParameterType, Requires, Retry, Step,
    StepType,
};
use std::time::Duration;

/// Longest time that a request may be given.
const MAX_TIMEOUT: Duration = Duration::from_mins(10);

/// Longest time that a verification may take or hold, or an approval be waited for.
pub(super) const MAX_WAIT: Duration = Duration::from_hours(24);

/// The least time that an approval is waited for: a person has to read first.
const MIN_APPROVAL: Duration = Duration::from_mins(1);

/// Most attempts of a step.
const MAX_ATTEMPTS: u8 = 10;

/// Most requests of one step that are under way at the same time.
pub(super) const MAX_AT_ONCE: u16 = 50;

/// Most values of a form, and looks of a parallel step.
const MAX_PARTS: usize = 20;

/// Keys that mean nothing in a step of this type are refused, and those that it can not do without are asked for.
pub(super) fn fitting(at: &str, step: &Step, found: &mut Vec<Found>) {
    use StepType::{
        Action, Approval, Assert, Branch, Check, Decision, Escalate, Evidence, Foreach, Input, Manual, Notify,
        Parallel, Sleep, SubPlaybook, WaitFor,
    };
    let kind = step.kind;
    let is = |kinds: &[StepType]| kinds.contains(&kind);
    let acts = step.class() == Class::Acts;
    let sends = is(&[Check, Evidence, Action, Foreach, Notify, Escalate]);
    let gated = acts || is(&[Approval]);
    let looks = is(&[Check, Evidence]) || (kind == Parallel && step.runs.is_empty());
    let checked = gated || looks;
    let present = [
        ("run", step.run.is_some(), sends),
        ("timeout", step.timeout.is_some(), sends || looks),
        ("outputs", !step.outputs.is_empty(), is(&[Check, Evidence, Action, Notify, Escalate])),
        ("preconditions", !step.preconditions.is_empty(), checked),
        ("bind", !step.bind.is_empty(), gated && kind != Foreach),
        ("requires", step.requires != Requires::default(), checked),
        ("risk", step.risk.is_some(), gated || step.risk == Some(Risk::Low)),
        ("blastRadius", step.blast_radius.is_some(), acts),
        ("reversible", step.reversible.is_some(), acts),
        ("confirmation", step.confirmation.is_some(), acts),
        ("approval", step.approval.is_some(), gated),
        ("onUnknown", step.on_unknown != OnUnknown::default(), acts),
        ("verify", !step.verify.is_empty(), is(&[Action, Foreach, Assert, WaitFor, Manual])),
        ("choices", !step.choices.is_empty(), is(&[Decision])),
        ("onFailure", step.on_failure != OnFailure::default(), !is(&[Decision, Branch, Input, Sleep])),
        ("retry", step.retry.is_some(), acts || looks || is(&[Assert])),
        ("rollback", step.rollback.is_some(), is(&[Action, Foreach])),
        ("evidence", !step.evidence.is_empty(), is(&[Action, Foreach, Manual])),
        ("comms", step.comms.is_some(), !is(&[Branch, Sleep])),
        ("escalate", step.escalate.is_some(), !is(&[Branch, Sleep])),
        ("branches", !step.branches.is_empty(), is(&[Branch])),
        ("otherwise", step.otherwise.is_some(), is(&[Branch])),
        ("looks", !step.looks.is_empty(), is(&[Parallel])),
        ("runs", !step.runs.is_empty(), is(&[Parallel])),
        ("foreach", step.foreach.is_some(), is(&[Foreach])),
        ("inputs", !step.inputs.is_empty(), is(&[Input])),
        ("playbook", step.playbook.is_some(), is(&[SubPlaybook])),
        ("params", !step.params.is_empty(), is(&[SubPlaybook])),
        ("duration", step.duration.is_some(), is(&[Sleep])),
    ];
    for (key, there, fits) in present {
        if there && !fits {
            found.push((format!("{at}/{key}"), format!("a step of type {} has no `{key}`", kind.word())));
        }
    }
    let needed = [
        ("run", step.run.is_none() && is(&[Check, Evidence, Action, Foreach])),
        ("verify", step.verify.is_empty() && is(&[Assert, WaitFor])),
        ("approval", step.approval.is_none() && is(&[Approval])),
        ("branches", step.branches.is_empty() && is(&[Branch])),
        ("foreach", step.foreach.is_none() && is(&[Foreach])),
        ("inputs", step.inputs.is_empty() && is(&[Input])),
        ("comms", step.comms.is_none() && is(&[Notify])),
        ("escalate", step.escalate.is_none() && is(&[Escalate])),
        ("playbook", step.playbook.is_none() && is(&[SubPlaybook])),
        ("duration", step.duration.is_none() && is(&[Sleep])),
    ];
    for (key, missing) in needed {
        if missing {
            found.push((format!("{at}/id"), format!("the step `{}` of type {} needs `{key}`", step.id, kind.word())));
        }
    }
    times(at, step, found);
    choices(at, step, found);
    parts(at, step, found);
    people(at, step, found);
}

fn times(at: &str, step: &Step, found: &mut Vec<Found>) {
    if let Some(timeout) = step.timeout
        && (timeout.0.is_zero() || timeout.0 > MAX_TIMEOUT)
    {
        found.push((format!("{at}/timeout"), "a timeout lies between 1 ms and 10 min".into()));
    }
    if let Some(duration) = step.duration
        && (duration.0.is_zero() || duration.0 > MAX_WAIT)
    {
        found.push((format!("{at}/duration"), "a step sleeps for at most 24 h, and not for nothing".into()));
    }
    for (i, verify) in step.verify.iter().enumerate() {
        if verify.within().max(verify.hold()) > MAX_WAIT {
            found.push((format!("{at}/verify/{i}"), "a verification takes at most 24 h".into()));
        }
        if step.kind == StepType::Assert && (verify.within.is_some() || verify.hold.is_some()) {
            let message = "an assertion looks once; a step of type wait_for has `within` and `hold`".to_owned();
            found.push((format!("{at}/verify/{i}"), message));
        }
    }
    if let Some(Retry { max_attempts, backoff, on }) = &step.retry {
        if !(2..=MAX_ATTEMPTS).contains(max_attempts) {
            let message = format!("a step is tried 2 to {MAX_ATTEMPTS} times, the first one included");
            found.push((format!("{at}/retry/maxAttempts"), message));
        }
        if backoff.is_some_and(|b| b.0 > Duration::from_hours(1)) {
            found.push((format!("{at}/retry/backoff"), "a retry waits for at most 1 h".into()));
        }
        if on.len() == 2 && on.first() == on.last() || on.len() > 2 {
            found.push((format!("{at}/retry/on"), "each of `failure` and `verification` stands once at most".into()));
        }
    }
}

fn choices(at: &str, step: &Step, found: &mut Vec<Found>) {
    if step.kind == StepType::Decision {
        if step.choices.len() < 2 {
            found.push((format!("{at}/id"), format!("the decision `{}` needs at least two `choices`", step.id)));
        }
        for (i, choice) in step.choices.iter().enumerate() {
            empty(&format!("{at}/choices/{i}/key"), &choice.key, "key", found);
            empty(&format!("{at}/choices/{i}/label"), &choice.label, "label", found);
            if step.choices.iter().take(i).any(|other| other.key == choice.key) {
                found.push((format!("{at}/choices/{i}/key"), format!("the key `{}` is taken already", choice.key)));
            }
        }
    }
    let leads_nowhere = step.branches.iter().all(|way| way.then == Next::Continue)
        && step.otherwise.as_ref().is_none_or(|next| *next == Next::Continue);
    if step.kind == StepType::Branch && !step.branches.is_empty() && leads_nowhere {
        found.push((format!("{at}/branches"), "every way of the branch leads to the next step".into()));
    }
    let names = step.outputs.iter().enumerate();
    for (i, output) in names.filter(|(i, o)| step.outputs.iter().take(*i).any(|other| other.name == o.name)) {
        found.push((format!("{at}/outputs/{i}/name"), format!("the output `{}` stands already", output.name)));
    }
}

fn parts(at: &str, step: &Step, found: &mut Vec<Found>) {
    if step.kind == StepType::Parallel {
        let both = !step.looks.is_empty() && !step.runs.is_empty();
        if both || !(2..=MAX_PARTS).contains(&(step.looks.len() + step.runs.len())) {
            let message = format!("the step `{}` needs 2 to {MAX_PARTS} `looks`, or as many `runs`", step.id);
            found.push((format!("{at}/id"), message));
        }
    }
    ids(&format!("{at}/looks"), &step.looks.iter().map(|l| &l.id).collect::<Vec<_>>(), found);
    ids(&format!("{at}/runs"), &step.runs.iter().map(|r| &r.id).collect::<Vec<_>>(), found);
    if step.inputs.len() > MAX_PARTS {
        found.push((format!("{at}/inputs"), format!("a step asks for at most {MAX_PARTS} values")));
    }
    for (name, input) in &step.inputs {
        let at = format!("{at}/inputs/{}", super::yaml::escape(name));
        if !is_name(name) {
            found.push((at.clone(), "a value's name is made of lower-case letters, digits and `_`".into()));
        }
        if matches!(input.kind, ParameterType::Tenant | ParameterType::Database) {
            found.push((format!("{at}/type"), "a tenant or database is a parameter of the playbook".into()));
        }
        if input.secret {
            found.push((format!("{at}/secret"), "only a parameter of the playbook can be secret".into()));
        }
        super::rules::parameter_rules(&at, input, found);
    }
    if let Some(foreach) = &step.foreach {
        at_once(&format!("{at}/foreach"), foreach.max_concurrency, found);
    }
}

/// Names of the parts of a step.
fn ids(at: &str, ids: &[&StepId], found: &mut Vec<Found>) {
    for (i, id) in ids.iter().enumerate() {
        let place = format!("{at}/{i}/id");
        if !is_id(id.as_str()) {
            found.push((place.clone(), super::rules::id_rule(id.as_str())));
        }
        if ids.iter().take(i).any(|other| other == id) {
            found.push((place, format!("the id `{id}` is taken already")));
        }
    }
}

/// How many requests may be under way at the same time.
pub(super) fn at_once(at: &str, max: u16, found: &mut Vec<Found>) {
    if !(1..=MAX_AT_ONCE).contains(&max) {
        found.push((format!("{at}/maxConcurrency"), format!("1 to {MAX_AT_ONCE} requests may be under way at a time")));
    }
}

fn people(at: &str, step: &Step, found: &mut Vec<Found>) {
    if let Some(approval) = &step.approval {
        approval_rules(&format!("{at}/approval"), approval, found);
    }
    if let Some(confirmation) = &step.confirmation
        && confirmation.kind == ConfirmationKind::Keypress
        && confirmation.phrase.is_some()
    {
        found.push((format!("{at}/confirmation/phrase"), "a phrase is for `kind: typed`".into()));
    }
    if let Some(comms) = &step.comms {
        empty(&format!("{at}/comms/template"), &comms.template, "template", found);
        if comms.audience.is_empty() {
            found.push((format!("{at}/comms/audience"), "somebody has to be told".into()));
        }
        for (i, who) in comms.audience.iter().enumerate() {
            empty(&format!("{at}/comms/audience/{i}"), who, "audience", found);
        }
        if comms.every.is_some_and(|every| every.0 < MIN_APPROVAL || every.0 > MAX_WAIT) {
            found.push((format!("{at}/comms/every"), "stakeholders are told every 1 min to 24 h".into()));
        }
        if comms.block && step.class() == Class::Person {
            let message = format!("a step of type {} waits for a person already", step.kind.word());
            found.push((format!("{at}/comms/block"), message));
        }
    }
    if let Some(escalate) = &step.escalate {
        empty(&format!("{at}/escalate/to"), &escalate.to, "to", found);
        match (step.kind, escalate.after) {
            (StepType::Escalate, Some(_)) => {
                found.push((format!("{at}/escalate/after"), "a step of type escalate calls at once".into()));
            }
            (StepType::Escalate, None) => {}
            (_, None) => {
                let message = "it needs `after`: for how long the step may wait".to_owned();
                found.push((format!("{at}/escalate"), message));
            }
            (_, Some(after)) if after.0.is_zero() || after.0 > MAX_WAIT => {
                found.push((format!("{at}/escalate/after"), "somebody is called after 1 s to 24 h".into()));
            }
            _ => {}
        }
    }
}

fn approval_rules(at: &str, approval: &ApprovalSpec, found: &mut Vec<Found>) {
    if approval.quorum == 0 {
        found.push((format!("{at}/quorum"), "a quorum counts from 1".into()));
    }
    for (i, who) in approval.distinct_from.iter().enumerate() {
        if approval.distinct_from.iter().take(i).any(|other| other == who) {
            found.push((format!("{at}/distinctFrom/{i}"), "this person stands in the list already".into()));
        }
    }
    for (i, role) in approval.roles.iter().enumerate() {
        if approval.roles.iter().take(i).any(|other| other == role) {
            found.push((format!("{at}/roles/{i}"), format!("the role {role} stands in the list already")));
        }
        if *role == Role::Observer {
            found.push((format!("{at}/roles/{i}"), "an observer approves nothing".into()));
        }
    }
    if let Some(timeout) = approval.timeout
        && (timeout.0 < MIN_APPROVAL || timeout.0 > MAX_WAIT)
    {
        found.push((format!("{at}/timeout"), "an approval is waited for between 1 min and 24 h".into()));
    }
    if approval.on_timeout == OnTimeout::Escalate && approval.timeout.is_none() {
        found.push((format!("{at}/onTimeout"), "escalating needs a `timeout` after which it happens".into()));
    }
}
