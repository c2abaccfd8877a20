//! A Traefik of a test's own, with a backend, a maintenance page and a watched directory, all on loopback.

use crate::config::model::Traefik as Config;
use crate::domain::facts::TraefikFacts;
use crate::domain::id::SourceId;
use crate::domain::mode::Mode;
use crate::domain::ports::{BoxFuture, Outcome};
use crate::domain::sample::Failure;
use crate::observe::http::rig::{Server, Tiny, certificate, ports, program, skip, until};
use crate::observe::http::{Ask, Http, Trust};
use crate::observe::poll::Poll as _;
use crate::observe::traefik::TraefikObserver;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const HOST: &str = "t017.example";

pub(crate) struct Private {
    server: Server,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) web: String,
    pub(crate) secure: String,
    pub(crate) admin: String,
    pub(crate) maintenance: Tiny,
    _backend: Tiny,
}

/// The binary that the lab installed, or one on the PATH.
fn binary() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/cache");
    let caches = ["QUARTERDECK_LAB_CACHE", "LAB_DIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    caches
        .flat_map(|dir| [dir.join("cache"), dir])
        .chain([own])
        .filter_map(|cache| std::fs::read_dir(cache.join("traefik")).ok())
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin/traefik")))
        .find(|path| path.is_file())
        .or_else(|| program("traefik"))
}

/// Days until its certificate expires.
pub(crate) const DAYS: i64 = 10;

impl Private {
    pub(crate) async fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[]).await
    }

    pub(crate) async fn start_with(test: &str, more: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let binary = binary().filter(|_| certificate(dir.path(), DAYS, &[HOST, "www.t017.example"]));
        let Some(binary) = binary else {
            skip(test, "no Traefik (tests/lab/lab install traefik) or no openssl");
            return None;
        };
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(at("dynamic")).unwrap();
        let backend = Tiny::http(|first, _| {
            let status = first.split(['/', ' ']).find_map(|w| w.parse().ok()).unwrap_or(200);
            (status, "the tenant".into())
        });
        let maintenance = Tiny::http(|first, _| (503, format!("<h1>Maintenance</h1> {first}")));
        let routes = format!(
            "http:\n  routers:\n    t017: {{rule: 'Host(`{HOST}`)', service: t017}}\n    t017-tls: {{rule: \
             'Host(`{HOST}`)', service: t017, tls: {{}}}}\n    idle: {{rule: 'Host(`idle.example`)', service: t017}}\n  \
             services:\n    t017: {{loadBalancer: {{servers: [{{url: '{}'}}]}}}}\ntls:\n  certificates: [{{certFile: \
             '{}', keyFile: '{}'}}]\n",
            backend.url(),
            at("cert.pem"),
            at("key.pem")
        );
        std::fs::write(at("dynamic/base.yml"), routes).unwrap();
        let [web, secure, admin] = ports();
        let mut command = Command::new(binary);
        command
            .args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.noColor=true"])
            .arg(format!("--entryPoints.web.address=127.0.0.1:{web}"))
            .arg(format!("--entryPoints.websecure.address=127.0.0.1:{secure}"))
            .arg(format!("--entryPoints.traefik.address=127.0.0.1:{admin}"))
            .args(["--api.insecure=true", "--metrics.prometheus=true", "--metrics.prometheus.entryPoint=traefik"])
            .arg(format!("--providers.file.directory={}", at("dynamic")))
            .arg("--providers.providersThrottleDuration=100ms");
        if more.is_empty() {
            command.arg("--metrics.prometheus.addRoutersLabels=true");
        }
        command.args(more);
        let mut server = Server::start(&mut command, &dir.path().join("log"));
        let http = |port: u16| format!("http://127.0.0.1:{port}");
        let private = Self {
            web: http(web),
            secure: format!("https://127.0.0.1:{secure}"),
            admin: http(admin),
            maintenance,
            _backend: backend,
            dir,
            server: {
                until("Traefik answers for the tenant", LIMIT, async || {
                    assert!(!server.ended(), "Traefik ended: {}", server.log());
                    (get(&format!("{}/", http(web)), HOST).await.ok()?.0 == 200).then_some(())
                })
                .await;
                server
            },
        };
        Some(private)
    }

    pub(crate) fn dynamic(&self, name: &str) -> PathBuf {
        self.dir.path().join("dynamic").join(name)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            id: SourceId::from("edge-1"),
            metrics: format!("{}/metrics", self.admin),
            api: Some(self.admin.clone()),
            dynamic_dir: Some(self.dir.path().join("dynamic")),
            maintenance_url: Some(self.maintenance.url()),
            probe_url: Some(self.web.clone()),
            ca: crate::config::model::Ca::default(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
        }
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        self.server.signal(signal);
    }

    pub(crate) fn log(&self) -> String {
        self.server.log()
    }
}

/// Status and body of one request.
pub(crate) async fn get(url: &str, host: &str) -> Result<(u16, String), Failure> {
    let http = Http::new(&Trust::plain_only())?;
    let ask = Ask { url, host: Some(host), accept: "*/*", limit: 1 << 20, timeout: Duration::from_secs(5) };
    let answer = http.get(&ask).await?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

/// An observer of it.
pub(crate) fn observer(config: Config) -> TraefikObserver {
    TraefikObserver::new(Mode::ReadOnly.may_observe().unwrap(), config)
}

/// One poll.
pub(crate) async fn facts(observer: &mut TraefikObserver) -> Result<TraefikFacts, Failure> {
    match observer.poll().await? {
        crate::domain::facts::Facts::Traefik(facts) => Ok(facts),
        other => panic!("{other:?}"),
    }
}

/// What a verb answered.
pub(crate) async fn done(outcome: BoxFuture<'_, Outcome>) -> (serde_json::Value, String) {
    match outcome.await {
        Outcome::Done { result, summary } => (result, summary),
        other => panic!("{other:?}"),
    }
}
