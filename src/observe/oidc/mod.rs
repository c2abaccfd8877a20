//! Logging a person in at an identity provider by the device flow (RFC 8628): the provider shows a page on which the person
//! enters a code, while it is asked here, again and again, whether that was done. What it says then is believed after its
//! token was checked in full ([`token`]). Only the engine and `doctor` call this.

#[cfg(test)]
mod tests;
mod token;

use super::http::{Answer, Http, Trust};
use crate::config::model::Oidc;
use crate::config::secret::{self, Secret};
use crate::domain::identity::Identity;
use crate::domain::mode::MayObserve;
use crate::domain::ports::Clock;
use crate::domain::text::sanitize;
use base64::Engine as _;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// Body bytes taken of an answer.
const ANSWER: usize = 256 << 10;
/// Time allowed for one request.
const ALLOWED: Duration = Duration::from_secs(10);
/// How long is waited between two questions where the provider does not say (RFC 8628, 3.2), and how much longer after
/// `slow_down` (3.5).
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The longest that a code is waited for, whatever the provider says.
const LONGEST_WAIT: Duration = Duration::from_mins(30);
/// So many questions in a row without an answer, and the provider is given up.
const SILENT: u32 = 3;
/// Longest address and code that are shown, in characters.
const LONGEST_SHOWN: usize = 500;
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a person is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// The page.
    pub uri: String,
    /// The same with the code in it, where the provider has that.
    pub uri_complete: Option<String>,
    /// What is entered there.
    pub code: String,
    /// How long that can be done.
    pub lasts: Duration,
}

/// A configured provider. Nothing is asked before somebody wants to log in.
#[derive(Clone, Debug)]
pub struct Provider(Arc<Oidc>);

/// What `/.well-known/openid-configuration` says (`OpenID` Connect Discovery 1.0, 3; RFC 8628, 4).
#[derive(Debug, Deserialize)]
struct Found {
    issuer: String,
    device_authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Handed {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Given {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// A line to a provider that has said where its doors are.
struct Line {
    http: Http,
    device: Url,
    token: Url,
    keys: Url,
    secret: Option<Secret>,
    /// Whether the secret goes into the head of a request, else into its body.
    basic: bool,
}

/// What came of a question for a token.
enum Polled {
    Token(String),
    /// Nothing yet; so much longer between questions.
    NotYet(Duration),
    /// No answer.
    Silent(String),
}

impl Provider {
    /// As it is configured.
    pub fn new(_: MayObserve, config: &Oidc) -> Self {
        Self(Arc::new(config.clone()))
    }

    /// Its name.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Whether it can be found, and lets this client ask for a code. The code that it gives is used by nobody.
    ///
    /// # Errors
    /// One sentence.
    pub async fn standing(&self) -> Result<(), String> {
        let line = self.line().await?;
        self.device(&line, "").await.map(drop)
    }

    /// Has somebody log in, tells what they have to do, and waits until they have done it. Cancel-safe: whoever drops it asks
    /// no further.
    ///
    /// # Errors
    /// One sentence.
    pub async fn authenticate(&self, clock: &dyn Clock, show: impl FnOnce(Codes)) -> Result<Identity, String> {
        let asked = clock.now();
        let mut nonce = [0_u8; 16];
        rand_core::RngCore::fill_bytes(&mut rand_core::OsRng, &mut nonce);
        let nonce = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(nonce);
        let line = self.line().await?;
        let device = self.device(&line, &nonce).await?;
        let lasts = Duration::from_secs(device.expires_in).min(LONGEST_WAIT);
        let codes = Codes {
            uri: self.shown(&device.verification_uri)?,
            uri_complete: device.verification_uri_complete.as_deref().map(|uri| self.shown(uri)).transpose()?,
            code: words(&device.user_code),
            lasts,
        };
        show(codes);
        let token = Zeroizing::new(self.wait(&line, &device, lasts).await?);
        // Asked for now, and not before: a key that has changed meanwhile is there.
        let keys = self.get(&line.http, &line.keys).await?;
        self.read(&token, &token::keys(&keys), &nonce, (asked, clock.now()))
    }

    fn read(
        &self,
        token: &str,
        keys: &[jsonwebtoken::jwk::Jwk],
        nonce: &str,
        (asked, now): (Timestamp, Timestamp),
    ) -> Result<Identity, String> {
        let Oidc { issuer, client_id, name, acr, amr, max_age, clock_skew, .. } = &*self.0;
        let (max_age, skew) = (*max_age, *clock_skew);
        let expected = token::Expected { issuer, client_id, nonce, name, acr, amr, max_age, skew, asked, now };
        token::read(token, keys, &expected).map_err(|why| format!("the token of {issuer} {why}"))
    }

    /// Finds it. Authorities and the client's secret are read each time, so that new ones count.
    async fn line(&self) -> Result<Line, String> {
        let issuer = &self.0.issuer;
        let trust = Trust::of(&self.0.ca, [issuer.as_str()]);
        let http = tokio::task::spawn_blocking(move || Http::new(&trust)).await;
        let http = http.map_err(|_| "reading the certificate authorities was broken off".to_owned())?;
        let http = http.map_err(|failure| failure.message)?;
        let secret = match &self.0.client_secret {
            Some(reference) => Some(secret::read(reference).await.map_err(|e| e.to_string())?),
            None => None,
        };
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let place = Url::parse(&place).map_err(|_| format!("{issuer} is no URL that can be asked"))?;
        let found: Found = serde_json::from_value(self.get(&http, &place).await?)
            .map_err(|e| format!("{place} does not say what a provider says: {}", words(&e.to_string())))?;
        // OpenID Connect Discovery 1.0, 4.3: exactly, or another could stand for it.
        if found.issuer != *issuer {
            let other = words(&found.issuer);
            return Err(format!(
                "{place} is about {other}; `issuer` of [oidc] has to be exactly that, or it is not the one that is meant"
            ));
        }
        let lacks = |what: &str| format!("{issuer} has no `{what}`, so that nobody can log in with a code there");
        let door = |url: Option<String>, what: &str| self.door(&url.ok_or_else(|| lacks(what))?, what);
        let methods = found.token_endpoint_auth_methods_supported;
        Ok(Line {
            device: door(found.device_authorization_endpoint, "device_authorization_endpoint")?,
            token: door(found.token_endpoint, "token_endpoint")?,
            keys: door(found.jwks_uri, "jwks_uri")?,
            // The default of OpenID Connect Discovery.
            basic: methods.is_none_or(|all| all.iter().any(|m| m == "client_secret_basic")),
            http,
            secret,
        })
    }

    /// An address that the provider names: none to which anybody could listen on the way.
    fn door(&self, url: &str, what: &str) -> Result<Url, String> {
        let here = self.0.issuer.starts_with("http://");
        let parsed = Url::parse(url).ok().filter(|u| u.scheme() == "https" || (here && u.scheme() == "http"));
        parsed.ok_or_else(|| format!("{} names `{}` as its `{what}`, which is no https URL", self.0.issuer, words(url)))
    }

    /// The same for one that a person opens.
    fn shown(&self, url: &str) -> Result<String, String> {
        let url = self.door(url, "verification_uri")?.to_string();
        if url.chars().count() > LONGEST_SHOWN {
            return Err(format!(
                "{} has a page whose address is longer than {LONGEST_SHOWN} characters",
                self.0.issuer
            ));
        }
        Ok(url)
    }

    async fn get(&self, http: &Http, url: &Url) -> Result<Value, String> {
        let request = http.request(Method::GET, url.clone()).header(ACCEPT, "application/json");
        let answer = Http::send(request, url.as_str(), ANSWER, ALLOWED).await.map_err(|failure| failure.message)?;
        let text = answer.into_text(url.as_str()).map_err(|failure| failure.message)?;
        serde_json::from_str(&text).map_err(|_| format!("{url} answered with something that is no JSON"))
    }

    /// Asks for a code.
    async fn device(&self, line: &Line, nonce: &str) -> Result<Handed, String> {
        let Oidc { issuer, acr, max_age, .. } = &*self.0;
        let (max_age, acr) = (max_age.as_secs().to_string(), acr.join(" "));
        let mut asked = vec![("scope", "openid profile"), ("max_age", max_age.as_str())];
        if !nonce.is_empty() {
            asked.push(("nonce", nonce));
        }
        if !acr.is_empty() {
            asked.push(("acr_values", &acr));
        }
        let answer = self.post(line, &line.device, asked).await?;
        if answer.status != 200 {
            return Err(self.refusal(&answer));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|e| format!("{issuer} does not answer with a code: {}", words(&e.to_string())))
    }

    /// Waits until the person has used the code.
    async fn wait(&self, line: &Line, device: &Handed, lasts: Duration) -> Result<String, String> {
        let issuer = &self.0.issuer;
        let ends = Instant::now() + lasts;
        let mut pause = device.interval.map_or(PAUSE, Duration::from_secs).clamp(Duration::from_secs(1), LONGEST_PAUSE);
        let mut silent = 0;
        loop {
            sleep(pause).await;
            match self.poll(line, &device.device_code).await? {
                Polled::Token(token) => return Ok(token),
                Polled::NotYet(more) => (silent, pause) = (0, (pause + more).min(LONGEST_PAUSE)),
                Polled::Silent(why) if silent + 1 >= SILENT => {
                    return Err(format!("{issuer} was asked {SILENT} times without an answer: {why}"));
                }
                // Less often while it does not answer (RFC 8628, 3.5).
                Polled::Silent(_) => (silent, pause) = (silent + 1, (pause * 2).min(LONGEST_PAUSE)),
            }
            if Instant::now() >= ends {
                return Err(self.late());
            }
        }
    }

    fn late(&self) -> String {
        format!("nobody has used the code at {} while it was good", self.0.issuer)
    }

    async fn poll(&self, line: &Line, code: &str) -> Result<Polled, String> {
        let issuer = &self.0.issuer;
        let answer = match self.post(line, &line.token, vec![("grant_type", DEVICE), ("device_code", code)]).await {
            Ok(answer) if answer.status < 500 => answer,
            Ok(answer) => return Ok(Polled::Silent(format!("it answers HTTP {}", answer.status))),
            Err(why) => return Ok(Polled::Silent(why)),
        };
        if answer.status == 200 {
            let given: Given = serde_json::from_slice(&answer.body)
                .map_err(|_| format!("{issuer} answered with something that is no token"))?;
            let token = given
                .id_token
                .ok_or_else(|| format!("{issuer} gave no ID token; does the client have the scope openid?"))?;
            return Ok(Polled::Token(token));
        }
        // RFC 8628, 3.5.
        match serde_json::from_slice::<Refused>(&answer.body).map(|r| r.error).as_deref() {
            Ok("authorization_pending") => Ok(Polled::NotYet(Duration::ZERO)),
            Ok("slow_down") => Ok(Polled::NotYet(PAUSE)),
            Ok("access_denied") => Err(format!("somebody said no at {issuer}: the login was denied there")),
            Ok("expired_token") => Err(self.late()),
            _ => Err(self.refusal(&answer)),
        }
    }

    /// What a refusal says of itself (RFC 6749, 5.2).
    fn refusal(&self, answer: &Answer) -> String {
        let (issuer, client) = (&self.0.issuer, &self.0.client_id);
        let Ok(Refused { error, error_description }) = serde_json::from_slice(&answer.body) else {
            return format!("{issuer} answered HTTP {} with something that is no JSON", answer.status);
        };
        let said = match &error_description {
            Some(more) => format!("{} ({})", words(&error), words(more)),
            None => words(&error),
        };
        match error.as_str() {
            "invalid_client" => format!("{issuer} does not take us as the client `{client}`: {said}"),
            "unauthorized_client" => {
                format!("the client `{client}` may not log people in with a code at {issuer}: {said}")
            }
            _ => format!("{issuer} refuses: {said}"),
        }
    }

    /// One request as the client that we are.
    async fn post(&self, line: &Line, url: &Url, mut members: Vec<(&str, &str)>) -> Result<Answer, String> {
        let id = self.0.client_id.as_str();
        let mut request = line.http.request(Method::POST, url.clone()).header(ACCEPT, "application/json");
        match &line.secret {
            Some(secret) if line.basic => {
                // Each is encoded as in a form before it becomes part of the head (RFC 6749, 2.3.1).
                let both = Zeroizing::new(format!("{}:{}", *encoded(id), *encoded(secret.expose())));
                let head =
                    Zeroizing::new(format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(both.as_bytes())));
                let mut head =
                    HeaderValue::from_str(&head).map_err(|_| "the client's secret fits into no head".to_owned())?;
                head.set_sensitive(true);
                request = request.header(AUTHORIZATION, head);
                members.push(("client_id", id));
            }
            Some(secret) => members.extend([("client_id", id), ("client_secret", secret.expose())]),
            None => members.push(("client_id", id)),
        }
        let body: Vec<String> = members.iter().map(|(key, value)| format!("{key}={}", *encoded(value))).collect();
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.join("&"));
        Http::send(request, url.as_str(), ANSWER, ALLOWED).await.map_err(|failure| failure.message)
    }
}

/// A value as a form carries it (<https://url.spec.whatwg.org/#urlencoded-serializing>).
fn encoded(value: &str) -> Zeroizing<String> {
    // Only to have it encoded.
    let Ok(mut url) = Url::parse("https://form.invalid") else { return Zeroizing::default() };
    url.query_pairs_mut().append_pair("", value);
    let query = url.query().unwrap_or_default();
    Zeroizing::new(query.strip_prefix('=').unwrap_or(query).to_owned())
}

/// What a provider says, for people.
fn words(text: &str) -> String {
    sanitize(text).chars().take(LONGEST_SHOWN).collect()
}
