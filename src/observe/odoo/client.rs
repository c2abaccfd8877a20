//! Odoo's JSON API with an API key: `POST /json/2/<model>/<method>` since Odoo 19; before it JSON-RPC, which
//! [`rpc`](super::api) speaks over [`Client::post`].
//! Odoo rolls back what ends in an error that it names, so such an answer means that nothing was changed.

use crate::config::odoo::Door;
use crate::config::secret::{self, Secret};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Answer, Http, Trust, Undelivered, public, refusal};
use reqwest::header::{CONTENT_TYPE, HOST, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use std::time::Duration;

/// Bytes of an answer that are taken.
const ANSWER_BYTES: usize = 256 << 10;
/// Characters that are kept of what Odoo says.
const SAID_CHARS: usize = 300;
/// The header that names the database.
pub const DATABASE: &str = "X-Odoo-Database";

/// Why a call has no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never left, or Odoo refused it: nothing was changed.
    Refused(Failure),
    /// It may have had its effect.
    Lost(Failure),
}

impl Fault {
    /// Why.
    pub fn why(self) -> Failure {
        match self {
            Self::Refused(why) | Self::Lost(why) => why,
        }
    }
}

/// A way to one database, with its key.
#[derive(Debug)]
pub struct Client {
    http: Http,
    base: String,
    host: Option<HeaderValue>,
    database: HeaderValue,
    key: Secret,
}

impl Client {
    /// Reads the key and makes a client; nothing is sent.
    pub async fn open(door: &Door) -> Result<Self, Failure> {
        let base = door.url.trim_end_matches('/').to_owned();
        let trust = Trust::of(&door.ca, [base.as_str()]);
        let http = tokio::task::spawn_blocking(move || Http::new(&trust))
            .await
            .map_err(|_| local("making an HTTP client was broken off"))??;
        let reference = door.key.as_ref().ok_or_else(|| local("there is no `key` of an Odoo in the configuration"))?;
        let key = secret::read(reference).await.map_err(|e| local(&e.to_string()))?;
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| local("`host` or `database` is no header"));
        let host = door.host.as_deref().map(header).transpose()?;
        Ok(Self { http, base, host, database: header(&door.database)?, key })
    }

    /// Sends one call.
    pub async fn call(&self, path: &str, body: &Value, within: Duration) -> Result<Value, Fault> {
        let answer = self.post(path, body, true, within).await?;
        read(&self.url(path), &answer)
    }

    /// Sends one body and takes any answer; `bearer`: with the key in the head.
    pub(super) async fn post(&self, path: &str, body: &Value, bearer: bool, within: Duration) -> Result<Answer, Fault> {
        let url = self.url(path);
        let parsed = Url::parse(&url).map_err(|e| Fault::Refused(local(&format!("the URL can not be used: {e}"))))?;
        let mut request = self
            .http
            .request(Method::POST, parsed)
            .header(DATABASE, self.database.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        if bearer {
            request = request.bearer_auth(self.key.expose());
        }
        if let Some(host) = &self.host {
            request = request.header(HOST, host.clone());
        }
        match Http::deliver(request, &url, ANSWER_BYTES, within).await {
            Ok(answer) => Ok(answer),
            Err(Undelivered::NotSent(why)) => Err(Fault::Refused(why)),
            Err(Undelivered::Lost(why)) => Err(Fault::Lost(why)),
        }
    }

    /// The key, for a call that carries it in its body.
    pub(super) const fn key(&self) -> &Secret {
        &self.key
    }

    /// The URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn local(why: &str) -> Failure {
    Failure::new(FailureKind::Local, why)
}

/// What an answer says.
pub(super) fn read(url: &str, answer: &Answer) -> Result<Value, Fault> {
    let url = public(url);
    let value: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(|_| !answer.truncated);
    let status = answer.status;
    if let (200..300, Some(value)) = (status, &value) {
        return Ok(value.clone());
    }
    let said = value.as_ref().and_then(|v| v.get("message")).and_then(Value::as_str);
    let words = said.map(shortened).unwrap_or_default();
    let message = if words.is_empty() { format!("{url} answered HTTP {status}") } else { format!("{url}: {words}") };
    let why = Failure::new(refusal(status), message);
    // What names no error of Odoo comes from something before it, which may have taken the call.
    Err(if said.is_some() || (400..500).contains(&status) { Fault::Refused(why) } else { Fault::Lost(why) })
}

/// The first paragraph of what Odoo says.
pub(super) fn shortened(said: &str) -> String {
    let first = said.split("\n\n").next().unwrap_or(said);
    sanitize(&first.replace('\n', ": ")).chars().take(SAID_CHARS).collect()
}

/// Whether a refusal says that the model is not there, so that its module is not installed.
pub fn lacks_model(why: &Failure) -> bool {
    why.message.contains("the model '") && why.message.ends_with("' does not exist")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Result<Value, Fault> {
        let answer = Answer {
            status,
            headers: reqwest::header::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            truncated: false,
            head_after: Duration::ZERO,
        };
        read("http://h/json/2/sale.order/create", &answer)
    }

    #[test]
    fn an_error_that_odoo_names_changed_nothing_and_one_of_a_proxy_is_open() {
        assert_eq!(answered(200, "[7]"), Ok(serde_json::json!([7])));
        let refused = answered(500, r#"{"name": "x", "message": "boom\n\nmore"}"#).unwrap_err();
        let Fault::Refused(why) = refused else { panic!("{refused:?}") };
        assert_eq!(why.message, "http://h/json/2/sale.order/create: boom");
        assert!(matches!(answered(502, "<html>"), Err(Fault::Lost(_))));
        assert!(matches!(answered(200, "<html>"), Err(Fault::Lost(_))), "a page is no answer of the API");
        let Err(Fault::Refused(none)) = answered(404, r#"{"message": "the model 'mrp.bom' does not exist"}"#) else {
            panic!()
        };
        assert!(lacks_model(&none));
        assert!(matches!(answered(401, "{}"), Err(Fault::Refused(why)) if why.kind == FailureKind::Authentication));
    }
}
