//! A second person's signature, made by the real `ssh-keygen`: what lets a step run once, what never does, and what
//! the journal holds of it for others to check.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod approvals_support;

use age::secrecy::ExposeSecret as _;
use approvals_support::{Bench, Keys, accepted, actor, denied, person};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use quarterdeck::domain::incident::{IncidentState, Role, Severity};
use quarterdeck::domain::run::RunState;
use quarterdeck::domain::secret::SecretText;
use quarterdeck::engine::api::{Command, Decision, Reply, RequestState, StepState};
use quarterdeck::policy::sshsig::{armor, to_sign};
use quarterdeck::policy::statement::NAMESPACE;
use sha2::{Digest as _, Sha256};

const APPROVE: Decision = Decision::Approve;

#[tokio::test(flavor = "multi_thread")]
async fn one_other_signature_lets_it_run_once_and_outsiders_can_check_it() {
    let mut bench = Bench::start("");
    let request = bench.ask("plain").await;
    assert!(request.is_what_it_shows());
    assert_eq!((request.needed, request.requester.as_ref().unwrap().as_str()), (1, "mara"));
    assert_eq!(bench.pokes(), 0, "nothing runs while it waits");
    let signature = bench.signature(&request, "ines", APPROVE, Role::Approver);
    let reply = bench.answer(&request.id, APPROVE, Role::Approver, signature.clone()).await;
    assert!(accepted(&reply).contains("has all its approvals"), "{reply:?}");
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1);

    // Again: it was used up by its one start.
    let again = bench.answer(&request.id, APPROVE, Role::Approver, signature.clone()).await;
    assert!(denied(&again).contains("was used by a start"), "{again:?}");
    // For another run of the same playbook: other nonce, other digest.
    let next = bench.ask("plain").await;
    let other = bench.answer(&next.id, APPROVE, Role::Approver, signature).await;
    assert!(denied(&other).contains("not valid for these bytes"), "{other:?}");
    assert_eq!(bench.pokes(), 1);

    let granted = bench.records("approval.granted");
    let body = &granted[0].body;
    let order: Vec<u64> = ["step.intended", "step.confirmed", "approval.requested", "approval.granted", "step.started"]
        .iter()
        .map(|kind| bench.records(kind)[0].seq)
        .collect();
    assert!(order.is_sorted(), "{order:?}");
    let text = |name: &str| body[name].as_str().unwrap();
    let allowed = bench.snapshot().policy.allowed_signers.clone();
    assert!(bench.keys.verifies(&allowed, "ines", text("statement"), text("signature")));
    assert!(!bench.keys.verifies(&allowed, "bo", text("statement"), text("signature")));
    let other = text("statement").replace("approve", "deny");
    assert!(!bench.keys.verifies(&allowed, "ines", &other, text("signature")));
    // The digest in what was signed is that of the request which the journal shows.
    let asked = &bench.records("approval.requested")[0].body;
    let document = serde_json_canonicalizer::to_string(&asked["document"]).unwrap();
    let digest = quarterdeck::domain::id::Digest::from_bytes(&Sha256::digest(document).into()).to_string();
    assert!(text("statement").contains(&digest) && asked["document"]["request"]["verb"] == "lab.poke");
    bench.end().await;
}

/// A security key in software, whose signatures carry these flags.
fn touched(secret: &SigningKey, flags: u8, message: &[u8]) -> String {
    let mut signed = Sha256::digest(b"ssh:").to_vec();
    signed.push(flags);
    signed.extend(7_u32.to_be_bytes());
    signed.extend(Sha256::digest(to_sign(NAMESPACE, message)));
    let mut blob = Vec::new();
    put(&mut blob, b"sk-ssh-ed25519@openssh.com");
    put(&mut blob, &secret.sign(&signed).to_bytes());
    blob.push(flags);
    blob.extend(7_u32.to_be_bytes());
    armor(&sk_blob(secret), NAMESPACE, &blob)
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    into.extend_from_slice(bytes);
}

fn sk_blob(secret: &SigningKey) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, b"sk-ssh-ed25519@openssh.com");
    put(&mut blob, secret.verifying_key().as_bytes());
    put(&mut blob, b"ssh:");
    blob
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_does_not_count_is_refused_with_its_sentence_and_journaled() {
    let secret = SigningKey::from_bytes(&[5; 32]);
    let line = format!("sk-ssh-ed25519@openssh.com {}", STANDARD.encode(sk_blob(&secret)));
    let mut bench = Bench::start(&person("fay", 1010, "\"approver\"", &[&line]));
    let request = bench.ask("plain").await;
    let statement = request.statement(APPROVE, Role::Approver);
    let by = |key: &str| bench.signature(&request, key, APPROVE, Role::Approver);
    let owner = bench.signature(&request, "otto", APPROVE, Role::BusinessOwner);
    let pretended = bench.signature(&request, "otto", APPROVE, Role::Approver);
    let denies = bench.signature(&request, "ines", Decision::Deny, Role::Approver);
    for (role, signature, says) in [
        (Role::Approver, by("mara"), "can not approve it"),
        (Role::Approver, by("mara-second"), "with whichever key"),
        (Role::Approver, by("stranger"), "belongs to nobody"),
        (Role::BusinessOwner, owner, "it takes approver"),
        (Role::Approver, pretended, "does not hold the role approver"),
        (Role::Approver, bench.keys.sign("ines", "attach@quarterdeck", &statement), "namespace `attach@quarterdeck`"),
        (Role::Approver, denies, "not valid for these bytes"),
        (Role::Approver, bench.keys.sign("ines", NAMESPACE, &format!("{statement}\n")), "not valid for these bytes"),
        (Role::Approver, touched(&secret, 0, statement.as_bytes()), "nobody touched it"),
        (Role::Approver, "nonsense".into(), "BEGIN SSH SIGNATURE"),
    ] {
        let reply = bench.answer(&request.id, APPROVE, role, signature).await;
        assert!(denied(&reply).contains(says), "{reply:?} does not say {says}");
    }
    let unknown = bench.answer("REQ-99", APPROVE, Role::Approver, by("ines")).await;
    assert!(denied(&unknown).contains("no request REQ-99"), "{unknown:?}");
    let refused = bench.records("step.refused");
    assert_eq!(refused.len(), 11, "each refusal is journaled");
    assert!(refused.iter().all(|r| r.actor.uid >= 20_000), "by the peer that asked");
    assert_eq!(bench.pokes(), 0);

    // One peer is told to wait after five; the records do not grow without bound.
    let peer = actor("mallory", 4242);
    let try_it = |signature: String| Command::Answer {
        request: request.id.clone(),
        decision: APPROVE,
        role: Role::Approver,
        signature,
        reason: String::new(),
    };
    for _ in 0..5 {
        assert!(denied(&bench.send_as(&peer, try_it("x".into())).await).contains("refused: "));
    }
    for _ in 0..20 {
        assert!(denied(&bench.send_as(&peer, try_it(by("ines"))).await).contains("wait until"));
    }
    assert_eq!(bench.records("step.refused").len(), 16);

    // None of that voids the request: a touched security key of another person approves it.
    let good = touched(&secret, 1, statement.as_bytes());
    accepted(&bench.answer(&request.id, APPROVE, Role::Approver, good).await);
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_approvals_are_two_people() {
    let mut bench = Bench::start("");
    let request = bench.ask("two").await;
    assert_eq!(request.needed, 2);
    assert!(accepted(&bench.approve(&request, "ines").await).contains("1 of 2"));
    let again = bench.approve(&request, "ines-second").await;
    assert!(denied(&again).contains("one person counts once"), "{again:?}");
    assert_eq!(bench.pokes(), 0);
    assert!(accepted(&bench.approve(&request, "bo").await).contains("has all its approvals"));
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_signed_too_and_a_retry_needs_a_new_request() {
    let mut bench = Bench::start("");
    let request = bench.ask("plain").await;
    let no = bench.signature(&request, "bo", Decision::Deny, Role::Approver);
    accepted(&bench.answer(&request.id, Decision::Deny, Role::Approver, no).await);
    let said = bench.records("approval.denied");
    assert!(said[0].body["why"].as_str().unwrap().contains("bo: not like this"), "{:?}", said[0].body);
    let late = bench.approve(&request, "ines").await;
    assert!(denied(&late).contains("was denied"), "{late:?}");
    let run = request.run.clone().unwrap();
    let again = bench.confirm(run.as_str()).await;
    assert_ne!((&again.id, &again.nonce), (&request.id, &request.nonce));
    let old = bench.signature(&request, "ines", APPROVE, Role::Approver);
    assert!(denied(&bench.answer(&again.id, APPROVE, Role::Approver, old).await).contains("not valid"));
    accepted(&bench.approve(&again, "ines").await);
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_denies_or_escalates_and_never_grants() {
    let mut bench = Bench::start("");
    let request = bench.ask("plain").await;
    let signature = bench.signature(&request, "ines", APPROVE, Role::Approver);
    bench.ahead(601);
    bench.until(|s| s.requests.iter().any(|r| r.id == request.id && r.state == RequestState::Expired)).await;
    let late = bench.answer(&request.id, APPROVE, Role::Approver, signature).await;
    assert!(denied(&late).contains("has expired"), "{late:?}");
    assert_eq!(bench.records("approval.expired").len(), 1);

    let request = bench.ask("escalates").await;
    bench.ahead(601);
    bench.until(|s| s.requests.iter().any(|r| r.id == request.id && r.escalated)).await;
    let called = bench.records("escalation.sent");
    assert_eq!(called[0].body["person"], serde_json::json!(["bo", "ines"]));
    assert_eq!(bench.pokes(), 0);
    accepted(&bench.approve(&request, "bo").await);
    let over =
        |r: &quarterdeck::engine::api::RunView| Some(&r.id) == request.run.as_ref() && r.state == RunState::Finished;
    bench.until(|s| s.runs.iter().any(over)).await;
    assert_eq!(bench.pokes(), 1);

    let request = bench.ask("escalates").await;
    bench.ahead(1201);
    bench.until(|s| s.requests.iter().any(|r| r.id == request.id && r.state == RequestState::Expired)).await;
    assert_eq!((bench.pokes(), bench.records("approval.expired").len()), (1, 2));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_meanwhile_voids_the_start_only_where_the_step_is_bound_to_it() {
    let mut bench = Bench::start("");
    let lower =
        |severity| Command::UpdateIncident { incident: bench.incident(), severity: Some(severity), state: None };
    for (playbook, says) in [("careful", "precondition is false"), ("bound", "incident.severity is still")] {
        let request = bench.ask(playbook).await;
        accepted(&bench.send(lower(Severity::Sev2)).await);
        accepted(&bench.approve(&request, "ines").await);
        let seen =
            bench.until(|s| s.requests.iter().any(|r| r.id == request.id && r.state == RequestState::Void)).await;
        let refused = bench.records("step.refused");
        let why = refused.last().unwrap().body["why"].as_str().unwrap().to_owned();
        assert!(why.contains(says), "{playbook}: {why}");
        assert_eq!(bench.pokes(), 0, "{playbook}");
        let run = seen.runs[0].id.clone();
        accepted(&bench.send(Command::StopRun { run, reason: "enough".into() }).await);
        accepted(&bench.send(lower(Severity::Sev1)).await);
    }
    let request = bench.ask("plain").await;
    accepted(&bench.send(lower(Severity::Sev2)).await);
    accepted(&bench.approve(&request, "ines").await);
    bench.until(|s| s.runs[0].state == RunState::Finished).await;
    assert_eq!(bench.pokes(), 1, "what the step is not bound to may change");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_change_window_closes_while_it_waits_it_takes_the_freeze_approver_too() {
    let end = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5)).strftime("%Y-%m-%dT%H:%M:%S");
    let window = format!("[[window]]\nname = \"tonight\"\nkind = \"change\"\nzone = \"UTC\"\nend = \"{end}\"\n");
    let mut bench = Bench::start(&format!("{window}[freeze]\napprover = \"business-owner\"\n"));
    let open = bench.ask("timed").await;
    assert_eq!(open.terms.also, [], "the window is open");
    bench.ahead(360);
    // It is rendered again: what was asked is void, and it is asked anew with what holds now.
    let void = |s: &quarterdeck::engine::api::Snapshot| {
        s.requests.iter().any(|r| r.id == open.id && r.state == RequestState::Void)
            && s.runs[0].steps[0].state == StepState::AwaitsConfirmation
    };
    let seen = bench.until(void).await;
    let assessment = seen.runs[0].steps[0].assessment.clone().unwrap();
    assert!(assessment.reasons.iter().any(|r| r.contains("`tonight` is closed")), "{:?}", assessment.reasons);
    let request = bench.confirm(seen.runs[0].id.as_str()).await;
    assert_eq!(request.terms.also, [Role::BusinessOwner]);
    accepted(&bench.approve(&request, "ines").await);
    assert_eq!(bench.pokes(), 0, "an approver alone is not enough");
    let signature = bench.signature(&request, "otto", APPROVE, Role::BusinessOwner);
    accepted(&bench.answer(&request.id, APPROVE, Role::BusinessOwner, signature).await);
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_or_a_new_engine_voids_what_was_asked() {
    let mut bench = Bench::start("");
    let request = bench.ask("plain").await;
    let run = request.run.clone().unwrap();
    accepted(&bench.send(Command::StopRun { run: run.clone(), reason: "wait".into() }).await);
    assert!(denied(&bench.approve(&request, "ines").await).contains("is void"));
    accepted(&bench.send(Command::ResumeRun { run: run.clone() }).await);
    let second = bench.confirm(run.as_str()).await;
    bench.end().await;
    bench.open();
    bench.until(|s| !s.runs.is_empty()).await;
    assert!(denied(&bench.approve(&second, "ines").await).contains("is void"));
    accepted(&bench.send(Command::ResumeRun { run: run.clone() }).await);
    let third = bench.confirm(run.as_str()).await;
    accepted(&bench.approve(&third, "ines").await);
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_a_time_is_granted_by_another_person_and_ends_by_itself() {
    let mut bench = Bench::start("");
    let request = bench.ask("plain").await;
    assert!(denied(&bench.approve(&request, "dan").await).contains("does not hold the role approver"));
    // An unsigned role of the incident grants nothing.
    let assign = Command::AssignRole { incident: bench.incident(), role: Role::Approver, person: "dan".into() };
    accepted(&bench.send(assign).await);
    assert!(denied(&bench.approve(&request, "dan").await).contains("does not hold the role approver"));

    let elevate = Command::Elevate { role: Role::Approver, lasts_s: 300, reason: "nobody else is awake".into() };
    let asked = bench.send_as(&actor("dan", 1007), elevate.clone()).await;
    let Reply::Accepted { id: Some(id), .. } = asked else { panic!("{asked:?}") };
    let asked = bench.snapshot().requests.iter().find(|r| r.id == id).unwrap().clone();
    assert!(denied(&bench.approve(&asked, "dan").await).contains("can not approve it"));
    accepted(&bench.approve(&asked, "ines").await);
    assert_eq!(bench.snapshot().elevations.len(), 1);
    accepted(&bench.approve(&request, "dan").await);
    bench.until(|s| s.runs[0].state == RunState::Finished).await;
    assert_eq!(bench.pokes(), 1);

    let next = bench.ask("plain").await;
    bench.ahead(301);
    bench.until(|s| s.elevations.is_empty()).await;
    assert_eq!(bench.records("elevation.ended").len(), 1);
    assert!(denied(&bench.approve(&next, "dan").await).contains("does not hold the role approver"));
    let stranger = bench.send_as(&actor("nobody", 7), elevate).await;
    assert!(denied(&stranger).contains("does not know you"));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roster_is_pinned_and_changes_only_by_signatures_under_the_one_before() {
    let mut bench = Bench::start("");
    bench.until(|s| s.policy.origin.starts_with("record")).await;
    assert_eq!(bench.records("roster.changed").len(), 1);
    bench.end().await;
    // Somebody puts a key into the file: the journal's copy stays in force.
    let before = bench.policy.clone();
    let own = bench.keys.make("own");
    bench.policy = format!("{before}{}", person("eve", 1666, "\"approver\"", &[&own]));
    bench.open();
    bench.until(|s| s.policy.differs.is_some()).await;
    let request = bench.ask("plain").await;
    assert!(denied(&bench.approve(&request, "own").await).contains("belongs to nobody"));

    // Asked for, signed by another person under the policy in force, it comes into force.
    let propose = Command::ProposePolicy { policy: bench.policy.clone(), revoked: None };
    let asked = bench.send(propose.clone()).await;
    let Reply::Accepted { id: Some(id), .. } = asked else { panic!("{asked:?}") };
    let asked = bench.snapshot().requests.iter().find(|r| r.id == id).unwrap().clone();
    assert!(asked.is_what_it_shows());
    assert!(denied(&bench.approve(&asked, "own").await).contains("belongs to nobody"));
    assert!(denied(&bench.approve(&asked, "mara-second").await).contains("can not approve it"));
    accepted(&bench.approve(&asked, "bo").await);
    let seen = bench.snapshot();
    assert_eq!((seen.policy.people, seen.policy.differs.clone()), (6, None));
    assert_eq!(bench.records("roster.changed").len(), 2);
    assert!(matches!(bench.send(propose).await, Reply::Refused { .. }), "it is in force already");
    accepted(&bench.approve(&request, "own").await);
    bench.until(|s| s.runs[0].state == RunState::Finished).await;
    assert_eq!(bench.pokes(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_counts_no_more_also_between_approval_and_start() {
    let mut bench = Bench::start("");
    let request = bench.ask("two").await;
    accepted(&bench.approve(&request, "ines").await);
    // Ines loses her laptop: a policy without that key, signed by bo.
    let line = std::fs::read_to_string(bench.keys.0.join("ines.pub")).unwrap();
    let policy = bench.policy.replace(&format!("\"{}\", ", line.trim()), "");
    assert_ne!(policy, bench.policy);
    let asked = bench.send(Command::ProposePolicy { policy, revoked: None }).await;
    let Reply::Accepted { id: Some(id), .. } = asked else { panic!("{asked:?}") };
    let asked = bench.snapshot().requests.iter().find(|r| r.id == id).unwrap().clone();
    accepted(&bench.approve(&asked, "bo").await);
    // The set is complete, and one of it does not count any more at the start.
    accepted(&bench.approve(&request, "bo").await);
    bench.until(|s| s.runs[0].steps[0].state == StepState::AwaitsDecision).await;
    assert_eq!(bench.pokes(), 0);
    let finished = bench.records("step.finished");
    assert!(finished[0].body.to_string().contains("belongs to nobody"), "{:?}", finished[0].body);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_is_a_measure_and_recovery_is_the_business_owners() {
    let mut bench = Bench::start("[closing]\nrecovery_accepted = \"SEV2\"\n");
    let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
    accepted(&bench.send(declare).await);
    accepted(&bench.send(Command::SetFreeze { reason: "hold deliveries".into(), until: None }).await);
    assert!(bench.snapshot().measures.iter().any(|m| m.id == "freeze/changes"));
    let close = Command::Close { incident: bench.incident(), summary: "over".into() };
    let why = bench.send(close.clone()).await;
    assert!(denied(&why).contains("freeze/changes") && denied(&why).contains("business owner"), "{why:?}");
    accepted(&bench.send(Command::LiftFreeze { reason: "it is over".into() }).await);
    assert!(bench.snapshot().measures.is_empty());
    let accept = Command::AcceptRecovery { incident: bench.incident(), text: "orders flow again".into() };
    assert!(denied(&bench.send(accept.clone()).await).contains("not the business owner"));
    accepted(&bench.send_as(&actor("otto", 1006), accept).await);
    accepted(&bench.send(close).await);
    assert!(bench.snapshot().incidents.iter().all(|i| i.state == IncidentState::Closed));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_its_server_and_nothing_else_also_across_a_restart() {
    const VALUE: &str = "correct horse \"battery\" staple";
    let mut bench = Bench::start("");
    let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
    accepted(&bench.send(declare).await);
    let start = |value: &str| Command::StartRunWith {
        playbook: "secret".into(),
        params: std::collections::BTreeMap::new(),
        secrets: [("token".to_owned(), SecretText::new(value))].into(),
        incident: None,
    };
    assert!(!format!("{:?}", start(VALUE)).contains("horse"));
    // Not among the parameters, not without it, not too short for one.
    let params = [("token".to_owned(), VALUE.to_owned())].into();
    let plain = Command::StartRun { playbook: "secret".into(), params, incident: None };
    for (command, says) in [
        (plain, "never among the parameters"),
        (
            Command::StartRun { playbook: "secret".into(), params: std::collections::BTreeMap::new(), incident: None },
            "must be given",
        ),
        (start("abc"), "4 characters at least"),
    ] {
        let reply = bench.send(command).await;
        assert!(reply.words().contains(says) && !reply.words().contains("horse"), "{reply:?}");
    }
    let Reply::Accepted { id: Some(run), .. } = bench.send(start(VALUE)).await else { panic!("it did not start") };
    let request = bench.confirm(&run).await;
    assert!(request.document.to_string().contains("secret-sha256-"), "{}", request.document);

    bench.end().await;
    bench.open();
    bench.until(|s| s.runs.iter().any(|r| r.secrets_missing == ["token"])).await;
    let again = |value: Option<&str>| Command::ResumeRunWith {
        run: run.as_str().into(),
        secrets: value.map(|v| ("token".to_owned(), SecretText::new(v))).into_iter().collect(),
    };
    for (value, says) in [(None, "given again: token"), (Some("another horse"), "is not the value")] {
        let reply = bench.send(again(value)).await;
        assert!(reply.words().contains(says), "{reply:?}");
    }
    accepted(&bench.send(again(Some(VALUE))).await);
    let request = bench.confirm(&run).await;
    accepted(&bench.approve(&request, "ines").await);
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.said(), [format!("lab.poke: {VALUE}")], "the server gets it, once");

    let snapshot = bench.snapshot();
    let frames = format!("{snapshot:?} {}", serde_json::to_string(snapshot.as_ref()).unwrap());
    assert!(frames.contains("secret-sha256-"), "what the server said again is kept without it");
    bench.end().await;
    let all = bench.on_disk();
    assert!(all.len() > 3 && all.iter().any(|(path, _)| path.to_string_lossy().contains("openings")));
    assert!(!all.iter().any(|(path, _)| path.to_string_lossy().contains("salts")), "the salt goes with the run");
    for (name, bytes) in
        all.iter().map(|(p, b)| (p.display().to_string(), b.clone())).chain([("frames".into(), frames.into_bytes())])
    {
        for form in ["correct horse", "battery\\\"", "correct%20horse", "Y29ycmVjdCBob3JzZS"] {
            let found = bytes.windows(form.len()).any(|w| w == form.as_bytes());
            assert!(!found, "{name} holds the secret");
        }
    }
    // What the record holds can be opened by whoever was named, and proves the value.
    let started = &bench.records("run.started")[0].body["params"]["token"];
    let commitment = started["commitment"].as_str().unwrap().parse().unwrap();
    let sealed = quarterdeck::journal::commitment::sealed(&bench.journal(), &commitment).unwrap().unwrap();
    let identity =
        quarterdeck::journal::commitment::Identities::parse("k", bench.opener.to_string().expose_secret()).unwrap();
    let opening = quarterdeck::journal::commitment::open(&commitment, &sealed, &identity).unwrap();
    assert_eq!(opening.value.as_str(), VALUE);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_called_through_the_gate_after_the_time_and_once() {
    let mut bench = Bench::start("[automation]\nlow_risk = true\n[approvals.low]\nquorum = 0\n");
    let request = bench.ask("called").await;
    let run = request.run.clone().unwrap();
    assert!(bench.said().is_empty());
    bench.ahead(301);
    let call =
        |s: &quarterdeck::engine::api::Snapshot| s.runs.iter().find(|r| r.playbook.as_str() == "call-by-page").cloned();
    let seen = bench.until(|s| call(s).is_some_and(|r| r.steps[0].by_itself_at.is_some())).await;
    assert!(bench.said().is_empty(), "it is shown before it goes out");
    let calling = call(&seen).unwrap().id;
    bench.ahead(15);
    bench.until(|s| call(s).is_some_and(|r| r.state == RunState::Finished)).await;
    assert_eq!(bench.said().len(), 1);
    assert!(bench.said()[0].contains("comms.page: poke has waited for"), "{:?}", bench.said());
    let sent = bench.records("escalation.sent");
    let body = &sent[0].body;
    assert_eq!(
        (sent.len(), &body["run"], &body["person"], &body["by_run"]),
        (1, &serde_json::json!(run), &serde_json::json!("dba-oncall"), &serde_json::json!(calling))
    );
    let order: Vec<u64> = ["step.intended", "step.confirmed", "step.started", "step.finished"]
        .map(|kind| bench.records(kind).iter().find(|r| r.body["run"] == serde_json::json!(calling)).unwrap().seq)
        .to_vec();
    assert!(order.is_sorted() && order[3] < sent[0].seq, "{order:?}");

    // Not again with more time, nor by the next engine.
    bench.ahead(600);
    bench.end().await;
    bench.open();
    bench.until(|s| s.runs.iter().any(|r| r.id == run)).await;
    accepted(&bench.send(Command::ResumeRun { run: run.clone() }).await);
    bench.confirm(run.as_str()).await;
    bench.ahead(600);
    bench.until(|s| s.requests.iter().any(|r| r.state == RequestState::Void || r.state == RequestState::Expired)).await;
    assert_eq!(bench.said().len(), 1, "{:?}", bench.said());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_side_by_side_have_their_own_gates_and_no_restart_runs_one_twice() {
    let mut bench = Bench::start("");
    let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
    accepted(&bench.send(declare).await);
    let begin =
        Command::StartRun { playbook: "sides".into(), params: std::collections::BTreeMap::new(), incident: None };
    let Reply::Accepted { id: Some(both), .. } = bench.send(begin).await else { panic!("it did not start") };
    let seen = bench.until(|s| s.runs.len() == 3).await;
    let of = |id: &str| seen.runs.iter().find(|r| r.playbook.as_str() == id).unwrap().id.to_string();
    let (left, right) = (of("plain"), of("two"));
    let request = bench.confirm(&left).await;
    accepted(&bench.approve(&request, "ines").await);
    let other = bench.confirm(&right).await;
    assert_eq!((request.needed, other.needed), (1, 2), "each has its own request");
    bench.until(|s| s.runs.iter().any(|r| r.id.as_str() == left && r.state == RunState::Finished)).await;
    assert_eq!(bench.pokes(), 1);
    bench.end().await;
    bench.open();
    bench.until(|s| s.runs.len() == 2).await;
    for run in [&both, &right] {
        accepted(&bench.send(Command::ResumeRun { run: run.as_str().into() }).await);
    }
    let other = bench.confirm(&right).await;
    let lines = |s: &quarterdeck::engine::api::Snapshot| {
        let view = s.runs.iter().find(|r| r.id.as_str() == both).unwrap();
        view.steps[0].targets.iter().map(|t| (t.name.clone(), t.state)).collect::<Vec<_>>()
    };
    bench
        .until(|s| lines(s) == [("left".to_owned(), StepState::Done), ("right".to_owned(), StepState::Executing)])
        .await;
    accepted(&bench.approve(&other, "ines").await);
    accepted(&bench.approve(&other, "bo").await);
    bench.until(|s| s.runs.iter().any(|r| r.id.as_str() == both && r.state == RunState::Finished)).await;
    assert_eq!(bench.pokes(), 2, "each branch once");
    assert_eq!(bench.records("run.started").len(), 3);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_is_done_or_keeps_the_incident_open() {
    let mut bench = Bench::start("");
    let request = bench.ask("owing").await;
    accepted(&bench.approve(&request, "ines").await);
    bench.run_over().await;
    let incident = bench.incident();
    let close = || Command::Close { incident: incident.clone(), summary: "over".into() };
    assert!(denied(&bench.send(close()).await).contains("duty/RUN-1/unfreeze is in force"));
    let done = |word: &str| Command::DutyDone { duty: format!("duty/RUN-1/{word}"), text: "see ticket 4711".into() };
    accepted(&bench.send(Command::SetFreeze { reason: "hold on".into(), until: None }).await);
    assert!(denied(&bench.send(done("unfreeze")).await).contains("freeze/changes is still in force"));
    assert!(bench.send(done("nothing")).await.words().contains("there is no duty"));
    accepted(&bench.send(Command::LiftFreeze { reason: "over".into() }).await);
    accepted(&bench.send(done("unfreeze")).await);
    assert!(denied(&bench.send(close()).await).contains("duty/RUN-1/retrospective"));
    accepted(&bench.send(done("retrospective")).await);
    accepted(&bench.send(close()).await);
    let lifted = bench.records("measure.lifted");
    assert!(
        lifted
            .iter()
            .any(|r| r.body["checked"] == "no hold on deliveries is in force" && r.body["done"] == "see ticket 4711")
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_vanished_after_the_approval_was_asked_for_is_a_journaled_refusal() {
    let mut bench = Bench::start("");
    let request = bench.ask("plain").await;
    bench.vanish();
    let void = |s: &quarterdeck::engine::api::Snapshot| {
        s.requests.iter().any(|r| r.id == request.id && r.state == RequestState::Void)
    };
    bench.until(void).await;
    assert!(denied(&bench.approve(&request, "ines").await).contains("is void"));
    let refused = bench.records("step.refused");
    assert!(
        refused[0].body["why"].as_str().unwrap().contains("the thing is not there any more"),
        "{:?}",
        refused[0].body
    );
    assert_eq!((bench.pokes(), bench.records("step.started").len()), (0, 0));
    // Nothing is written again and again while it stays away.
    bench.ahead(60);
    let next = bench.ask_blocked("plain").await;
    assert!(next.contains("not there any more"), "{next}");
    assert_eq!(bench.records("step.refused").iter().filter(|r| r.body["run"] == "RUN-2").count(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_second_factor_has_no_source_the_answer_is_no_and_a_touched_key_is_one() {
    let mut bench = Bench::start("[mfa]\nfrom = \"high\"\n");
    let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
    accepted(&bench.send(declare).await);
    let why = bench.ask_blocked("plain").await;
    assert!(why.contains("policy asks for a second factor at high risk") && why.contains("the answer is no"), "{why}");
    // Nor does the broken glass prove one.
    accepted(&bench.send(Command::BreakGlass { reason: "nobody has a key at hand".into() }).await);
    let why = bench.ask_blocked("plain").await;
    assert!(why.contains("the answer is no"), "{why}");
    assert_eq!((bench.pokes(), bench.records("step.intended").len()), (0, 0));
    let refused = bench.records("step.refused");
    assert!(!refused.is_empty() && refused.iter().all(|r| r.body["why"].as_str().unwrap().contains("second factor")));
    bench.end().await;

    // A step that asks for one itself, where policy has no source of it.
    let mut bench = Bench::start("");
    let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
    accepted(&bench.send(declare).await);
    let why = bench.ask_blocked("touched").await;
    assert!(why.contains("there is no source here that says that you have proven one"), "{why}");
    assert_eq!(bench.pokes(), 0);
    bench.end().await;

    let secret = SigningKey::from_bytes(&[6; 32]);
    let line = format!("sk-ssh-ed25519@openssh.com {}", STANDARD.encode(sk_blob(&secret)));
    let mfa = "[mfa]\nfrom = \"high\"\nsource = \"security-key\"\n";
    let mut bench = Bench::start(&format!("{mfa}{}", person("fay", 1010, "\"approver\"", &[&line])));
    for playbook in ["plain", "touched"] {
        let before = bench.pokes();
        let request = bench.ask(playbook).await;
        assert!(request.terms.security_key, "{playbook}");
        let plain = bench.approve(&request, "ines").await;
        assert!(denied(&plain).contains("is no security key"), "{plain:?}");
        let statement = request.statement(APPROVE, Role::Approver);
        let untouched = touched(&secret, 0, statement.as_bytes());
        let reply = bench.answer(&request.id, APPROVE, Role::Approver, untouched).await;
        assert!(denied(&reply).contains("nobody touched it"), "{reply:?}");
        assert_eq!(bench.pokes(), before, "{playbook}");
        let good = touched(&secret, 1, statement.as_bytes());
        accepted(&bench.answer(&request.id, APPROVE, Role::Approver, good).await);
        bench.until(|s| s.runs[0].state == RunState::Finished).await;
        assert_eq!(bench.pokes(), before + 1, "{playbook}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_glass_mends_itself_and_its_review_keeps_the_incident_open() {
    let mut bench = Bench::start("[glass]\nlasts = \"30m\"\nwaives = [\"approvals\"]\n");
    let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
    accepted(&bench.send(declare).await);
    let incident = bench.incident();
    accepted(&bench.send(Command::BreakGlass { reason: "nobody answers the phone".into() }).await);
    let glass = bench.snapshot().glass.clone().unwrap();
    assert!(!glass.review_due && glass.reason == "nobody answers the phone");
    assert_eq!(bench.begin("plain").await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1, "it stands for the second person");

    bench.ahead(1801);
    bench.until(|s| s.glass.as_ref().is_some_and(|g| g.review_due)).await;
    let restored = bench.records("glass.restored");
    assert_eq!((restored.len(), restored[0].body["why"].as_str()), (1, Some("its time is over")));
    // From here on a second person is needed again.
    let request = bench.ask("plain").await;
    assert_eq!(bench.pokes(), 1);
    let run = request.run.clone().unwrap();
    accepted(&bench.send(Command::StopRun { run, reason: "enough".into() }).await);
    let close = || Command::Close { incident: incident.clone(), summary: "over".into() };
    let why = bench.send(close()).await;
    assert!(denied(&why).contains("review"), "{why:?}");
    accepted(
        &bench
            .send(Command::ReviewGlass { text: "two approvers were on a plane; the roster has a third".into() })
            .await,
    );
    let closed = bench.send(close()).await;
    assert!(!closed.words().contains("review"), "{closed:?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_rosters_authority_approves_for_its_principal_while_it_lasts() {
    let ours = tempfile::tempdir().unwrap();
    let ours = Keys(ours.path().to_owned());
    let (ca, other) = (ours.make("ca"), ours.make("other-ca"));
    assert_ne!(ca, other);
    let rules = format!(
        "{}[[authority]]\nkey = \"{ca}\"\nprincipals = [\"n.vogt=nora\", \"b.lund=bo\"]\n",
        person("nora", 1011, "\"approver\"", &[])
    );
    let mut bench = Bench::start(&rules);
    bench.keys.make("laptop");
    // As an authority of the company would, again and again for the same key.
    let certify = |authority: &str, more: &[&str]| {
        let signs = ours.0.join(authority).display().to_string();
        let args = [&["-q", "-s", &signs, "-I", "nora-laptop", "-z", "7"][..], more, &["laptop.pub"]].concat();
        bench.keys.keygen(&args);
    };
    let request = bench.ask("plain").await;
    for (authority, more, says) in [
        ("ca", &["-n", "n.vogt", "-V", "20200101000000Z:20210101000000Z"][..], "valid until"),
        ("ca", &["-n", "n.vogt", "-V", "20800101000000Z:20810101000000Z"], "valid from"),
        ("ca", &["-n", "root"], "none of its principals is a person of the roster"),
        ("ca", &["-n", "n.vogt,b.lund"], "more than one person"),
        ("ca", &["-n", "n.vogt", "-O", "source-address=127.0.0.1/32"], "source-address"),
        ("ca", &["-h", "-n", "n.vogt"], "for a host"),
        ("other-ca", &["-n", "n.vogt"], "is not in the roster"),
    ] {
        certify(authority, more);
        let reply = bench.approve(&request, "laptop-cert.pub").await;
        assert!(denied(&reply).contains(says), "{more:?}: {reply:?}");
    }
    assert_eq!(bench.pokes(), 0);
    certify("ca", &["-n", "n.vogt", "-V", "-1m:+1h"]);
    accepted(&bench.approve(&request, "laptop-cert.pub").await);
    assert_eq!(bench.run_over().await.state, RunState::Finished);
    assert_eq!(bench.pokes(), 1);
    let granted = &bench.records("approval.granted")[0];
    assert_eq!(granted.body["person"], "nora");
    assert!(granted.body["certificate"].as_str().unwrap().contains("nora-laptop"), "{}", granted.body);
    // The same certificate an hour later.
    let next = bench.ask("plain").await;
    let signature = bench.signature(&next, "laptop-cert.pub", APPROVE, Role::Approver);
    bench.ahead(120);
    certify("ca", &["-n", "n.vogt", "-V", "-1m:+1m"]);
    let late = bench.approve(&next, "laptop-cert.pub").await;
    assert!(denied(&late).contains("valid until"), "{late:?}");
    accepted(&bench.answer(&next.id, APPROVE, Role::Approver, signature).await);
    bench.end().await;
}
