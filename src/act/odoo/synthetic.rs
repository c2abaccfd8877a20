//! `odoo.synthetic`: tries one small piece of work in a tenant's probe company, and takes away what it made. It refuses
//! to run anywhere else: its key's user has to belong to that company alone, and the company may hold no other work.

use super::TENANT;
use crate::act::args::{self, shell};
use crate::act::{DynVerb, again};
use crate::config::model::Synthetics;
use crate::domain::behalf::Behalf;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, HttpCall, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::synthetic::Synthetic;
use crate::domain::text::sanitize;
use crate::observe::odoo::client::{Client, DATABASE, Fault};
use crate::observe::odoo::synthetic::MARK;
use crate::observe::odoo::synthetic::ground::{self, Ground};
use crate::observe::odoo::synthetic::run::{Ran, run};
use crate::observe::odoo::synthetic::script::{Call, documents, filled, own, script, shown};
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// For surveys, dry runs and for looking after an unknown outcome.
const ALLOWED: Duration = Duration::from_secs(10);
/// A call that was lost may still be at work in Odoo.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "odoo.synthetic",
    what: "tries a small piece of work in a tenant's probe company, and takes away what it made",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec { name: "synthetic", required: true, what: "what is tried: sales-order, stock-move or work-order" },
    ],
};

/// The verb, for the configured probe companies.
pub(super) struct Try(Arc<Vec<Synthetics>>);

impl Try {
    pub(super) fn shared(_: MayAct, configured: &[Synthetics]) -> Arc<DynVerb> {
        Arc::new(Self(Arc::new(configured.to_vec())))
    }

    fn config(&self, tenant: &str) -> Result<&Synthetics, VerbError> {
        self.0.iter().find(|c| c.tenant.as_str() == tenant).ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|c| c.tenant.as_str()).collect();
            let known = if known.is_empty() { "no tenant has one".to_owned() } else { known.join(", ") };
            VerbError::new(format!("tenant {} has no probe company ([[synthetic]]); known: {known}", sanitize(tenant)))
        })
    }

    /// What a request is of: its probe company, what is tried, its mark, and the ground that was shown.
    fn checked(&self, request: &Request) -> Result<Checked<'_>, Failure> {
        let known = || {
            let Operation::Calls { calls } = &request.operation else { return None };
            let config = self.0.iter().find(|c| source(&c.tenant) == request.target.source)?;
            let (synthetic, at) = mark(calls)?;
            let reference = format!("{}{at}", prefix(synthetic));
            let script = script(synthetic, &reference, Timestamp::from_second(at).ok()?);
            let ground: Ground = serde_json::from_str(&request.target.identity).ok()?;
            let ours = request.verb == SPEC.name && calls == &rendered(config, &script, &ground);
            ours.then_some(Checked { config, synthetic, reference, script, ground })
        };
        known().ok_or_else(|| crate::act::foreign(request))
    }
}

struct Checked<'a> {
    config: &'a Synthetics,
    synthetic: Synthetic,
    reference: String,
    script: Vec<Call>,
    ground: Ground,
}

fn source(tenant: &TenantId) -> SourceId {
    crate::observe::odoo::source_id(tenant)
}

/// What the marks of a synthetic's documents begin with.
fn prefix(synthetic: Synthetic) -> String {
    format!("{MARK}verb/{synthetic}-")
}

/// What is tried and its mark's second, as the calls name them. The target names neither: a request that is rendered again
/// while somebody reads the first one means the same.
fn mark(calls: &[HttpCall]) -> Option<(Synthetic, i64)> {
    let found = |synthetic: Synthetic| {
        let prefix = prefix(synthetic);
        let (_, rest) = calls.iter().find_map(|call| call.body.split_once(&prefix))?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((synthetic, digits.parse().ok()?))
    };
    Synthetic::ALL.into_iter().find_map(found)
}

/// The calls as they are shown: what is only known while they run stands in `<…>`.
fn rendered(config: &Synthetics, script: &[Call], ground: &Ground) -> Vec<HttpCall> {
    let headers = BTreeMap::from([
        ("Content-Type".to_owned(), "application/json".to_owned()),
        (DATABASE.to_owned(), config.door.database.clone()),
    ]);
    let base = config.door.url.trim_end_matches('/');
    let one = |call: &Call| HttpCall {
        method: "POST".to_owned(),
        path: format!("{base}{}", call.path()),
        headers: headers.clone(),
        body: shown(&call.body, ground).to_string(),
    };
    script.iter().map(one).collect()
}

fn late() -> Failure {
    Failure::new(FailureKind::Timeout, "Odoo gave no answer in time")
}

impl Checked<'_> {
    /// A client, after making sure that the probe company is as it was shown.
    async fn client(&self, within: Duration) -> Result<Client, Failure> {
        let looking = async {
            let client = Client::open(&self.config.door).await?;
            let now = ground::read(&client, self.config, self.synthetic, Instant::now() + within).await?;
            if now == self.ground {
                return Ok(client);
            }
            let why = format!("the probe company {} is not as it was shown: nothing was done", self.config.company);
            Err(Failure::new(FailureKind::Local, why))
        };
        tokio::time::timeout(within, looking).await.unwrap_or_else(|_| Err(late()))
    }

    /// What is there of this try.
    async fn left(&self) -> Result<Vec<String>, Failure> {
        let client = self.client(ALLOWED).await?;
        let (model, _) = documents(self.synthetic);
        let mut domain = own(self.synthetic, &self.reference);
        // Transfers that are done stay, there is no deleting them.
        if let (Synthetic::StockMove, Some(all)) = (self.synthetic, domain.as_array_mut()) {
            all.push(json!(["state", "!=", "done"]));
        }
        let body = json!({ "domain": domain, "fields": ["name", "state"] });
        let body = filled(&body, &self.ground).unwrap_or_default();
        let rows = client.call(&format!("/json/2/{model}/search_read"), &body, ALLOWED).await.map_err(Fault::why)?;
        let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).map(sanitize).unwrap_or_default();
        let named = |row: &Value| format!("{} ({})", text(row, "name"), text(row, "state"));
        Ok(rows.as_array().into_iter().flatten().map(named).collect())
    }

    fn outcome(&self, ran: Ran) -> Outcome {
        let (what, company) = (self.synthetic.what(), &self.config.company);
        let because = |why: Failure, more: &str| Failure::new(why.kind, format!("{}; {more}", why.message));
        match (ran.work, ran.clean) {
            (Ok(()), Ok(())) => Outcome::Done {
                result: json!({
                    "synthetic": self.synthetic.name(), "took_ms": u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX),
                    "calls": ran.answered,
                }),
                summary: format!("{what} in {company}, in {:.1} s, and nothing of it is left", ran.took.as_secs_f64()),
            },
            (Err(Fault::Refused(why)), Ok(())) => Outcome::Failed { why: because(why, "nothing of the try is left") },
            (Err(Fault::Lost(why)), Ok(())) => {
                Outcome::Unknown { why: because(why, "it may still be at work; nothing of it was found") }
            }
            (Ok(()), Err(why)) => {
                Outcome::Unknown { why: because(why, "the work itself went well; what it made may be left") }
            }
            (Err(first), Err(why)) => {
                Outcome::Unknown { why: because(first.why(), &format!("and not cleaned up: {}", why.message)) }
            }
        }
    }
}

impl Verb for Try {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let config = self.config(asked.args.get("tenant")?.as_str()?).ok()?.clone();
        let synthetic = Synthetic::named(asked.args.get("synthetic")?.as_str()?)?;
        Some(Box::pin(async move {
            let looking = async {
                let client = Client::open(&config.door).await?;
                ground::read(&client, &config, synthetic, Instant::now() + ALLOWED).await.map(Value::Object)
            };
            tokio::time::timeout(ALLOWED, looking).await.unwrap_or_else(|_| Err(late()))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let tenant = args::required(context, "tenant")?;
        let config = self.config(&tenant)?;
        let name = args::word(context, "synthetic", &Synthetic::ALL.map(Synthetic::name))?;
        let synthetic = Synthetic::named(name).ok_or_else(|| VerbError::new("there is no such synthetic"))?;
        if !config.run.contains(&synthetic) {
            return Err(VerbError::new(format!("`run` of the [[synthetic]] of tenant {tenant} does not name {name}")));
        }
        let found = context.surveyed.and_then(Value::as_object);
        let ground = found.ok_or_else(|| VerbError::new("the probe company has not been read"))?;
        let at = context.now.as_second();
        let reference = format!("{}{at}", prefix(synthetic));
        let now = Timestamp::from_second(at).map_err(|e| VerbError::new(format!("no moment: {e}")))?;
        let calls = rendered(config, &script(synthetic, &reference, now), ground);
        let company = sanitize(&config.company);
        let first = calls.iter().find(|c| c.path.ends_with("/create"));
        let by_hand = first.map_or(String::new(), |c| {
            let headers: Vec<String> = c.headers.iter().map(|(k, v)| shell(&format!("{k}: {v}"))).collect();
            let headers = headers.join(" -H ");
            format!("curl -sS -H 'Authorization: bearer <key>' -H {headers} -d {} {}", shell(&c.body), shell(&c.path))
        });
        let stays = if synthetic == Synthetic::StockMove { "; two transfers that are done stay there" } else { "" };
        let ground = Value::Object(ground.clone());
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: source(&config.tenant),
                identity: ground.to_string(),
                environment: context.estate.environment,
                object: format!("probe company {company} of tenant {tenant}: {}", synthetic.what()),
                tenants: vec![config.tenant.clone()],
                count: 1,
            },
            by_hand,
            operation: Operation::Calls { calls },
            server_checks: vec![
                format!("only while the key's user belongs to the company {company} and to no other"),
                "only while that company holds no work but that of synthetics".to_owned(),
            ],
            hurts: format!("nobody: it works in {company} alone{stays}"),
            undo: "It takes away what it makes, and looks whether anything is left.".to_owned(),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let checked = self.checked(request)?;
            checked.client(ALLOWED).await?;
            let (calls, company) = (checked.script.len(), &checked.config.company);
            Ok(format!("the probe company {company} is there with all it takes; would send up to {calls} calls"))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let checked = match self.checked(permit.request()) {
                Ok(checked) => checked,
                Err(why) => return Outcome::Failed { why },
            };
            let begun = Instant::now();
            let client = match checked.client(permit.timeout() / 3).await {
                Ok(client) => client,
                Err(why) => return Outcome::Failed { why },
            };
            let left = permit.timeout().saturating_sub(begun.elapsed());
            checked.outcome(run(&client, &checked.script, &checked.ground, left).await)
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let look = || async {
                let left = match self.checked(request) {
                    Ok(checked) => checked.left().await,
                    Err(why) => Err(why),
                };
                match left {
                    Ok(left) if left.is_empty() => {
                        Reconciled::NoEffect { seen: "nothing of it is in the probe company".to_owned() }
                    }
                    Ok(left) => Reconciled::Undecided {
                        why: format!("{} is left in the probe company; a later try sweeps it away", left.join(", ")),
                    },
                    Err(why) => Reconciled::Undecided { why: why.message },
                }
            };
            again::twice(SECOND_LOOK, look).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_alone_name_what_is_tried_and_when_so_that_the_target_stays() {
        let mut config = crate::config::decode::decode(
            "t",
            "[estate]\nname = \"t\"\nenvironment = \"development\"\n[[tenant]]\nid = \"t1\"\nname = \"T\"\n[[synthetic]]\ntenant = \
             \"t1\"\nurl = \"http://127.0.0.1:8069\"\ndatabase = \"t1\"\ncompany = \"Probe\"\nkey = \"env:KEY\"\n",
        )
        .unwrap();
        let config = config.synthetic.remove(0);
        for synthetic in Synthetic::ALL {
            for at in [1_700_000_000, 1_700_000_001] {
                let reference = format!("{}{at}", prefix(synthetic));
                let calls = script(synthetic, &reference, Timestamp::from_second(at).unwrap());
                assert_eq!(mark(&rendered(&config, &calls, &Ground::default())), Some((synthetic, at)));
            }
        }
    }
}
