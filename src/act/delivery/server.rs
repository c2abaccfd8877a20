//! The API of a server of pipelines: GitLab (`/api/v4/projects/ID`) or GitHub (`/repos/OWNER/NAME`). The token is put in
//! when a request is sent; it stands in no request that is shown or recorded.

use crate::act::kubernetes::object::Args;
use crate::config::model::{Ci, CiKind};
use crate::config::secret::{self, Secret};
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, VerbError};
use crate::domain::request::HttpCall;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Http, Trust, public};
use crate::policy::authorized::Authorized;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A look takes no longer.
const LOOK: Duration = Duration::from_secs(8);
/// GitLab ends a request after 60 s, GitHub after 10 s: later than this none has an effect.
const SETTLE: Duration = Duration::from_mins(1);
/// An answer is not read further.
const LONGEST: usize = 4 << 20;

/// The servers that are configured.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    all: Arc<[Ci]>,
    /// How long a lost request may still take effect.
    pub(super) settle: Duration,
}

impl Servers {
    /// Of a configuration.
    pub(super) fn new(all: &[Ci]) -> Self {
        Self { all: all.into(), settle: SETTLE }
    }

    /// The same, with another time in which a lost request may still take effect.
    #[cfg(test)]
    pub(super) fn settling(all: &[Ci], settle: Duration) -> Self {
        Self { all: all.into(), settle }
    }

    /// The one that the arguments name.
    pub(super) fn named(&self, args: Args<'_>) -> Result<&Ci, VerbError> {
        let id = args.text("ci")?;
        self.all.iter().find(|c| c.id.as_str() == id).ok_or_else(|| {
            let known: Vec<&str> = self.all.iter().map(|c| c.id.as_str()).collect();
            let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
            VerbError::new(format!("ci {} is not configured; known: {known}", sanitize(id)))
        })
    }

    /// The one that a request is about.
    pub(super) fn of(&self, id: &SourceId) -> Result<&Ci, Failure> {
        let found = self.all.iter().find(|c| c.id == *id);
        found.ok_or_else(|| Failure::new(FailureKind::Local, format!("ci {id} is not configured")))
    }

    /// Sends the requests of a permit, each once and in their order, and gives their answers.
    pub(super) async fn send(&self, verb: &str, permit: &Authorized) -> Result<Vec<Value>, Outcome> {
        let failed = |why| Outcome::Failed { why };
        let local = |why: &str| failed(Failure::new(FailureKind::Local, why));
        let request = permit.request();
        if request.verb != verb {
            return Err(local(&format!("a request of {} was handed to {verb}", request.verb)));
        }
        let until = Instant::now() + permit.timeout();
        let config = self.of(&request.target.source).map_err(failed)?;
        let server = self.open(config).await.map_err(failed)?;
        let calls = request.operation.http_calls();
        // Before anything is sent: a path outside of the project that is configured is nothing of ours.
        if calls.is_empty() || calls.iter().any(|c| !c.path.starts_with(&server.path("/"))) {
            return Err(local("the request is not about the project that is configured"));
        }
        let mut answers = Vec::new();
        for one in &calls {
            match server.send(one, until.saturating_duration_since(Instant::now())).await {
                Ok(answer) => answers.push(answer),
                Err(Outcome::Failed { why }) if !answers.is_empty() => {
                    let (done, all) = (answers.len(), calls.len());
                    let message = format!("{done} of {all} requests had their effect; then: {}", why.message);
                    return Err(Outcome::Unknown { why: Failure::new(why.kind, message) });
                }
                Err(outcome) => return Err(outcome),
            }
        }
        Ok(answers)
    }

    /// Reads the token and makes a client.
    pub(super) async fn open<'a>(&self, config: &'a Ci) -> Result<Server<'a>, Failure> {
        let token = match &config.token {
            None => None,
            Some(reference) => {
                let read = secret::read(reference).await;
                Some(read.map_err(|e| Failure::new(FailureKind::Local, e.to_string()))?)
            }
        };
        let trust = Trust::of(&config.ca, [config.url.as_str()]);
        let made = tokio::task::spawn_blocking(move || Http::new(&trust)).await;
        let http = made.map_err(|_| Failure::new(FailureKind::Local, "making an HTTP client was broken off"))??;
        Ok(Server { config, token, http: Some(http) })
    }
}

/// One server.
pub(super) struct Server<'a> {
    /// How it is configured.
    pub(super) config: &'a Ci,
    token: Option<Secret>,
    http: Option<Http>,
}

impl<'a> Server<'a> {
    /// One that only knows its paths.
    pub(super) const fn unopened(config: &'a Ci) -> Self {
        Self { config, token: None, http: None }
    }

    /// URL of something of the project.
    pub(super) fn path(&self, tail: &str) -> String {
        let base = self.config.url.trim_end_matches('/');
        match self.config.kind {
            // The path of a project is one word of the URL.
            CiKind::Gitlab => format!("{base}/projects/{}{tail}", self.config.project.replace('/', "%2F")),
            CiKind::Github => format!("{base}/repos/{}{tail}", self.config.project),
        }
    }

    /// The header that carries the token.
    pub(super) const fn token_header(&self) -> &'static str {
        match self.config.kind {
            CiKind::Gitlab => "PRIVATE-TOKEN",
            CiKind::Github => "Authorization",
        }
    }

    /// Reads one path.
    pub(super) async fn get(&self, url: &str) -> Result<Value, Failure> {
        let one = HttpCall { method: "GET".into(), path: url.into(), headers: BTreeMap::new(), body: String::new() };
        self.send(&one, LOOK).await.map_err(|outcome| match outcome {
            Outcome::Failed { why } | Outcome::Unknown { why } => why,
            Outcome::Done { .. } => Failure::new(FailureKind::Local, "nothing was asked for"),
        })
    }

    /// Reads one path; `None` where nothing is there.
    pub(super) async fn find(&self, url: &str) -> Result<Option<Value>, Failure> {
        match self.get(url).await {
            Ok(found) => Ok(Some(found)),
            Err(why) if why.message.contains("answered HTTP 404") => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Sends one request, once. A refusal (4xx) means that nothing was changed; a server error or none leaves it open.
    pub(super) async fn send(&self, one: &HttpCall, within: Duration) -> Result<Value, Outcome> {
        let failed = |why: Failure| Outcome::Failed { why };
        let local = |why: String| failed(Failure::new(FailureKind::Local, why));
        let http = self.http.as_ref().ok_or_else(|| local("there is no client".into()))?;
        let url = reqwest::Url::parse(&one.path).map_err(|e| local(format!("the URL can not be used: {e}")))?;
        let shown = public(&one.path);
        let method = reqwest::Method::from_bytes(one.method.as_bytes()).map_err(|e| local(e.to_string()))?;
        let mut request = http.request(method, url).timeout(within).header("accept", "application/json");
        for (name, value) in &one.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            let value = match self.config.kind {
                CiKind::Gitlab => token.expose().to_owned(),
                CiKind::Github => format!("Bearer {}", token.expose()),
            };
            let mut value = reqwest::header::HeaderValue::from_str(&value)
                .map_err(|_| local("the token holds characters that a header can not carry".into()))?;
            value.set_sensitive(true);
            request = request.header(self.token_header(), value);
        }
        if !one.body.is_empty() {
            request = request.body(one.body.clone());
        }
        let lost = |e: reqwest::Error| {
            let kind = if e.is_timeout() { FailureKind::Timeout } else { FailureKind::Unreachable };
            let connects = e.is_connect();
            let why = Failure::new(kind, format!("{shown}: {}", sanitize(&e.without_url().to_string())));
            if connects { Outcome::Failed { why } } else { Outcome::Unknown { why } }
        };
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                let why =
                    Failure::new(FailureKind::Protocol, format!("{shown} answered with more than {LONGEST} bytes"));
                return Err(Outcome::Unknown { why });
            }
        }
        let answer: Option<Value> =
            if body.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&body).ok() };
        if (200..300).contains(&status) {
            return answer.ok_or_else(|| Outcome::Unknown {
                why: Failure::new(FailureKind::Protocol, format!("{shown} answered with something that is not JSON")),
            });
        }
        let said = answer.map(|a| a["message"].to_string()).filter(|m| m != "null").unwrap_or_default();
        let said: String = sanitize(&said).chars().take(200).collect();
        let kind = match status {
            401 => FailureKind::Authentication,
            403 => FailureKind::Permission,
            408 | 504 => FailureKind::Timeout,
            _ => FailureKind::Protocol,
        };
        let why = Failure::new(kind, format!("{shown} answered HTTP {status} {said}"));
        Err(if status == 408 || status >= 500 { Outcome::Unknown { why } } else { Outcome::Failed { why } })
    }
}
