//! `vault:ID/PATH#KEY`: one key of a secret in the key/value store, version 2, of a Vault or an `OpenBao`, read each time that
//! it is needed, so that a new value counts from the next use on. The token is kept in memory and renewed while it is used;
//! one that has ended, or is refused, is got anew. API: <https://openbao.org/api-docs/>, the same as Vault's.

#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

use super::{Secret, SecretError};
use crate::config::authorities::{self, innermost};
use crate::config::certificate::Pair;
use crate::config::model::{Ca, SecretRef};
use crate::domain::text::sanitize;
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// An answer has a secret of at most 1 MiB, which is the default limit of the server.
const LONGEST: usize = 2 << 20;
/// Time allowed for one request.
const ALLOWED: Duration = Duration::from_secs(5);
/// No token is renewed more often.
const SHORTEST: Duration = Duration::from_millis(500);

/// `[[vault]]`.
#[derive(Debug)]
pub struct Vault {
    /// Its name.
    pub id: String,
    /// Base URL.
    pub url: String,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: Ca,
    /// Namespace in it.
    pub namespace: Option<String>,
    /// Where its key/value store is mounted.
    pub mount: String,
    /// How it is logged in to.
    pub login: Login,
    session: Mutex<Option<Session>>,
}

/// How a vault is logged in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// By a token that somebody else has got.
    Token(SecretRef),
    /// By `AppRole`.
    AppRole {
        /// Where that is mounted.
        mount: String,
        /// Its id.
        role_id: String,
        /// What proves it.
        secret_id: SecretRef,
    },
    /// By the token of a service account of Kubernetes.
    Kubernetes {
        /// Where that is mounted.
        mount: String,
        /// Role.
        role: String,
        /// The account's token.
        token: SecretRef,
    },
}

/// A secret in a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InVault {
    /// The vault.
    pub vault: Arc<Vault>,
    /// Path below the mount.
    pub path: String,
    /// Key.
    pub key: String,
}

/// What a login has brought.
#[derive(Debug)]
struct Session {
    client: Client,
    token: Secret,
    /// When it ends; never where it has no end.
    ends: Option<Instant>,
}

impl PartialEq for Vault {
    fn eq(&self, other: &Self) -> bool {
        let parts = |v: &Self| (v.id.clone(), v.url.clone(), v.ca.clone(), v.namespace.clone(), v.mount.clone());
        parts(self) == parts(other) && self.login == other.login
    }
}

impl Eq for Vault {}

/// What came of a request.
enum Refusal {
    /// Status and sentence.
    Status(u16, String),
    /// Nothing was heard.
    Silent(String),
}

impl Refusal {
    fn words(self) -> String {
        match self {
            Self::Status(_, why) | Self::Silent(why) => why,
        }
    }
}

/// `auth` of a login or a renewal.
#[derive(Deserialize)]
struct Auth {
    client_token: String,
    lease_duration: u64,
    renewable: bool,
}

/// What a read answers.
#[derive(Deserialize)]
struct Read {
    data: Version,
}

#[derive(Deserialize)]
struct Version {
    data: Option<BTreeMap<String, String>>,
}

/// The part of `sys/health` that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Version, as it says.
    pub version: Option<String>,
    /// Why nothing can be read from it, if that is so.
    pub why: Option<String>,
}

impl Vault {
    /// As it is configured, and not logged in to.
    pub(in crate::config) fn new(
        (id, url, ca): (String, String, Ca),
        namespace: Option<String>,
        mount: String,
        login: Login,
    ) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { id, url, ca, namespace, mount, login, session: Mutex::new(None) }
    }

    /// Whether it answers, is unsealed, and takes the login.
    pub async fn standing(self: &Arc<Self>) -> Standing {
        let health = "sys/health?standbyok=true&sealedcode=200&uninitcode=200";
        let client = match self.client().await {
            Ok(client) => client,
            Err(why) => return Standing { version: None, why: Some(why) },
        };
        let answer: Value = match self.ask(&client, None, Method::GET, health, None).await {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(refused) => return Standing { version: None, why: Some(refused.words()) },
        };
        let version = answer["version"].as_str().map(sanitize);
        let why = match (answer["initialized"].as_bool(), answer["sealed"].as_bool()) {
            (Some(true), Some(false)) => self.token(false).await.err(),
            (_, Some(true)) => Some(self.sealed()),
            _ => Some(format!("{self}: it does not say whether it is sealed, so that it is no Vault and no OpenBao")),
        };
        Standing { version, why }
    }

    fn sealed(&self) -> String {
        format!("{self} is sealed: whoever holds its keys has to unseal it")
    }

    async fn read(self: &Arc<Self>, path: &str, key: &str) -> Result<Zeroizing<String>, String> {
        let whole = format!("{}/data/{path}", self.mount);
        let mut anew = false;
        let bytes = loop {
            let (client, token) = self.token(anew).await?;
            match self.ask(&client, Some(&token), Method::GET, &whole, None).await {
                Ok(bytes) => break bytes,
                // One that is not known any more: was revoked, or has ended in this moment.
                Err(Refusal::Status(403, _)) if !anew && !self.knows(&client, &token).await => anew = true,
                Err(Refusal::Status(403, _)) => {
                    return Err(format!(
                        "{self} does not let us read {whole} (403): its policy needs path {whole:?} {{ capabilities = \
                         [\"read\"] }}"
                    ));
                }
                Err(Refusal::Status(404, _)) => return Err(format!("{self} has no secret {whole}, or has deleted it")),
                Err(other) => return Err(other.words()),
            }
        };
        let read: Read = serde_json::from_slice(&bytes).map_err(|_| {
            format!("{self} answered for {whole} with no secret of version 2 whose values are texts; is `mount` right?")
        })?;
        let all = read.data.data.unwrap_or_default().into_iter().map(|(key, value)| (key, Zeroizing::new(value)));
        // All of them are overwritten, also those that were not asked for.
        let mut all: BTreeMap<String, Zeroizing<String>> = all.collect();
        all.remove(key).ok_or_else(|| format!("{whole} of {self} has no key `{}`", sanitize(key)))
    }

    /// Whether a token is one; each may ask that of itself.
    async fn knows(&self, client: &Client, token: &Secret) -> bool {
        self.ask(client, Some(token), Method::GET, "auth/token/lookup-self", None).await.is_ok()
    }

    /// The token that is in use, else a new one.
    async fn token(self: &Arc<Self>, anew: bool) -> Result<(Client, Secret), String> {
        let mut kept = self.session.lock().await;
        let over = |session: &Session| session.ends.is_some_and(|ends| ends <= Instant::now());
        if anew || kept.as_ref().is_some_and(over) {
            *kept = None;
        }
        if let Some(session) = kept.as_ref() {
            return Ok((session.client.clone(), session.token.clone()));
        }
        let client = self.client().await?;
        let (token, life, renewable) = self.log_in(&client).await?;
        let ends = (life > Duration::ZERO).then(|| Instant::now() + life);
        *kept = Some(Session { client: client.clone(), token: token.clone(), ends });
        if renewable && life > Duration::ZERO && tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(keep(Arc::downgrade(self), token.clone(), life));
        }
        Ok((client, token))
    }

    /// A token, how long it lives, and whether it can be renewed.
    async fn log_in(&self, client: &Client) -> Result<(Secret, Duration, bool), String> {
        let of = |reference: SecretRef| async move {
            let read: Result<Secret, SecretError> = Box::pin(super::read(&reference)).await;
            read.map_err(|e| format!("{self} can not be logged in to: {e}"))
        };
        let (by, path, body) = match &self.login {
            Login::Token(reference) => {
                let token = of(reference.clone()).await?;
                let asked = self.ask(client, Some(&token), Method::GET, "auth/token/lookup-self", None).await;
                let said: Value = match asked {
                    Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
                    Err(Refusal::Status(403, _)) => return Err(format!("{self} does not take the token (403)")),
                    Err(other) => return Err(other.words()),
                };
                let life = Duration::from_secs(said["data"]["ttl"].as_u64().unwrap_or_default());
                return Ok((token, life, said["data"]["renewable"].as_bool().unwrap_or_default()));
            }
            Login::AppRole { mount, role_id, secret_id } => {
                let secret = of(secret_id.clone()).await?;
                ("AppRole", mount, json!({ "role_id": role_id, "secret_id": secret.expose() }))
            }
            Login::Kubernetes { mount, role, token } => {
                let token = of(token.clone()).await?;
                ("Kubernetes", mount, json!({ "role": role, "jwt": token.expose() }))
            }
        };
        let body = Zeroizing::new(body.to_string());
        let asked = self.ask(client, None, Method::POST, &format!("auth/{path}/login"), Some(&body)).await;
        let bytes = asked.map_err(|refused| match refused {
            Refusal::Status(400 | 403, why) => format!("{why}: it refuses the login by {by}"),
            other => other.words(),
        })?;
        let auth = auth(&bytes).ok_or_else(|| format!("{self} answered a login with no token"))?;
        let life = Duration::from_secs(auth.lease_duration);
        Ok((Secret::new(auth.client_token), life, auth.renewable))
    }

    async fn client(&self) -> Result<Client, String> {
        // The error only says that a provider is installed already, which is what is wanted.
        drop(rustls::crypto::ring::default_provider().install_default());
        let (ca, plain) = (self.ca.clone(), self.url.starts_with("http:"));
        let identity = match &self.ca.client {
            None => None,
            Some(client) => {
                let (Pair { cert, key }, _) =
                    client.read().await.map_err(|why| format!("{self} can not be asked: {why}"))?;
                let both = Zeroizing::new(format!("{}\n{}", cert.expose(), key.expose()));
                let made = reqwest::Identity::from_pem(both.as_bytes());
                Some(made.map_err(|e| format!("{self} can not be asked: {}", innermost(&e)))?)
            }
        };
        let made = tokio::task::spawn_blocking(move || {
            let builder = ca.min.of(Client::builder()).redirect(reqwest::redirect::Policy::none()).no_proxy();
            let builder = match ca.file {
                Some(path) => builder.tls_certs_only(authorities::read(&path)?),
                None if plain => builder.tls_certs_only([]),
                None => builder,
            };
            let builder = match identity {
                Some(identity) => builder.identity(identity),
                None => builder,
            };
            builder.build().map_err(|e| innermost(&e))
        });
        let made = made.await.map_err(|_| "making a client was interrupted".to_owned()).and_then(|made| made);
        made.map_err(|why| format!("{self} can not be asked: {why}"))
    }

    /// One request; the body of an answer of 2xx.
    async fn ask(
        &self,
        client: &Client,
        token: Option<&Secret>,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let mut request = client.request(method, format!("{}/v1/{path}", self.url)).timeout(ALLOWED);
        // Without it some proxies before a vault let nothing pass.
        request = request.header("x-vault-request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            let value = reqwest::header::HeaderValue::from_str(token.expose());
            let mut value = value.map_err(|_| Refusal::Silent(format!("{self}: its token is none")))?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let silent = |e: reqwest::Error| {
            Refusal::Silent(if e.is_timeout() {
                format!("{self} gave no answer within {} s", ALLOWED.as_secs())
            } else {
                format!("{self} can not be reached: {}", innermost(&e.without_url()))
            })
        };
        let mut response = request.send().await.map_err(silent)?;
        let status = response.status().as_u16();
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 << 10));
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if bytes.len() + chunk.len() > LONGEST {
                return Err(Refusal::Silent(format!("{self} sent more than {LONGEST} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let said: Vec<String> =
            said["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).map(sanitize).collect();
        let words = match (status, said.join(", ")) {
            (503, said) if said.contains("sealed") => self.sealed(),
            (status, said) if said.is_empty() => format!("{self} answered HTTP {status}"),
            (status, said) => format!("{self} answered HTTP {status}: {}", said.chars().take(200).collect::<String>()),
        };
        Err(Refusal::Status(status, words))
    }
}

impl std::fmt::Display for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the vault {} ({})", self.id, self.url)
    }
}

fn auth(bytes: &[u8]) -> Option<Auth> {
    #[derive(Deserialize)]
    struct Answer {
        auth: Option<Auth>,
    }
    serde_json::from_slice::<Answer>(bytes).ok()?.auth
}

/// Renews a token after half of its life for as long as the vault is in use and takes it. What can not be renewed ends by
/// itself, and is got anew by whoever needs it then.
async fn keep(vault: Weak<Vault>, token: Secret, life: Duration) {
    let mut life = life;
    loop {
        tokio::time::sleep((life / 2).max(SHORTEST)).await;
        let Some(vault) = vault.upgrade() else { return };
        let client = match vault.session.lock().await.as_ref() {
            Some(session) if session.token == token => session.client.clone(),
            _ => return,
        };
        match vault.ask(&client, Some(&token), Method::POST, "auth/token/renew-self", Some("{}")).await {
            Ok(bytes) => {
                let Some(auth) = auth(&bytes) else { return };
                life = Duration::from_secs(auth.lease_duration);
                if let Some(session) = vault.session.lock().await.as_mut().filter(|s| s.token == token) {
                    session.ends = Some(Instant::now() + life);
                }
                if !auth.renewable || life.is_zero() {
                    return;
                }
            }
            Err(Refusal::Status(status @ (400 | 403), why)) => {
                tracing::warn!(vault = %vault.id, status, %why, "a token can not be renewed");
                return;
            }
            // Sealed or silent for now: there is the other half of its life to try again.
            Err(refused) => {
                tracing::warn!(vault = %vault.id, why = %refused.words(), "a token was not renewed");
                let left = vault.session.lock().await.as_ref().and_then(|s| s.ends);
                life = left.map_or(life, |ends| ends.saturating_duration_since(Instant::now()));
                if life.is_zero() {
                    return;
                }
            }
        }
    }
}

/// Its text, or a sentence without it.
pub(super) async fn read(at: &InVault) -> Result<Zeroizing<String>, String> {
    at.vault.read(&at.path, &at.key).await
}
