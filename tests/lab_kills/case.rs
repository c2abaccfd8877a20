//! One verb on its server, and how that server counts what it did.

use crate::boundary::{Boundary, Event};
use crate::lab_support::Lab;
use crate::lab_support::wire::{At, Wire};
pub use crate::postgres::Process;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a program does that stands for a gate, as a shell script: `DIR` is its folder, `WORK` what it is for.
pub const GATED: &str = "touch DIR/begun\nwhile [ -e DIR/before ]; do sleep 0.05; done\nWORK\ncode=$?\n\
                         while [ -e DIR/after ]; do sleep 0.05; done\nexit $code\n";

/// What is between the engine and the server.
pub enum Gate {
    /// A wire.
    Wire(Wire),
    /// A program that is started on this machine; while files are in this folder it waits before it does its work, or
    /// after it (see [`GATED`]).
    Stays(PathBuf),
    /// Nothing: the verb writes a file.
    None,
}

impl Gate {
    /// The places at which a request can be held.
    pub fn places(&self) -> Vec<At> {
        match self {
            Self::Wire(_) => At::ALL.into(),
            Self::Stays(_) => vec![At::Late, At::Answer],
            Self::None => Vec::new(),
        }
    }

    /// Whether there is a connection that can be cut.
    pub const fn cuts(&self) -> bool {
        matches!(self, Self::Wire(_))
    }
}

/// One verb.
pub struct Case<'a> {
    pub verb: &'static str,
    /// What class of effect it has.
    pub class: &'static str,
    /// Whether it stands for its adapter where not all are tried.
    pub first: bool,
    /// Tables of the configuration beside the Redis that every step is verified with.
    pub config: String,
    /// Own policy.
    pub policy: Option<String>,
    /// What the step says of its risk.
    pub terms: &'static str,
    pub gate: Gate,
    /// Whether it takes away what it makes, so that it may be tried again once nothing of the first try is there.
    pub tidies: bool,
    /// System calls at which the engine is killed.
    pub calls: Vec<&'static str>,
    /// Brings the target to where it can have the effect; the arguments of the step.
    pub prepare: Box<dyn Fn() -> String + Send + Sync + 'a>,
    /// How often it had its effect.
    pub count: Box<dyn Fn() -> u64 + Send + Sync + 'a>,
}

impl<'a> Case<'a> {
    pub fn new(
        (verb, class): (&'static str, &'static str),
        config: String,
        gate: Gate,
        prepare: impl Fn() -> String + Send + Sync + 'a,
        count: impl Fn() -> u64 + Send + Sync + 'a,
    ) -> Self {
        let (prepare, count) = (Box::new(prepare), Box::new(count));
        let calls = vec!["pwrite64", "fdatasync"];
        let terms = "risk: medium, blastRadius: tenant, reversible: compensatable";
        Self { verb, class, first: false, config, policy: None, terms, gate, tidies: false, calls, prepare, count }
    }

    /// The one of its adapter that is always tried.
    #[must_use]
    pub fn first(self) -> Self {
        Self { first: true, ..self }
    }

    /// It takes away what it makes.
    #[must_use]
    pub fn tidies(self) -> Self {
        Self { tidies: true, ..self }
    }

    /// With other words about its risk.
    #[must_use]
    pub fn with(self, terms: &'static str) -> Self {
        Self { terms, ..self }
    }

    /// Whether it is confirmed by typing, and approved: by the broken glass, here.
    pub fn is_high(&self) -> bool {
        self.terms.contains("high")
    }

    /// It writes files itself: killed also before that, and before it is durable.
    #[must_use]
    pub fn writes(self) -> Self {
        let calls = [&self.calls[..], &["renameat2", "fsync"]].concat();
        Self { calls, ..self }
    }

    /// The boundary at which least is known: it had its effect, and no record says so.
    pub fn worst(&self) -> Boundary {
        match self.gate {
            Gate::None => Boundary::Call { from_start: false, call: "fsync", nth: 2 },
            _ => Boundary::Wire { at: At::Answer, event: Event::EngineKilled },
        }
    }

    pub fn playbook(&self, args: &str) -> String {
        let (adapter, verb) = self.verb.split_once('.').unwrap();
        format!(
            "schemaVersion: 1\nid: kill\nname: One step\nversion: 1\nowner: tests\ndescription: One step that changes \
             something.\nlastReviewed: 2026-11-22\nseverity: [SEV1, SEV2, SEV3]\nsteps:\n- {{id: act, name: change, why: It \
             is tried what becomes of it., type: action, {}, timeout: 12s, onUnknown: reconcile,\n   run: {{adapter: \
             {adapter}, verb: {verb}, args: {{{args}}}}},\n   verify: [{{check: \"result.used_memory > 0\", text: it is \
             looked at, within: 10s, run: {{adapter: redis, verb: info, args: {{redis: seen}}}}}}]}}\n",
            self.terms
        )
    }
}

/// What the cases stand on, taken away with it.
pub struct Scene<'a> {
    pub lab: &'a Lab,
    pub dir: tempfile::TempDir,
    /// A namespace of this test.
    pub space: String,
    /// Port of a `kubectl proxy` with the rights of the login that acts: the API server without TLS.
    pub api: u16,
    _proxy: Process,
}

impl<'a> Scene<'a> {
    pub fn new(lab: &'a Lab) -> Self {
        let space = format!("kills-{}", std::process::id());
        lab.kubectl(&["create", "namespace", &space]);
        let mut proxy = Command::new(lab.var("LAB_KUBECTL"))
            .args(["--kubeconfig", lab.var("LAB_KUBECONFIG_ACT"), "proxy", "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let api = said.trim().rsplit_once(':').unwrap_or_else(|| panic!("kubectl proxy: {said}")).1.parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { lab, dir, space, api, _proxy: Process(proxy) }
    }

    /// `kubectl` in the namespace of this test.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.lab.kubectl(&[&["-n", self.space.as_str()], args].concat())
    }

    /// A secret as a file.
    pub fn secret(&self, name: &str, text: &str) -> String {
        let file = self.dir.path().join(name);
        write(&file, text, 0o600);
        file.display().to_string()
    }

    /// The lab's Redis as a source, over a port.
    pub fn redis(&self, id: &str, port: u16, more: &str) -> String {
        let (look, act) =
            (self.lab.var("LAB_REDIS_OBSERVE_PASSWORD_FILE"), self.lab.var("LAB_REDIS_ACT_PASSWORD_FILE"));
        format!(
            "[[redis]]\nid = \"{id}\"\nurl = \"redis://127.0.0.1:{port}/0\"\nuser = \"quarterdeck_observe\"\n\
             password = \"file:{look}\"\nact = {{ user = \"quarterdeck_act\", password = \"file:{act}\" }}\n\
             purpose = \"queue\"\n{more}"
        )
    }

    /// A port that the lab names.
    pub fn port(&self, name: &str) -> u16 {
        let text = self.lab.var(name);
        text.rsplit_once(':').map_or(text, |(_, port)| port).parse().unwrap()
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.lab.kubectl(&["delete", "namespace", &self.space, "--wait=false"]);
    }
}

/// A number that a server counts up, as of a moment.
pub struct Since<F> {
    read: F,
    base: AtomicU64,
}

impl<F: Fn() -> u64> Since<F> {
    pub fn new(read: F) -> Arc<Self> {
        Arc::new(Self { read, base: AtomicU64::new(0) })
    }

    /// From now on.
    pub fn now(&self) {
        self.base.store((self.read)(), Ordering::SeqCst);
    }

    /// How many have come since.
    pub fn count(&self) -> u64 {
        (self.read)() - self.base.load(Ordering::SeqCst)
    }
}

/// Writes a file with these rights.
pub fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// A number.
pub fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|e| panic!("{e}: {text}"))
}
