//! Sending the calls of a synthetic. Whatever becomes of the work, what it made is taken away again, and it is looked
//! whether anything is left.

use super::super::client::{Client, Fault};
use super::ground::Ground;
use super::script::{Call, Stage, filled, shown};
use crate::domain::sample::{Failure, FailureKind};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How a try went.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Time that the work itself took, without sweeping and cleaning.
    pub took: Duration,
    /// Calls that Odoo answered.
    pub answered: usize,
    /// The work; a failure names the call that it is of.
    pub work: Result<(), Fault>,
    /// That nothing is left.
    pub clean: Result<(), Failure>,
}

/// Runs a script on the ground that was made sure of. The work gets two thirds of the time at most, so that there is
/// time to clean up.
pub async fn run(client: &Client, script: &[Call], ground: &Ground, within: Duration) -> Ran {
    let begun = Instant::now();
    let (for_work, until) = (begun + within * 2 / 3, begun + within);
    let mut known = ground.clone();
    let mut ran = Ran { took: Duration::ZERO, answered: 0, work: Ok(()), clean: Ok(()) };
    for call in script {
        let working = call.stage <= Stage::Work;
        if working && ran.work.is_err() {
            continue;
        }
        let expects = call.expects.as_ref().map(|e| shown(e, &known));
        let unbound = matches!(&expects, Some(Value::String(name)) if name.starts_with('<'));
        let needed =
            call.needs.is_none_or(|n| known.get(n).is_some_and(|v| v.as_array().is_none_or(|a| !a.is_empty())));
        let body = if needed && !unbound { filled(&call.body, &known) } else { None };
        let Some(body) = body else { continue };
        let started = Instant::now();
        let left = if working { for_work } else { until }.saturating_duration_since(started);
        let answer = client.call(&call.path(), &body, left).await;
        if call.stage == Stage::Work {
            ran.took += started.elapsed();
        }
        let answer = answer.and_then(|answer| {
            ran.answered += 1;
            match &expects {
                Some(wanted) if *wanted != answer => {
                    let why = format!("{}.{} answered {answer}, not {wanted}", call.model, call.method);
                    Err(Fault::Refused(Failure::new(FailureKind::Protocol, why)))
                }
                _ => Ok(answer),
            }
        });
        match answer {
            Ok(answer) => {
                if let Some(name) = call.binds {
                    known.insert(name.to_owned(), answer);
                }
            }
            Err(fault) if working => ran.work = Err(fault),
            // What comes after may still succeed; the first that failed tells.
            Err(fault) if ran.clean.is_ok() => ran.clean = Err(fault.why()),
            Err(_) => {}
        }
    }
    ran
}
