//! A system of HTTP that is asked now and then: its client is made at the first question, and anew after a failure.

use crate::config::model::Server;
use crate::domain::logs::Untold;
use crate::domain::sample::Failure;
use crate::domain::text::{conceal, sanitize};
use crate::observe::http::{Http, public};
use crate::observe::prometheus::{Credentials, connect, request};
use std::time::Duration;
use tokio::sync::Mutex;

/// Body bytes that are taken of one answer.
pub(in crate::observe) const ANSWER: usize = 4 << 20;
/// Characters of an answer's words that are shown.
const WORDS: usize = 200;

/// The system.
#[derive(Debug)]
pub(in crate::observe) struct Web {
    server: Server,
    timeout: Duration,
    ready: Mutex<Option<(Http, Option<Credentials>)>>,
}

impl Web {
    pub(in crate::observe) fn new(server: &Server, timeout: Duration) -> Self {
        Self { server: server.clone(), timeout, ready: Mutex::new(None) }
    }

    /// Where it is, for people.
    pub(in crate::observe) fn address(&self) -> String {
        sanitize(&public(&self.server.url))
    }

    /// The body of a GET that was answered with 200.
    pub(in crate::observe) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        header: Option<(&'static str, &str)>,
    ) -> Result<Vec<u8>, Untold> {
        let url = format!("{}{path}", self.server.url.trim_end_matches('/'));
        let (http, credentials) = self.client().await.map_err(|f| Untold::new(f.message))?;
        let request = request(&http, credentials.as_ref(), &self.server.url, path, query);
        let mut request = request.map_err(|f| Untold::new(f.message))?;
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = match Http::send(request, &url, ANSWER, self.timeout).await {
            Ok(answer) => answer,
            Err(failure) => {
                *self.ready.lock().await = None;
                return Err(Untold::new(failure.message));
            }
        };
        let address = public(&url);
        match answer.status {
            200 if answer.truncated => Err(Untold {
                why: format!("{address} sent more than {} MiB", ANSWER >> 20),
                remedy: Some("narrow its query".into()),
            }),
            200 => Ok(answer.body),
            status @ (401 | 403) => {
                // A secret that was renewed is read again.
                *self.ready.lock().await = None;
                Err(Untold {
                    why: said(&address, status, &answer.body),
                    remedy: Some("give `bearer` or `basic` what may read there".into()),
                })
            }
            status => Err(Untold::new(said(&address, status, &answer.body))),
        }
    }

    async fn client(&self) -> Result<(Http, Option<Credentials>), Failure> {
        let mut ready = self.ready.lock().await;
        if let Some(ready) = &*ready {
            return Ok(ready.clone());
        }
        let made = connect(&[&self.server.url], &self.server.ca, &self.server.auth).await?;
        *ready = Some(made.clone());
        Ok(made)
    }
}

/// What an answer that is no 200 says.
fn said(address: &str, status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4 * WORDS)).unwrap_or_default()).into_owned();
    let words: String = sanitize(&conceal(text.trim())).chars().take(WORDS).collect();
    if words.is_empty() {
        format!("{address} answered HTTP {status}")
    } else {
        format!("{address} answered HTTP {status}: {words}")
    }
}

/// An answer that is not as it should be.
pub(in crate::observe) fn strange(address: &str, what: &str) -> Untold {
    Untold::new(format!("{address} does not answer as it should: {what}"))
}
