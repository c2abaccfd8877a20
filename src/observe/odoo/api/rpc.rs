//! JSON-RPC (`POST /jsonrpc`, Odoo 8 to 19): a login, then `execute_kw` with the key in the place of a password.

use super::super::client::{Client, Fault, shortened};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::http::{Answer, public, refusal};
use serde_json::{Value, json};
use std::time::Duration;

/// Where it is spoken.
pub(super) const PATH: &str = "/jsonrpc";

/// A user of one database. JSON-RPC keeps no state: it is what each call repeats.
#[derive(Debug)]
pub(super) struct Session {
    database: String,
    user: i64,
    release: u32,
}

impl Session {
    /// Asks for the version and who the user is.
    pub(super) async fn begin(client: &Client, database: &str, login: &str, within: Duration) -> Result<Self, Failure> {
        let url = public(&client.url(PATH));
        let version = said(client, "common", "version", &json!([]), within).await?;
        let first = version.get("server_version_info").and_then(|v| v.get(0));
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok();
        // `19`, or `saas~18`.
        let release = match first {
            Some(Value::Number(n)) => n.as_u64().and_then(|n| u32::try_from(n).ok()),
            Some(Value::String(text)) => digits(text).filter(|_| !text.is_empty()),
            _ => None,
        };
        let release =
            release.ok_or_else(|| Failure::new(FailureKind::Protocol, format!("{url}: Odoo tells no version")))?;
        let asked = json!([database, login, client.key().expose(), {}]);
        match said(client, "common", "authenticate", &asked, within).await?.as_i64() {
            Some(user) => Ok(Self { database: database.to_owned(), user, release }),
            None => Err(Failure::new(FailureKind::Authentication, format!("{url}: login or key is refused"))),
        }
    }

    /// Asks as another release is asked.
    #[cfg(test)]
    pub(super) const fn pretend(&mut self, release: u32) {
        self.release = release;
    }

    /// Whether it is Odoo 19 or later.
    pub(super) const fn is_19(&self) -> bool {
        self.release >= 19
    }

    /// Calls a method of a model with named arguments.
    pub(super) async fn call(
        &self,
        client: &Client,
        model: &str,
        method: &str,
        named: Value,
        within: Duration,
    ) -> Result<Answer, Fault> {
        let asked = json!([self.database, self.user, client.key().expose(), model, method, [], named]);
        client.post(PATH, &body("object", "execute_kw", &asked), false, within).await
    }
}

fn body(service: &str, method: &str, args: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "call", "params": { "service": service, "method": method, "args": args } })
}

async fn said(client: &Client, service: &str, method: &str, args: &Value, within: Duration) -> Result<Value, Failure> {
    let answer = client.post(PATH, &body(service, method, args), false, within).await.map_err(Fault::why)?;
    read(&client.url(PATH), &answer)
}

/// What an answer says. The status is 200 for errors too.
pub(super) fn read(url: &str, answer: &Answer) -> Result<Value, Failure> {
    let url = public(url);
    let value: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(|_| !answer.truncated);
    let Some(value) = value else {
        return Err(Failure::new(refusal(answer.status), format!("{url} answered HTTP {}", answer.status)));
    };
    let Some(error) = value.get("error") else {
        let why = || Failure::new(FailureKind::Protocol, format!("{url} answers no JSON-RPC"));
        return value.get("result").cloned().ok_or_else(why);
    };
    let data = |field: &str| error.get("data").and_then(|d| d.get(field)).and_then(Value::as_str).unwrap_or_default();
    let (name, words) = (data("name"), shortened(data("message")));
    // As `Client::call` says it of JSON-2.
    if let Some(model) = words.strip_prefix("Object ").and_then(|rest| rest.strip_suffix(" doesn't exist")) {
        return Err(Failure::new(FailureKind::Protocol, format!("{url}: the model '{model}' does not exist")));
    }
    let kind = match name.rsplit('.').next().unwrap_or_default() {
        "AccessDenied" => FailureKind::Authentication,
        "AccessError" => FailureKind::Permission,
        _ => FailureKind::Protocol,
    };
    Err(Failure::new(kind, format!("{url}: {words}")))
}
