//! Sending the requests that a permit allows, reading what they are about, and looking afterwards what became of them.

use super::judge::{believed, is_eviction, judge, object_path, together};
use crate::act::kubernetes::call::{self, Clusters, LOOK_TIMEOUT, exchange, open_to_act, outcome};
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{HttpCall, Request};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::kubernetes::link::{Fault, Link};
use crate::policy::authorized::Authorized;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at what may still take effect, and between two tries of an eviction that a budget holds up.
const PAUSE: Duration = Duration::from_secs(1);

/// A list of more pages than this is not read further.
const PAGES: usize = 40;

impl Clusters {
    /// Reads one path with the credentials for looking; a list is read whole. `None` where nothing is there.
    pub(in crate::act) async fn get(&self, link: &Link, path: &str) -> Result<Option<Value>, Failure> {
        let mut whole: Option<Value> = None;
        let mut next = path.to_owned();
        for _ in 0..PAGES {
            let page = match exchange::<Value>(link, got(&next)?).await {
                Ok(page) => page,
                Err(Fault::Refused { code: 404, .. }) => return Ok(None),
                Err(fault) => return Err(fault.into_failure()),
            };
            let token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            match (&mut whole, page) {
                (None, page) => whole = Some(page),
                (Some(whole), mut page) => {
                    if let (Some(all), Some(more)) = (items(whole), items(&mut page)) {
                        all.append(more);
                    }
                }
            }
            if token.is_empty() {
                return Ok(whole);
            }
            let separator = if path.contains('?') { '&' } else { '?' };
            next = format!("{path}{separator}{}", encoded("continue", &token));
        }
        Err(link.failure(FailureKind::Protocol, &format!("a list of more than {PAGES} pages")))
    }

    /// A link with the credentials for looking.
    pub(in crate::act) async fn open_to_look(&self, cluster: &SourceId) -> Result<Link, Failure> {
        let cluster = self.configured(cluster)?;
        Link::open(cluster.kubeconfig.clone(), call::context(cluster, false), LOOK_TIMEOUT).await
    }

    /// Sends the requests of a permit, each once and in their order, and gives their answers. An eviction that a
    /// budget holds up is tried again while there is time: it was refused, so it had no effect.
    pub(in crate::act) async fn send(&self, verb: &str, permit: Authorized) -> Result<Vec<Value>, Outcome> {
        let failed = |why| Outcome::Failed { why };
        let (request, allowed) = (permit.request(), permit.timeout());
        let cluster = self.configured(&request.target.source).map_err(failed)?;
        let calls = calls_of(verb, request).map_err(failed)?;
        let until = Instant::now() + allowed;
        let link = open_to_act(cluster, allowed / 2, permit.behalf().as_ref()).await.map_err(failed)?;
        let mut answers = vec![Value::Null; calls.len()];
        let mut done = 0_usize;
        let mut left: VecDeque<usize> = (0..calls.len()).collect();
        let mut held_up: Option<(usize, Failure)> = None;
        let partly = |done: usize, why: Failure| match done {
            0 => Outcome::Failed { why },
            _ => {
                let message = format!("{done} of {} requests had their effect; then: {}", calls.len(), why.message);
                Outcome::Unknown { why: Failure::new(why.kind, message) }
            }
        };
        while let Some(at) = left.pop_front() {
            let Some(one) = calls.get(at) else { continue };
            let sent = http_of(one, "").map_err(failed)?;
            let time = until.saturating_duration_since(Instant::now());
            let Ok(answer) = tokio::time::timeout(time, exchange::<Value>(&link, sent)).await else {
                let why = format!("no answer within {} s; it may have taken effect", allowed.as_secs_f64());
                return Err(Outcome::Unknown { why: link.failure(FailureKind::Timeout, &why) });
            };
            match answer {
                Ok(answer) if believed(one, &answer) => {
                    if let Some(slot) = answers.get_mut(at) {
                        *slot = answer;
                    }
                    (done, held_up) = (done + 1, None);
                }
                Ok(_) => {
                    let why = "the API server answered with something else than was asked for";
                    return Err(Outcome::Unknown { why: link.failure(FailureKind::Protocol, why) });
                }
                // Gone is what a drain wants; a single pod that is gone is not the one that was shown.
                Err(Fault::Refused { code: 404, .. }) if is_eviction(one) && calls.len() > 1 => done += 1,
                Err(Fault::Refused { code: 429, why }) if is_eviction(one) && calls.len() > 1 => {
                    left.push_back(at);
                    let round = held_up.as_ref().is_some_and(|(first, _)| *first == at);
                    let first = held_up.as_ref().map_or(at, |(first, _)| *first);
                    held_up = Some((first, why.clone()));
                    if round {
                        if until.saturating_duration_since(Instant::now()) <= PAUSE * 2 {
                            let why =
                                Failure::new(why.kind, format!("{} pods are held up: {}", left.len(), why.message));
                            return Err(partly(done, why));
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                Err(fault) => {
                    return Err(match outcome(fault) {
                        Outcome::Failed { why } => partly(done, why),
                        open => open,
                    });
                }
            }
        }
        Ok(answers)
    }

    /// Has the API server check the requests without keeping their effect. What only holds after an earlier one
    /// had its effect is checked as it is now.
    pub(in crate::act) async fn try_out(
        &self,
        verb: &str,
        request: &Request,
        behalf: Option<&Behalf>,
    ) -> Result<Vec<Value>, Failure> {
        let cluster = self.configured(&request.target.source)?;
        let calls = calls_of(verb, request)?;
        let asked = async {
            let link = open_to_act(cluster, LOOK_TIMEOUT, behalf).await?;
            let mut answers = Vec::new();
            for one in &calls {
                let answer = exchange::<Value>(&link, http_of(&dry(one), "&dryRun=All")?).await;
                answers.push(answer.map_err(Fault::into_failure)?);
            }
            Ok(answers)
        };
        tokio::time::timeout(LOOK_TIMEOUT * 2, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// Reads what the requests are about, in their order.
    pub(in crate::act) async fn look_at(&self, request: &Request) -> Result<Vec<Option<Value>>, Failure> {
        let asked = async {
            let link = self.open_to_look(&request.target.source).await?;
            let mut all = Vec::new();
            for one in request.operation.http_calls() {
                let path = if one.method == "GET" { one.path.clone() } else { object_path(&one) };
                all.push(self.get(&link, &path).await?);
            }
            Ok(all)
        };
        tokio::time::timeout(LOOK_TIMEOUT, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// Looks until a request that was lost can have no effect any more: the API server gives up each after the
    /// time that the request names.
    pub(in crate::act) async fn settle(&self, request: &Request) -> Reconciled {
        let until = Instant::now() + self.settle;
        let calls = request.operation.http_calls();
        loop {
            let seen = match self.look_at(request).await {
                Ok(seen) => seen,
                Err(why) => return Reconciled::Undecided { why: why.message },
            };
            let judged = calls.iter().zip(&seen).map(|(one, seen)| (object_path(one), judge(one, seen.as_ref())));
            let found = together(&judged.map(|(path, found)| (last_words(&path), found)).collect::<Vec<_>>());
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || matches!(found, Reconciled::TookEffect { .. }) {
                return found;
            }
            tokio::time::sleep(left.min(PAUSE)).await;
        }
    }
}

fn items(list: &mut Value) -> Option<&mut Vec<Value>> {
    list.get_mut("items")?.as_array_mut()
}

/// One parameter of a query.
fn encoded(name: &str, value: &str) -> String {
    let url = reqwest::Url::parse_with_params("http://localhost", [(name, value)]);
    url.ok().and_then(|u| u.query().map(str::to_owned)).unwrap_or_default()
}

fn late() -> Failure {
    Failure::new(FailureKind::Timeout, format!("API server gave no answer within {} s", LOOK_TIMEOUT.as_secs()))
}

fn last_words(path: &str) -> String {
    let words: Vec<&str> = path.rsplitn(3, '/').take(2).collect();
    words.into_iter().rev().collect::<Vec<_>>().join("/")
}

fn calls_of(verb: &str, request: &Request) -> Result<Vec<HttpCall>, Failure> {
    if request.verb != verb {
        let why = format!("a request of {} was handed to {verb}", request.verb);
        return Err(Failure::new(FailureKind::Local, why));
    }
    let calls = request.operation.http_calls();
    if calls.is_empty() { Err(call::not_http()) } else { Ok(calls) }
}

/// The request as a dry run. The API server reads the options of a deletion from the body where there is one, and then
/// not from the query: without this the deletion would be carried out.
fn dry(one: &HttpCall) -> HttpCall {
    let mut one = one.clone();
    if one.method == "DELETE" {
        let mut options: Value = serde_json::from_str(&one.body).unwrap_or_default();
        if let Some(options) = options.as_object_mut() {
            options.insert("dryRun".into(), serde_json::json!(["All"]));
        }
        one.body = options.to_string();
    }
    one
}

fn http_of(one: &HttpCall, suffix: &str) -> Result<http::Request<Vec<u8>>, Failure> {
    let mut built = http::Request::builder().method(one.method.as_str()).uri(format!("{}{suffix}", one.path));
    for (name, value) in &one.headers {
        built = built.header(name, value);
    }
    built.body(one.body.clone().into_bytes()).map_err(|e| call::unsendable(&e))
}

fn got(path: &str) -> Result<http::Request<Vec<u8>>, Failure> {
    http::Request::get(path).body(Vec::new()).map_err(|e| call::unsendable(&e))
}
