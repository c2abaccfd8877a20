//! The rules of one step: which keys its type has, what its risk asks for, and whether its verbs, expressions and
//! templates mean something.

use super::rules::{Found, Rules, condition, empty, expression, is_name};
use super::yaml::escape;
use crate::domain::incident::Role;
use crate::domain::request::VerbSpec;
use crate::domain::risk::{Reversible, Risk};
use crate::playbook::expr::{Scope, nearest};
use crate::playbook::schema::{ApprovalSpec, Call, ConfirmationKind, OnTimeout, OnUnknown, Step, StepType, Verify};
use crate::playbook::template;
use std::time::Duration;

/// Longest time that a request may be given.
const MAX_TIMEOUT: Duration = Duration::from_mins(10);

/// Longest time that a verification may take or hold.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// The least time that an approval is waited for: a person has to read first.
const MIN_APPROVAL: Duration = Duration::from_mins(1);

impl Rules<'_> {
    /// Which keys the step has, and what its risk asks for.
    pub(super) fn step_rules(&self, at: &str, step: &Step, found: &mut Vec<Found>) {
        empty(&format!("{at}/name"), &step.name, "name", found);
        empty(&format!("{at}/why"), &step.why, "why", found);
        fitting_keys(at, step, found);
        if let Some(timeout) = step.timeout
            && (timeout.0.is_zero() || timeout.0 > MAX_TIMEOUT)
        {
            found.push((format!("{at}/timeout"), "a timeout lies between 1 ms and 10 min".into()));
        }
        for (i, verify) in step.verify.iter().enumerate() {
            let longest = verify.within().max(verify.hold());
            if longest > MAX_WAIT {
                found.push((format!("{at}/verify/{i}"), "a verification takes at most 24 h".into()));
            }
        }
        if step.kind == StepType::Action {
            self.action_rules(at, step, found);
        }
    }

    fn action_rules(&self, at: &str, step: &Step, found: &mut Vec<Found>) {
        let Some(verb) = step.run.as_ref().and_then(|call| self.verbs.get(call.name().as_str())) else { return };
        if let Some(declared) = step.risk
            && declared < verb.risk_floor
        {
            let message = format!("{} is at least {}, the step says {declared}", verb.name, verb.risk_floor);
            found.push((format!("{at}/risk"), message));
        }
        if let Some(declared) = step.blast_radius
            && declared < verb.blast_radius
        {
            let message = format!("{} reaches further than the step says", verb.name);
            found.push((format!("{at}/blastRadius"), message));
        }
        if verb.reversible == Reversible::No && step.reversible.is_some_and(|r| r != Reversible::No) {
            let message = format!("{} can not be taken back, whatever the step says", verb.name);
            found.push((format!("{at}/reversible"), message));
        }
        if step.declared_risk().max(verb.risk_floor) < Risk::High {
            return;
        }
        for (missing, what) in [
            (step.verify.is_empty(), "`verify`"),
            (step.approval.is_none(), "`approval`"),
            (
                step.reversible != Some(Reversible::No),
                "the words `reversible: false` (a rollback is not supported in this version)",
            ),
        ] {
            if missing {
                found.push((format!("{at}/id"), format!("the high-risk step `{}` needs {what}", step.id)));
            }
        }
        if let Some(confirmation) = &step.confirmation
            && confirmation.kind == ConfirmationKind::Keypress
        {
            let message = "a high-risk step is confirmed by typing".to_owned();
            found.push((format!("{at}/confirmation/kind"), message));
        }
    }

    /// Whether what the step refers to exists.
    pub(super) fn step_words(&self, at: &str, step: &Step, scope: &Scope, found: &mut Vec<Found>) {
        if let Some(source) = &step.condition {
            condition(&format!("{at}/if"), source, scope, found);
        }
        for (i, precondition) in step.preconditions.iter().enumerate() {
            let at = format!("{at}/preconditions/{i}");
            let parsed = condition(&format!("{at}/check"), &precondition.check, scope, found);
            if precondition.max_age.is_some() && parsed.is_some_and(|p| p.signals().is_empty()) {
                found.push((format!("{at}/maxAge"), "`maxAge` needs a signal in the expression".into()));
            }
            if let Some(text) = &precondition.text {
                empty(&format!("{at}/text"), text, "text", found);
            }
        }
        for (i, source) in step.bind.iter().enumerate() {
            expression(&format!("{at}/bind/{i}"), source, scope, None, found);
            if step.bind.iter().take(i).any(|other| other == source) {
                found.push((format!("{at}/bind/{i}"), "the value is bound already".into()));
            }
        }
        if let Some(call) = &step.run {
            let spec = self.call(&format!("{at}/run"), call, scope, found);
            let looks = step.kind == StepType::Check;
            if let Some(spec) = spec.filter(|s| s.read_only != looks) {
                let message = if looks {
                    format!("{} changes something; that is a step of type action", spec.name)
                } else {
                    format!("{} only looks; that is a step of type check", spec.name)
                };
                found.push((format!("{at}/run/verb"), message));
            }
        }
        for (i, verify) in step.verify.iter().enumerate() {
            self.verify_words(&format!("{at}/verify/{i}"), verify, scope, found);
        }
        if let Some(phrase) = step.confirmation.as_ref().and_then(|c| c.phrase.as_ref()) {
            template_words(&format!("{at}/confirmation/phrase"), phrase, scope, found);
        }
        let selectors = Scope { result: true, ..Scope { params: scope.params.clone(), ..Scope::default() } };
        for (i, output) in step.outputs.iter().enumerate() {
            let at = format!("{at}/outputs/{i}");
            if !is_name(&output.name) {
                found.push((
                    format!("{at}/name"),
                    "an output's name is made of lower-case letters, digits and `_`".into(),
                ));
            }
            let parsed = expression(&format!("{at}/selector"), &output.selector, &selectors, None, found);
            if parsed.is_some_and(|p| !p.refers_to("result")) {
                found.push((format!("{at}/selector"), "a selector has to look at `result`".into()));
            }
        }
    }

    fn verify_words(&self, at: &str, verify: &Verify, scope: &Scope, found: &mut Vec<Found>) {
        let scope = Scope { result: verify.run.is_some(), ..scope.clone() };
        let parsed = condition(&format!("{at}/check"), &verify.check, &scope, found);
        if let Some(parsed) = parsed {
            let signals = !parsed.signals().is_empty();
            let result = parsed.refers_to("result");
            if !signals && !result {
                let message = "the expression looks at neither a signal nor a `result`, so that it proves nothing";
                found.push((format!("{at}/check"), message.into()));
            } else if verify.run.is_some() && !result {
                found.push((format!("{at}/run"), "the look's `result` is not used in the expression".into()));
            }
            if verify.max_age.is_some() && !signals {
                found.push((format!("{at}/maxAge"), "`maxAge` needs a signal in the expression".into()));
            }
        }
        if let Some(text) = &verify.text {
            empty(&format!("{at}/text"), text, "text", found);
        }
        if let Some(call) = &verify.run
            && let Some(spec) = self.call(&format!("{at}/run"), call, &scope, found)
            && !spec.read_only
        {
            found.push((
                format!("{at}/run/verb"),
                format!("{} changes something; a verification only looks", spec.name),
            ));
        }
    }

    fn call(&self, at: &str, call: &Call, scope: &Scope, found: &mut Vec<Found>) -> Option<&VerbSpec> {
        let name = call.name();
        let Some(spec) = self.verbs.get(name.as_str()).copied() else {
            let same: Vec<&str> =
                self.verbs.keys().copied().filter(|v| v.split('.').next() == Some(&*call.adapter)).collect();
            let all: Vec<&str> = if same.is_empty() { self.verbs.keys().copied().collect() } else { same };
            let key = if all.iter().any(|v| v.split('.').next() == Some(&*call.adapter)) { "verb" } else { "adapter" };
            found.push((format!("{at}/{key}"), format!("unknown verb `{name}`{}", nearest(&name, &all))));
            return None;
        };
        for (arg, value) in &call.args {
            let place = format!("{at}/args/{}", escape(arg));
            if !spec.args.iter().any(|a| a.name == arg) {
                let all: Vec<&str> = spec.args.iter().map(|a| a.name).collect();
                found.push((place.clone(), format!("{name} has no argument `{arg}`{}", nearest(arg, &all))));
            }
            template::texts(value, &mut |text| template_words(&place, text, scope, found));
        }
        for arg in spec.args.iter().filter(|a| a.required && !call.args.contains_key(a.name)) {
            found.push((format!("{at}/verb"), format!("{name} needs the argument `{}`: {}", arg.name, arg.what)));
        }
        Some(spec)
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

fn template_words(at: &str, source: &str, scope: &Scope, found: &mut Vec<Found>) {
    found.extend(template::check(source, scope).into_iter().map(|why| (at.to_owned(), why)));
}

/// Keys that mean nothing in a step of this type are refused, and those that it can not do without are asked for.
fn fitting_keys(at: &str, step: &Step, found: &mut Vec<Found>) {
    use StepType::{Action, Assert, Check, Decision, Manual, WaitFor};
    let kind = step.kind;
    let is = |kinds: &[StepType]| kinds.contains(&kind);
    let present = [
        ("run", step.run.is_some(), is(&[Check, Action])),
        ("timeout", step.timeout.is_some(), is(&[Check, Action])),
        ("outputs", !step.outputs.is_empty(), is(&[Check, Action])),
        ("preconditions", !step.preconditions.is_empty(), is(&[Check, Action])),
        ("bind", !step.bind.is_empty(), is(&[Action])),
        ("requires", step.requires != crate::playbook::schema::Requires::default(), is(&[Check, Action])),
        ("risk", step.risk.is_some(), is(&[Action]) || step.risk == Some(Risk::Low)),
        ("blastRadius", step.blast_radius.is_some(), is(&[Action])),
        ("reversible", step.reversible.is_some(), is(&[Action])),
        ("confirmation", step.confirmation.is_some(), is(&[Action])),
        ("approval", step.approval.is_some(), is(&[Action])),
        ("onUnknown", step.on_unknown != OnUnknown::default(), is(&[Action])),
        ("verify", !step.verify.is_empty(), is(&[Action, Assert, WaitFor, Manual])),
        ("choices", !step.choices.is_empty(), is(&[Decision])),
        ("onFailure", step.on_failure != crate::playbook::schema::OnFailure::default(), !is(&[Decision])),
    ];
    for (key, there, fits) in present {
        if there && !fits {
            found.push((format!("{at}/{key}"), format!("a step of type {} has no `{key}`", kind.word())));
        }
    }
    let needed = [
        ("run", step.run.is_none() && is(&[Check, Action])),
        ("verify", step.verify.is_empty() && is(&[Assert, WaitFor])),
    ];
    for (key, missing) in needed {
        if missing {
            found.push((format!("{at}/id"), format!("the step `{}` of type {} needs `{key}`", step.id, kind.word())));
        }
    }
    if kind == Assert {
        for (i, verify) in step.verify.iter().enumerate() {
            if verify.within.is_some() || verify.hold.is_some() {
                let message = "an assertion looks once; a step of type wait_for has `within` and `hold`".to_owned();
                found.push((format!("{at}/verify/{i}"), message));
            }
        }
    }
    if kind == Decision {
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
    let names = step.outputs.iter().enumerate();
    for (i, output) in names.filter(|(i, o)| step.outputs.iter().take(*i).any(|other| other.name == o.name)) {
        found.push((format!("{at}/outputs/{i}/name"), format!("the output `{}` stands already", output.name)));
    }
    if let Some(approval) = &step.approval {
        approval_rules(&format!("{at}/approval"), approval, found);
    }
    if let Some(confirmation) = &step.confirmation
        && confirmation.kind == ConfirmationKind::Keypress
        && confirmation.phrase.is_some()
    {
        found.push((format!("{at}/confirmation/phrase"), "a phrase is for `kind: typed`".into()));
    }
}
