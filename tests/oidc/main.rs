//! A second factor for an elevation (here) and for steps and their approvals (`steps`), proven at a real `OpenID` provider by the
//! device flow: what counts, and everything that does not, each with one sentence, its record and no effect.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/agent.rs"]
mod agent;
#[path = "../approvals_support/mod.rs"]
mod approvals_support;
mod console;
#[path = "../support/engine.rs"]
mod engine;
mod house;
#[allow(dead_code, reason = "films are for the recorded demo")]
#[path = "../support/picture.rs"]
mod picture;
mod steps;
#[path = "../support/mod.rs"]
mod support;

use approvals_support::{Bench, Keys, accepted, actor, denied, person};
use engine::Served;
use house::House;
use quarterdeck::config::model::Oidc;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::id::Digest;
use quarterdeck::domain::incident::Role;
use quarterdeck::domain::mode::Mode;
use quarterdeck::engine::api::{Command, Reply, RequestView, SignIn, SignInState};
use quarterdeck::observe::oidc::Provider;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{lonely, records, run};

const RULES: &str = "[elevation]\ngranted_by = [\"approver\"]\nmfa = [\"approver\", \"comms\"]\n";
const PROVEN: &str = "login=dan&amr=pwd,otp";

fn dan() -> Actor {
    actor("dan", 1007)
}

fn wish(role: Role) -> Command {
    Command::Elevate { role, lasts_s: 300, reason: "nobody else is awake".into() }
}

/// Dan asks; the name of the login and the code that is shown.
async fn asks(bench: &Bench) -> (String, String) {
    let reply = bench.send_as(&dan(), wish(Role::Approver)).await;
    let Reply::Accepted { id: Some(id), .. } = reply else { panic!("{reply:?}") };
    let waits =
        |one: &SignIn| one.id == id && matches!(one.state, SignInState::Waiting { .. } | SignInState::Failed { .. });
    let seen = bench.until(|s| s.sign_ins.iter().any(waits)).await;
    let view = seen.sign_ins.iter().find(|one| one.id == id).unwrap();
    let SignInState::Waiting { uri, uri_complete, code, until } = &view.state else { panic!("{view:?}") };
    assert!(uri.ends_with("/device") && uri_complete.as_ref().unwrap().contains(code) && *until > view.at, "{view:?}");
    assert_eq!(view.person.as_str(), "dan");
    (id, code.clone())
}

/// What becomes of a login.
async fn ends(bench: &Bench, id: &str) -> SignInState {
    let over =
        |one: &SignIn| one.id == id && matches!(one.state, SignInState::Proven { .. } | SignInState::Failed { .. });
    let seen = bench.until(|s| s.sign_ins.iter().any(over)).await;
    seen.sign_ins.iter().find(|one| one.id == id).unwrap().state.clone()
}

async fn fails(bench: &Bench, id: &str) -> String {
    match ends(bench, id).await {
        SignInState::Failed { why } => why,
        other => panic!("{other:?}"),
    }
}

async fn request(bench: &Bench, id: &str) -> RequestView {
    let SignInState::Proven { request, .. } = ends(bench, id).await else { panic!("{:?}", ends(bench, id).await) };
    bench.snapshot().requests.iter().find(|r| r.id == request).unwrap().clone()
}

/// Nothing has come of `n` logins but their records.
fn nothing_but(bench: &Bench, refused: usize) {
    let records = bench.records("identity.refused");
    assert_eq!(records.len(), refused, "{records:?}");
    assert!(records.iter().all(|r| r.body["person"] == "dan" && !r.body["why"].as_str().unwrap().is_empty()));
    assert!(bench.records("elevation.requested").is_empty() && bench.snapshot().elevations.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_that_was_proven_lets_somebody_ask_and_another_person_grant() {
    let Some(house) = House::open(60) else { return };
    for (client, how) in [("quarterdeck", PROVEN), ("rsa", "login=dan&acr=phr")] {
        let mut bench = Bench::at_a_provider(RULES, Some(house.config(client)));
        let (id, code) = asks(&bench).await;
        assert!(bench.records("elevation.requested").is_empty(), "nothing is asked for before it is proven");
        house.log_in(&code, how).await;
        let asked = request(&bench, &id).await;
        let identity = &asked.document["identity"];
        assert_eq!((identity["name"].as_str(), identity["issuer"].as_str()), (Some("dan"), Some(house.url.as_str())));
        assert!(asked.is_what_it_shows(), "who grants it signs also this");
        assert!(bench.snapshot().elevations.is_empty(), "it is no grant");
        assert!(denied(&bench.approve(&asked, "dan").await).contains("can not approve it"));
        accepted(&bench.approve(&asked, "ines").await);
        assert_eq!(bench.snapshot().elevations[0].role, Role::Approver);
        let proven = &bench.records("identity.proven")[0];
        assert!(proven.seq < bench.records("elevation.requested")[0].seq, "it is durable first");
        for member in ["person", "issuer", "subject", "name", "auth_time", "token"] {
            assert!(proven.body[member].is_string(), "{member}: {}", proven.body);
        }
        bench.end().await;
        // Neither a token nor the code lies anywhere: a token begins with `{"alg` in base64.
        for (path, bytes) in bench.on_disk() {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("eyJhbGci") && !text.contains(&code), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_policy_asks_and_no_provider_is_configured_the_answer_is_no() {
    let mut bench = Bench::start(RULES);
    let reply = bench.send_as(&dan(), wish(Role::Approver)).await;
    let why = denied(&reply);
    assert!(why.contains("there is no [oidc] here") && why.contains("the answer is no"), "{why}");
    assert!(bench.records("elevation.requested").is_empty());
    // A role of which policy says nothing is asked for as before.
    let reply = bench.send_as(&dan(), wish(Role::Scribe)).await;
    assert!(accepted(&reply).contains("another person has to grant it"), "{reply:?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_or_the_person_says_otherwise_is_a_sentence_and_no_elevation() {
    let Some(house) = House::open(60) else { return };
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    let mut refused = 0;
    // Without a second factor; somebody else; somebody whom nobody knows.
    for (how, says) in [
        ("login=dan&amr=pwd", "does not say that a second factor was proven: its acr is"),
        ("login=ines&amr=pwd,otp", "ines has logged in, and dan had asked"),
        ("login=mallory&amr=pwd,otp", "`mallory` has logged in, whom the roster does not know"),
    ] {
        let (id, code) = asks(&bench).await;
        house.log_in(&code, how).await;
        let why = fails(&bench, &id).await;
        assert!(why.contains(says), "{how}: {why}");
        refused += 1;
        nothing_but(&bench, refused);
    }
    let (id, code) = asks(&bench).await;
    house.deny(&code).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("somebody said no at"), "{why}");
    refused += 1;
    // A token of another client, with everything else in it as it should be.
    let other = house.token_of("other", PROVEN).await;
    let (id, code) = asks(&bench).await;
    house.answers(&json!([{ "id_token": other }])).await;
    house.log_in(&code, PROVEN).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("was made for other, not for the client quarterdeck"), "{why}");
    refused += 1;
    for (answer, says) in [
        (json!({ "status": 200, "body": "<html>" }), "something that is no token"),
        (json!({ "status": 200, "body": "{\"access_token\": \"x\"}" }), "gave no ID token"),
        (json!({ "status": 200, "body": "{\"id_token\": \"a.b.c\"}" }), "is no signed token"),
        (json!({ "status": 400, "body": "<html>" }), "with something that is no JSON"),
        (json!({ "status": 400, "body": "{\"error\": \"invalid_grant\"}" }), "refuses: invalid_grant"),
        (json!({ "status": 400, "body": "{\"error\": \"expired_token\"}" }), "nobody has used the code"),
    ] {
        house.answers(&json!([answer])).await;
        let (id, _) = asks(&bench).await;
        let why = fails(&bench, &id).await;
        assert!(why.contains(says) && why.contains(&house.url), "{answer}: {why}");
        refused += 1;
    }
    nothing_but(&bench, refused);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_once() {
    let Some(house) = House::open(60) else { return };
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    let token = house.token_of("quarterdeck", PROVEN).await;
    let (id, code) = asks(&bench).await;
    house.answers(&json!([{ "id_token": token }])).await;
    house.log_in(&code, PROVEN).await;
    let first = request(&bench, &id).await;
    let digest = Digest::from_bytes(&Sha256::digest(&token).into());
    assert_eq!(first.document["identity"]["token"], digest.as_str());
    // Also after a restart, for another role.
    bench.end().await;
    bench.open();
    house.answers(&json!([{ "id_token": token }])).await;
    let reply = bench.send_as(&dan(), wish(Role::Comms)).await;
    let Reply::Accepted { id: Some(id), .. } = reply else { panic!("{reply:?}") };
    let seen = bench.until(|s| s.sign_ins.iter().any(|one| matches!(one.state, SignInState::Waiting { .. }))).await;
    let SignInState::Waiting { code, .. } = &seen.sign_ins[0].state else { panic!("{seen:?}") };
    house.log_in(code, PROVEN).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("was used before"), "{why}");
    assert_eq!((bench.records("elevation.requested").len(), bench.records("identity.proven").len()), (1, 1));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_ends_and_a_login_can_be_cancelled_by_whoever_began_it() {
    let Some(house) = House::open(3) else { return };
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    let (id, _) = asks(&bench).await;
    let second = bench.send_as(&dan(), wish(Role::Approver)).await;
    assert!(second.words().contains("is logging in already"), "{second:?}");
    let why = fails(&bench, &id).await;
    assert!(why.contains("nobody has used the code"), "{why}");
    let (id, _) = asks(&bench).await;
    let cancel = || Command::CancelSignIn { id: id.clone() };
    let reply = bench.send(cancel()).await;
    assert!(denied(&reply).contains("is a login of dan"), "{reply:?}");
    accepted(&bench.send_as(&dan(), cancel()).await);
    assert_eq!(fails(&bench, &id).await, "it was cancelled");
    assert!(!accepted(&bench.send_as(&dan(), wish(Role::Scribe)).await).is_empty());
    assert_eq!(bench.records("identity.refused").len(), 2);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pace_is_the_providers() {
    let Some(house) = House::open(60) else { return };
    let bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    let slow = json!({ "status": 400, "body": "{\"error\": \"slow_down\"}" });
    let pending = json!({ "status": 400, "body": "{\"error\": \"authorization_pending\"}" });
    house.answers(&json!([pending, slow])).await;
    let (id, code) = asks(&bench).await;
    house.log_in(&code, PROVEN).await;
    request(&bench, &id).await;
    let polls = house.lab(&json!({})).await;
    let [first, second, third] = polls[..] else { panic!("{polls:?}") };
    // A second as it says, then five more (RFC 8628, 3.5).
    assert!((950..4000).contains(&(second - first)) && third - second >= 5950, "{polls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_meanwhile_are_followed() {
    let Some(house) = House::open(60) else { return };
    let bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    let (id, code) = asks(&bench).await;
    let old = house.token_of("quarterdeck", PROVEN).await;
    house.lab(&json!({ "rotate": true })).await;
    house.log_in(&code, PROVEN).await;
    request(&bench, &id).await;
    // What the old key has signed counts no more.
    let reply = bench.send_as(&dan(), wish(Role::Comms)).await;
    let Reply::Accepted { id: Some(id), .. } = reply else { panic!("{reply:?}") };
    house.answers(&json!([{ "status": 200, "body": json!({ "id_token": old }).to_string() }])).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("by a key that the provider does not publish"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_more_than_is_allowed_are_said_to() {
    let Some(house) = House::open(60) else { return };
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    bench.ahead(200);
    let (id, code) = asks(&bench).await;
    house.log_in(&code, PROVEN).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("do both clocks go right?"), "{why}");
    nothing_but(&bench, 1);
    bench.end().await;
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    bench.ahead(20);
    let (id, code) = asks(&bench).await;
    house.log_in(&code, PROVEN).await;
    request(&bench, &id).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_slow_or_gone_keeps_nobody_waiting() {
    let Some(mut house) = House::open(60) else { return };
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    // It takes the question and says nothing: the engine goes on.
    house.answers(&json!([{ "hang": true }])).await;
    let (id, _) = asks(&bench).await;
    let asked = async { while house.lab(&json!({})).await.is_empty() {} };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it is asked for a token");
    let began = Instant::now();
    accepted(&bench.send_as(&dan(), wish(Role::Scribe)).await);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    accepted(&bench.send_as(&dan(), Command::CancelSignIn { id }).await);
    // Gone in the middle.
    let (id, _) = asks(&bench).await;
    house.close();
    let why = fails(&bench, &id).await;
    assert!(why.contains("was asked 3 times without an answer: no connection to"), "{why}");
    // Gone from the beginning.
    let reply = bench.send_as(&dan(), wish(Role::Approver)).await;
    let Reply::Accepted { id: Some(id), .. } = reply else { panic!("{reply:?}") };
    let why = fails(&bench, &id).await;
    assert!(why.contains("no connection to"), "{why}");
    assert_eq!(bench.records("identity.refused").len(), 3);
    assert!(bench.snapshot().elevations.is_empty());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_known_by_its_secret_and_may_use_the_flow() {
    let Some(house) = House::open(60) else { return };
    let standing = async |oidc: &Oidc| Provider::new(Mode::Live.may_observe().unwrap(), oidc).standing().await;
    assert_eq!(standing(&house.config("quarterdeck")).await, Ok(()));
    assert_eq!(standing(&house.confidential("kept-by-the-lab")).await, Ok(()));
    let trust = Oidc { ca: quarterdeck::config::model::Ca::default(), ..house.config("quarterdeck") };
    let slash = Oidc { issuer: format!("{}/", house.url), ..house.config("quarterdeck") };
    for (oidc, says) in [
        (house.config("browser"), "is not allowed for this client"),
        (house.confidential("wrong"), "does not take us as the client `confidential`"),
        (house.config("nobody"), "does not take us as the client `nobody`"),
        (trust, "TLS with"),
        (slash, "has to be exactly that"),
    ] {
        let why = standing(&oidc).await.unwrap_err();
        assert!(why.contains(says), "{}: {why}", oidc.client_id);
    }
    let bench = Bench::at_a_provider(RULES, Some(house.confidential("kept-by-the-lab")));
    let (id, code) = asks(&bench).await;
    house.log_in(&code, PROVEN).await;
    request(&bench, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_page_and_code_and_waits_for_both() {
    let Some(mut house) = House::open(60) else { return };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let uid = rustix::process::getuid().as_raw();
    let keys = Keys(home.to_owned());
    let policy = [
        // The provider knows her by another name.
        person("mara", uid, "\"commander\"", &[]).replace("[[person]]", "[[person]]\noidc = \"m.brandt\""),
        person("ines", uid + 1, "\"approver\"", &[&keys.make("ines")]),
        "[elevation]\ngranted_by = [\"approver\"]\nmfa = [\"dba\"]\n".to_owned(),
    ]
    .concat();
    std::fs::write(home.join("policy.toml"), policy).unwrap();
    let config = lonely(home);
    let oidc = format!(
        "[oidc]\nissuer = \"{}\"\nclient_id = \"quarterdeck\"\nca = \"{}\"\namr = [\"otp\"]\n[engine]\npolicy = \"policy.toml\"\n",
        house.url,
        house.ca().display()
    );
    let text = std::fs::read_to_string(&config).unwrap() + &oidc;
    std::fs::write(&config, text).unwrap();
    let served = Served::start(home, &["--config", &config]);
    let elevate = ["--config", &config, "elevate", "dba", "--reason", "the replica has to be rebuilt"];
    for (how, code, says) in
        [("login=m.brandt&amr=otp", 0, "another person has to grant it"), ("login=m.brandt", 7, "no second factor")]
    {
        let mut child = std::process::Command::new(support::program())
            .args(elevate)
            .env_clear()
            .env("HOME", home)
            .env("USER", "mara")
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let shown = loop {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended before it showed a code");
            if let Some((page, code)) = line.split_once(" and enter the code ") {
                assert!(page.contains(&format!("{}/device", house.url)), "{page}");
                break code.split(' ').next().unwrap().to_owned();
            }
        };
        house.log_in(&shown, how).await;
        let (mut out, mut err) = (String::new(), String::new());
        said.read_to_string(&mut err).unwrap();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{out}{err}");
        assert!(out.contains(says) || err.contains(says), "{out}{err}");
    }
    let all = records(home, &home.join("journal"));
    let of = |kind: &str| all.iter().filter(|r| r["kind"] == kind).count();
    assert_eq!((of("identity.proven"), of("identity.refused"), of("elevation.requested")), (1, 1, 1));
    let (_, out, err) = run(home, &["--config", &config, "doctor", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let row = |said: &serde_json::Value| {
        said["systems"].as_array().unwrap().iter().find(|r| r["id"] == "oidc").unwrap().clone()
    };
    assert_eq!((row(&said)["health"].as_str(), row(&said)["reachable"].as_bool()), (Some("ok"), Some(true)), "{out}");
    served.ends();
    house.close();
    let (_, out, _) = run(home, &["--config", &config, "doctor", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(row(&said)["health"], "unknown");
    assert!(row(&said)["why"].as_str().unwrap().contains("no connection to"), "{out}");
}
