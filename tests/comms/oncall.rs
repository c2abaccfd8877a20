//! Whoever is on call by the schedule of a service that answers over real HTTP, refuses later, and is believed no longer
//! than its answer is worth.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A service that answers one body until it is told to be busy.
struct Service {
    url: String,
    busy: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn start(body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (busy, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_busy, heads) = (busy.clone(), asked.clone());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let reader = BufReader::new(stream.try_clone().unwrap());
                let head: Vec<String> = reader.lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
                heads.lock().unwrap().push(head.join("\n"));
                let answer = if is_busy.load(Ordering::SeqCst) {
                    "HTTP/1.1 429 X\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
                } else {
                    format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
                };
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, busy, asked }
    }
}

const PAGERDUTY: &str = r#"{"oncalls":[{"escalation_level":1,"schedule":{"id":"PI7"},"user":{"id":"U1","name":"Ines M.",
    "email":"ines@acme.example"}}],"limit":100,"offset":0,"more":false}"#;
const OPSGENIE: &str = r#"{"data":{"_parent":{"enabled":true},"onCallRecipients":["stranger@acme.example"]},"took":0}"#;

#[test]
fn the_schedule_of_a_service_says_who_is_called_and_its_silence_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "k3y-of-pager\n").unwrap();
    let key = file.path().display();
    let (ines, manager) = (Hooks::start(200), Hooks::start(200));
    let (pagerduty, opsgenie) = (Service::start(PAGERDUTY), Service::start(OPSGENIE));
    let schedule = |kind: &str, named: &str, url: &str| {
        format!(
            "acknowledge_within = \"1s\"\nthen = [\"manager\"]\n[comms.oncall.schedule]\nkind = \"{kind}\"\n{named}\n\
             key = \"file:{key}\"\nurl = \"{url}\"\n"
        )
    };
    let home = Home::new(&format!(
        "[comms]\n[[comms.audience]]\nname = \"ines\"\nemail = [\"Ines <ines@acme.example>\"]\nwebhook = \"{}\"\n\
         [[comms.audience]]\nname = \"manager\"\nwebhook = \"{}\"\n[[comms.oncall]]\nname = \"dba-oncall\"\n{}\
         [[comms.oncall]]\nname = \"network\"\n{}",
        ines.url,
        manager.url,
        schedule("pagerduty", "id = \"PI7\"", &pagerduty.url),
        schedule("opsgenie", "name = \"Nacht\"", &opsgenie.url),
    ));
    let (code, duty) = home.json(&["comms", "oncall"]);
    assert_eq!(code, 6, "somebody is on call who can not be called: {duty}");
    assert_eq!(duty[0]["order"], json!(["ines", "manager"]));
    assert!(duty[0]["sources"][0].as_str().unwrap().starts_with("the PagerDuty schedule PI7, asked at 20"), "{duty}");
    assert_eq!((&duty[0]["unknown"], &duty[1]["order"]), (&json!([]), &json!(["manager"])));
    assert!(duty[1]["unknown"][0].as_str().unwrap().starts_with("stranger@acme.example"), "{duty}");
    let (_, said) = home.json(&["doctor"]);
    let of = |id: &str| said["systems"].as_array().unwrap().iter().find(|s| s["id"] == id).unwrap().clone();
    assert_eq!((&of("dba-oncall")["health"], &of("network")["health"]), (&json!("ok"), &json!("warn")));
    assert_eq!(of("dba-oncall")["version"], "on call: Ines M.");

    let playbooks = home.dir.path().join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&playbooks).unwrap();
    let waits = "schemaVersion: 1\nid: waits\nname: Waits\nversion: 1\nowner: o\ndescription: d\nsteps:\n\
                 - {id: work, name: W, why: W, type: manual, escalate: {after: 2s, to: dba-oncall}}\n";
    std::fs::write(playbooks.join("waits.yaml"), waits).unwrap();
    home.declare();
    let before = pagerduty.asked.lock().unwrap().len();
    let served = Served::start(home.dir.path(), &["--config", home.config.to_str().unwrap()]);
    let from = std::time::Instant::now();
    while pagerduty.asked.lock().unwrap().len() == before {
        assert!(from.elapsed() < wires::SOON, "the engine asks nobody");
        std::thread::yield_now();
    }
    home.run(&["playbook", "run", "waits", "--wait", "1"]);
    assert!(ines.next().body["text"].as_str().unwrap().contains("work has waited for"));
    assert!(manager.next().body["text"].as_str().unwrap().contains("work has waited for"), "the fallback is next");
    served.ends();

    let (_, out, _) = home.run(&["audit", "show", "--kind", "escalation", "--format", "json"]);
    let sources: Vec<String> = out
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["body"]["source"].as_str().unwrap().to_owned())
        .collect();
    assert!(sources[0].starts_with("the PagerDuty schedule PI7, asked at 20"), "{sources:?}");
    assert_eq!(sources[1], "the fallback of dba-oncall");
    let head = pagerduty.asked.lock().unwrap()[0].to_ascii_lowercase();
    assert!(head.contains("authorization: token token=k3y-of-pager"), "{head}");
    let (_, all, _) = home.run(&["audit", "show", "--format", "json"]);
    assert!(!all.contains("k3y-of-pager"), "no secret in a record");

    pagerduty.busy.store(true, Ordering::SeqCst);
    let (code, said, _) = home.run(&["comms", "oncall"]);
    assert!(code == 6 && said.contains("is not known: ") && said.contains("left alone for 30 s"), "{said}");
    assert!(said.lines().any(|l| l.starts_with("dba-oncall") && l.contains("manager")), "{said}");
    let (_, said) = home.json(&["doctor"]);
    let found = said["systems"].as_array().unwrap().iter().find(|s| s["id"] == "dba-oncall").unwrap().clone();
    assert_eq!((&found["health"], &found["reachable"]), (&json!("unknown"), &json!(false)), "{found}");
}
