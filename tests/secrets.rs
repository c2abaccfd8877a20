//! No secret reaches what the program writes or prints. Recognisable ones are planted in every place where a person
//! can put one, and in what servers answer; then real flows run, and everything that came of them is searched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{CTRL_C, ENTER, SOON, Start, Term, nobody, run_with};

/// A word that is allowed to be found: the search must find it, or it finds nothing at all.
const ALLOWED: &str = "planted-and-allowed+7/x";

/// Planted secrets by place. Each has characters that base64 and URLs write otherwise.
#[derive(Default)]
struct Planted(Vec<(&'static str, String)>);

impl Planted {
    fn plant(&mut self, place: &'static str) -> String {
        let secret = format!("s3cr+t/{}-{:04x}?x", place.replace(' ', "-"), 0xA5A5 ^ (self.0.len() * 2_654_435));
        self.0.push((place, secret.clone()));
        secret
    }
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

/// The forms in which a secret could appear: plain, URL-encoded, in hexadecimal, and the part of its base64 that is
/// the same whatever stands around it, for each of the three places at which it can begin.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![("plain", secret.to_owned()), ("URL", percent(secret))];
    forms.push((
        "hex",
        secret.bytes().fold(String::new(), |mut out, b| {
            let _ = write!(out, "{b:02x}");
            out
        }),
    ));
    for lead in 0..3 {
        let padded = [&vec![b'x'; lead][..], secret.as_bytes()].concat();
        let skip = [0, 2, 3][lead];
        let keep = padded.len() / 3 * 4 - skip;
        let inner = |text: String| text.chars().skip(skip).take(keep).collect::<String>();
        forms.push(("base64", inner(BASE64_STANDARD.encode(&padded))));
        forms.push(("base64url", inner(BASE64_URL_SAFE_NO_PAD.encode(&padded))));
    }
    forms
}

/// Everything that the program wrote and printed.
#[derive(Default)]
struct Haul(Vec<(String, Vec<u8>)>);

impl Haul {
    fn files(&mut self, dir: &Path) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                self.files(&path);
            } else if kind.is_file() {
                self.0.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }

    fn hits(&self, text: &str) -> Vec<&str> {
        let found = |bytes: &[u8]| bytes.windows(text.len()).any(|w| w.eq_ignore_ascii_case(text.as_bytes()));
        self.0.iter().filter(|(_, bytes)| found(bytes)).map(|(name, _)| name.as_str()).collect()
    }
}

/// A server on the loopback that answers each connection by `answer`, made of what it was sent.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let mut sent = vec![0; 8192];
            let Ok(length) = stream.read(&mut sent) else { continue };
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&sent[..length])).as_bytes());
        }
    });
    (port, asked)
}

fn secret_file(dir: &Path, name: &str, secret: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn kubeconfig(dir: &Path, name: &str, port: u16, token: &str) -> PathBuf {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {{server: 'http://127.0.0.1:{port}'}}\n\
         contexts:\n- name: c\n  context: {{cluster: k, user: u}}\nusers:\n- name: u\n  user: {{token: '{token}'}}\n"
    );
    secret_file(dir, name, &text)
}

#[test]
fn the_search_finds_each_form() {
    let secret = "s3cr+t/x?y";
    for lead in 0..6 {
        let text = format!("{}{secret}tail", "a".repeat(lead));
        let haul = Haul(vec![("it".into(), BASE64_STANDARD.encode(text).into_bytes())]);
        let found = forms(secret).iter().filter(|(_, form)| !haul.hits(form).is_empty()).count();
        assert!(found >= 1, "base64 after {lead} bytes");
    }
    for text in ["S3CR+T/X?Y", "s3cr%2bt%2Fx%3Fy", "733363722b742f783f79"] {
        let haul = Haul(vec![("it".into(), text.into())]);
        assert!(forms(secret).iter().any(|(_, form)| !haul.hits(form).is_empty()), "{text}");
    }
    assert!(
        forms(secret)
            .iter()
            .all(|(_, form)| Haul(vec![("it".into(), b"quite other text".to_vec())]).hits(form).is_empty())
    );
}

#[test]
fn no_planted_secret_is_written_or_printed() {
    let place = tempfile::tempdir().unwrap();
    let (home, keys) = (place.path().join("home"), place.path().join("keys"));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::create_dir_all(&keys).unwrap();
    let journal = home.join("journal");
    let mut planted = Planted::default();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();

    // Servers that are not there, servers that refuse and repeat what they were sent, and one that is garbled.
    let echo = heard.clone();
    let (http, asked_http) = server(move |sent| {
        echo.lock().unwrap().push(sent.to_owned());
        let body = format!("denied: {sent}");
        format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    });
    let (redis, asked_redis) = server(|_| "-WRONGPASS invalid username-password pair or user is disabled.\r\n".into());
    let (garbled, asked_postgres) = server(|_| "E\u{0}\u{0}\u{0}\u{7}SF\u{0}\u{0}".into());

    let mut env: Vec<(&str, String)> = Vec::new();
    for (name, place) in [
        ("QD_PG", "environment of postgres"),
        ("QD_PG_ACT", "environment of postgres act"),
        ("QD_ANCHOR_ACCESS", "anchor access key"),
        ("QD_ANCHOR_SECRET", "anchor secret key"),
        ("AWS_SECRET_ACCESS_KEY", "environment that is not ours"),
        ("PGPASSWORD", "environment of libpq"),
    ] {
        env.push((name, planted.plant(place)));
    }
    let redis_file = secret_file(&keys, "redis", &planted.plant("file of redis"));
    let bouncer = secret_file(&keys, "bouncer", &planted.plant("command of pgbouncer"));
    let (observe, act) = (planted.plant("token of kubeconfig"), planted.plant("token of act kubeconfig"));
    let observe = kubeconfig(&keys, "observe", http, &observe);
    let act = kubeconfig(&keys, "act", http, &act);
    let text = format!(
        "[estate]\nname = \"secretive\"\nenvironment = \"staging\"\n\
         [journal]\ndir = \"{journal}\"\n\
         [journal.anchor]\nendpoint = \"http://127.0.0.1:{http}\"\nbucket = \"b\"\n\
         access_key = \"env:QD_ANCHOR_ACCESS\"\nsecret_key = \"env:QD_ANCHOR_SECRET\"\n\
         [[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"{observe}\"\nact_kubeconfig = \"{act}\"\n\
         [[postgres]]\nid = \"pg-a\"\nhost = \"127.0.0.1\"\nport = {nobody}\nuser = \"u\"\npassword = \"env:QD_PG\"\n\
         tls = \"disable\"\nact = {{ user = \"a\", password = \"env:QD_PG_ACT\" }}\n\
         [[postgres]]\nid = \"pg-b\"\nhost = \"127.0.0.1\"\nport = {garbled}\nuser = \"u\"\npassword = \"env:QD_PG\"\ntls = \"disable\"\n\
         [[pgbouncer]]\nid = \"bouncer\"\nhost = \"127.0.0.1\"\nport = {garbled}\nuser = \"u\"\npassword = \"command:cat {bouncer}\"\n\
         [[redis]]\nid = \"redis-q\"\nurl = \"redis://127.0.0.1:{redis}/0\"\npurpose = \"queue\"\nuser = \"o\"\npassword = \"file:{redis_file}\"\n\
         [[traefik]]\nid = \"edge\"\nmetrics = \"http://127.0.0.1:{http}/metrics\"\napi = \"http://127.0.0.1:{http}\"\n\
         [[tenant]]\nid = \"t1\"\ndatabase = {{ instance = \"pg-a\", name = \"t1\" }}\n",
        journal = journal.display(),
        observe = observe.display(),
        act = act.display(),
        bouncer = bouncer.display(),
        redis_file = redis_file.display(),
        nobody = nobody(),
    );
    let config = keys.join("c.toml");
    std::fs::write(&config, &text).unwrap();

    // What people type into a configuration by mistake: values where references belong, passwords in URLs.
    let mut mistakes = Vec::new();
    for (n, (place, line)) in [
        ("password written out", "password = \"SECRET\"\n"),
        ("password in a line that does not end", "password = \"SECRET\n"),
        ("password of the wrong type", "password = [\"SECRET\"]\n"),
        ("key that there is not", "pasword = \"SECRET\"\n"),
        ("userinfo of a host", "host = \"u:SECRET@127.0.0.1\"\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let secret = planted.plant(place);
        let path = keys.join(format!("mistake-{n}.toml"));
        let postgres = format!("[[postgres]]\nid = \"p\"\nuser = \"u\"\n{}", line.replace("SECRET", &secret));
        std::fs::write(&path, format!("[estate]\nname = \"m\"\nenvironment = \"staging\"\n{postgres}")).unwrap();
        mistakes.push(path);
    }
    for (n, (place, table)) in [
        ("userinfo of redis", "[[redis]]\nid = \"r\"\npurpose = \"cache\"\nurl = \"redis://:SECRET@127.0.0.1/0\"\n"),
        ("userinfo of traefik", "[[traefik]]\nid = \"t\"\nmetrics = \"http://u:SECRET@127.0.0.1/metrics\"\n"),
        ("userinfo of an anchor", "[journal.anchor]\nendpoint = \"https://u:SECRET@s3.example\"\nbucket = \"b\"\naccess_key = \"env:A\"\nsecret_key = \"env:B\"\n"),
        ("userinfo of a witness", "[[journal.witness]]\nname = \"w\"\nurl = \"https://u:SECRET@w.example\"\nvkey = \"w+1f2e3d4c+BA\"\nadministrator = \"x\"\n"),
        ("secret key written out", "[journal.anchor]\nendpoint = \"https://s3.example\"\nbucket = \"b\"\naccess_key = \"env:A\"\nsecret_key = \"SECRET\"\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let secret = planted.plant(place);
        let path = keys.join(format!("url-{n}.toml"));
        let table = table.replace("SECRET", &percent(&secret));
        std::fs::write(&path, format!("[estate]\nname = \"m\"\nenvironment = \"staging\"\n{table}")).unwrap();
        mistakes.push(path);
    }
    // A secret file that others can read, and a command that fails after it has printed.
    let open = secret_file(&keys, "open", &planted.plant("file that others can read"));
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let script = keys.join("fails");
    let printed = planted.plant("command that fails");
    std::fs::write(&script, format!("#!/bin/sh\necho '{printed}'\necho '{printed}' >&2\nexit 1\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    for (n, reference) in
        [format!("file:{}", open.display()), format!("command:{}", script.display())].iter().enumerate()
    {
        let path = keys.join(format!("reference-{n}.toml"));
        let own = home.join(format!("journal-{n}"));
        std::fs::write(
            &path,
            format!(
                "[estate]\nname = \"m\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\n[[postgres]]\nid = \"p\"\n\
                 host = \"127.0.0.1\"\nport = {}\nuser = \"u\"\ntls = \"disable\"\npassword = \"{reference}\"\n",
                own.display(),
                nobody()
            ),
        )
        .unwrap();
        mistakes.push(path);
    }

    let mut haul = Haul::default();
    let mut commands = 0;
    let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut command = |config: &Path, args: &[&str]| {
        let name = config.display().to_string();
        let (code, out, err) = run_with(&home, &[&["--config", &name], args].concat(), &env);
        haul.0.push((format!("stdout of {args:?} with {name}"), out.into_bytes()));
        haul.0.push((format!("stderr of {args:?} with {name}"), err.into_bytes()));
        commands += 1;
        code
    };
    let dir = journal.display().to_string();
    for args in [
        &["config", "check"][..],
        &["config", "check", "--format", "json"],
        &["status"],
        &["status", "--format", "json"],
        &["doctor"],
        &["doctor", "--format", "json"],
        &["incident", "declare", ALLOWED],
        &["incident", "note", "INC-1", ALLOWED],
        &["incident", "show", "INC-1", "--format", "json"],
        &["playbook", "list"],
        &["playbook", "render", "schema-lock", "--param", "tenant=t1", "--format", "json"],
        &["audit", "show", "--journal", &dir],
        &["audit", "show", "--journal", &dir, "--format", "json"],
        &["audit", "evidence", "list"],
        &["audit", "verify"],
    ] {
        command(&config, args);
    }
    // A bundle, made while a log lies about that has a password in it: what it leads to is struck out there.
    let logs = home.join(".local/state/quarterdeck/logs/secretive");
    std::fs::create_dir_all(&logs).unwrap();
    let old = logs.join("quarterdeck.jsonl");
    let leak = &planted.0.iter().find(|(place, _)| *place == "environment of postgres").unwrap().1;
    std::fs::write(&old, format!("{{\"said\":\"{ALLOWED} {leak}\"}}\n")).unwrap();
    let archive = home.join("bundle.tar.gz");
    assert_eq!(command(&config, &["doctor", "--bundle", &archive.display().to_string()]), 6);
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(command(&config, &["doctor", "--bundle", &archive.display().to_string()]), 2, "a file was replaced");
    std::fs::remove_file(&old).unwrap();
    for mistake in &mistakes {
        for args in [&["config", "check"][..], &["status", "--format", "json"], &["doctor"]] {
            let code = command(mistake, args);
            // What a reference points to is read only when it is needed.
            assert!(code != 0 || args[0] == "config", "{args:?} with {}", mistake.display());
        }
    }

    // The console, with its screens of sources and records; its engine writes the journal meanwhile.
    let name = config.display().to_string();
    let args = ["--config", name.as_str()];
    let term_env: Vec<(&str, &str)> = env.clone();
    let mut term = Term::start(&Start { args: &args, env: &term_env, home: &home, size: (200, 60) });
    term.shows("secretive");
    let asked = || [&asked_http, &asked_redis, &asked_postgres].iter().all(|n| n.load(Ordering::Relaxed) > 0);
    term.until("the sources to have answered", SOON, |_| asked());
    let sheet = "Where it comes from";
    term.keys("s").keys(ENTER).shows(sheet);
    term.keys("\x1b").until("the sheet to close", SOON, |t| !t.contains(sheet));
    // The record under the cursor with its proof, which was checked under the key that the opening has pinned.
    term.keys("j").shows("Journal, newest last");
    term.keys(ENTER).shows("verifies against the checkpoint of");
    term.shows("records, key pinned");
    term.keys("s").shows("the proof is in");
    term.keys(CTRL_C);
    term.ends(Duration::from_secs(30));
    haul.0.push(("the console's output".into(), term.raw()));
    haul.files(&home);
    let packed = flate2::read::GzDecoder::new(std::fs::File::open(&archive).unwrap());
    let mut names = Vec::new();
    for entry in tar::Archive::new(packed).entries().unwrap() {
        let (mut entry, mut bytes) = (entry.unwrap(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        let name = entry.path().unwrap().display().to_string();
        haul.0.push((format!("{name} of the bundle"), bytes));
        names.push(name);
    }
    names.sort();
    let there = ["config.toml", "doctor.json", "journal.json", "log.jsonl", "policy.toml", "versions.json"];
    assert_eq!(names, there.map(|n| format!("quarterdeck/{n}")));

    // The servers were really given secrets, so that there was something to leak.
    let heard = heard.lock().unwrap().join("\n");
    let token = &planted.0.iter().find(|(place, _)| *place == "token of kubeconfig").unwrap().1;
    assert!(heard.contains(token.as_str()), "the cluster was never sent its token");

    // Positive control: what is allowed is found on the disk, in what was printed, and by the same search.
    let control = haul.hits(ALLOWED);
    assert!(control.iter().any(|n| n.contains("/journal/records/")), "{control:?}");
    assert!(control.iter().any(|n| n.starts_with("stdout of")), "{control:?}");
    assert!(control.contains(&"quarterdeck/log.jsonl of the bundle"), "{control:?}");
    let logged = haul.hits("the engine runs");
    assert!(logged.iter().any(|n| n.ends_with("/logs/secretive/quarterdeck.jsonl")), "{logged:?}");

    let (mut searches, mut leaks) = (0, Vec::new());
    for (place, secret) in &planted.0 {
        for (form, text) in forms(secret) {
            searches += 1;
            leaks.extend(haul.hits(&text).into_iter().map(|name| format!("{place} as {form} in {name}")));
        }
    }
    let bytes: usize = haul.0.iter().map(|(_, b)| b.len()).sum();
    println!(
        "{} secrets planted, {searches} searches over {} outputs and files of {bytes} bytes from {commands} commands \
         and a console: {} hits; the allowed word: {} hits",
        planted.0.len(),
        haul.0.len(),
        leaks.len(),
        control.len()
    );
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
