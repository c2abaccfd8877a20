//! The rules of one step: which keys its type has, what its risk asks for, and whether its verbs, expressions and
//! templates mean something.

use super::rules::{Found, Rules, condition, empty, expression, is_name};
use super::yaml::escape;
use crate::domain::request::VerbSpec;
use crate::domain::risk::{Reversible, Risk};
use crate::playbook::expr::{Parsed, Scope, nearest};
use crate::playbook::schema::{Call, Class, ConfirmationKind, OnFailure, Step, StepType, Verify};
use crate::playbook::template;

impl Rules<'_> {
    /// Which keys the step has, and what its risk asks for.
    pub(super) fn step_rules(&self, at: &str, step: &Step, found: &mut Vec<Found>) {
        empty(&format!("{at}/name"), &step.name, "name", found);
        empty(&format!("{at}/why"), &step.why, "why", found);
        super::keys::fitting(at, step, found);
        if step.class() == Class::Acts {
            self.action_rules(at, step, found);
        }
        self.rollback_rules(at, step, found);
        if step.retry.is_some()
            && let Some(verb) = step.run.as_ref().and_then(|call| self.verbs.get(call.name().as_str()))
            && !verb.idempotent
        {
            let message = format!("{} run twice is not the same as run once, so that it is not run again", verb.name);
            found.push((format!("{at}/retry"), message));
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
                step.reversible != Some(Reversible::No) && step.rollback.is_none(),
                "`rollback`, or the words `reversible: false`",
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

    fn rollback_rules(&self, at: &str, step: &Step, found: &mut Vec<Found>) {
        if step.on_failure == OnFailure::Rollback
            && !self.playbook.steps.iter().take_while(|s| s.id != step.id).chain([step]).any(|s| s.rollback.is_some())
        {
            let message = "neither this step nor one before it has a `rollback`".to_owned();
            found.push((format!("{at}/onFailure"), message));
        }
        let Some(rollback) = &step.rollback else { return };
        let at = format!("{at}/rollback");
        if step.reversible == Some(Reversible::No) {
            found.push((at.clone(), "the step says `reversible: false`, so that there is nothing to take back".into()));
        }
        let Some(verb) = self.verbs.get(rollback.run.name().as_str()) else { return };
        if let Some(declared) = rollback.risk
            && declared < verb.risk_floor
        {
            let message = format!("{} is at least {}, the rollback says {declared}", verb.name, verb.risk_floor);
            found.push((format!("{at}/risk"), message));
        }
        if rollback.risk.unwrap_or(Risk::Low).max(verb.risk_floor) == Risk::High && rollback.verify.is_empty() {
            found.push((at, format!("the high-risk rollback of `{}` needs `verify`", step.id)));
        }
    }

    /// What looks at one tenant can not be asked of a run that is for several.
    fn for_one(&self, at: &str, parsed: Option<&Parsed>, found: &mut Vec<Found>) {
        let looks = |p: &Parsed| ["tenant", "signals", "ages"].iter().any(|root| p.refers_to(root));
        if self.playbook.targets.is_some() && parsed.is_some_and(looks) {
            let message = "in a playbook with `targets` this is asked once, so that it can not look at one tenant";
            found.push((at.to_owned(), message.into()));
        }
    }

    /// Whether what the step refers to exists.
    pub(super) fn step_words(&self, at: &str, step: &Step, scope: &Scope, found: &mut Vec<Found>) {
        let once = scope;
        let scope = &Scope { item: step.foreach.is_some(), ..scope.clone() };
        if let Some(source) = &step.condition {
            let parsed = condition(&format!("{at}/if"), source, once, found);
            self.for_one(&format!("{at}/if"), parsed.as_ref(), found);
        }
        self.part_words(at, step, once, found);
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
            let parsed = expression(&format!("{at}/bind/{i}"), source, once, None, found);
            self.for_one(&format!("{at}/bind/{i}"), parsed.as_ref(), found);
            if step.bind.iter().take(i).any(|other| other == source) {
                found.push((format!("{at}/bind/{i}"), "the value is bound already".into()));
            }
        }
        if let Some(call) = &step.run {
            let spec = self.call(&format!("{at}/run"), call, scope, found);
            let looks = step.class() == Class::Looks;
            call_flags(&format!("{at}/run"), call, !looks, found);
            if matches!(step.kind, StepType::Notify | StepType::Escalate) && !matches!(&*call.adapter, "comms" | "http")
            {
                let message = format!("a step of type {} calls a verb of `comms` or `http`", step.kind.word());
                found.push((format!("{at}/run/adapter"), message));
            }
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
            && flagless(&format!("{at}/run"), call, found)
            && let Some(spec) = self.call(&format!("{at}/run"), call, &scope, found)
            && !spec.read_only
        {
            found.push((
                format!("{at}/run/verb"),
                format!("{} changes something; a verification only looks", spec.name),
            ));
        }
    }

    /// The parts of a step that other calls and expressions stand in.
    fn part_words(&self, at: &str, step: &Step, scope: &Scope, found: &mut Vec<Found>) {
        for (i, way) in step.branches.iter().enumerate() {
            let at = format!("{at}/branches/{i}/if");
            let parsed = condition(&at, &way.condition, scope, found);
            self.for_one(&at, parsed.as_ref(), found);
        }
        let looks = step.looks.iter().enumerate().map(|(i, look)| (format!("{at}/looks/{i}/run"), &look.run));
        let kept = step.evidence.iter().enumerate().map(|(i, c)| (format!("{at}/evidence/{i}/source"), &c.source));
        for (at, call) in looks.chain(kept) {
            flagless(&at, call, found);
            if let Some(spec) = self.call(&at, call, scope, found)
                && !spec.read_only
            {
                found.push((format!("{at}/verb"), format!("{} changes something; only looks stand here", spec.name)));
            }
        }
        if let Some(rollback) = &step.rollback {
            let scope = Scope { item: step.foreach.is_some(), ..self.scope_of_all() };
            let at = format!("{at}/rollback");
            flagless(&format!("{at}/run"), &rollback.run, found);
            if let Some(spec) = self.call(&format!("{at}/run"), &rollback.run, &scope, found)
                && spec.read_only
            {
                found.push((format!("{at}/run/verb"), format!("{} only looks; it takes nothing back", spec.name)));
            }
            for (i, verify) in rollback.verify.iter().enumerate() {
                self.verify_words(&format!("{at}/verify/{i}"), verify, &scope, found);
            }
        }
        if let Some(foreach) = &step.foreach {
            let place = format!("{at}/foreach/items");
            let inner = Scope { signals: std::collections::BTreeSet::new(), tenant: false, ..scope.clone() };
            let parsed = expression(&place, &foreach.items, &inner, None, found);
            if parsed.is_some_and(|p| !p.refers_to("outputs") && !p.refers_to("params")) {
                found.push((place, "the items come from `outputs` or `params`".into()));
            }
            if self.playbook.targets.is_some() {
                found.push((format!("{at}/foreach"), "a playbook with `targets` has no foreach".into()));
            }
        }
        if let Some(comms) = &step.comms {
            template_words(&format!("{at}/comms/template"), &comms.template, scope, found);
        }
        for (name, text) in &step.params {
            template_words(&format!("{at}/params/{}", escape(name)), text, scope, found);
        }
        for (i, run) in step.runs.iter().enumerate() {
            for (name, text) in &run.params {
                template_words(&format!("{at}/runs/{i}/params/{}", escape(name)), text, scope, found);
            }
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

fn call_flags(at: &str, call: &Call, acts: bool, found: &mut Vec<Found>) {
    if call.dry_run && !acts {
        found.push((format!("{at}/dryRun"), "a look changes nothing, so that it needs no dry run".into()));
    }
    for (i, path) in call.mask_outputs.iter().enumerate().filter(|(_, path)| path.split('.').any(str::is_empty)) {
        found.push((format!("{at}/maskOutputs/{i}"), format!("`{path}` names no member of an answer")));
    }
}

/// A call beside a step has arguments and nothing else.
fn flagless(at: &str, call: &Call, found: &mut Vec<Found>) -> bool {
    if call.dry_run {
        found.push((format!("{at}/dryRun"), "a dry run is for what a step runs".into()));
    }
    if !call.mask_outputs.is_empty() {
        found.push((format!("{at}/maskOutputs"), "an answer is masked where a step keeps it".into()));
    }
    true
}

fn template_words(at: &str, source: &str, scope: &Scope, found: &mut Vec<Found>) {
    found.extend(template::check(source, scope).into_iter().map(|why| (at.to_owned(), why)));
}
