//! `odoo.revoke_api_keys`: ends keys of Odoo's API now. Their rows stay, with the end that they had, for the review.

use super::{Place, Said, TENANT, parameters, question};
use crate::act::args;
use crate::act::postgres::Instances;
use crate::act::postgres::change::{Change, Question, moved, number, row, text, unclear};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::Value;
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "odoo.revoke_api_keys",
    what: "ends the API keys of one user or of all users of a tenant",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[TENANT, ArgSpec { name: "login", required: false, what: "login of one user; all users when absent" }],
};

/// Keys that are valid. `$1` login or empty. Keys have an end since Odoo 18.
const VALID: &str = "\
SELECT json_build_object('keys', count(*), 'users', string_agg(DISTINCT u.login, ', '),
  'ids', coalesce(string_agg(k.id::text, ',' ORDER BY k.id), '')) AS found
FROM public.res_users_apikeys k JOIN public.res_users u ON u.id = k.user_id
WHERE ($1::text = '' OR u.login = $1::text)
  AND (k.expiration_date IS NULL OR k.expiration_date > now() AT TIME ZONE 'UTC')";

/// `$1` login or empty, `$2` how many at most.
const STATEMENT: &str = "\
WITH valid AS MATERIALIZED (
  SELECT k.id FROM public.res_users_apikeys k JOIN public.res_users u ON u.id = k.user_id
  WHERE ($1::text = '' OR u.login = $1::text)
    AND (k.expiration_date IS NULL OR k.expiration_date > now() AT TIME ZONE 'UTC')
), ended AS (
  UPDATE public.res_users_apikeys k SET expiration_date = now() AT TIME ZONE 'UTC'
  FROM valid WHERE k.id = valid.id AND (SELECT count(*) FROM valid) <= $2::bigint RETURNING k.id
)
SELECT json_build_object('valid', (SELECT count(*) FROM valid),
  'revoked', coalesce((SELECT json_agg(id ORDER BY id) FROM ended), '[]')) AS found";

/// The verb.
pub(super) struct RevokeKeys(pub(super) Arc<Instances>);

impl Change for RevokeKeys {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        let login = asked.args.get("login").and_then(Value::as_str).unwrap_or_default();
        question(asked, VALID, vec![login.trim().to_owned()])
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let place = Place::new(context, &self.0)?;
        let login = args::optional(context, "login")?.unwrap_or_default();
        let found = row(context, || "the keys have not been counted".to_owned())?;
        let (keys, users) = (number(found, "keys"), text(found, "users"));
        let whose = if login.is_empty() { "all users".to_owned() } else { login.clone() };
        if keys == 0 {
            return Err(VerbError::new(format!("{whose} of {} has no valid API key", place.tenant.id)));
        }
        place.request(
            context,
            &SPEC,
            (STATEMENT, vec![login, keys.to_string()]),
            Said {
                object: format!("{keys} API keys of {whose}"),
                count: keys.unsigned_abs(),
                server_checks: vec![
                    "only keys that are valid".to_owned(),
                    format!("nothing at all if there are more than {keys}"),
                ],
                hurts: format!(
                    "{}: programs that log in with a key of {users} are refused from now on",
                    place.tenant.id
                ),
                undo: "new keys have to be made by their users".to_owned(),
            },
        )
    }

    fn question(&self, request: &Request) -> (String, Vec<String>) {
        (VALID.to_owned(), parameters(request).into_iter().take(1).collect())
    }

    fn would(&self, _: &Request, found: &[Value]) -> Result<String, Failure> {
        let (keys, users) = found.first().map_or((0, String::new()), |f| (number(f, "keys"), text(f, "users")));
        Ok(format!("would end {keys} valid keys of {users}"))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        let Some(found) = found.first() else { return unclear(request) };
        let revoked = found.get("revoked").and_then(Value::as_array).map_or(0, Vec::len);
        let valid = number(found, "valid");
        if revoked == 0 && valid > 0 {
            return moved(format!("there are {valid} valid keys now, {} were shown", request.target.count));
        }
        Outcome::Done { result: found.clone(), summary: format!("{revoked} API keys have ended") }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let keys = found.first().map_or(0, |f| number(f, "keys")).unsigned_abs();
        let seen = format!("{keys} keys are valid, {} were shown", request.target.count);
        match keys {
            0 => Reconciled::TookEffect { seen },
            n if n >= request.target.count => Reconciled::NoEffect { seen },
            _ => Reconciled::Undecided { why: seen },
        }
    }
}
