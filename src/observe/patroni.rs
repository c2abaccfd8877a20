//! Patroni: `/cluster` (members, lag, pause) and `/history` (when the primary changed), by its REST API
//! (<https://patroni.readthedocs.io/en/latest/rest_api.html>). Only the engine and `doctor` call this.
#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

use super::http::{Ask, Http, Trust, public};
use super::poll::Poll;
use super::postgres::failure::address;
use crate::config::model;
use crate::domain::facts::measured::{Happened, Kept};
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// Patroni itself looks every 10 s (`loop_wait`).
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
/// A history has a line for each timeline.
const ANSWER: usize = 1 << 20;
/// Changes of the primary are said for this long.
const HAPPENED: SignedDuration = SignedDuration::from_hours(24);

/// Observes one cluster of Patroni.
#[derive(Debug)]
pub struct PatroniObserver {
    config: model::Patroni,
    http: Option<Http>,
    /// Most members ever seen: one that is gone is missed.
    most: usize,
}

impl PatroniObserver {
    /// For a `[[patroni]]` table. Nothing is read or sent before it runs.
    pub fn new(_: MayObserve, config: &model::Patroni) -> Self {
        Self { config: config.clone(), http: None, most: 0 }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let http = match self.http.take() {
            Some(http) => http,
            None => {
                let trust = Trust::of(&self.config.ca, [self.config.url.as_str()]);
                let made = tokio::task::spawn_blocking(move || Http::new(&trust)).await;
                made.map_err(|_| Failure::new(FailureKind::Local, "making an HTTP client was broken off"))??
            }
        };
        let base = self.config.url.trim_end_matches('/');
        let get = async |path: &str| {
            let url = format!("{base}{path}");
            let ask = Ask { url: &url, host: None, accept: "application/json", limit: ANSWER, timeout: TIMEOUT };
            let text = http.get(&ask).await?.into_text(&url)?;
            serde_json::from_str::<Value>(&text)
                .map_err(|_| Failure::new(FailureKind::Protocol, format!("{} answered no JSON", public(&url))))
        };
        let (cluster, history) = futures::try_join!(get("/cluster"), get("/history"))?;
        let facts = read(&self.config, &cluster, &history, &mut self.most, Timestamp::now())?;
        self.http = Some(http);
        Ok(Facts::Measured(facts))
    }
}

fn read(
    config: &model::Patroni,
    cluster: &Value,
    history: &Value,
    most: &mut usize,
    now: Timestamp,
) -> Result<MeasuredFacts, Failure> {
    let Some(members) = cluster["members"].as_array() else {
        let why = format!("{}/cluster has no members: it is no Patroni", public(&config.url));
        return Err(Failure::new(FailureKind::Protocol, why));
    };
    let mut facts = MeasuredFacts::of(SourceKind::Patroni);
    let subject = Subject::Keep { source: config.id.clone(), keep: config.id.as_str().into() };
    let text = |v: &Value| sanitize(&v.as_str().unwrap_or_default().chars().take(120).collect::<String>());
    let leads = |m: &&Value| matches!(m["role"].as_str(), Some("leader" | "standby_leader" | "master"));
    // Before version 3 a healthy replica was `running`, since then it is `streaming`.
    let well = |m: &&Value| matches!(m["state"].as_str(), Some("running" | "streaming"));
    let leader = members.iter().find(leads).filter(well);
    facts.measure(&subject, "keep.leader", if leader.is_some() { 1.0 } else { 0.0 });
    facts.said.push(match leader {
        Some(leader) => format!("{} leads on timeline {}", text(&leader["name"]), leader["timeline"]),
        None => "no member leads".to_owned(),
    });
    facts.kept = members.iter().map(|member| kept(&subject, member)).collect();
    *most = (*most).max(members.len());
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let healthy = members.iter().filter(well).count();
    if *most > 0 {
        facts.measure(&subject, "keep.ready", count(healthy) / count(*most));
    }
    for member in members.iter().filter(|m| !well(m)) {
        facts.said.push(format!("{} ({}) is {}", text(&member["name"]), text(&member["role"]), text(&member["state"])));
    }
    let paused = cluster["pause"].as_bool().unwrap_or(false);
    facts.measure(&subject, "keep.paused", if paused { 1.0 } else { 0.0 });
    let replicas = || members.iter().filter(|m| !leads(m));
    // The lag of a member that does not answer is `unknown`.
    let unknown: Vec<String> = replicas().filter(|m| m["lag"].as_f64().is_none()).map(|m| text(&m["name"])).collect();
    let worst = replicas()
        .filter_map(|m| m["lag"].as_f64())
        .fold(None, |worst: Option<f64>, lag| Some(worst.map_or(lag, |worst| worst.max(lag))));
    if unknown.is_empty() {
        if let Some(worst) = worst {
            facts.measure(&subject, "keep.lag", worst);
        }
    } else {
        facts.untell(&subject, "keep.lag", format!("the lag of {} is not known to Patroni", unknown.join(", ")));
    }
    if let Some(planned) = cluster["scheduled_switchover"]["at"].as_str() {
        facts.said.push(format!("a switchover is planned for {}", sanitize(planned)));
    }
    // Lines are `[timeline, LSN, reason, when, new leader]`.
    for line in history.as_array().into_iter().flatten().rev().take(20) {
        let Some(at) = line[3].as_str().and_then(|at| at.parse::<Timestamp>().ok()) else { continue };
        if now.duration_since(at) <= HAPPENED && at <= now {
            let to = text(&line[4]);
            let to = if to.is_empty() { String::new() } else { format!(", {to} leads") };
            let what = format!("timeline {} ended{to}", line[0]);
            facts.happened.push(Happened { at, subject: subject.clone(), what });
        }
    }
    Ok(facts)
}

/// A member of `/cluster` (<https://patroni.readthedocs.io/en/latest/rest_api.html#cluster-status-endpoints>).
fn kept(by: &Subject, member: &Value) -> Kept {
    let port = member["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    Kept {
        by: by.clone(),
        name: sanitize(member["name"].as_str().unwrap_or_default()),
        address: member["host"].as_str().zip(port).map(|(host, port)| address(host, port)),
    }
}

impl Poll for PatroniObserver {
    fn spec(&self) -> SourceSpec {
        let address = sanitize(&public(&self.config.url));
        SourceSpec { id: self.config.id.clone(), kind: SourceKind::Patroni, interval: INTERVAL, address }
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Mode;
    use crate::observe::http::rig::Tiny;
    use serde_json::json;

    fn config(url: String) -> model::Patroni {
        model::Patroni { id: "pat".into(), url, act: None, ca: crate::config::model::Ca::default() }
    }

    fn value(facts: &MeasuredFacts, signal: &str) -> Option<f64> {
        facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value)
    }

    #[test]
    fn members_lag_pause_and_history_are_read() {
        let cluster = json!({"members": [
            {"name": "a", "role": "leader", "state": "running", "timeline": 4, "lag": 0, "host": "10.0.0.7", "port": 5433},
            {"name": "b", "role": "replica", "state": "streaming", "timeline": 4, "lag": 4096},
            {"name": "c\u{1b}", "role": "replica", "state": "start failed", "lag": "unknown"}], "pause": true});
        let history = json!([
            [3, 1, "no recovery target specified", "2026-11-21T23:30:00+00:00", "a"],
            [2, 1, "no recovery target specified", "2026-11-01T23:30:00+00:00", "b"]
        ]);
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let mut most = 4;
        let facts = read(&config("http://p".into()), &cluster, &history, &mut most, now).unwrap();
        assert_eq!((value(&facts, "keep.leader"), value(&facts, "keep.ready")), (Some(1.0), Some(0.5)));
        assert_eq!((value(&facts, "keep.paused"), value(&facts, "keep.lag")), (Some(1.0), None));
        assert!(facts.untold[0].why.contains("c·"), "{facts:?}");
        assert_eq!((facts.kept[0].name.as_str(), facts.kept[0].address.as_deref()), ("a", Some("10.0.0.7:5433")));
        assert_eq!((facts.kept.len(), facts.kept[1].address.as_deref()), (3, None));
        assert_eq!(facts.happened.len(), 1);
        assert_eq!(facts.happened[0].what, "timeline 3 ended, a leads");
        let none = json!({"members": [{"name": "b", "role": "replica", "state": "running", "lag": 1}]});
        let facts = read(&config("http://p".into()), &none, &json!([]), &mut 0, now).unwrap();
        assert_eq!((value(&facts, "keep.leader"), value(&facts, "keep.lag")), (Some(0.0), Some(1.0)));
    }

    #[tokio::test]
    async fn what_is_no_patroni_refuses_or_is_gone_is_a_failure() {
        let failure = async |tiny: &Tiny| {
            let mut observer = PatroniObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config(tiny.url()));
            observer.poll().await.unwrap_err()
        };
        assert!(failure(&Tiny::http(|_, _| (200, "{}".into()))).await.message.contains("no Patroni"));
        assert_eq!(failure(&Tiny::http(|_, _| (200, "<html>".into()))).await.kind, FailureKind::Protocol);
        assert_eq!(failure(&Tiny::http(|_, _| (403, String::new()))).await.kind, FailureKind::Permission);
        assert_eq!(failure(&Tiny::raw(drop)).await.kind, FailureKind::Unreachable);
    }
}
