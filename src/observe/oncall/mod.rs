//! Who is on call by the schedule of a service: `PagerDuty` and Opsgenie are asked once an interval, and what they said
//! last is kept. Only the engine, `doctor` and `comms oncall` call this.

mod answer;
#[cfg(test)]
mod tests;

use self::answer::Page;
use super::http::{Answer, Http, Trust, public};
use crate::comms::oncall::{Contact, Standing};
use crate::config::model::{Comms, PagerKind, Schedule};
use crate::config::secret;
use crate::domain::mode::MayObserve;
use crate::domain::sample::{Failure, FailureKind};
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use std::time::Duration;
use tokio::sync::watch;

/// Body bytes taken of one page.
const ANSWER: usize = 1 << 20;
/// Entries that a page of `PagerDuty` may have at most.
const PAGE: usize = 100;
/// Pages that are asked for at most.
const PAGES: usize = 10;
/// Longest wait that a service may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// Characters kept of what a service says about a refusal.
const SAID: usize = 160;

/// Why nobody is known, and how long the service asks to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One sentence without secrets.
    pub failure: Failure,
    /// Not to be asked again before.
    pub retry_after: Option<Duration>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None }
    }
}

/// Asks one service about one schedule.
#[derive(Clone, Debug)]
pub struct ScheduleReader {
    duty: String,
    config: Schedule,
    ready: Option<(Http, HeaderValue, secret::Secret)>,
}

/// One for each `[comms.oncall.schedule]`. Nothing is read or sent before they are asked.
pub fn readers(_: MayObserve, comms: &Comms) -> Vec<ScheduleReader> {
    let one = |duty: &crate::config::model::Duty| {
        Some(ScheduleReader { duty: duty.name.clone(), config: duty.schedule.clone()?, ready: None })
    };
    comms.oncall.iter().filter_map(one).collect()
}

impl ScheduleReader {
    /// Name of the duty.
    pub fn duty(&self) -> &str {
        &self.duty
    }

    /// What is asked.
    pub const fn schedule(&self) -> &Schedule {
        &self.config
    }

    /// Asks until nobody listens any more: once an interval, later after failures, and not before the service allows it.
    pub async fn follow(mut self, told: watch::Sender<Standing>) {
        let (mut failures, interval) = (0_u32, self.config.interval);
        while !told.is_closed() {
            let answer = self.ask().await;
            failures = if answer.is_ok() { 0 } else { failures.saturating_add(1) };
            let asked_to_wait = answer.as_ref().err().and_then(|r| r.retry_after);
            let answer = answer.map_err(|refusal| refusal.failure.message);
            told.send_modify(|standing| standing.take(answer, Timestamp::now()));
            let wait = if failures == 0 { interval } else { super::poll::backoff(interval, failures, 0.0) };
            tokio::time::sleep(asked_to_wait.map_or(wait, |asked| asked.max(wait))).await;
        }
    }

    /// Asks once who is on call now, whoever is called first in front; never nobody.
    ///
    /// # Errors
    /// One sentence: no answer, a refusal, nonsense, or a schedule in which nobody is on call.
    pub async fn ask(&mut self) -> Result<Vec<Contact>, Refusal> {
        let allowed = self.config.timeout;
        let asked = tokio::time::timeout(allowed, self.pages()).await.unwrap_or_else(|_| {
            let why = format!("{} did not answer within {} s", self.place(), allowed.as_secs_f64());
            Err(Failure::new(FailureKind::Timeout, why).into())
        });
        let people = asked?;
        if people.is_empty() {
            let why = format!("{} answers that nobody is on call in it", self.config.shown());
            return Err(Failure::new(FailureKind::Protocol, why).into());
        }
        Ok(people)
    }

    fn place(&self) -> String {
        public(&self.config.url).trim_end_matches('/').to_owned()
    }

    async fn pages(&mut self) -> Result<Vec<Contact>, Refusal> {
        // Put back when all went well only: after a failure key and authorities are read again.
        let (http, key, secret) = match self.ready.take() {
            Some(ready) => ready,
            None => self.connect().await?,
        };
        let mut found = Vec::new();
        for page in 0..PAGES {
            let url = self.url(page * PAGE)?;
            let request = http.request(reqwest::Method::GET, url).header(AUTHORIZATION, key.clone());
            let request = match self.config.kind {
                // https://developer.pagerduty.com/docs/versioning
                PagerKind::Pagerduty => request.header(ACCEPT, "application/vnd.pagerduty+json;version=2"),
                PagerKind::Opsgenie => request.header(ACCEPT, "application/json"),
            };
            let answer = Http::send(request, &self.config.url, ANSWER, self.config.timeout).await?;
            let body = self.body(answer, &secret)?;
            let Page { entries, more } = answer::read(&self.config, &body).map_err(|why| self.nonsense(&why))?;
            if more && entries.is_empty() {
                return Err(self.nonsense("it says that there is more after a page with nothing on it").into());
            }
            found.extend(entries);
            if !more {
                self.ready = Some((http, key, secret));
                return Ok(answer::in_order(found));
            }
        }
        Err(self.nonsense(&format!("more than {} people are on call in one schedule", PAGE * PAGES)).into())
    }

    async fn connect(&self) -> Result<(Http, HeaderValue, secret::Secret), Failure> {
        let local = |why: String| Failure::new(FailureKind::Local, why);
        let trust = Trust::of(&self.config.ca, [self.config.url.as_str()]);
        let http = tokio::task::spawn_blocking(move || Http::new(&trust))
            .await
            .map_err(|_| local("reading the certificate authorities was broken off".into()))??;
        let secret = secret::read(&self.config.key).await.map_err(|e| local(e.to_string()))?;
        let scheme = match self.config.kind {
            PagerKind::Pagerduty => "Token token=",
            PagerKind::Opsgenie => "GenieKey ",
        };
        let mut key = HeaderValue::from_str(&format!("{scheme}{}", secret.expose().trim())).map_err(|_| {
            local(format!("the key {} has characters that a header can not carry", self.config.key_shown))
        })?;
        key.set_sensitive(true);
        Ok((http, key, secret))
    }

    /// `GET /oncalls` (<https://developer.pagerduty.com/api-reference/3a6b910f11050-list-all-of-the-on-calls>), and
    /// `GET /v2/schedules/{id}/on-calls` (<https://docs.opsgenie.com/docs/who-is-on-call-api>).
    fn url(&self, offset: usize) -> Result<Url, Failure> {
        let bad =
            || Failure::new(FailureKind::Local, format!("{} is no URL that can be asked", public(&self.config.url)));
        let mut url = Url::parse(&self.config.url).map_err(|_| bad())?;
        let mut path = url.path_segments_mut().map_err(|()| bad())?;
        path.pop_if_empty();
        match self.config.kind {
            PagerKind::Pagerduty => {
                path.push("oncalls");
                drop(path);
                url.query_pairs_mut()
                    .append_pair("schedule_ids[]", &self.config.id)
                    .append_pair("include[]", "users")
                    .append_pair("limit", &PAGE.to_string())
                    .append_pair("offset", &offset.to_string());
            }
            PagerKind::Opsgenie => {
                path.extend(["v2", "schedules", &self.config.id, "on-calls"]);
                drop(path);
                url.query_pairs_mut()
                    .append_pair("scheduleIdentifierType", if self.config.by_name { "name" } else { "id" })
                    .append_pair("flat", "true");
            }
        }
        Ok(url)
    }

    fn nonsense(&self, why: &str) -> Failure {
        Failure::new(FailureKind::Protocol, format!("{} answers nonsense: {why}", self.place()))
    }

    /// The body of a 200; any other answer is the refusal that it stands for.
    fn body(&self, answer: Answer, secret: &secret::Secret) -> Result<Vec<u8>, Refusal> {
        let (place, shown, key) = (self.place(), self.config.shown(), &self.config.key_shown);
        if answer.status == 200 {
            if answer.truncated {
                return Err(self.nonsense(&format!("more than {ANSWER} bytes on one page")).into());
            }
            return Ok(answer.body);
        }
        let retry_after = match answer.status {
            429 | 503 => waits(&answer.headers, Timestamp::now()),
            _ => None,
        };
        let (kind, what) = match answer.status {
            401 => (FailureKind::Authentication, format!("{place} refuses the key {key}")),
            403 => (FailureKind::Permission, format!("{place} does not let the key {key} read {shown}")),
            404 => (FailureKind::Protocol, format!("{place} knows no schedule of that id: {shown}")),
            429 => {
                let when = retry_after.map_or_else(|| "for a while".into(), |w| format!("for {} s", w.as_secs()));
                (FailureKind::Unreachable, format!("{place} wants to be left alone {when}, it was asked too often"))
            }
            _ => (FailureKind::Protocol, format!("{place} has no answer")),
        };
        let mut said = answer::says(&answer.body).unwrap_or_default();
        // A server may repeat what it was sent.
        if !secret.expose().trim().is_empty() {
            said = said.replace(secret.expose().trim(), "***");
        }
        let said: String = said.chars().take(SAID).collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Err(Refusal { failure: Failure::new(kind, format!("{what} (HTTP {}{said})", answer.status)), retry_after })
    }
}

/// `Retry-After`, seconds or a date (RFC 9110, section 10.2.3).
fn waits(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(until.duration_since(now)).ok()?
        }
    };
    Some(wait.min(LONGEST_WAIT))
}
