//! What was answered beforehand, and what follows from it as a run stands.

use super::Waits;
use crate::cli::args::Headless;
use crate::cli::output::{Error, Exit};
use crate::cli::session;
use crate::domain::id::Digest;
use crate::domain::risk::Confirmation;
use crate::domain::run::{RunState, StepState};
use crate::domain::text::sanitize;
use crate::engine::api::{Command, RunView, StepView};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a person has answered beforehand, by step.
pub(super) struct Answers<'a> {
    confirm: BTreeMap<String, String>,
    typed: BTreeMap<String, String>,
    decide: BTreeMap<String, String>,
    give: BTreeMap<&'a str, BTreeMap<String, String>>,
    told: BTreeSet<&'a str>,
    pub(super) wait: Duration,
}

impl<'a> Answers<'a> {
    pub(super) fn new(asked: &'a Headless) -> Result<Self, Error> {
        let confirm = session::once("--confirm", &asked.confirm)?;
        if let Some((step, wrong)) = confirm.iter().find(|(_, digest)| Digest::parse(digest).is_none()) {
            let (step, wrong) = (sanitize(step), sanitize(wrong));
            return Err(Error::Usage(format!("--confirm {step}={wrong}: a digest has 64 hexadecimal digits")));
        }
        let mut give: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        for (name, value) in &asked.give {
            let Some((step, name)) = name.split_once('.') else {
                return Err(Error::Usage(format!("--give {name}: STEP.NAME=VALUE is expected")));
            };
            give.entry(step).or_default().insert(name.to_owned(), value.clone());
        }
        Ok(Self {
            confirm,
            typed: session::once("--type", &asked.typed)?,
            decide: session::once("--decide", &asked.decide)?,
            give,
            told: asked.told.iter().map(String::as_str).collect(),
            wait: Duration::from_secs(asked.wait),
        })
    }

    /// The steps that are named, each with the option that does.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let maps = [("--confirm", &self.confirm), ("--type", &self.typed), ("--decide", &self.decide)];
        let all = maps.into_iter().flat_map(|(flag, of)| of.keys().map(move |step| (flag, step.as_str())));
        let given = self.give.keys().map(|step| ("--give", *step));
        all.chain(given).chain(self.told.iter().map(|step| ("--told", *step)))
    }
}

/// What is done next.
pub(super) enum Next {
    Send(Command),
    /// Nothing for the moment.
    Wait,
    /// Only somebody else, or another command, can go on with it; in how long at the latest it is given up.
    Person(Waits, Exit, Duration),
    End(Exit),
}

/// What follows from how the run stands.
pub(super) fn next(view: &RunView, answers: &Answers<'_>) -> Next {
    let exit = match view.state {
        RunState::Finished => Some(Exit::Done),
        RunState::RolledBack => Some(Exit::RolledBack),
        RunState::Failed | RunState::Stopped => Some(Exit::Failed),
        // Such as when a record could not be written: by itself nothing more happens.
        RunState::Unknown if view.stands => Some(Exit::OutcomeUnknown),
        RunState::Running | RunState::Waiting | RunState::Unknown => None,
    };
    if let Some(exit) = exit {
        return Next::End(exit);
    }
    let Some(step) = view.steps.get(view.current) else { return Next::Wait };
    let id = step.id.as_str();
    let (run, generation) = (view.id.clone(), view.generation);
    let waits = |what: &'static str, how: String| waits(step, what, how);
    if !step.asks.is_empty() {
        let Some(values) = answers.give.get(id) else {
            let names: Vec<String> = step.asks.iter().map(|a| format!("--give {id}.{}=VALUE", a.name)).collect();
            return Next::Person(waits("values", names.join(" ")), Exit::Failed, Duration::ZERO);
        };
        return Next::Send(Command::Give { run, step: step.id.clone(), generation, values: values.clone() });
    }
    match step.state {
        StepState::AwaitsConfirmation if step.by_itself_at.is_some() => Next::Wait,
        StepState::AwaitsConfirmation => confirm(view, step, answers),
        StepState::AwaitsApproval => {
            let how = "another person approves it".to_owned();
            Next::Person(waits("approval", how), Exit::Denied, answers.wait)
        }
        StepState::Blocked if step.comms.is_some() && answers.told.contains(id) => {
            Next::Send(Command::Told { run, step: step.id.clone() })
        }
        // Such as to start in spite of a contraindication.
        StepState::Blocked if decided(step, answers).is_some_and(|(choice, _)| offers(step, choice)) => {
            decide(view, step, answers)
        }
        StepState::Blocked => {
            let denied = step.assessment.as_ref().is_some_and(|a| !a.denials.is_empty());
            let told = step.outcome.as_deref().is_some_and(|line| line.contains("must be told first"));
            let (what, how, exit) = match (denied, told) {
                (_, true) => ("comms", format!("--told {id} says that they were told"), Exit::Failed),
                (true, _) => ("precondition", step.outcome.clone().unwrap_or_default(), Exit::Denied),
                _ => ("precondition", step.outcome.clone().unwrap_or_default(), Exit::Failed),
            };
            let patience = if told || denied { Duration::ZERO } else { answers.wait };
            Next::Person(waits(what, how), exit, patience)
        }
        StepState::AwaitsDecision | StepState::Unknown if !step.choices.is_empty() => {
            let given = decided(step, answers);
            if given.is_some_and(|(choice, _)| offers(step, choice)) {
                return decide(view, step, answers);
            }
            let keys: Vec<&str> = step.choices.iter().map(|(key, _)| key.as_str()).collect();
            let none = given.map(|(choice, _)| format!("there is no choice {choice:?}: ")).unwrap_or_default();
            let how = format!("{none}--decide {id}=KEY[:REASON] with one of {}", keys.join(", "));
            let exit = if view.state == RunState::Unknown { Exit::OutcomeUnknown } else { Exit::Failed };
            Next::Person(waits("decision", how), exit, Duration::ZERO)
        }
        _ => Next::Wait,
    }
}

/// What was decided of a step beforehand, and why.
fn decided<'a>(step: &StepView, answers: &'a Answers<'_>) -> Option<(&'a str, &'a str)> {
    let answer = answers.decide.get(step.id.as_str())?;
    Some(answer.split_once(':').unwrap_or((answer, "decided on the command line")))
}

fn offers(step: &StepView, choice: &str) -> bool {
    step.choices.iter().any(|(key, _)| key == choice)
}

fn decide(view: &RunView, step: &StepView, answers: &Answers<'_>) -> Next {
    let Some((choice, reason)) = decided(step, answers) else { return Next::Wait };
    let (run, step, generation) = (view.id.clone(), step.id.clone(), view.generation);
    Next::Send(Command::Decide { run, step, generation, choice: choice.to_owned(), reason: reason.to_owned() })
}

/// What a run waits for whose engine did not take an answer, and why it did not.
pub(super) fn refused(view: &RunView, command: &Command, why: &str) -> Option<Waits> {
    let step = view.steps.get(view.current)?;
    let what = match command {
        Command::Confirm { .. } => "confirmation",
        Command::Give { .. } => "values",
        Command::Told { .. } => "comms",
        _ => "decision",
    };
    Some(waits(step, what, why.to_owned()))
}

fn waits(step: &StepView, what: &'static str, how: String) -> Waits {
    Waits {
        step: step.id.clone(),
        what,
        how,
        digest: step.digest.as_ref().map(|d| d.as_str().to_owned()),
        choices: step.choices.iter().map(|(key, _)| key.clone()).collect(),
    }
}

fn confirm(view: &RunView, step: &StepView, answers: &Answers<'_>) -> Next {
    let waits = |what: &'static str, how: String| waits(step, what, how);
    let id = step.id.as_str();
    let Some(digest) = step.digest.clone() else { return Next::Wait };
    let known = [Some(digest.as_str()), step.shown_digest.as_ref().map(Digest::as_str)];
    let given = answers.confirm.get(id);
    if !given.is_some_and(|given| known.contains(&Some(given.as_str()))) {
        let how = match given {
            Some(given) => format!("--confirm {id}={given} names another request; this one is {digest}"),
            None => format!("--confirm {id}={digest}"),
        };
        return Next::Person(waits("confirmation", how), Exit::Denied, Duration::ZERO);
    }
    let phrase = match step.assessment.as_ref().and_then(|a| a.confirmation.as_ref()) {
        Some(Confirmation::Typed { phrase }) => Some(phrase),
        _ => None,
    };
    let typed = answers.typed.get(id).cloned();
    if let Some(phrase) = phrase
        && typed.as_ref() != Some(phrase)
    {
        let how = format!("it is confirmed by typing: --type {id}={phrase}");
        return Next::Person(waits("confirmation", how), Exit::Denied, Duration::ZERO);
    }
    let (run, generation) = (view.id.clone(), view.generation);
    Next::Send(Command::Confirm { run, step: step.id.clone(), digest, generation, typed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::risk::{Assessment, Risk};

    fn view(state: RunState, step: StepState) -> RunView {
        let step = serde_json::json!({
            "id": "act", "name": "A", "why": "W", "state": step, "risk": "high", "assessment": null, "request": null,
            "digest": Digest::from_bytes(&[1; 32]), "checks": [], "verify": [], "outcome": null, "output": [],
            "choices": [["retry", "again"]], "started_at": null, "ended_at": null,
            "shown_digest": Digest::from_bytes(&[2; 32]),
        });
        serde_json::from_value(serde_json::json!({
            "id": "RUN-1", "playbook": "p", "name": "P", "version": 1, "params": {}, "incident": null, "state": state,
            "started_at": "2026-11-21T00:00:00Z", "ended_at": null, "generation": 4, "current": 0, "steps": [step],
            "now": "",
        }))
        .unwrap()
    }

    fn asked(pairs: &[(&str, &str)]) -> Headless {
        Headless {
            id: "p".into(),
            params: vec![],
            secrets: vec![],
            confirm: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            typed: vec![],
            decide: vec![],
            give: vec![],
            told: vec![],
            incident: None,
            go_on: None,
            wait: 5,
        }
    }

    fn exit(view: &RunView, asked: &Headless) -> Option<Exit> {
        match next(view, &Answers::new(asked).unwrap()) {
            Next::End(exit) | Next::Person(_, exit, _) => Some(exit),
            Next::Send(_) | Next::Wait => None,
        }
    }

    #[test]
    fn a_run_that_stands_with_an_unknown_outcome_is_not_waited_for() {
        let mut standing = view(RunState::Unknown, StepState::Unknown);
        standing.steps[0].choices.clear();
        assert_eq!(exit(&standing, &asked(&[])), None);
        standing.stands = true;
        assert_eq!(exit(&standing, &asked(&[])), Some(Exit::OutcomeUnknown));
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        for (state, step, expected) in [
            (RunState::Finished, StepState::Done, Some(Exit::Done)),
            (RunState::Failed, StepState::Failed, Some(Exit::Failed)),
            (RunState::RolledBack, StepState::Failed, Some(Exit::RolledBack)),
            (RunState::Waiting, StepState::AwaitsConfirmation, Some(Exit::Denied)),
            (RunState::Waiting, StepState::AwaitsApproval, Some(Exit::Denied)),
            (RunState::Unknown, StepState::Unknown, Some(Exit::OutcomeUnknown)),
            (RunState::Waiting, StepState::AwaitsDecision, Some(Exit::Failed)),
            (RunState::Running, StepState::Executing, None),
        ] {
            assert_eq!(exit(&view(state, step), &asked(&[])), expected, "{state:?} {step:?}");
        }
    }

    #[test]
    fn a_gate_opens_for_the_digest_that_was_shown_and_for_no_other() {
        let waiting = view(RunState::Waiting, StepState::AwaitsConfirmation);
        for (digest, opens) in [([1; 32], true), ([2; 32], true), ([3; 32], false)] {
            let digest = Digest::from_bytes(&digest);
            let asked = asked(&[("act", digest.as_str())]);
            let sends = matches!(
                next(&waiting, &Answers::new(&asked).unwrap()),
                Next::Send(Command::Confirm { digest, generation: 4, .. }) if digest == Digest::from_bytes(&[1; 32])
            );
            assert_eq!(sends, opens, "{digest}");
        }
        let mut typed = waiting;
        typed.steps[0].assessment = Some(Assessment {
            risk: Risk::High,
            reasons: vec![],
            confirmation: Some(Confirmation::Typed { phrase: "t017".into() }),
            login: false,
            approvals: 1,
            terms: None,
            needs_incident: true,
            denials: vec![],
        });
        let digest = Digest::from_bytes(&[1; 32]);
        let mut asked = asked(&[("act", digest.as_str())]);
        assert_eq!(exit(&typed, &asked), Some(Exit::Denied), "the phrase has to be typed too");
        asked.typed = vec![("act".into(), "t017".into())];
        assert_eq!(exit(&typed, &asked), None);
    }

    #[test]
    fn what_was_answered_beforehand_is_sent_and_what_is_malformed_is_refused() {
        let waiting = view(RunState::Waiting, StepState::AwaitsDecision);
        let mut asked = asked(&[]);
        asked.decide = vec![("act".into(), "retry:it was a hiccup".into())];
        let next = next(&waiting, &Answers::new(&asked).unwrap());
        let Next::Send(Command::Decide { choice, reason, .. }) = next else { panic!("it is not decided") };
        assert_eq!((choice.as_str(), reason.as_str()), ("retry", "it was a hiccup"));
        asked.decide = vec![("act".into(), "again:it was a hiccup".into())];
        assert_eq!(exit(&waiting, &asked), Some(Exit::Failed), "a choice that is not there is not waited for");
        asked.give = vec![("act".into(), "5".into())];
        assert!(Answers::new(&asked).is_err());
    }

    #[test]
    fn what_blocks_is_waited_for_unless_something_offered_was_decided() {
        let mut blocked = view(RunState::Waiting, StepState::Blocked);
        blocked.steps[0].choices = vec![("start-anyway".into(), "start in spite of it".into())];
        let mut asked = asked(&[]);
        asked.decide = vec![("act".into(), "start-anyway:looked".into())];
        let sent = next(&blocked, &Answers::new(&asked).unwrap());
        assert!(matches!(&sent, Next::Send(Command::Decide { choice, .. }) if choice == "start-anyway"));
        let Next::Send(command) = sent else { panic!("it is not decided") };
        let said = refused(&blocked, &command, "it needs a reason").unwrap();
        assert_eq!((said.what, said.how.as_str()), ("decision", "it needs a reason"));
        asked.decide = vec![("act".into(), "skip:looked".into())];
        assert_eq!(exit(&blocked, &asked), Some(Exit::Failed));
    }
}
