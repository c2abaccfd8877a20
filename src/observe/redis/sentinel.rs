//! What the sentinels say: the primary on which more than half of the configured ones agree.

use super::connection::Endpoint;
use crate::config::model::Ca;
use crate::domain::facts::Missing;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use redis::aio::MultiplexedConnection;
use std::collections::BTreeMap;
use std::time::Duration;

/// One sentinel and the connection kept to it.
pub(super) struct Sentinel {
    address: String,
    endpoint: Result<Endpoint, Failure>,
    connection: Option<MultiplexedConnection>,
}

/// What they say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// `host:port` of the primary that the majority names.
    pub(super) primary: Option<String>,
    /// Sentinels that are silent, or that there is no majority.
    pub(super) missing: Vec<Missing>,
}

impl Sentinel {
    /// A sentinel at `host:port`.
    pub(super) fn new(address: &str, tls: bool, ca: &Ca) -> Self {
        let scheme = if tls { "rediss" } else { "redis" };
        let endpoint = Endpoint::new(&format!("{scheme}://{address}"), None, ca);
        Self { address: sanitize(address), endpoint, connection: None }
    }

    async fn ask(&mut self, name: &str, timeout: Duration) -> Result<Option<String>, Failure> {
        let endpoint = self.endpoint.as_ref().map_err(Clone::clone)?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => endpoint.connect(None, timeout).await?,
        };
        let answer: Option<(String, u16)> = redis::cmd("SENTINEL")
            .arg("get-master-addr-by-name")
            .arg(name)
            .query_async(&mut connection)
            .await
            .map_err(|e| endpoint.classify(&e, "SENTINEL get-master-addr-by-name", timeout))?;
        self.connection = Some(connection);
        Ok(answer.map(|(host, port)| sanitize(&format!("{host}:{port}"))))
    }
}

/// Asks all side by side, none longer than `timeout`.
pub(super) async fn ask_all(sentinels: &mut [Sentinel], name: &str, timeout: Duration) -> View {
    let answers = sentinels.iter_mut().map(|sentinel| async move {
        let answer = tokio::time::timeout(timeout, sentinel.ask(name, timeout)).await.unwrap_or_else(|_| {
            let seconds = timeout.as_secs_f64();
            Err(Failure::new(FailureKind::Timeout, format!("no answer from {} within {seconds} s", sentinel.address)))
        });
        (sentinel.address.clone(), answer)
    });
    judge(name, futures::future::join_all(answers).await)
}

fn judge(name: &str, answers: Vec<(String, Result<Option<String>, Failure>)>) -> View {
    let configured = answers.len();
    let mut view = View::default();
    let mut votes: BTreeMap<String, usize> = BTreeMap::new();
    for (address, answer) in answers {
        let why = match answer {
            Ok(Some(primary)) => {
                *votes.entry(primary).or_default() += 1;
                continue;
            }
            Ok(None) => format!("it knows no primary of the name {name}; check sentinel_name"),
            Err(failure) => failure.message,
        };
        view.missing.push(Missing { disables: format!("the view of sentinel {address}"), remedy: why });
    }
    let named: Vec<String> = votes.iter().map(|(primary, n)| format!("{primary} by {n}")).collect();
    view.primary = votes.into_iter().find(|(_, n)| n * 2 > configured).map(|(primary, _)| primary);
    if view.primary.is_none() && configured > 0 {
        let named = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
        view.missing.push(Missing {
            disables: "the primary that the sentinels agree on".into(),
            remedy: format!("more than half of {configured} must name the same one; named: {named}"),
        });
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answers: [(&str, Option<&str>); 3]) -> View {
        let silent = || Failure::new(FailureKind::Unreachable, "connection refused");
        let answer = |(address, primary): (&str, Option<&str>)| {
            (address.to_owned(), primary.map(|p| Some(p.to_owned())).ok_or_else(silent))
        };
        judge("odoo", answers.map(answer).into())
    }

    #[test]
    fn more_than_half_of_the_configured_ones_decide_and_a_silent_one_is_named() {
        let view = judged([("a", Some("p:1")), ("b", None), ("c", Some("p:1"))]);
        assert_eq!(view.primary.as_deref(), Some("p:1"));
        assert_eq!(view.missing.len(), 1);
        assert_eq!(view.missing[0].disables, "the view of sentinel b");
    }

    #[test]
    fn less_is_no_majority() {
        let view = judged([("a", Some("p:1")), ("b", Some("p:2")), ("c", None)]);
        assert_eq!(view.primary, None);
        let split = "more than half of 3 must name the same one; named: p:1 by 1, p:2 by 1";
        assert_eq!(view.missing[1].remedy, split);
        let view = judged([("a", Some("p:1")), ("b", None), ("c", None)]);
        assert_eq!(view.primary, None, "one of three that answers is not a majority");
    }

    #[test]
    fn without_sentinels_nothing_is_missing() {
        assert_eq!(judge("odoo", Vec::new()), View::default());
    }
}
