//! One server address: connecting to it, and sorting its errors into classes.

use super::Password;
use crate::config::authorities;
use crate::config::certificate::Pair;
use crate::config::model::Ca;
use crate::config::secret::Secret;
use crate::domain::sample::{Failure, FailureKind};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    ServerErrorKind, TlsCertificates,
};
use std::time::Duration;

/// A server and who logs in there.
pub struct Endpoint {
    info: ConnectionInfo,
    user: Option<String>,
    tls: bool,
    ca: Ca,
}

impl Endpoint {
    /// Takes `redis://host:port/db` or `rediss://…`.
    pub fn new(url: &str, user: Option<&str>, ca: &Ca) -> Result<Self, Failure> {
        let info = url.into_connection_info().map_err(|e| {
            // The URL is not repeated: it might hold a password.
            Failure::new(FailureKind::Local, format!("the Redis URL can not be used: {}", words(&e)))
        })?;
        let settings = info.redis_settings().clone().set_lib_name("quarterdeck", env!("CARGO_PKG_VERSION"));
        let settings = match user {
            Some(user) => settings.set_username(user),
            None => settings,
        };
        Ok(Self {
            info: info.set_redis_settings(settings),
            user: user.map(str::to_owned),
            tls: url.starts_with("rediss:"),
            ca: ca.clone(),
        })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.info.addr().to_string()
    }

    /// Connects and logs in.
    pub async fn connect(
        &self,
        password: Option<&Password>,
        timeout: Duration,
    ) -> Result<MultiplexedConnection, Failure> {
        let mut settings = self.info.redis_settings().clone();
        if let Some(password) = password {
            let read = password.clone();
            let read = tokio::task::spawn_blocking(move || read())
                .await
                .map_err(|_| Failure::new(FailureKind::Local, "reading the Redis password was broken off"))??;
            if let Some(secret) = read {
                settings = settings.set_password(secret);
            }
        }
        if self.tls {
            crate::observe::http::install_ring();
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        let info = self.info.clone().set_redis_settings(settings);
        let client = match self.certificates().await? {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        };
        let client = client.map_err(|e| self.classify(&e, "connecting", timeout))?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|e| self.classify(&e, "connecting", timeout))
    }

    /// Own authorities and what the server is shown, as they are now; nothing where neither is configured.
    async fn certificates(&self) -> Result<Option<TlsCertificates>, Failure> {
        let local =
            |why: String| Failure::new(FailureKind::Local, format!("{} can not be asked: {why}", self.address()));
        if !self.tls || (self.ca.file.is_none() && self.ca.client.is_none()) {
            return Ok(None);
        }
        let root_cert = match self.ca.file.clone() {
            None => None,
            Some(path) => {
                let read = tokio::task::spawn_blocking(move || {
                    // Tried here, since the client says less of what is wrong with one.
                    authorities::ders(&path)?;
                    std::fs::read(&path).map_err(|e| format!("the authorities in {}: {e}", path.display()))
                });
                let read = read.await.map_err(|_| local("reading its authorities was broken off".into()))?;
                Some(read.map_err(local)?)
            }
        };
        let client_tls = match &self.ca.client {
            None => None,
            Some(client) => {
                let (Pair { cert, key }, _) = client.read().await.map_err(local)?;
                let bytes = |secret: &Secret| secret.expose().as_bytes().to_vec();
                Some(ClientTlsConfig { client_cert: bytes(&cert), client_key: bytes(&key) })
            }
        };
        Ok(Some(TlsCertificates { client_tls, root_cert }))
    }

    /// The answer is not what Redis says.
    pub fn protocol(&self, why: &str) -> Failure {
        Failure::new(FailureKind::Protocol, format!("{} does not answer as Redis does: {why}", self.address()))
    }

    /// Sorts an error into its class, with what would help.
    pub fn classify(&self, error: &RedisError, doing: &str, timeout: Duration) -> Failure {
        let (address, words) = (self.address(), words(error));
        let user = self.user.as_deref().unwrap_or("default");
        if error.is_timeout() {
            let seconds = timeout.as_secs_f64();
            return Failure::new(FailureKind::Timeout, format!("no answer from {address} within {seconds} s"));
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => {
                let why = format!("{address} refuses the login of user {user}: {words}");
                Failure::new(FailureKind::Authentication, why)
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                let command = doing.to_ascii_lowercase().replace(' ', "|");
                let why = format!("user {user} may not run {doing} on {address}; ACL SETUSER {user} +{command}");
                Failure::new(FailureKind::Permission, why)
            }
            ErrorKind::Server(ServerErrorKind::BusyLoading) => {
                let why = format!("{address} is loading its data set from disk and answers nothing yet");
                Failure::new(FailureKind::Unreachable, why)
            }
            ErrorKind::Io if self.tls && is_tls(&words) => {
                Failure::new(FailureKind::Tls, format!("TLS with {address} failed: {words}"))
            }
            ErrorKind::Io => Failure::new(FailureKind::Unreachable, format!("no connection to {address}: {words}")),
            ErrorKind::InvalidClientConfig | ErrorKind::Client => {
                Failure::new(FailureKind::Local, format!("{address} can not be asked: {words}"))
            }
            _ => match error.code() {
                Some("NOAUTH" | "WRONGPASS") => {
                    let why = format!("{address} refuses the login of user {user}: {words}");
                    Failure::new(FailureKind::Authentication, why)
                }
                Some("DENIED") => {
                    let why = format!("{address} runs in protected mode and refuses other hosts: {words}");
                    Failure::new(FailureKind::Permission, why)
                }
                _ => self.protocol(&words),
            },
        }
    }
}

/// The client keeps the error of the TLS library out of reach; its words are those of `rustls::Error`.
fn is_tls(words: &str) -> bool {
    ["certificate", "fatal alert", "corrupt message", "handshake", "close_notify"].iter().any(|w| words.contains(w))
}

fn words(error: &RedisError) -> String {
    error.detail().map_or_else(|| error.to_string(), str::to_owned)
}
