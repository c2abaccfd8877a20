//! An engine and attached consoles in one process: what consoles know is what the engine knows, they cost the observed
//! servers nothing, and a key proves who sits there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use futures::future::BoxFuture;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::id::SourceId;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::{Observer, SampleSink};
use quarterdeck::domain::sample::{SourceKind, SourceSpec};
use quarterdeck::drill::{Drill, Options, catalog};
use quarterdeck::engine::adapters;
use quarterdeck::engine::api::{Command, Proof, Reply, Snapshot};
use quarterdeck::engine::attach::door::Access;
use quarterdeck::engine::attach::listen::{self, Host, Listener, People};
use quarterdeck::engine::attach::remote::{self, Caller, Remote, Sign};
use quarterdeck::engine::attach::wire::{NAMESPACE, Shelf};
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::state::State;
use quarterdeck::journal::read::{Filter, Reader};
use quarterdeck::journal::{Kind, OpenOptions, Record, fold};
use quarterdeck::policy::sshsig::{Authority, Enrolled, PublicKey, Signers};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);

/// No journal's files.
struct Nothing;

impl Shelf for Nothing {
    fn read(&self, _: &Value) -> Result<Value, String> {
        Err("there is nothing".into())
    }
}

/// Keeps one connection to a server, as every real observer does.
struct Connected(std::net::SocketAddr);

impl Observer for Connected {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            id: SourceId::new("counted"),
            kind: SourceKind::Postgres,
            interval: Duration::from_secs(1),
            address: self.0.to_string(),
        }
    }

    fn run(self: Box<Self>, _: SampleSink) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let _connection = TcpStream::connect(self.0).await.unwrap();
            std::future::pending::<()>().await;
        })
    }
}

fn actor(user: &str) -> Actor {
    Actor { user: user.into(), uid: 0, via: "serve".into(), host: "test".into(), console: None }
}

struct Engine {
    running: Running,
    listener: Listener,
    socket: PathBuf,
    journal: PathBuf,
    _dir: tempfile::TempDir,
}

fn start(observers: Vec<Box<dyn Observer>>, people: Option<Arc<dyn People>>) -> Engine {
    let dir = tempfile::tempdir().unwrap();
    let (entries, _) = catalog::load(&[]);
    let options = Options { seed: Some(7), speed: Some(60.0), ..Options::default() };
    let mut adapters = adapters::drill(Drill::start(&entries[0].scenario, options));
    adapters.observers.extend(observers);
    let journal_dir = dir.path().join("journal");
    let mut state = State::default();
    let (environment, now) = (adapters.estate.environment, adapters.clock.now());
    let open = OpenOptions::new(&journal_dir, "quarterdeck/test", actor("mara"), Mode::Drill, environment, now);
    let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
    let signals = quarterdeck::correlate::signals::names();
    let (library, _) = quarterdeck::playbook::library::Library::load(&[], &quarterdeck::act::catalog(), &signals);
    let running = core::start(Parts {
        adapters,
        library,
        journal,
        state,
        journal_dir: String::new(),
        me: actor("mara"),
        loaded: serde_json::json!({}),
        witnesses: None,
        anchored: None,
    });
    let socket = journal_dir.join("engine.sock");
    let host = Host {
        client: running.client.clone(),
        door: running.door.clone(),
        access: Access::default(),
        shelf: Arc::new(Nothing),
        people,
    };
    let listener = listen::listen(&socket, host).unwrap();
    Engine { running, listener, socket, journal: journal_dir, _dir: dir }
}

impl Engine {
    async fn end(mut self) -> Vec<Record> {
        self.listener.close();
        self.running.end().await;
        self.listener.ended().await;
        Reader::open(&self.journal, Filter::default()).unwrap().map(|r| r.unwrap().record).collect()
    }

    async fn attach(&self, user: &str, sign: Option<Sign>) -> Remote {
        let caller =
            Caller { socket: self.socket.clone(), me: actor(user), from: None, read_only: false, sign, estate: None };
        remote::attach(caller).await.unwrap()
    }
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waits = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, waits).await.unwrap_or_else(|_| panic!("{what}: not within the time"));
}

/// A snapshot as JSON, with numbers as far as they are the same after a way through text.
fn shown(snapshot: &Snapshot) -> Value {
    fn round(value: &mut Value) {
        match value {
            Value::Number(n) if n.is_f64() => *value = format!("{:.9e}", n.as_f64().unwrap()).into(),
            Value::Array(all) => all.iter_mut().for_each(round),
            Value::Object(all) => all.values_mut().for_each(round),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(snapshot).unwrap();
    value["me"] = Value::Null;
    round(&mut value);
    value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_console_knows_is_what_the_engine_knows_change_after_change() {
    let engine = start(Vec::new(), None);
    // Everything that the engine has ever said, by its generation.
    let said: Arc<Mutex<BTreeMap<u64, Arc<Snapshot>>>> = Arc::default();
    let (keep, mut snapshots) = (said.clone(), engine.running.client.snapshots.clone());
    tokio::spawn(async move {
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            keep.lock().unwrap().insert(snapshot.generation, snapshot);
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    });
    let console = engine.attach("jon", None).await;
    let (mut compared, mut news) = (0, console.client.snapshots.clone());
    let mut declared = false;
    while compared < 40 {
        tokio::time::timeout(SOON, news.changed()).await.unwrap().unwrap();
        let seen = news.borrow_and_update().clone();
        let truth = said.lock().unwrap().get(&seen.generation).cloned();
        // One that came and went before it could be kept is not compared.
        let Some(truth) = truth else { continue };
        assert!(shown(&seen) == shown(&truth), "generation {} differs", seen.generation);
        assert_eq!(seen.me.as_str(), "jon");
        compared += 1;
        let harms = seen.findings.iter().any(|f| f.rule == "lock-chain" || !f.playbooks.is_empty());
        if !declared && (harms || compared == 20) {
            declared = true;
            let command = Command::Declare {
                title: "orders hang".into(),
                severity: quarterdeck::domain::incident::Severity::Sev1,
                findings: seen.findings.iter().map(|f| f.id.clone()).collect(),
            };
            let reply = console.client.send(command).await;
            assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
        }
    }
    let snapshot = console.client.snapshot();
    assert_eq!(snapshot.current_incident().map(|i| i.title.as_str()), Some("orders hang"));
    drop(console);
    let records = engine.end().await;
    let left = records.iter().find(|r| r.kind == Kind::ConsoleDetached).unwrap();
    assert_eq!(left.actor.user, "jon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_consoles_open_not_one_connection_more_to_what_is_observed_than_one() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = server.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    let engine = start(vec![Box::new(Connected(address))], None);
    let first = engine.attach("mara", None).await;
    until("the observer to connect", || accepted.load(Ordering::SeqCst) == 1).await;
    let mut consoles = Vec::new();
    for n in 1..20 {
        consoles.push(engine.attach(&format!("person-{n}"), None).await);
    }
    until("all to see all", || consoles.iter().chain([&first]).all(|c| c.client.snapshot().consoles.len() == 20)).await;
    // Each has been told at least one more beat, so that whatever it costs has been paid.
    for console in &consoles {
        let mut beat = console.client.beat.clone();
        tokio::time::timeout(SOON, beat.changed()).await.unwrap().unwrap();
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "connections with 20 consoles");
    drop((first, consoles));
    engine.end().await;
}

/// Makes a key pair, and signs with it as `ssh-keygen -Y sign` does.
fn key(dir: &Path, name: &str) -> PublicKey {
    let path = dir.join(name);
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    PublicKey::parse(&std::fs::read_to_string(path.with_extension("pub")).unwrap()).unwrap()
}

fn sign(key: PathBuf, namespace: &'static str, change: fn(String) -> String) -> Sign {
    Arc::new(move |text, _| {
        let key = key.clone();
        Box::pin(async move {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), change(text)).unwrap();
            let signed = std::process::Command::new("ssh-keygen")
                .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
                .arg(&key)
                .arg(file.path())
                .output()
                .unwrap();
            assert!(signed.status.success(), "{signed:?}");
            let signature = file.path().with_extension("sig");
            let signature =
                if signature.exists() { signature } else { PathBuf::from(format!("{}.sig", file.path().display())) };
            let text = std::fs::read_to_string(&signature).unwrap();
            std::fs::remove_file(&signature).unwrap();
            Some(text)
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_claimed_until_a_key_of_the_roster_has_signed_the_nonce() {
    let keys = tempfile::tempdir().unwrap();
    let mara = key(keys.path(), "mara");
    key(keys.path(), "stranger");
    let fingerprint = mara.fingerprint();
    let roster = Signers { keys: vec![Enrolled { person: "mara".into(), key: mara }], ..Signers::default() };
    let engine = start(Vec::new(), Some(Arc::new(roster)));
    let own = |name: &str| keys.path().join(name);
    let good = sign(own("mara"), NAMESPACE, |t| t);
    // Whatever the console claims, the key says who it is.
    let console = engine.attach("somebody", Some(good.clone())).await;
    let link = console.client.link.clone();
    until("the key to count", || link.borrow().attached.as_ref().is_some_and(|a| a.user == "mara")).await;
    assert_eq!(link.borrow().attached.as_ref().unwrap().proof, Proof::Key(fingerprint.clone()));
    let note = |text: &str| Command::Note { incident: None, text: text.into() };
    assert!(matches!(console.client.send(note("by key")).await, Reply::Accepted { .. }));
    let caller = Caller {
        socket: engine.socket.clone(),
        me: actor("x"),
        from: None,
        read_only: false,
        sign: Some(good),
        estate: None,
    };
    assert!(matches!(remote::command(&caller, note("by key once")).await.unwrap(), Reply::Accepted { .. }));
    // Another namespace, another text such as an older nonce, a key that nobody knows: the name stays claimed.
    let bad: [(&str, Sign, &str); 3] = [
        ("namespace", sign(own("mara"), "approval@quarterdeck", |t| t), "namespace"),
        ("replay", sign(own("mara"), NAMESPACE, |t| t.replace("nonce ", "nonce A")), ""),
        ("stranger", sign(own("stranger"), NAMESPACE, |t| t), ""),
    ];
    for (what, sign, says) in bad {
        let console = engine.attach("mara", Some(sign)).await;
        let link = console.client.link.clone();
        let doubt = || link.borrow().attached.as_ref().and_then(|a| a.doubt.clone());
        until(what, || doubt().is_some()).await;
        assert!(doubt().unwrap().contains(says), "{what}: {doubt:?}", doubt = doubt());
        assert!(!matches!(link.borrow().attached.as_ref().unwrap().proof, Proof::Key(_)), "{what}");
    }
    let records = engine.end().await;
    let proven = records.iter().find(|r| r.kind == Kind::ConsoleProven).unwrap();
    assert_eq!((proven.actor.user.as_str(), &proven.body["key"]), ("mara", &fingerprint.clone().into()));
    for text in ["by key", "by key once"] {
        let note = records.iter().find(|r| r.body["text"] == text).unwrap();
        assert_eq!(note.actor.user, "mara");
        assert!(note.actor.via.contains(&fingerprint), "{}", note.actor.via);
    }
    let refused = records.iter().filter(|r| r.kind == Kind::ConsoleRefused).count();
    assert_eq!(refused, 1, "one record of its kind a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_rosters_authority_proves_who_sits_at_a_console() {
    let keys = tempfile::tempdir().unwrap();
    let (ca, other) = (key(keys.path(), "ca"), key(keys.path(), "other"));
    assert_ne!(ca, other);
    // A key for each: the file of a certificate is named for its key.
    let certified = |name: &str, authority: &str, principal: &str, valid: &str| {
        key(keys.path(), name);
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-s", authority, "-I", name, "-n", principal, "-V", valid, &format!("{name}.pub")])
            .current_dir(keys.path())
            .status()
            .unwrap();
        assert!(made.success());
        sign(keys.path().join(format!("{name}-cert.pub")), NAMESPACE, |t| t)
    };
    let principals = vec![("m.brandt".to_owned(), "mara".into())];
    let roster = Signers { authorities: vec![Authority { key: ca, principals }], ..Signers::default() };
    let engine = start(Vec::new(), Some(Arc::new(roster)));
    let good = certified("good", "ca", "m.brandt", "-1m:+1h");
    let console = engine.attach("somebody", Some(good)).await;
    let link = console.client.link.clone();
    until("the certificate to count", || link.borrow().attached.as_ref().is_some_and(|a| a.user == "mara")).await;
    assert!(matches!(link.borrow().attached.as_ref().unwrap().proof, Proof::Key(_)));
    for (sign, says) in [
        (certified("root", "ca", "root", "-1m:+1h"), "none of its principals"),
        (certified("ended", "ca", "m.brandt", "-2h:-1h"), "valid until"),
        (certified("strange", "other", "m.brandt", "-1m:+1h"), "not in the roster"),
    ] {
        let console = engine.attach("mara", Some(sign)).await;
        let link = console.client.link.clone();
        let doubt = || link.borrow().attached.as_ref().and_then(|a| a.doubt.clone());
        until(says, || doubt().is_some()).await;
        assert!(doubt().unwrap().contains(says), "{says}: {doubt:?}", doubt = doubt());
        assert!(!matches!(link.borrow().attached.as_ref().unwrap().proof, Proof::Key(_)), "{says}");
    }
    engine.end().await;
}
