//! `integration.breaker_open` and `integration.breaker_close`: the parameter of Odoo that the integration's module asks
//! before it calls out. Odoo's processes hear of the change by a row in `orm_signaling_stable`, the cache in which
//! parameters are kept (`ir_config_parameter.py` and `Registry.check_signaling`, Odoo 19).

use super::{INTEGRATION, Known, with_tenant};
use crate::act::odoo::{Place, Said, parameters, question};
use crate::act::postgres::Instances;
use crate::act::postgres::change::{Change, Question, moved, number, row, text, unclear};
use crate::config::model::Integration;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::{Value, json};
use std::sync::Arc;

const fn spec(name: &'static str, what: &'static str) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Medium,
        blast_radius: BlastRadius::Tenant,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: false,
        args: &[INTEGRATION],
    }
}

/// What opening declares.
pub static OPEN: VerbSpec = spec("integration.breaker_open", "stops an integration from calling out, by its switch");
/// What closing declares.
pub static CLOSE: VerbSpec = spec("integration.breaker_close", "lets an integration call out again");

/// `$1` key.
const NOW: &str =
    "SELECT json_build_object('value', p.value) AS found FROM public.ir_config_parameter p WHERE p.key = $1";

/// `$1` key, `$2` new value, `$3` value as it was shown.
const STATEMENT: &str = "\
WITH switched AS (
  UPDATE public.ir_config_parameter SET value = $2, write_date = now() AT TIME ZONE 'UTC'
  WHERE key = $1 AND value = $3 RETURNING 1
), told AS (
  INSERT INTO public.orm_signaling_stable (date) SELECT now() AT TIME ZONE 'UTC' FROM switched RETURNING 1
)
SELECT json_build_object('switched', (SELECT count(*) FROM switched), 'told', (SELECT count(*) FROM told)) AS found";

/// One of the two.
pub(super) struct Breaker {
    pub(super) spec: &'static VerbSpec,
    pub(super) known: Arc<Known>,
}

fn switch(integration: &Integration) -> Result<&str, VerbError> {
    integration.switch.as_deref().ok_or_else(|| {
        let id = &integration.id;
        VerbError::new(format!("[[integration]] {id} has no `switch`: hold its jobs back with integration.buffer"))
    })
}

impl Change for Breaker {
    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.known.instances
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        let (integration, asked) = self.known.asked(asked)?;
        question(&asked, NOW, vec![integration.switch.clone()?])
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let integration = self.known.named(context)?;
        let key = switch(integration)?;
        let opens = self.spec.name == OPEN.name;
        let wanted = if opens { &integration.open } else { &integration.closed };
        let args = with_tenant(context.args, integration);
        let inner = RenderContext { args: &args, ..*context };
        let place = Place::new(&inner, &self.known.instances)?;
        let now = text(row(context, || format!("the parameter {key} is not set in {}", place.database.name))?, "value");
        if &now == wanted {
            return Err(VerbError::new(format!("{key} is {wanted} already")));
        }
        let id = &integration.id;
        let hurts = if opens {
            format!(
                "{}: nothing is exchanged through {id} until it is closed; jobs that fail meanwhile stay failed",
                place.tenant.id
            )
        } else {
            format!("nobody; {id} calls out again, so its other side must be there")
        };
        let parameters = vec![key.to_owned(), wanted.clone(), now.clone()];
        place.request(
            &inner,
            self.spec,
            (STATEMENT, parameters),
            Said {
                object: format!("switch {key} of {id}, which is {now}"),
                count: 1,
                server_checks: vec![format!("only if it is still {now}")],
                hurts,
                undo: format!("{} sets it back", if opens { CLOSE.name } else { OPEN.name }),
            },
        )
    }

    fn question(&self, request: &Request) -> (String, Vec<String>) {
        (NOW.to_owned(), parameters(request).into_iter().take(1).collect())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let now = found.first().map(|f| text(f, "value")).unwrap_or_default();
        let all = parameters(request);
        let [key, wanted, ..] = all.as_slice() else { return Err(crate::act::foreign(request)) };
        Ok(format!("would set {key} to {wanted}; it is {now} now"))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        match found.first().map(|f| number(f, "switched")) {
            Some(1) => Outcome::Done {
                result: json!({ "switched": true }),
                summary: format!("the {} is set", request.target.object.split(',').next().unwrap_or_default()),
            },
            Some(_) => moved("the switch has another value by now"),
            None => unclear(request),
        }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let now = found.first().map(|f| text(f, "value"));
        let all = parameters(request);
        let (wanted, before) = (all.get(1), all.get(2));
        let seen = format!("it is {}", now.as_deref().unwrap_or("not set"));
        if now.as_ref() == wanted {
            Reconciled::TookEffect { seen }
        } else if now.as_ref() == before {
            Reconciled::NoEffect { seen }
        } else {
            Reconciled::Undecided { why: seen }
        }
    }
}
