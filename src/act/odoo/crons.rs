//! `odoo.pause_crons` and `odoo.resume_crons`. Which crons were paused is remembered in the database itself, in the same
//! statement, so that exactly those are resumed, whoever does it and whenever. A cron that runs holds a lock on its row
//! (`_acquire_one_job` in `ir_cron.py`) and is left alone.

use super::{Place, Said, TENANT, array, parameters, question};
use crate::act::args;
use crate::act::postgres::Instances;
use crate::act::postgres::change::{Change, Question, moved, number, row, rows, text, unclear};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::{Value, json};
use std::sync::Arc;

/// What pausing declares.
pub static PAUSE: VerbSpec = VerbSpec {
    name: "odoo.pause_crons",
    what: "deactivates scheduled actions of a tenant, and remembers which",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec { name: "crons", required: false, what: "names of crons, as a list; all active ones when absent" },
        ArgSpec { name: "except", required: false, what: "names of crons that go on, as a list" },
    ],
};

/// What resuming declares.
pub static RESUME: VerbSpec = VerbSpec {
    name: "odoo.resume_crons",
    what: "activates the scheduled actions that were paused",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[TENANT],
};

const ACTIVE: &str = "\
SELECT json_build_object('id', c.id, 'name', c.cron_name) AS found FROM public.ir_cron c WHERE c.active ORDER BY c.id";

/// `$1` ids.
const PAUSING: &str = "\
WITH free AS MATERIALIZED (
  SELECT c.id FROM public.ir_cron c WHERE c.active AND c.id = ANY($1::int[])
  ORDER BY c.id FOR NO KEY UPDATE OF c SKIP LOCKED
), paused AS (
  UPDATE public.ir_cron c SET active = false FROM free WHERE c.id = free.id RETURNING c.id
), noted AS (
  INSERT INTO public.ir_config_parameter AS p (key, value, create_date, write_date)
  SELECT 'quarterdeck.paused_crons', string_agg(id::text, ',' ORDER BY id), now() AT TIME ZONE 'UTC',
    now() AT TIME ZONE 'UTC'
  FROM paused HAVING count(*) > 0
  ON CONFLICT (key) DO UPDATE SET value = p.value || ',' || excluded.value, write_date = excluded.write_date
  RETURNING 1
)
SELECT json_build_object('paused', coalesce((SELECT json_agg(id ORDER BY id) FROM paused), '[]'),
  'running', (SELECT count(*) FROM public.ir_cron c WHERE c.active AND c.id = ANY($1::int[]))
    - (SELECT count(*) FROM free)) AS found";

/// `$1` ids.
const STILL: &str = "\
SELECT json_build_object('active', count(*) FILTER (WHERE c.active), 'all', count(*)) AS found
FROM public.ir_cron c WHERE c.id = ANY($1::int[])";

const NOTE: &str = "\
SELECT json_build_object('note', p.value, 'crons', (SELECT json_agg(c.cron_name ORDER BY c.id) FROM public.ir_cron c
  WHERE c.id = ANY(string_to_array(p.value, ',')::int[]))) AS found
FROM public.ir_config_parameter p WHERE p.key = 'quarterdeck.paused_crons'";

/// `$1` the note as it was shown.
const RESUMING: &str = "\
WITH note AS (
  DELETE FROM public.ir_config_parameter WHERE key = 'quarterdeck.paused_crons' AND value = $1 RETURNING value
), resumed AS (
  UPDATE public.ir_cron c SET active = true FROM note
  WHERE c.id = ANY(string_to_array(note.value, ',')::int[]) AND NOT c.active RETURNING c.id
)
SELECT json_build_object('note', (SELECT count(*) FROM note),
  'resumed', coalesce((SELECT json_agg(id ORDER BY id) FROM resumed), '[]')) AS found";

/// The verb.
pub(super) struct Pause(pub(super) Arc<Instances>);

impl Change for Pause {
    fn spec(&self) -> &'static VerbSpec {
        &PAUSE
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        question(asked, ACTIVE, Vec::new())
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let place = Place::new(context, &self.0)?;
        let (only, except) = (args::list(context, "crons")?, args::list(context, "except")?);
        let active = rows(context)?;
        for name in only.iter().chain(&except) {
            if !active.iter().any(|c| &text(c, "name") == name) {
                let name = crate::domain::text::sanitize(name);
                return Err(VerbError::new(format!("no active cron of {} is named {name}", place.tenant.id)));
            }
        }
        let chosen: Vec<&Value> = active
            .iter()
            .filter(|c| only.is_empty() || only.contains(&text(c, "name")))
            .filter(|c| !except.contains(&text(c, "name")))
            .collect();
        if chosen.is_empty() {
            return Err(VerbError::new(format!("{} has no active cron to pause", place.tenant.id)));
        }
        let ids: Vec<i64> = chosen.iter().map(|c| number(c, "id")).collect();
        let names: Vec<String> = chosen.iter().map(|c| text(c, "name")).collect();
        place.request(
            context,
            &PAUSE,
            (PAUSING, vec![array(&ids)]),
            Said {
                object: format!("{} crons", ids.len()),
                count: ids.len() as u64,
                server_checks: vec![
                    "only these, and of them only those that are active".to_owned(),
                    "one that runs at that moment is left alone".to_owned(),
                ],
                hurts: format!(
                    "{}: nothing of this happens until they are resumed: {}",
                    place.tenant.id,
                    names.join(", ")
                ),
                undo: "odoo.resume_crons activates exactly those that were paused".to_owned(),
            },
        )
    }

    fn question(&self, request: &Request) -> (String, Vec<String>) {
        (STILL.to_owned(), parameters(request))
    }

    fn would(&self, _: &Request, found: &[Value]) -> Result<String, Failure> {
        Ok(format!("would pause up to {} crons", found.first().map_or(0, |f| number(f, "active"))))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        let Some(found) = found.first() else { return unclear(request) };
        let paused = found.get("paused").and_then(Value::as_array).map_or(0, Vec::len);
        let left = match number(found, "running") {
            0 => String::new(),
            n => format!("; {n} run at this moment and were left alone"),
        };
        Outcome::Done { result: found.clone(), summary: format!("{paused} crons are paused{left}") }
    }

    fn seen(&self, _: &Request, found: &[Value]) -> Reconciled {
        let (active, all) = found.first().map_or((0, 0), |f| (number(f, "active"), number(f, "all")));
        let seen = format!("{active} of {all} crons are active");
        match active {
            0 => Reconciled::TookEffect { seen },
            n if n == all => Reconciled::NoEffect { seen },
            // One statement: where any is paused, it ran, and the others were running.
            _ => Reconciled::TookEffect { seen },
        }
    }
}

/// The verb.
pub(super) struct Resume(pub(super) Arc<Instances>);

impl Change for Resume {
    fn spec(&self) -> &'static VerbSpec {
        &RESUME
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        question(asked, NOTE, Vec::new())
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let place = Place::new(context, &self.0)?;
        let found = row(context, || format!("no crons of {} were paused by odoo.pause_crons", place.tenant.id))?;
        let note = text(found, "note");
        let count = note.split(',').count();
        let names: Vec<&str> =
            found.get("crons").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let names = crate::domain::text::sanitize(&names.join(", "));
        place.request(
            context,
            &RESUME,
            (RESUMING, vec![note]),
            Said {
                object: format!("{count} paused crons"),
                count: count as u64,
                server_checks: vec!["only if exactly these are noted as paused".to_owned()],
                hurts: format!("{}: crons that are due run at once: {names}", place.tenant.id),
                undo: "odoo.pause_crons pauses them again".to_owned(),
            },
        )
    }

    fn question(&self, _: &Request) -> (String, Vec<String>) {
        (NOTE.to_owned(), Vec::new())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let note = found.first().map(|f| text(f, "note"));
        Ok(if note == parameters(request).into_iter().next() {
            format!("would activate {}", request.target.object)
        } else {
            "other crons are noted as paused by now: it would do nothing".to_owned()
        })
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        let Some(found) = found.first() else { return unclear(request) };
        if number(found, "note") == 0 {
            return moved("other crons are noted as paused by now");
        }
        let resumed = found.get("resumed").cloned().unwrap_or_default();
        let count = resumed.as_array().map_or(0, Vec::len);
        Outcome::Done { result: json!({ "resumed": resumed }), summary: format!("{count} crons are active again") }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        match found.first().map(|f| text(f, "note")) {
            None => Reconciled::TookEffect { seen: "no crons are noted as paused".to_owned() },
            note if note == parameters(request).into_iter().next() => {
                Reconciled::NoEffect { seen: "the same crons are still noted as paused".to_owned() }
            }
            Some(_) => Reconciled::Undecided { why: "other crons are noted as paused by now".to_owned() },
        }
    }
}
