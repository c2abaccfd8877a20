//! `redis.memory_purge` and `redis.set_maxmemory`.

use super::deed::{Args, Broken, Deed, Talk, refused};
use super::{REDIS, Servers, facts, request, words};
use crate::act::args;
use crate::domain::ports::{BoxFuture, Reconciled, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use serde_json::{Value, json};

/// What purging declares.
pub(super) static PURGE: VerbSpec = VerbSpec {
    name: "redis.memory_purge",
    what: "gives memory that is freed but kept back to the system; no key is touched",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[REDIS],
};

/// What the limit declares.
pub(super) static MAXMEMORY: VerbSpec = VerbSpec {
    name: "redis.set_maxmemory",
    what: "sets the limit of memory of a running Redis; a restart brings back that of its file",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        REDIS,
        ArgSpec { name: "bytes", required: true, what: "bytes, such as 536870912, 512mb or 2gb; 0 is refused" },
    ],
};

const MIB: u64 = 1 << 20;

/// The verb.
pub(super) struct Purge;

impl Deed for Purge {
    fn spec(&self) -> &'static VerbSpec {
        &PURGE
    }

    fn render(&self, context: &RenderContext<'_>, servers: &Servers) -> Result<Request, VerbError> {
        let (id, facts) = facts(context)?;
        let about = (
            format!("free memory that {id} keeps"),
            1,
            "everyone who asks it waits a moment".to_owned(),
            "There is nothing to take back.".to_owned(),
        );
        let commands = vec![words(&["MEMORY", "PURGE"])];
        request(context, &PURGE, servers.get(&id)?, &facts.run_id, commands, about, Vec::new())
    }

    fn would<'a>(&'a self, talk: &'a mut Talk<'_>, _: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let text: String = talk.look(&["INFO", "memory"]).await?;
            let number = |name: &str| -> u64 {
                let found = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
                found.unwrap_or_default()
            };
            let kept = number("used_memory_rss").saturating_sub(number("used_memory"));
            Ok(format!("would give back some of the {} MiB that it holds beyond its data", kept / MIB))
        })
    }

    fn run<'a>(&'a self, talk: &'a mut Talk<'_>, _: &'a Request) -> BoxFuture<'a, Result<(Value, String), Broken>> {
        Box::pin(async move {
            let said: String = talk.change(&["MEMORY", "PURGE"]).await?;
            Ok((json!({ "purged": true }), format!("the server said {said}")))
        })
    }

    fn seen<'a>(&'a self, _: &'a mut Talk<'_>, _: &'a Request) -> BoxFuture<'a, Result<Reconciled, Failure>> {
        let why = "whether memory was given back can not be told from outside; doing it again does no harm".to_owned();
        Box::pin(async { Ok(Reconciled::Undecided { why }) })
    }
}

/// The verb.
pub(super) struct Maxmemory;

/// Bytes, with the units of `redis.conf`: k, kb, m, mb, g, gb.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let unit: u64 = match text.get(digits.len()..)? {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit).filter(|n| *n > 0)
}

fn shown(bytes: u64) -> String {
    match bytes {
        0 => "no limit".to_owned(),
        n if n % MIB == 0 => format!("{} MiB", n / MIB),
        n => format!("{n} bytes"),
    }
}

async fn now(talk: &mut Talk<'_>) -> Result<u64, Failure> {
    let pair: Vec<String> = talk.look(&["CONFIG", "GET", "maxmemory"]).await?;
    let read = pair.get(1).and_then(|n| n.parse().ok());
    read.ok_or_else(|| Failure::new(FailureKind::Protocol, "CONFIG GET maxmemory answered no number"))
}

/// What a request sets, and over what.
fn change(request: &Request) -> Option<(u64, u64)> {
    let Operation::Redis { commands, .. } = &request.operation else { return None };
    let wanted = commands.first()?.get(3)?.parse().ok()?;
    let over = request.target.object.rsplit(' ').next()?.parse().ok()?;
    Some((wanted, over))
}

impl Deed for Maxmemory {
    fn spec(&self) -> &'static VerbSpec {
        &MAXMEMORY
    }

    fn survey<'a>(&'a self, talk: &'a mut Talk<'_>, _: &'a Args) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async move { Ok(json!({ "maxmemory": now(talk).await? })) })
    }

    fn render(&self, context: &RenderContext<'_>, servers: &Servers) -> Result<Request, VerbError> {
        let (id, facts) = facts(context)?;
        let given = args::required(context, "bytes")?;
        let wanted = bytes(&given).ok_or_else(|| {
            let given = crate::domain::text::sanitize(&given);
            VerbError::new(format!(
                "the argument bytes is {given}; allowed are bytes above 0, such as 536870912 or 512mb"
            ))
        })?;
        let over = context.surveyed.and_then(|s| s.get("maxmemory")).and_then(Value::as_u64);
        let over = over.ok_or_else(|| VerbError::new(format!("the limit of {id} has not been read")))?;
        if over == wanted {
            return Err(VerbError::new(format!("{id} has {} already", shown(wanted))));
        }
        let (used, policy) = (facts.used_memory_bytes, &facts.maxmemory_policy);
        let hurts = if wanted >= used {
            format!("nobody at once; {} of {} are used", shown(used), shown(wanted))
        } else if policy == "noeviction" {
            format!("everyone who writes: {} are used, and with noeviction writes are refused", shown(used))
        } else {
            format!("keys are dropped at once by {policy} until {} are left of {}", shown(wanted), shown(used))
        };
        let about = (
            format!("maxmemory of {id}, which is {over}"),
            1,
            hurts,
            format!("the same with bytes = {over}; a restart brings back what its file says"),
        );
        let commands = vec![words(&["CONFIG", "SET", "maxmemory", &wanted.to_string()])];
        let checks = vec![format!("only if maxmemory is still {over}, looked at just before on the same connection")];
        request(context, &MAXMEMORY, servers.get(&id)?, &facts.run_id, commands, about, checks)
    }

    fn would<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (wanted, _) = change(request).ok_or_else(|| crate::act::foreign(request))?;
            Ok(format!("would set {} in place of {}", shown(wanted), shown(now(talk).await?)))
        })
    }

    fn run<'a>(
        &'a self,
        talk: &'a mut Talk<'_>,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(Value, String), Broken>> {
        Box::pin(async move {
            let (wanted, over) = change(request).ok_or_else(|| crate::act::foreign(request))?;
            let now = now(talk).await?;
            if now != over {
                return Err(refused(format!(
                    "maxmemory is {now} by now, {over} was shown: nothing was done, look again"
                )));
            }
            talk.change::<()>(&["CONFIG", "SET", "maxmemory", &wanted.to_string()]).await?;
            Ok((json!({ "maxmemory": wanted, "before": over }), format!("{} are allowed now", shown(wanted))))
        })
    }

    fn seen<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<Reconciled, Failure>> {
        Box::pin(async move {
            let now = now(talk).await?;
            Ok(match change(request) {
                Some((wanted, _)) if wanted == now => {
                    Reconciled::TookEffect { seen: format!("{} are allowed", shown(now)) }
                }
                Some((_, over)) if over == now => {
                    Reconciled::NoEffect { seen: format!("still {} are allowed", shown(now)) }
                }
                _ => Reconciled::Undecided { why: format!("{} are allowed, which somebody else has set", shown(now)) },
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_configuration_file() {
        let all = ["1024", "512mb", "2gb", "1k", "1KB"].map(bytes);
        assert_eq!(all, [1024, 512 << 20, 2 << 30, 1000, 1024].map(Some));
        for bad in ["0", "-1", "x", "1tb", "", "99999999999999999999", "99999999999gb"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
