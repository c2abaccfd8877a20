//! `odoo.lock_exports`: takes the right to export data from all users of a tenant, and gives it back to exactly those.
//! Who had it is noted in the database in the same statement. Odoo's processes hear of it by a row in
//! `orm_signaling_default` (`Registry.check_signaling`, Odoo 19), as when Odoo changes groups itself.

use super::{Place, Said, TENANT, array, parameters, question};
use crate::act::args;
use crate::act::postgres::Instances;
use crate::act::postgres::change::{Change, Question, moved, number, row, text, unclear};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use crate::domain::text::{first_of, sanitize};
use serde_json::Value;
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "odoo.lock_exports",
    what: "takes the right to export data from all users of a tenant, or gives it back",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec { name: "locked", required: false, what: "true (by default) to lock, false to give it back" },
    ],
};

/// How many of those are named whom the lock does not stop.
const NAMED: usize = 8;

/// Who may export, who could before, and who may whatever stands in that group: whom another group gives the right, and
/// the administrators, of whom `BaseModel.export_data` asks nothing. 1 is Odoo itself.
const NOW: &str = "\
SELECT json_build_object('group', d.res_id,
  'users', coalesce((SELECT json_agg(r.uid ORDER BY r.uid) FROM public.res_groups_users_rel r WHERE r.gid = d.res_id), '[]'),
  'keep', (WITH RECURSIVE free (gid) AS (
      SELECT i.gid FROM public.res_groups_implied_rel i WHERE i.hid = d.res_id
      UNION SELECT a.res_id FROM public.ir_model_data a WHERE a.module = 'base' AND a.name = 'group_erp_manager'
      UNION SELECT i.gid FROM public.res_groups_implied_rel i JOIN free ON i.hid = free.gid)
    SELECT coalesce(json_agg(DISTINCT u.login), '[]') FROM free JOIN public.res_groups_users_rel r ON r.gid = free.gid
      JOIN public.res_users u ON u.id = r.uid WHERE u.id <> 1),
  'note', (SELECT p.value FROM public.ir_config_parameter p WHERE p.key = 'quarterdeck.export_lock')) AS found
FROM public.ir_model_data d WHERE d.module = 'base' AND d.name = 'group_allow_export'";

/// `$1` group, `$2` users.
const LOCK: &str = "\
WITH taken AS (
  DELETE FROM public.res_groups_users_rel r WHERE r.gid = $1::int AND r.uid = ANY($2::int[]) RETURNING r.uid
), noted AS (
  INSERT INTO public.ir_config_parameter AS p (key, value, create_date, write_date)
  SELECT 'quarterdeck.export_lock', string_agg(uid::text, ',' ORDER BY uid), now() AT TIME ZONE 'UTC',
    now() AT TIME ZONE 'UTC'
  FROM taken HAVING count(*) > 0
  ON CONFLICT (key) DO UPDATE SET value = p.value || ',' || excluded.value, write_date = excluded.write_date
  RETURNING 1
), told AS (
  INSERT INTO public.orm_signaling_default DEFAULT VALUES RETURNING 1
)
SELECT json_build_object('users', (SELECT count(*) FROM taken), 'told', (SELECT count(*) FROM told)) AS found";

/// `$1` group, `$2` the note as it was shown.
const UNLOCK: &str = "\
WITH note AS (
  DELETE FROM public.ir_config_parameter WHERE key = 'quarterdeck.export_lock' AND value = $2 RETURNING value
), given AS (
  INSERT INTO public.res_groups_users_rel (gid, uid)
  SELECT $1::int, u.id FROM note JOIN public.res_users u ON u.id = ANY(string_to_array(note.value, ',')::int[])
  ON CONFLICT DO NOTHING RETURNING uid
), told AS (
  INSERT INTO public.orm_signaling_default DEFAULT VALUES RETURNING 1
)
SELECT json_build_object('users', (SELECT count(*) FROM given), 'note', (SELECT count(*) FROM note),
  'told', (SELECT count(*) FROM told)) AS found";

/// The verb.
pub(super) struct LockExports(pub(super) Arc<Instances>);

fn locks(request: &Request) -> bool {
    parameters(request).get(1).is_some_and(|p| p.starts_with('{'))
}

/// Whom the lock does not stop, in words; nothing where it stops everybody.
fn keepers(found: &Value) -> String {
    let logins = found.get("keep").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let logins: Vec<String> = logins.map(sanitize).collect();
    if logins.is_empty() {
        return String::new();
    }
    format!("; by another group, or as administrators, these still can: {}", first_of(&logins, NAMED, ", "))
}

fn users(found: &Value) -> Vec<i64> {
    found.get("users").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64).collect()
}

impl Change for LockExports {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        question(asked, NOW, Vec::new())
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let place = Place::new(context, &self.0)?;
        let locked = match context.args.get("locked") {
            Some(Value::Bool(locked)) => *locked,
            _ => args::word(context, "locked", &["true", "false"])? == "true",
        };
        let found = row(context, || "there is no group base.group_allow_export".to_owned())?;
        let (group, note) = (number(found, "group"), text(found, "note"));
        if locked {
            let users = users(found);
            let keepers = keepers(found);
            if users.is_empty() {
                return Err(VerbError::new(format!("no user of {} has the right to export{keepers}", place.tenant.id)));
            }
            return place.request(
                context,
                &SPEC,
                (LOCK, vec![group.to_string(), array(&users)]),
                Said {
                    object: format!("right to export of {} users", users.len()),
                    count: users.len() as u64,
                    server_checks: vec!["only from these users".to_owned()],
                    hurts: format!("{}: {} users can not export lists{keepers}", place.tenant.id, users.len()),
                    undo: "the same with locked = false gives it back to exactly those".to_owned(),
                },
            );
        }
        if note.is_empty() {
            return Err(VerbError::new(format!("the exports of {} are not locked", place.tenant.id)));
        }
        let count = note.split(',').count();
        place.request(
            context,
            &SPEC,
            (UNLOCK, vec![group.to_string(), note]),
            Said {
                object: format!("right to export of {count} users, given back"),
                count: count as u64,
                server_checks: vec!["only if exactly these are noted".to_owned()],
                hurts: format!("nobody; {count} users of {} can export lists again", place.tenant.id),
                undo: "the same with locked = true".to_owned(),
            },
        )
    }

    fn question(&self, _: &Request) -> (String, Vec<String>) {
        (NOW.to_owned(), Vec::new())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let n = found.first().map_or(0, |f| users(f).len());
        Ok(format!("would change the {}; {n} users have it now", request.target.object))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        let Some(found) = found.first() else { return unclear(request) };
        if !locks(request) && number(found, "note") == 0 {
            return moved("other users are noted by now");
        }
        let what = if locks(request) { "can not export any more" } else { "can export again" };
        Outcome::Done { result: found.clone(), summary: format!("{} users {what}", number(found, "users")) }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let Some(found) = found.first() else {
            return Reconciled::Undecided { why: "the group is not there".to_owned() };
        };
        let (n, noted) = (users(found).len(), !text(found, "note").is_empty());
        let seen = format!("{n} users may export; who could before is {}", if noted { "noted" } else { "not noted" });
        if noted == locks(request) { Reconciled::TookEffect { seen } } else { Reconciled::NoEffect { seen } }
    }
}
