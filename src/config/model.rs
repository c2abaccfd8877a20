//! What a configuration says after it has been checked. One struct a table of the file.

pub use super::audit_log::AuditLog;
pub use super::backup::{Patroni, Pgbackrest};
pub use super::baseline::Baseline;
pub use super::bucket::Bucket;
pub use super::certificate::ClientCertificate;
pub use super::comms::{Audience, Comms, Duty, Hook, Mailer, Pager, PagerKind, Place, Schedule, Smtps, WebhookBody};
pub use super::estates::Named;
pub use super::impersonation::Impersonate;
pub use super::integration::{Integration, Measure, MeasureBy};
pub use super::logs::{LogQuery, Logs, LogsBy, Server, Template, Traces, TracesKind};
pub use super::odoo::{Door, OdooApi};
pub use super::oidc::Oidc;
pub use super::probe::Probe;
pub use super::prometheus::{Alertmanager, HttpAuth, PromQuery, PromSubject, Prometheus, Webhook};
pub use super::restore_test::RestoreTest;
pub use super::secret::kubernetes::InCluster;
pub use super::secret::vault::{InVault, Vault};
pub use super::standby::Standby;
pub use super::synthetic::Synthetics;
pub use super::tls::{Ca, TlsMin};
pub use super::watch::Log;
use crate::domain::account::Prices;
use crate::domain::estate::{Estate, Occasion, Service, Terms};
use crate::domain::id::{SourceId, TenantId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The declared estate with its tenants.
    pub estate: Estate,
    /// Clusters.
    pub kubernetes: Vec<Kubernetes>,
    /// Vaults that references to secrets may name.
    pub vaults: Vec<Arc<Vault>>,
    /// Every reference to a secret, with where it stands: `password of [[postgres]]`.
    pub secrets: Vec<(String, SecretRef)>,
    /// Where a person proves a second factor.
    pub oidc: Option<Oidc>,
    /// PostgreSQL instances.
    pub postgres: Vec<Postgres>,
    /// `PgBouncer`s.
    pub pgbouncer: Vec<Pgbouncer>,
    /// Redis instances.
    pub redis: Vec<Redis>,
    /// Traefiks.
    pub traefik: Vec<Traefik>,
    /// Prometheus servers.
    pub prometheus: Vec<Prometheus>,
    /// Alertmanagers.
    pub alertmanager: Vec<Alertmanager>,
    /// Systems that are asked for logs.
    pub logs: Vec<Logs>,
    /// Systems that are asked for traces.
    pub traces: Vec<Traces>,
    /// Where a person finds the traces of a tenant.
    pub trace_link: Option<Template>,
    /// What delivers changes.
    pub delivery: Vec<Delivery>,
    /// Projects whose pipelines deliver.
    pub ci: Vec<Ci>,
    /// How people outside are told.
    pub comms: Comms,
    /// Web hooks that `http.webhook` may call.
    pub webhook: Vec<Hook>,
    /// Stanzas of pgBackRest.
    pub pgbackrest: Vec<Pgbackrest>,
    /// Clusters of Patroni.
    pub patroni: Vec<Patroni>,
    /// Object storage that backups lie in.
    pub bucket: Vec<Bucket>,
    /// How it is known that backups can be restored.
    pub restore_test: Vec<RestoreTest>,
    /// Regions that take over.
    pub standby: Vec<Standby>,
    /// Audit logs of Kubernetes.
    pub audit_log: Vec<AuditLog>,
    /// What was approved of roles, rights and policies.
    pub baseline: Option<Baseline>,
    /// Addresses that are asked from here.
    pub probe: Vec<Probe>,
    /// Integrations that can be cut off.
    pub integration: Vec<Integration>,
    /// How they are doing, where that is measured.
    pub measure: Vec<Measure>,
    /// Probe companies, and what is tried in them.
    pub synthetic: Vec<Synthetics>,
    /// `[[odoo]]`.
    pub odoo: Vec<OdooApi>,
    /// Where the journal and the other state lie.
    pub journal: Journal,
    /// The business calendar beside the cut-offs of tenants.
    pub calendar: Vec<Occasion>,
    /// What stands on what.
    pub services: Vec<Service>,
    /// What was agreed about tenants.
    pub terms: BTreeMap<TenantId, Terms>,
    /// Thresholds that differ from the defaults, by signal name.
    pub thresholds: Vec<Threshold>,
    /// What reserved capacity costs, where somebody says so.
    pub cost: Option<Prices>,
    /// Look of the console.
    pub console: Console,
    /// Other estates that a console of this file holds too.
    pub estates: Vec<Named>,
    /// Where consoles find the engine, and who may come.
    pub engine: Engine,
    /// Whether engines of several bastions share the sources (`[observe] share`).
    pub share: bool,
    /// Where the program tells a Prometheus of itself; nowhere when absent.
    pub metrics: Option<std::net::SocketAddr>,
    /// What it writes down of itself.
    pub log: Log,
}

/// `[engine]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Its socket; `engine.sock` beside the journal when absent.
    pub socket: Option<PathBuf>,
    /// Name or number of the group whose members may attach; only the engine's user and root when absent.
    pub socket_group: Option<String>,
    /// The policy file, from the directory of the configuration on; `policy.toml` beside it when absent.
    pub policy: Option<PathBuf>,
}

/// A secret as the configuration names it; the value is read when it is needed and is never stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `env:NAME`.
    Env(String),
    /// `file:PATH`; refused when others can read it.
    File(PathBuf),
    /// `command:PROGRAM ARG …`; its standard output without the last newline.
    Command(Vec<String>),
    /// `kubernetes:CLUSTER/NAMESPACE/NAME#KEY`.
    Kubernetes(Arc<InCluster>),
    /// `vault:ID/PATH#KEY`.
    Vault(Arc<InVault>),
}

/// How a PostgreSQL connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    Disable,
    /// Encrypted, certificate checked against the system's or the given authorities.
    VerifyFull,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// User or role.
    pub user: String,
    /// Password, where one is needed.
    pub password: Option<SecretRef>,
}

/// `[[kubernetes]]`.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    /// Source name.
    pub id: SourceId,
    /// Kubeconfig used to observe.
    pub kubeconfig: PathBuf,
    /// Context in it; the current one when absent.
    pub context: Option<String>,
    /// Kubeconfig used to act; verbs are refused without it.
    pub act_kubeconfig: Option<PathBuf>,
    /// In whose name verbs act; in that of `act_kubeconfig` itself when absent.
    pub impersonate: Option<Impersonate>,
    /// Least time between two samples made of the watched state.
    pub interval: Duration,
}

/// `[[postgres]]`.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Source name.
    pub id: SourceId,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database for instance-wide queries.
    pub database: String,
    /// Login used to observe.
    pub observe: Login,
    /// Login used to act; verbs are refused without it.
    pub act: Option<Login>,
    /// Protection.
    pub tls: Tls,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: Ca,
    /// Time between samples.
    pub interval: Duration,
    /// Time between looks into tenants' databases of this server, whichever they are.
    pub tenant_pace: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
}

/// `[[pgbouncer]]`.
#[derive(Clone, Debug)]
pub struct Pgbouncer {
    /// Source name.
    pub id: SourceId,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login that may `SHOW POOLS`.
    pub observe: Login,
    /// Login among its `admin_users`; verbs are refused without it.
    pub act: Option<Login>,
    /// File that its configuration includes after `[databases]`, with databases that may be pointed elsewhere.
    pub databases_file: Option<PathBuf>,
    /// Time between samples.
    pub interval: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
}

/// `[[redis]]`.
#[derive(Clone, Debug)]
pub struct Redis {
    /// Source name.
    pub id: SourceId,
    /// `redis://host:port/db` or `rediss://…`, without password.
    pub url: String,
    /// Login used to observe; the default user when absent.
    pub observe: Option<Login>,
    /// Login used to act; verbs are refused without it.
    pub act: Option<Login>,
    /// `cache`, `session` or `queue`: decides what an eviction means.
    pub purpose: String,
    /// Sentinels `host:port`, where there are any.
    pub sentinels: Vec<String>,
    /// Name of the primary at the sentinels.
    pub sentinel_name: Option<String>,
    /// Lists and streams whose length is looked at.
    pub keys: Vec<String>,
    /// Whose authorities vouch for it, and what it is shown; Redis itself says which versions of TLS there are.
    pub ca: Ca,
    /// What it runs in on Kubernetes; `redis.restart` is refused without it.
    pub workload: Option<Workload>,
    /// Time between samples.
    pub interval: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
}

/// Kinds of workloads whose pods are replaced one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `StatefulSet`.
    StatefulSet,
    /// `Deployment`.
    Deployment,
}

impl WorkloadKind {
    /// As the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StatefulSet => "StatefulSet",
            Self::Deployment => "Deployment",
        }
    }

    /// As the configuration and kubectl name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::StatefulSet => "statefulset",
            Self::Deployment => "deployment",
        }
    }

    /// As it stands in a path of the API.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::StatefulSet => "statefulsets",
            Self::Deployment => "deployments",
        }
    }
}

/// `workload` of a source: what it runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The `[[kubernetes]]` that it runs on.
    pub cluster: SourceId,
    /// Namespace.
    pub namespace: String,
    /// Kind.
    pub kind: WorkloadKind,
    /// Name.
    pub name: String,
}

/// `[[traefik]]`.
#[derive(Clone, Debug)]
pub struct Traefik {
    /// Source name.
    pub id: SourceId,
    /// URL of the Prometheus metrics.
    pub metrics: String,
    /// Base URL of the API, where it is open to us.
    pub api: Option<String>,
    /// Directory that Traefik's file provider watches; maintenance verbs are refused without it.
    pub dynamic_dir: Option<PathBuf>,
    /// URL of the service that answers during maintenance (503 and a page).
    pub maintenance_url: Option<String>,
    /// Base URL through which a probe reaches the routers (`http://127.0.0.1:8080`), the tenant's host is
    /// sent as `Host`.
    pub probe_url: Option<String>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: Ca,
    /// Time between samples.
    pub interval: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
}

/// `[[delivery]]`: what delivers changes to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub id: SourceId,
    /// The `[[kubernetes]]` whose API server has the objects of Argo CD and Flux.
    pub cluster: SourceId,
    /// Namespace of Argo CD; none without it.
    pub argocd_namespace: Option<String>,
    /// Whether Flux delivers there.
    pub flux: bool,
}

/// Whose API a `[[ci]]` speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiKind {
    /// GitLab.
    Gitlab,
    /// GitHub Actions.
    Github,
}

/// `[[ci]]`: a project whose pipelines deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ci {
    /// Its name.
    pub id: SourceId,
    /// Whose API it is.
    pub kind: CiKind,
    /// Base URL of the API: `https://gitlab.example/api/v4`, `https://api.github.com`.
    pub url: String,
    /// Path of the project: `group/name`.
    pub project: String,
    /// Token.
    pub token: Option<SecretRef>,
    /// File names of the workflows that deliver; GitHub only.
    pub workflows: Vec<String>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: Ca,
}

/// `[journal]`.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Directory of the journal; the state directory when absent.
    pub dir: Option<PathBuf>,
    /// The database that it lies in, where several bastions write it; the directory is a copy then.
    pub database: Option<JournalDatabase>,
    /// A verifier key of the log, or the file that holds it; the pin made at first sight when absent.
    pub vkey: Option<String>,
    /// Whom its checkpoints are shown to.
    pub witnesses: Witnesses,
    /// Object storage that copies go to.
    pub anchor: Option<Anchor>,
    /// What stays on this disk, and where the rest is moved.
    pub archiving: Archiving,
    /// Who can open the secret values that records only commit to: age public keys, `age1…`; nobody when empty.
    pub openings: Vec<String>,
}

/// `[journal.postgres]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalDatabase {
    /// Hosts and ports: the one that takes writes is used, the others may take over from it.
    pub servers: Vec<(String, u16)>,
    /// Database.
    pub database: String,
    /// Login of this bastion.
    pub login: Login,
    /// Protection.
    pub tls: Tls,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: Ca,
    /// Time allowed for one answer.
    pub timeout: Duration,
    /// How long a lease of this engine lasts unless it is renewed; what the journal takes when absent.
    pub lease: Option<Duration>,
}

/// `[estate] region`, `[journal.retention]` and `[[journal.archive]]`.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Archiving {
    /// The region in which the estate's records may lie.
    pub region: Option<String>,
    /// What has to stay; nothing goes when absent.
    pub retention: Option<Retention>,
    /// Places of all regions.
    pub places: Vec<Archive>,
}

impl Archiving {
    /// The places in the estate's region.
    pub fn allowed(&self) -> impl Iterator<Item = &Archive> {
        self.places.iter().filter(|place| Some(&place.region) == self.region.as_ref())
    }
}

/// `[journal.retention]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days for which a record stays on this disk.
    pub days: u32,
    /// Number of newest records that stay in any case.
    pub records: u64,
}

/// `[[journal.archive]]`: a directory, or a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The region that it is in.
    pub region: String,
    /// Which of both.
    pub store: Store,
}

/// Where an archive keeps its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A directory of its own.
    Directory(PathBuf),
    /// S3-compatible object storage.
    Bucket(Storage),
}

/// A bucket of S3-compatible object storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Base URL; buckets are named in the path.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// What all keys begin with, without a slash at its end; several logs may share a bucket.
    pub prefix: String,
    /// Region that requests are signed for.
    pub signing_region: String,
    /// Access key id.
    pub access_key: SecretRef,
    /// Secret access key.
    pub secret_key: SecretRef,
    /// Own certificate authorities, PEM.
    pub ca: Option<PathBuf>,
}

/// `witness_quorum`, `max_uncosigned_age` and `[[journal.witness]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnesses {
    /// How many administrators' witnesses must cover the start of a high-risk step; 0 for none.
    pub quorum: u32,
    /// How long a record may wait for the quorum before that is said.
    pub max_uncosigned_age: Duration,
    /// The witnesses.
    pub all: Vec<Witness>,
}

/// `[[journal.witness]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What it is called here.
    pub name: String,
    /// Its submission prefix.
    pub url: String,
    /// Its verifier key, `NAME+ID+KEY`.
    pub vkey: String,
    /// Who runs it; witnesses of one administrator count once.
    pub administrator: String,
    /// Own certificate authorities for it, PEM.
    pub ca: Option<PathBuf>,
}

/// `[journal.anchor]`: S3-compatible object storage, a bucket with object lock in compliance mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Base URL; buckets are named in the path.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// What all keys begin with, without a slash at its end; several logs may share a bucket.
    pub prefix: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Access key id.
    pub access_key: SecretRef,
    /// Secret access key.
    pub secret_key: SecretRef,
    /// Least time between two checkpoints that are put there.
    pub interval: Duration,
    /// Days for which the bucket must keep what is put there; less is a gap.
    pub retention_days: u32,
    /// Whether evidence files are copied too. What lies under object lock can not be deleted before its time.
    pub evidence: bool,
    /// Own certificate authorities, PEM.
    pub ca: Option<PathBuf>,
}

/// `[[threshold]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Signal name from the table of signals.
    pub signal: String,
    /// Warn from here on, in the signal's unit.
    pub warn: f64,
    /// Critical from here on.
    pub critical: f64,
}

/// `[console]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Theme name; chosen by the terminal's capabilities when absent.
    pub theme: Option<String>,
    /// Mouse reporting.
    pub mouse: bool,
    /// Word of the view of a role that a console begins with.
    pub view: Option<String>,
    /// Whether it rings the bell when something comes that a person would look up for.
    pub bell: bool,
    /// How it asks the terminal for a notification then: `osc9`, `osc777` or `off`.
    pub notify: String,
    /// Whether it sets the title of the window.
    pub title: bool,
    /// Whether it tells the terminal where web addresses lead: `auto`, `on` or `off`.
    pub hyperlinks: String,
    /// Most bytes a second that it writes: `full` or `low`.
    pub bandwidth: String,
    /// Program and arguments with which texts may be edited outside.
    pub editor: Vec<String>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            theme: None,
            mouse: true,
            view: None,
            bell: true,
            notify: "osc9".to_owned(),
            title: true,
            hyperlinks: "auto".to_owned(),
            bandwidth: "full".to_owned(),
            editor: Vec::new(),
        }
    }
}
