//! `redis.bgsave`: writes the data set to disk in the background, before something that may lose it.

use super::deed::{Broken, Deed, Talk, refused};
use super::{REDIS, Servers, facts, request, words};
use crate::domain::ports::{BoxFuture, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::{Value, json};

/// What it declares.
pub(super) static SPEC: VerbSpec = VerbSpec {
    name: "redis.bgsave",
    what: "writes the data set to disk in the background",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[REDIS],
};

/// The verb.
pub(super) struct Save;

/// The moment of the save before, which the object of a request names.
fn before(request: &Request) -> i64 {
    request.target.object.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

async fn running(talk: &mut Talk<'_>) -> Result<bool, Failure> {
    let text: String = talk.look(&["INFO", "persistence"]).await?;
    Ok(text.lines().any(|l| l.trim_end() == "rdb_bgsave_in_progress:1"))
}

impl Deed for Save {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey<'a>(&'a self, talk: &'a mut Talk<'_>, _: &'a super::deed::Args) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async move { Ok(json!({ "lastsave": talk.look::<i64>(&["LASTSAVE"]).await? })) })
    }

    fn render(&self, context: &RenderContext<'_>, servers: &Servers) -> Result<Request, VerbError> {
        let (id, facts) = facts(context)?;
        let last = context.surveyed.and_then(|s| s.get("lastsave")).and_then(Value::as_i64);
        let last = last.ok_or_else(|| VerbError::new(format!("when {id} was last saved has not been read")))?;
        let fork = facts.latest_fork_ms.map_or(String::new(), |ms| format!(", {ms:.0} ms the last time"));
        let about = (
            format!("data set of {id}, last saved at {last}"),
            1,
            format!("everyone who asks it waits while it forks{fork}; memory may double for as long as it writes"),
            "There is nothing to take back.".to_owned(),
        );
        let checks = vec!["only while no other save runs".to_owned()];
        request(context, &SPEC, servers.get(&id)?, &facts.run_id, vec![words(&["BGSAVE"])], about, checks)
    }

    fn would<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let now = if running(talk).await? { "; one runs now, so it would be refused" } else { "" };
            let keys: u64 = talk.look(&["DBSIZE"]).await.unwrap_or_default();
            Ok(format!("would save the {}, {keys} keys in this database{now}", request.target.object))
        })
    }

    fn run<'a>(&'a self, talk: &'a mut Talk<'_>, _: &'a Request) -> BoxFuture<'a, Result<(Value, String), Broken>> {
        Box::pin(async move {
            if running(talk).await? {
                return Err(refused("a save runs already: nothing was begun"));
            }
            let said: String = talk.change(&["BGSAVE"]).await?;
            Ok((json!({ "started": true }), said))
        })
    }

    fn seen<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<Reconciled, Failure>> {
        Box::pin(async move {
            let last: i64 = talk.look(&["LASTSAVE"]).await?;
            Ok(if last > before(request) {
                Reconciled::TookEffect { seen: format!("it was saved at {last}") }
            } else if running(talk).await? {
                Reconciled::TookEffect { seen: "a save runs now".to_owned() }
            } else {
                Reconciled::NoEffect { seen: format!("the last save is still that of {last}") }
            })
        })
    }
}
