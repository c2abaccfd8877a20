//! Making sure where a synthetic may work: a company that is used for nothing else, a user who belongs to it alone, so
//! that Odoo's own rules keep every call away from other companies, and what the work stands on.

use super::super::client::{Client, Fault, lacks_model};
use super::MARK;
use super::script::{Fixture, documents, fixtures};
use crate::config::synthetic::Synthetics;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::synthetic::Synthetic;
use crate::domain::text::sanitize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// What the names of a script stand for: `<company>` and the fixtures of that synthetic.
pub type Ground = Map<String, Value>;

/// Looks at the probe company until `until`; a failure says what is missing or why it is none. Changes nothing.
pub async fn read(
    client: &Client,
    config: &Synthetics,
    synthetic: Synthetic,
    until: Instant,
) -> Result<Ground, Failure> {
    let ask = async |path: &str, body: Value| {
        let left = until.saturating_duration_since(Instant::now());
        client.call(path, &body, left).await.map_err(|fault| lacking(synthetic, fault))
    };
    let own = ask("/json/2/res.users/context_get", json!({})).await?;
    let user = own.get("uid").cloned().unwrap_or_default();
    let fields = json!(["login", "company_ids"]);
    let users = ask("/json/2/res.users/read", json!({ "ids": [user], "fields": fields })).await?;
    let (login, company) = alone(&config.company, users.get(0).unwrap_or(&Value::Null))?;
    let found = ask("/json/2/res.company/read", json!({ "ids": [company], "fields": ["name"] })).await?;
    let name = found.pointer("/0/name").and_then(Value::as_str).unwrap_or_default();
    if name != config.company {
        return Err(local(format!(
            "the key's user {login} belongs to the company {}, not to the probe company {}: nothing is done",
            sanitize(name),
            config.company
        )));
    }
    let (model, field) = documents(synthetic);
    let foreign = json!([["company_id", "=", company], "|", [field, "=", false], [field, "not like", MARK]]);
    let others = ask(&format!("/json/2/{model}/search_count"), json!({ "domain": foreign })).await?;
    if others != json!(0) {
        let why = "are not of a synthetic: the company is used for work, and nothing is done in it";
        return Err(local(format!("{others} documents ({model}) of {name} {why}")));
    }
    let mut ground = Ground::from_iter([("<company>".to_owned(), json!(company))]);
    for fixture in fixtures(synthetic) {
        let Fixture { name: key, model, by: (field, value), field: wanted } = fixture;
        let body = json!({
            "domain": [[field, "=", value], ["company_id", "=", company]], "fields": [wanted], "order": "id", "limit": 1,
            "context": { "active_test": false },
        });
        let rows = ask(&format!("/json/2/{model}/search_read"), body).await?;
        let row = rows.get(0).and_then(|row| row.get(*wanted));
        // A reference to another record is its id and its name.
        let id = row.and_then(|v| v.get(0).unwrap_or(v).as_i64());
        let id = id.ok_or_else(|| {
            let has = format!("the probe company {} has no {model} with {field} = {value}", config.company);
            local(format!("{has}, or its user may not see it: docs/probe-company.py makes it"))
        })?;
        ground.insert((*key).to_owned(), json!(id));
    }
    Ok(ground)
}

/// The login and the only company of a user.
fn alone(wanted: &str, user: &Value) -> Result<(String, i64), Failure> {
    let login = sanitize(user.get("login").and_then(Value::as_str).unwrap_or("?"));
    let companies = user.get("company_ids").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match companies {
        [one] => one.as_i64().map(|id| (login, id)).ok_or_else(|| local("Odoo named no company".to_owned())),
        all => Err(local(format!(
            "the key's user {login} belongs to {} companies; it has to belong to the probe company {wanted} alone, and \
             nothing is done",
            all.len()
        ))),
    }
}

/// A refusal for want of a module says which.
fn lacking(synthetic: Synthetic, fault: Fault) -> Failure {
    let why = fault.why();
    if lacks_model(&why) {
        let module = synthetic.module();
        return local(format!("the module {module} is not installed, so {} can not be tried", synthetic.name()));
    }
    why
}

fn local(why: String) -> Failure {
    Failure::new(FailureKind::Local, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_user_of_one_company_will_do() {
        let user = |companies: Value| json!({ "login": "probe", "company_ids": companies });
        assert_eq!(alone("P", &user(json!([7]))).unwrap(), ("probe".to_owned(), 7));
        let two = alone("P", &user(json!([1, 7]))).unwrap_err().message;
        assert!(two.contains("belongs to 2 companies") && two.contains("probe company P alone"), "{two}");
        assert!(alone("P", &Value::Null).unwrap_err().message.contains("belongs to 0 companies"));
    }

    #[test]
    fn a_module_that_is_missing_has_its_own_sentence() {
        let fault = Fault::Refused(local("http://h/x: the model 'mrp.production' does not exist".to_owned()));
        let why = lacking(Synthetic::WorkOrder, fault).message;
        assert_eq!(why, "the module mrp is not installed, so work-order can not be tried");
    }
}
