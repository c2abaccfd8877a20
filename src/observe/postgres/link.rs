//! The way to one PostgreSQL server: login, protection and the settings of each session. Used by observers and
//! by verbs, which only differ in the login they are given.

use super::failure::{self, address};
use crate::config::authorities;
use crate::config::certificate::Shown;
use crate::config::model::{self, Ca, Login, Tls, TlsMin};
use crate::config::secret::{self, Secret};
use crate::domain::sample::{Failure, FailureKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

/// What a session may do, said to the server when it starts. It travels as the start-up parameter `options`:
/// unlike a `SET` it can not leak to another client through a pooler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// Looks: read-only transactions, this `statement_timeout`, and nothing found outside `pg_catalog` unless
    /// it is named with its schema, so that no tenant's function can stand in for a system one.
    Look {
        /// `statement_timeout`.
        statement_timeout: Duration,
    },
    /// Changes: this `statement_timeout`; triggers of the database find what they are used to.
    Change {
        /// `statement_timeout`.
        statement_timeout: Duration,
    },
    /// None, for the admin console of `PgBouncer`, which knows no settings.
    Console,
}

impl Settings {
    fn options(self) -> Option<String> {
        // `jit=off`: compiling these short queries takes longer than running them.
        let options = |timeout: Duration, more: &str| {
            format!("-c statement_timeout={} -c jit=off -c TimeZone=UTC{more}", timeout.as_millis().max(1))
        };
        match self {
            Self::Look { statement_timeout } => {
                Some(options(statement_timeout, " -c default_transaction_read_only=on -c search_path=pg_catalog"))
            }
            Self::Change { statement_timeout } => Some(options(statement_timeout, "")),
            Self::Console => None,
        }
    }
}

/// One server and one login. Reads the secret and the certificate authorities when it first needs them.
#[derive(Debug)]
pub struct Link {
    host: String,
    port: u16,
    address: String,
    login: Login,
    tls: Tls,
    ca: Ca,
    connector: OnceCell<Connector>,
    /// What the server is shown when it asks for a certificate.
    shown: Arc<Shown>,
    password: Mutex<Option<Secret>>,
}

struct Connector(MakeRustlsConnect);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

/// An open session. Dropping it closes the socket at once, also in the middle of a query: the server then
/// ends that query at its `statement_timeout` at the latest.
#[derive(Debug)]
pub struct Session {
    client: Client,
    driver: AbortOnDropHandle<()>,
}

impl Link {
    /// To an instance with the login that observes.
    pub fn observe(config: &model::Postgres) -> Self {
        Self::new(&config.host, config.port, config.observe.clone(), config.tls, config.ca.clone())
    }

    /// To an instance with the login that acts, where there is one.
    pub fn act(config: &model::Postgres) -> Option<Self> {
        let login = config.act.clone()?;
        Some(Self::new(&config.host, config.port, login, config.tls, config.ca.clone()))
    }

    /// To the admin console of a `PgBouncer`.
    pub fn pgbouncer(config: &model::Pgbouncer) -> Self {
        Self::new(&config.host, config.port, config.observe.clone(), Tls::Disable, Ca::default())
    }

    /// The same with the login that acts, where there is one.
    pub fn pgbouncer_admin(config: &model::Pgbouncer) -> Option<Self> {
        let login = config.act.clone()?;
        Some(Self::new(&config.host, config.port, login, Tls::Disable, Ca::default()))
    }

    /// To the servers of a journal, in their order.
    pub fn journal(config: &model::JournalDatabase) -> Vec<Self> {
        let model::JournalDatabase { servers, login, tls, ca, .. } = config;
        servers.iter().map(|(host, port)| Self::new(host, *port, login.clone(), *tls, ca.clone())).collect()
    }

    /// To the first of those servers, as somebody else.
    pub fn journal_as(config: &model::JournalDatabase, login: Login) -> Option<Self> {
        let (host, port) = config.servers.first()?;
        Some(Self::new(host, *port, login, config.tls, config.ca.clone()))
    }

    fn new(host: &str, port: u16, login: Login, tls: Tls, ca: Ca) -> Self {
        Self {
            host: host.to_owned(),
            port,
            address: address(host, port),
            login,
            tls,
            ca,
            connector: OnceCell::new(),
            shown: Arc::default(),
            password: Mutex::new(None),
        }
    }

    /// `host:port`, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The role that logs in.
    pub fn user(&self) -> &str {
        &self.login.user
    }

    /// Opens a session in a database. Waits as long as the caller does; dropping the future closes the socket.
    pub async fn open(&self, database: &str, settings: Settings) -> Result<Session, Failure> {
        self.open_hearing(database, settings, |_| ()).await
    }

    /// The same; `hear` is given what the server says unasked, notices and notifications. What it says of a statement comes
    /// before the answer to that statement.
    pub async fn open_hearing(
        &self,
        database: &str,
        settings: Settings,
        hear: impl FnMut(AsyncMessage) + Send + 'static,
    ) -> Result<Session, Failure> {
        let mut config = tokio_postgres::Config::new();
        config.host(&self.host).port(self.port).user(&self.login.user).dbname(database);
        config.application_name("quarterdeck");
        if let Some(options) = settings.options() {
            config.options(options);
        }
        if let Some(password) = self.password().await? {
            config.password(password.expose());
        }
        let opened = match self.tls {
            Tls::Disable => {
                config.ssl_mode(SslMode::Disable);
                config.connect(NoTls).await.map(|(client, connection)| Session::drive(client, connection, hear))
            }
            Tls::VerifyFull => {
                config.ssl_mode(SslMode::Require);
                let connector = self.connector.get_or_try_init(|| self.authorities()).await?.0.clone();
                self.read_certificate().await?;
                config.connect(connector).await.map(|(client, connection)| Session::drive(client, connection, hear))
            }
        };
        match opened {
            Ok(session) => Ok(session),
            Err(error) => {
                let failure = failure::classify(&self.address, &error);
                if failure.kind == FailureKind::Authentication {
                    // The secret may have been changed since it was read.
                    *self.password.lock().await = None;
                }
                Err(failure)
            }
        }
    }

    async fn password(&self) -> Result<Option<Secret>, Failure> {
        let Some(reference) = &self.login.password else { return Ok(None) };
        let mut kept = self.password.lock().await;
        if kept.is_none() {
            let read = secret::read(reference).await;
            *kept = Some(read.map_err(|e| Failure::new(FailureKind::Local, format!("{}: {e}", self.address)))?);
        }
        Ok(kept.clone())
    }

    /// The certificate as it is now, which a server may ask for.
    async fn read_certificate(&self) -> Result<(), Failure> {
        let Some(client) = &self.ca.client else { return Ok(()) };
        let read = client.read().await;
        let (_, certified) =
            read.map_err(|why| Failure::new(FailureKind::Local, format!("{}: {why}", self.address)))?;
        self.shown.set(certified);
        Ok(())
    }

    async fn authorities(&self) -> Result<Connector, Failure> {
        let (ca, shown) = (self.ca.clone(), self.ca.client.as_ref().map(|_| self.shown.clone()));
        let made =
            tokio::task::spawn_blocking(move || connector(authorities::trusted(ca.file.as_deref())?, ca.min, shown));
        let made = made.await.map_err(|e| e.to_string()).and_then(|made| made);
        made.map(Connector).map_err(|why| Failure::new(FailureKind::Local, format!("{}: {why}", self.address)))
    }
}

fn connector(
    roots: rustls::RootCertStore,
    min: TlsMin,
    shown: Option<Arc<Shown>>,
) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(min.versions())
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    Ok(MakeRustlsConnect::new(match shown {
        Some(shown) => config.with_client_cert_resolver(shown),
        None => config.with_no_client_auth(),
    }))
}

impl Session {
    fn drive<T>(
        client: Client,
        mut connection: Connection<Socket, T>,
        mut hear: impl FnMut(AsyncMessage) + Send + 'static,
    ) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // How a connection ended is told by the query that it breaks, or by `is_open` before the next.
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                hear(message);
            }
        });
        Self { client, driver: AbortOnDropHandle::new(driver) }
    }

    /// The client, for statements.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether nobody has cut it so far.
    pub fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Says good-bye, so that the server does not count the session as abandoned.
    pub async fn close(self) {
        drop(self.client);
        drop(tokio::time::timeout(Duration::from_millis(100), self.driver).await);
    }

    /// Asks in one round trip, without a prepared statement; parameters are text.
    pub async fn ask(&self, statement: &str, parameters: &[&str]) -> Result<Vec<Row>, tokio_postgres::Error> {
        let typed: Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> =
            parameters.iter().map(|p| (p as &(dyn tokio_postgres::types::ToSql + Sync), Type::TEXT)).collect();
        self.client.query_typed(statement, &typed).await
    }
}
