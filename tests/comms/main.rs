//! Communications of an incident from the command line, on real wires: a mail server with STARTTLS that refuses, falls
//! silent and hangs up, receivers of web hooks, an engine that is killed while a message is on its way, and a drill from
//! which nothing leaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/engine.rs"]
mod engine;
mod oncall;
#[path = "../support/mod.rs"]
mod support;
mod wires;

use engine::Served;
use quarterdeck::comms::{Channel, Delivery};
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::incident::Severity;
use quarterdeck::domain::mode::Mode;
use quarterdeck::drill::{Drill, Options, catalog};
use quarterdeck::engine::adapters;
use quarterdeck::engine::api::{Command as Ask, Reply, WayName};
use quarterdeck::engine::core::{self, Parts};
use quarterdeck::engine::state::State;
use quarterdeck::journal::{OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use wires::{Hooks, Mail};

/// A home with a configuration, in which an incident is declared.
struct Home {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Home {
    fn new(comms: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml");
        let journal = dir.path().join("journal");
        let text = format!(
            "[estate]\nname = \"acme\"\nenvironment = \"production\"\ntime_zone = \"Europe/Berlin\"\n\
             [journal]\ndir = \"{}\"\n{comms}",
            journal.display()
        );
        std::fs::write(&config, text).unwrap();
        Self { dir, config }
    }

    fn with_mail(mail: &Mail, dir: &Path, timeout: &str, audience: &str) -> Self {
        let smtp = format!(
            "[comms]\n[comms.smtp]\nhost = \"localhost\"\nport = {}\nfrom = \"NOC <noc@acme.example>\"\n\
             tls = \"starttls\"\nca = \"{}\"\ntimeout = \"{timeout}\"\n",
            mail.port,
            dir.join("cert.pem").display()
        );
        let home = Self::new(&format!("{smtp}{audience}"));
        home.declare();
        home
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(support::program());
        command
            .arg("--config")
            .arg(&self.config)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("USER", "mara")
            .env("PAGER_KEY", "k3y-of-pager")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn json(&self, args: &[&str]) -> (i32, Value) {
        let (code, out, err) = self.run(&[args, &["--format", "json"]].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {err}")))
    }

    fn declare(&self) {
        let (code, _, err) = self.run(&["incident", "declare", "orders hang", "--severity", "SEV1"]);
        assert_eq!(code, 0, "{err}");
    }

    /// Records of communications, oldest first: kind and body.
    fn records(&self) -> Vec<(String, Value)> {
        let (_, out, _) = self.run(&["audit", "show", "--kind", "comms", "--format", "json"]);
        let record = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap();
            (record["kind"].as_str().unwrap().to_owned(), record["body"].clone())
        };
        out.lines().map(record).collect()
    }
}

fn audience(address: &str, more: &str) -> String {
    format!("[[comms.audience]]\nname = \"customers\"\ngroups = [\"customer\"]\nemail = [\"{address}\"]\n{more}")
}

fn kinds(records: &[(String, Value)]) -> Vec<&str> {
    records.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn a_message_goes_to_a_real_mail_server_over_starttls_once_and_is_not_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mail) = Mail::start(dir.path()) else { return };
    let home = Home::with_mail(&mail, dir.path(), "20s", &audience("it@brandt.example", ""));
    let (_, draft) = home.json(&["comms", "preview", "customer"]);
    assert_eq!((&draft["moment"], &draft["template"]), (&json!("first"), &json!("customer-first")));
    assert!(mail.is_quiet(), "a preview sends nothing");
    let text = home.dir.path().join("text");
    std::fs::write(&text, "Wir arbeiten daran.\n. ein Punkt\n").unwrap();
    let (code, sent) = home.json(&["comms", "send", "customers", "--text", text.to_str().unwrap()]);
    assert_eq!((code, &sent["delivery"], &sent["id"]), (0, &json!("sent"), &json!("MSG-1")), "{sent}");
    let came = mail.next();
    assert_eq!((&came["tls"], &came["auto"]), (&json!(true), &json!("auto-generated")));
    assert_eq!(came["subject"], draft["subject"]);
    assert_eq!(came["text"].as_str().unwrap().replace("\r\n", "\n").trim_end(), "Wir arbeiten daran.\n. ein Punkt");

    let records = home.records();
    assert_eq!(kinds(&records), ["comms.intended", "comms.sent"]);
    let (intended, outcome) = (&records[0].1, &records[1].1);
    assert_eq!(intended["text"], "Wir arbeiten daran.\n. ein Punkt");
    assert_eq!(
        (&outcome["result"], &outcome["by"], &outcome["to"]),
        (&json!("sent"), &json!("mara"), &json!(["customer"]))
    );
    assert_eq!(came["id"], format!("<{}.quarterdeck@acme.example>", intended["key"].as_str().unwrap()));

    let (code, said, _) = home.run(&["comms", "resend", "MSG-1"]);
    assert!(code == 0 && said.contains("taken everywhere"), "{said}");
    let (code, said, _) = home.run(&["comms", "resend", "MSG-1", "--by", "email"]);
    assert!(code == 0 && said.contains("taken everywhere"), "{said}");
    assert!(mail.is_quiet());
    assert_eq!(home.records().len(), 2);

    let (_, board) = home.json(&["comms", "list"]);
    let customer = board["audiences"].as_array().unwrap().iter().find(|a| a["id"] == "customer").unwrap();
    assert_eq!((&customer["last"]["message"], &customer["last"]["by"]), (&json!("MSG-1"), &json!("mara")));
    assert_eq!((&customer["due"], &customer["moment"]), (&outcome["next"], &json!("update")));
    let (_, page, _) = home.run(&["comms", "status-page", "INC-1"]);
    assert!(
        page.contains("Status: investigating (major outage)") && page.contains("    Wir arbeiten daran."),
        "{page}"
    );
    assert!(!page.contains("orders hang"), "the title is for those inside: {page}");
    let (code, md, _) = home.run(&["comms", "status-page", "INC-1", "--format", "md"]);
    assert!(code == 0 && md.contains("# INC-1") && md.contains("> Wir arbeiten daran."), "{md}");

    let (code, _) = home.json(&["comms", "send", "customer", "--moment", "resolved"]);
    assert_eq!(code, 0);
    assert_ne!(mail.next()["id"], came["id"], "another message has another name");
    let (_, page) = home.json(&["comms", "status-page", "INC-1"]);
    assert_eq!((&page["state"], page["history"].as_array().unwrap().len()), (&json!("resolved"), 2));
    assert_eq!((&page["next_update"], &page["ended"].is_string()), (&Value::Null, &true));
}

#[test]
fn a_channel_that_refuses_says_so_and_the_next_one_carries_the_same_message() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mail) = Mail::start(dir.path()) else { return };
    let hooks = Hooks::start(200);
    let more = format!("webhook = \"{}\"\nwebhook_body = \"slack\"\n", hooks.url);
    let home = Home::with_mail(&mail, dir.path(), "20s", &audience("refuse@brandt.example", &more));
    let (code, said, _) = home.run(&["comms", "send", "customer"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("no such user"), "{said}");
    assert!(said.contains("next: quarterdeck comms resend MSG-1 --to customers --by webhook"), "{said}");
    assert!(mail.is_quiet(), "no text was handed over");
    let (code, sent) = home.json(&["comms", "resend", "MSG-1", "--to", "customers", "--by", "webhook"]);
    assert_eq!((code, &sent["delivery"]), (0, &json!("sent")), "{sent}");
    let taken = hooks.next();
    let records = home.records();
    assert_eq!(kinds(&records), ["comms.intended", "comms.failed", "comms.intended", "comms.sent"]);
    assert_eq!(records[0].1["key"], records[2].1["key"], "the same message");
    assert_eq!(taken.headers["idempotency-key"], records[0].1["key"].as_str().unwrap());
    assert_eq!(taken.body["blocks"][0]["type"], "header");
    assert_eq!(taken.body["blocks"][1]["text"]["text"], records[0].1["text"]);
    let (code, said, _) = home.run(&["comms", "resend", "MSG-1"]);
    assert!(code == 0 && said.contains("taken everywhere"), "{said}");
    assert!(hooks.is_quiet() && mail.is_quiet());
    let (code, out, _) = home.run(&["report", "INC-1", "--format", "md"]);
    assert!(code == 0 && out.contains("NOT told customer by email"), "{out}");
}

#[test]
fn what_a_server_leaves_open_after_the_text_is_unknown_and_goes_again_only_when_asked() {
    for (address, mails) in [("hang@brandt.example", 2), ("close@brandt.example", 2)] {
        let dir = tempfile::tempdir().unwrap();
        let Some(mail) = Mail::start(dir.path()) else { return };
        let home = Home::with_mail(&mail, dir.path(), "2s", &audience(address, ""));
        let (code, sent) = home.json(&["comms", "send", "customer"]);
        assert_eq!((code, &sent["delivery"]), (8, &json!("unknown")), "{address}: {sent}");
        let first = mail.next();
        assert!(mail.is_quiet(), "{address}: it is not sent again by itself");
        let (_, board) = home.json(&["comms", "list"]);
        let customer = board["audiences"].as_array().unwrap().iter().find(|a| a["id"] == "customer").unwrap();
        assert_eq!(customer["last"], Value::Null, "what is not known to have arrived keeps no promise");
        let (code, _) = home.json(&["comms", "resend", "MSG-1"]);
        assert_eq!(code, 8);
        assert_eq!(mail.next()["id"], first["id"], "{address}: the same mail, which mailboxes show once");
        let intended = home.records().iter().filter(|(kind, _)| kind == "comms.intended").count();
        assert_eq!(intended, mails);
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(mail) = Mail::start(dir.path()) else { return };
    let home = Home::with_mail(&mail, dir.path(), "20s", &audience("full@brandt.example", ""));
    let (code, sent) = home.json(&["comms", "send", "customer"]);
    assert_eq!((code, &sent["delivery"]), (1, &json!("failed")), "an answer in words is a refusal: {sent}");
}

#[test]
fn an_engine_that_is_killed_while_a_message_is_on_its_way_sends_it_neither_twice_nor_forgets_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mail) = Mail::start(dir.path()) else { return };
    let home = Home::with_mail(&mail, dir.path(), "60s", &audience("hang@brandt.example", ""));
    let config = home.config.to_str().unwrap().to_owned();
    let served = Served::start(home.dir.path(), &["--config", &config]);
    let sending = home.command(&["comms", "send", "customer"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    mail.next();
    served.kill();
    let ended = sending.unwrap().wait_with_output().unwrap();
    assert!(!ended.status.success());
    assert_eq!(kinds(&home.records()), ["comms.intended"], "the intent was on disk first");

    Served::start(home.dir.path(), &["--config", &config]).ends();
    let records = home.records();
    assert_eq!(kinds(&records), ["comms.intended", "comms.unknown"]);
    assert!(records[1].1["detail"].as_str().unwrap().contains("the engine ended"), "{records:?}");
    let (_, board) = home.json(&["comms", "list"]);
    assert_eq!((&board["messages"][0]["delivery"], &board["messages"][0]["id"]), (&json!("unknown"), &json!("MSG-1")));
    assert!(mail.is_quiet(), "it was not sent again");
    Served::start(home.dir.path(), &["--config", &config]).ends();
    assert_eq!(home.records().len(), 2, "it is said once");
}

#[test]
fn each_service_gets_the_body_that_it_documents_and_its_key_on_the_wire_only() {
    let hooks = Hooks::start(202);
    let one = |kind: &str, key: &str| {
        format!(
            "[[comms.audience]]\nname = \"{kind}\"\ngroups = [\"executives\"]\nwebhook = \"{}\"\nwebhook_body = \"{kind}\"\n{key}",
            hooks.url
        )
    };
    let key = "webhook_key = \"env:PAGER_KEY\"\n";
    let all = [one("generic", ""), one("slack", ""), one("teams", ""), one("pagerduty", key), one("opsgenie", key)];
    let spool = tempfile::tempdir().unwrap();
    let home = Home::new(&format!("[comms]\ndir = \"{}\"\n{}", spool.path().display(), all.concat()));
    home.declare();
    let (code, sent) = home.json(&["comms", "send", "executives"]);
    assert_eq!((code, &sent["delivery"]), (0, &json!("sent")), "{sent}");
    let came: Vec<wires::Taken> = (0..5).map(|_| hooks.next()).collect();
    let body = |has: &str| came.iter().find(|t| t.body.get(has).is_some()).unwrap();
    let subject = &sent["subject"];
    assert_eq!((&body("estate").body["subject"], &body("estate").body["id"]), (subject, &json!("MSG-1")));
    assert_eq!(&body("blocks").body["blocks"][0]["text"]["text"], subject);
    let card = &body("attachments").body["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(&card["content"]["body"][0]["text"], subject);
    let pagerduty = &body("dedup_key").body;
    assert_eq!(
        (&pagerduty["routing_key"], &pagerduty["payload"]["severity"]),
        (&json!("k3y-of-pager"), &json!("critical"))
    );
    let opsgenie = body("alias");
    assert_eq!((&opsgenie.body["priority"], &opsgenie.body["message"]), (&json!("P1"), subject));
    assert_eq!(opsgenie.headers["authorization"], "GenieKey k3y-of-pager");
    assert_eq!(opsgenie.headers["idempotency-key"], opsgenie.body["alias"].as_str().unwrap());
    let (_, out, _) = home.run(&["audit", "show", "--format", "json"]);
    assert!(!out.contains("k3y-of-pager"), "no secret in a record");

    let (code, _) = home.json(&["comms", "send", "executives", "--by", "file"]);
    assert_eq!(code, 0);
    let files: Vec<_> = std::fs::read_dir(spool.path()).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), 5, "one for each recipient");
    assert!(std::fs::read_to_string(&files[0]).unwrap().contains("INC-1 update 2"), "{files:?}");
}

#[test]
fn what_can_not_be_sent_is_refused_in_a_sentence() {
    let home =
        Home::new("[comms]\ntemplates = \"own.toml\"\n[[comms.audience]]\nname = \"x\"\ngroups = [\"pirates\"]\n");
    let own = home.dir.path().join("own.toml");
    std::fs::write(&own, "[[audience]]\nid = \"board\"\ncadence = { SEV1 = \"1s\" }\n").unwrap();
    let (code, _, err) = home.run(&["config", "check"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("own.toml:3:20: `SEV1` of [cadence] is `1s`; allowed is a duration"), "{err}");
    std::fs::write(&own, "[[audience]]\nid = \"board\"\n").unwrap();
    let (code, _, err) = home.run(&["config", "check"]);
    assert!(code == 2 && err.contains("config.toml:11:11: `pirates` is no audience; known are customer,"), "{err}");
    let text = std::fs::read_to_string(&home.config).unwrap().replace("pirates", "board");
    std::fs::write(&home.config, text).unwrap();

    let (code, _, err) = home.run(&["comms", "preview", "customer"]);
    assert!(code == 1 && err.contains("no incident is open"), "{err}");
    home.declare();
    let says = |args: &[&str]| {
        let (code, out, err) = home.run(args);
        (code, format!("{out}{err}"))
    };
    let (code, said) = says(&["comms", "send", "pirates"]);
    assert!(code == 1 && said.contains("there is no audience pirates; known are customer,"), "{said}");
    let (code, said) = says(&["comms", "send", "customer"]);
    assert!(code != 0 && said.contains("nobody can be told"), "{said}");
    let (code, said) = says(&["comms", "send", "customer", "--by", "pigeon"]);
    assert!(code == 2 && said.contains("`pigeon` is no channel"), "{said}");
    let (code, said) = says(&["comms", "resend", "MSG-9"]);
    assert!(code == 1 && said.contains("there is no message MSG-9"), "{said}");
    let (code, said) = says(&["--read-only", "comms", "send", "customer"]);
    assert!(code == 7 && said.contains("in the mode read-only nothing is sent"), "{said}");
    assert!(home.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_drill_leaves_it_and_each_text_bears_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (entries, _) = catalog::load(&[]);
    let adapters = adapters::drill(Drill::start(&entries[0].scenario, Options::default()));
    let me = Actor { user: "mara".into(), uid: 0, via: "test".into(), host: "test".into(), console: None };
    let (environment, now) = (adapters.estate.environment, adapters.clock.now());
    let mut state = State::default();
    let open = OpenOptions::new(dir.path(), "quarterdeck/test", me.clone(), Mode::Drill, environment, now);
    let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
    let library = Library::load(&[], &quarterdeck::act::catalog(), &[]).0;
    let parts = Parts {
        adapters,
        library,
        journal,
        state,
        journal_dir: String::new(),
        me,
        loaded: json!({}),
        witnesses: None,
        anchored: None,
    };
    let running = core::start(parts);
    let client = &running.client;
    let declare = Ask::Declare { title: "t".into(), severity: Severity::Sev1, findings: Vec::new() };
    assert!(matches!(client.send(declare).await, Reply::Accepted { .. }));
    let ask = Ask::Draft { incident: None, audience: "customer".into(), moment: None, template: None };
    let Reply::Drafted { view } = client.send(ask).await else { panic!() };
    assert!(view.subject.starts_with("[DRILL] ") && view.text.starts_with("DRILL:"), "{view:?}");
    let tell = |text: &str, by: Vec<WayName>| Ask::Tell {
        incident: None,
        audience: "customer".into(),
        moment: Some(view.moment),
        template: Some(view.template.clone()),
        subject: "for real".into(),
        text: text.into(),
        by,
        draft: Some(view.draft.clone()),
    };
    for channel in Channel::REAL {
        let real = tell("x", vec![WayName { recipient: None, channel }]);
        let Reply::Refused { why, .. } = client.send(real).await else { panic!("{channel}") };
        assert!(why.contains("has no way"), "{why}");
    }
    let sent = client.send(tell("the mark was taken away", Vec::new())).await;
    assert!(matches!(&sent, Reply::Accepted { id: Some(id), .. } if id == "MSG-1"), "{sent:?}");
    let again = client.send(tell("pressed twice", Vec::new())).await;
    assert!(again.words().contains("not sent a second time"), "{again:?}");
    let board = client.snapshot().comms.clone();
    let [message] = board.messages.as_slice() else { panic!("{board:?}") };
    assert_eq!((message.subject.as_str(), message.delivery), ("[DRILL] for real", Delivery::Sent));
    assert_eq!(message.attempts[0].channel, Channel::Simulated);
    running.end().await;
    let state: State = fold::replay_kept(dir.path()).unwrap();
    let text = &state.comms().message("MSG-1").unwrap().text;
    assert!(text.starts_with("DRILL:") && text.ends_with("nothing of it is real."), "{text}");
}

#[test]
fn business_by_hand_has_owners_who_acknowledge_and_owes_a_reconciliation_before_the_close() {
    let home = Home::new(
        "[[tenant]]\nid = \"t017\"\nname = \"Brandt\"\ntenancy = \"dedicated\"\ncriticality = 1\nplants = [\"Kassel\"]\n",
    );
    let says = |args: &[&str]| {
        let (code, out, err) = home.run(args);
        (code, format!("{out}{err}"))
    };
    let start =
        ["continuity", "start", "shipping", "t017", "labels from the portal", "--owner", "mara", "--plant", "Kassel"];
    let (code, said) = says(&start);
    assert!(code == 1 && said.contains("in an incident only"), "{said}");
    home.declare();
    let (code, said) = says(&start);
    assert!(code == 0 && said.contains("mara has to acknowledge it"), "{said}");
    let (code, said) = says(&start);
    assert!(code == 1 && said.contains("in force already"), "{said}");
    let (code, said) = says(&["continuity", "start", "priorities", "t017", "penalties first", "--owner", "olga"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = says(&["continuity", "start", "shipping", "t017", "x", "--owner", "o", "--plant", "Ulm"]);
    assert!(code == 1 && said.contains("t017 has no plant Ulm; it has Kassel"), "{said}");
    let id = "fallback/shipping/t017/Kassel";
    let (_, draft) = home.json(&["comms", "preview", "customer"]);
    let text = draft["text"].as_str().unwrap();
    assert!(text.contains("- goods are shipped with paper") && !text.contains("t017"), "{text}");
    let (code, said) = says(&["continuity", "acknowledge", "fallback/priorities/t017"]);
    assert!(code == 7 && said.contains("olga owns"), "{said}");
    assert_eq!(says(&["continuity", "acknowledge", id]).0, 0);
    let (_, list) = home.json(&["continuity", "list"]);
    let acknowledged = |i: usize| list[i]["acknowledged"].is_array();
    assert_eq!((list.as_array().unwrap().len(), acknowledged(0), acknowledged(1)), (2, false, true), "{list}");
    let close = ["incident", "close", "INC-1", "over"];
    let (code, said) = says(&close);
    assert!(code == 7 && said.contains(id), "{said}");
    assert_eq!(says(&["continuity", "end", "fallback/priorities/t017"]).0, 0);
    let (code, said) = says(&["continuity", "end", id]);
    assert!(code == 0 && said.contains("its reconciliation is owed"), "{said}");
    let (code, said) = says(&close);
    assert!(code == 7 && said.contains("reconcile/shipping/t017/Kassel") && !said.contains("priorities"), "{said}");
    let owed = "reconcile/shipping/t017/Kassel";
    let (code, said) = says(&["continuity", "reconcile", owed, "--sheets", "31", "--documents", "30"]);
    assert!(code == 7 && said.contains("31 sheets and 30 documents differ"), "{said}");
    let why = "one sheet was a copy of another";
    let (code, said) = says(&["continuity", "reconcile", owed, "--sheets", "31", "--documents", "30", "--text", why]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = says(&close);
    assert!(code == 0 || said.contains("recovery"), "nothing of it stands against the close any more: {said}");
}

#[test]
fn whoever_is_on_call_is_called_first_and_the_next_when_nobody_acknowledges() {
    let (ines, jon) = (Hooks::start(200), Hooks::start(200));
    let one =
        |name: &str, hooks: &Hooks| format!("[[comms.audience]]\nname = \"{name}\"\nwebhook = \"{}\"\n", hooks.url);
    let home = Home::new(&format!(
        "[comms]\n{}{}[[comms.oncall]]\nname = \"dba-oncall\"\nroster = \"roster.toml\"\nacknowledge_within = \"1s\"\n",
        one("ines", &ines),
        one("jon", &jon)
    ));
    let roster = home.dir.path().join("roster.toml");
    std::fs::write(&roster, "starts = \"2020-01-01T08:00\"\npeople = [\"jon\", \"ghost\"]\n").unwrap();
    let (code, _, err) = home.run(&["config", "check"]);
    assert!(code == 2 && err.contains("roster.toml:2:18: `ghost` is no [[comms.audience]]"), "{err}");
    let text = "starts = \"2020-01-01T08:00\"\npeople = [\"jon\"]\n[[instead]]\nfrom = \"2020-01-01T00:00\"\n\
                to = \"9000-01-01T00:00\"\nperson = \"ines\"\n";
    std::fs::write(&roster, text).unwrap();
    let (_, duty) = home.json(&["comms", "oncall"]);
    assert_eq!(duty[0]["order"], json!(["ines", "jon"]));
    let playbooks = home.dir.path().join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&playbooks).unwrap();
    let waits = "schemaVersion: 1\nid: waits\nname: Waits\nversion: 1\nowner: o\ndescription: d\nsteps:\n\
                 - {id: work, name: W, why: W, type: manual, escalate: {after: 1s, to: dba-oncall}}\n";
    std::fs::write(playbooks.join("waits.yaml"), waits).unwrap();
    home.declare();
    let served = Served::start(home.dir.path(), &["--config", home.config.to_str().unwrap()]);
    let (_, out, err) = home.run(&["playbook", "run", "waits", "--wait", "1"]);
    let first = ines.next();
    assert!(first.body["text"].as_str().unwrap().contains("work has waited for"), "{first:?} {out} {err}");
    let second = jon.next();
    assert!(
        second.body["text"].as_str().unwrap().contains("work has waited for"),
        "nobody has acknowledged: {second:?}"
    );
    let (code, said, err) = home.run(&["comms", "acknowledge", "RUN-1", "work"]);
    assert_eq!(code, 0, "{said} {err}");
    let (code, _, err) = home.run(&["comms", "acknowledge", "RUN-1", "work"]);
    assert!(code == 1 && err.contains("mara has acknowledged it"), "{err}");
    served.ends();
    let (_, out, _) = home.run(&["audit", "show", "--kind", "escalation", "--format", "json"]);
    let told: Vec<(String, Value)> = out
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .map(|r| (r["kind"].as_str().unwrap().to_owned(), r["body"]["person"].clone()))
        .collect();
    let sent = |person: &str| ("escalation.sent".to_owned(), json!(person));
    assert_eq!(told, [sent("ines"), sent("jon"), ("escalation.acknowledged".to_owned(), json!("mara"))]);
}
