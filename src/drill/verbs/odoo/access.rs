//! Keys and exports of a simulated tenant.

use super::super::effect::{Aim, Done, Effect};
use super::super::given::Given;
use super::{statement, tenant, tenant_mut};
use crate::domain::ports::VerbError;
use crate::drill::model::Simulation;
use serde_json::json;

pub(super) static EFFECTS: &[Effect] = &[
    Effect {
        name: "odoo.revoke_api_keys",
        aim: revoke_aim,
        act: revoke,
        stands: |g, s| tenant(g, s).is_ok_and(|t| t.trouble.keys == 0),
    },
    Effect { name: "odoo.lock_exports", aim: lock_aim, act: lock, stands: locked },
];

fn revoke_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let keys = tenant(given, sim)?.trouble.keys;
    let whose = given.or("login", "all users")?;
    if keys == 0 {
        return Err(VerbError::new(format!("{whose} has no valid API key")));
    }
    let text = "UPDATE public.res_users_apikeys SET expiration_date = now() WHERE $1 = '' OR user_id = $1";
    let aim = statement(given, sim, text, vec![whose.clone()], format!("{keys} API keys of {whose}"))?;
    let hurts = "programs that log in with one of these keys are refused from now on";
    Ok(Aim { count: u64::from(keys), ..aim }
        .bound(json!({ "keys": keys }))
        .means(hurts, "new keys have to be made by their users"))
}

fn revoke(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let trouble = &mut tenant_mut(given, sim)?.trouble;
    let keys = std::mem::take(&mut trouble.keys);
    // The stolen key is one of them.
    trouble.stolen_key = false;
    Ok((json!({ "valid": keys, "revoked": (1..=keys).collect::<Vec<_>>() }), format!("{keys} API keys have ended")))
}

fn wanted(given: &Given<'_>) -> Result<bool, VerbError> {
    Ok(given.or("locked", "true")? == "true")
}

fn lock_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (on, was) = (wanted(given)?, tenant(given, sim)?.limits.exports_locked);
    let text = if on {
        "DELETE FROM public.res_groups_users_rel WHERE gid = $1"
    } else {
        "INSERT INTO public.res_groups_users_rel"
    };
    let aim = statement(given, sim, text, vec!["base.group_allow_export".into()], "the right to export".into())?;
    let hurts = if on { "nobody can export lists until it is given back" } else { "nobody: exports work again" };
    Ok(aim.bound(json!({ "locked": was })).means(hurts, format!("the same with locked = {}", !on)))
}

fn lock(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let on = wanted(given)?;
    tenant_mut(given, sim)?.limits.exports_locked = on;
    let what = if on { "can not export any more" } else { "can export again" };
    Ok((json!({ "users": 17, "told": 1 }), format!("17 users {what}")))
}

fn locked(given: &Given<'_>, sim: &Simulation) -> bool {
    tenant(given, sim).is_ok_and(|t| wanted(given) == Ok(t.limits.exports_locked))
}
