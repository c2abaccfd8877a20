//! The table as it ships and as users get it wrong, promises over the life of an incident, and texts.

use super::decode::table;
use super::facts::{About, Facts, NAMES};
use super::table::{BUILT_IN, SHIPPED};
use super::*;
use crate::domain::actor::Actor;
use crate::domain::estate::{Environment, Estate, Plant, Tenancy, Tenant};
use crate::domain::health::Health;
use crate::domain::id::{IncidentId, Person};
use crate::domain::incident::{Incident, IncidentState, Role, Severity};
use crate::domain::mode::Mode;
use crate::journal::fold::Fold as _;
use crate::journal::{Kind, Record};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn at(minutes: i64) -> Timestamp {
    "2026-11-22T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn incident(severity: Severity) -> Incident {
    Incident {
        id: IncidentId::new("INC-7"),
        title: "orders hang".into(),
        severity,
        state: IncidentState::Investigating,
        declared_at: at(0),
        closed_at: None,
        roles: BTreeMap::from([(Role::Commander, Person::new("mara"))]),
        findings: Vec::new(),
        timeline: Vec::new(),
        recovery_accepted: None,
    }
}

fn estate() -> Estate {
    let tenant = |id: &str, name: &str, plant: &str| Tenant {
        id: id.into(),
        name: name.into(),
        tenancy: Tenancy::MultiTenant,
        criticality: 1,
        plants: vec![Plant { name: plant.into(), time_zone: "UTC".into() }],
        cutoffs: Vec::new(),
        database: None,
        namespace: None,
        router: None,
    };
    Estate {
        name: "acme".into(),
        environment: Environment::Production,
        time_zone: "Europe/Berlin".into(),
        tenants: vec![tenant("t017", "Brandt GmbH", "Kassel"), tenant("t044", "Ferro SpA", "Brescia")],
    }
}

fn record(seq: u64, minutes: i64, kind: Kind, body: Value) -> Record {
    record_in(Mode::Live, seq, minutes, kind, body)
}

fn record_in(mode: Mode, seq: u64, minutes: i64, kind: Kind, body: Value) -> Record {
    let actor = Actor { user: "mara".into(), uid: 1, via: "cli".into(), host: "h".into(), console: None };
    Record {
        v: 1,
        seq,
        time: at(minutes),
        kind,
        incident: Some(IncidentId::new("INC-7")),
        actor,
        mode,
        environment: Environment::Production,
        body,
    }
}

fn intended(message: &str, channel: &str) -> Value {
    json!({
        "message": message, "audience": "customer", "to": ["customer"], "recipient": "customers",
        "channel": channel, "moment": "first", "subject": "S", "text": "T", "severity": "SEV1",
        "next": at(35), "key": "k1",
    })
}

fn way(channel: Channel) -> Way {
    Way { recipient: "customers".into(), groups: vec!["customer".into()], channel, to: "2 addresses".into() }
}

fn problems(own: &str) -> String {
    table(Some(("own.toml", own))).unwrap_err().to_string()
}

#[test]
fn what_ships_is_whole_and_its_names_are_those_of_the_facts() {
    let shipped = table(None).unwrap();
    assert_eq!(*decode::shipped(), shipped);
    let ids: Vec<&str> = shipped.audiences.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(ids, ["customer", "warehouse", "customer-service", "procurement", "executives", "regulators"]);
    let mut names: Vec<String> = Vec::new();
    for (name, value) in serde_json::to_value(Facts::sample(false)).unwrap().as_object().unwrap() {
        match value {
            Value::Object(members) => names.extend(members.keys().map(|m| format!("{name}.{m}"))),
            _ => names.push(name.clone()),
        }
    }
    let mut known = NAMES.map(str::to_owned).to_vec();
    names.sort();
    known.sort();
    assert_eq!(names, known);
    let rules: Vec<&str> = shipped.services.iter().flat_map(|s| s.rules.iter().map(String::as_str)).collect();
    for rule in &rules {
        assert!(include_str!("../../rules/built-in.toml").contains(&format!("name = \"{rule}\"")), "{rule}");
        assert_eq!(rules.iter().filter(|r| r == &rule).count(), 1, "{rule}");
    }
    for template in &shipped.templates {
        assert!(SHIPPED.contains(&template.id) && template.origin == BUILT_IN);
    }
}

#[test]
fn an_own_file_takes_the_place_of_what_it_names_and_adds_the_rest() {
    let own = table(Some((
        "own.toml",
        "[[audience]]\nid = \"customer\"\ncadence = { SEV1 = \"10m\" }\n[[audience]]\nid = \"board\"\n\
         [[template]]\nid = \"customer-worst\"\naudience = \"customer\"\nmoment = \"first\"\nseverity = [\"SEV1\"]\n\
         subject = \"S {{ incident.id }}\"\ntext = \"T {{ number }}\"\n",
    )))
    .unwrap();
    assert_eq!(own.audiences.len(), 7);
    let customer = own.audience("customer").unwrap();
    assert_eq!(
        customer.cadence[&Severity::Sev1].first,
        SignedDuration::from_mins(10),
        "the cadence, where none is said"
    );
    assert!(!customer.cadence.contains_key(&Severity::Sev2), "the shipped one does not show through");
    let fits = |severity| own.fitting("customer", Moment::First, severity).unwrap().id.as_str();
    assert_eq!((fits(Severity::Sev1), fits(Severity::Sev2)), ("customer-worst", "customer-first"));
    assert_eq!(own.audience("Plant Managers").unwrap().id, "warehouse");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let text = problems(
        "colour = 1\n[[audience]]\nid = \"customer\"\ncadence = { SEV1 = \"1m\", SEV9 = \"1h\" }\n\
         [[audience]]\nid = \"late\"\ncadence = { SEV1 = \"2h\", SEV2 = \"30m\" }\nfirst = { SEV3 = \"1h\" }\n\
         [[template]]\nid = \"a\"\naudience = \"pirates\"\nmoment = \"sometimes\"\nseverity = [\"SEV7\"]\n\
         subject = \"{{ incident.colour }}\"\ntext = \"{% for t in tenants %}{{ t.shoe }}{% endfor %}\"\n\
         [[template]]\nid = \"a\"\naudience = \"customer\"\nmoment = \"first\"\nsubject = \"{{\"\ntext = \"{% if %}\"\n",
    );
    for part in [
        "own.toml:1:1: unknown key `colour` in the file; allowed are audience, service, template",
        "own.toml:4:20: `SEV1` of [cadence] is `1m`; allowed is a duration",
        "own.toml:4:26: unknown key `SEV9` in [cadence]",
        "own.toml:6:6: the audience `late` has no [[template]] with moment = \"first\" for SEV1",
        "own.toml:7:11: `cadence` is 2h at SEV1 and 30m at SEV2: worse is told at least as often",
        "own.toml:8:9: `first` has SEV3, for which `cadence` says nothing",
        "own.toml:11:12: there is no audience `pirates`; known are customer, warehouse",
        "own.toml:12:10: `moment` of [[template]] is `sometimes`; allowed is first, update or resolved",
        "own.toml:13:13: `SEV7` is no severity",
        "own.toml:14:11: `subject` of the template `a`: it uses incident.colour, which is not known; known are",
        "own.toml:15:8: `text` of the template `a`: it uses a name that is not known in its line 1",
        "own.toml:17:6: there are two templates `a` in this file",
        "own.toml:20:11: `subject` of the template `a`: syntax error",
        "own.toml:21:8: `text` of the template `a`: syntax error",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
}

#[test]
fn a_promise_comes_from_the_last_word_and_a_worse_severity_shortens_it() {
    let table = table(None).unwrap();
    let ways = [way(Channel::Email), way(Channel::Webhook)];
    let mut book = Book::default();
    book.apply(&record(1, 0, Kind::IncidentDeclared, json!({ "title": "t", "severity": "SEV2" })));
    let view = |book: &Book, incident: &Incident| {
        let board = Board::of(&table, book, Some(incident), &ways);
        board.audiences.into_iter().find(|a| a.id == "customer").unwrap()
    };
    let mut now = incident(Severity::Sev2);
    let first = view(&book, &now);
    assert_eq!((first.due, first.moment, first.ways.len()), (Some(at(30)), Moment::First, 2));
    assert_eq!(first.health(at(1)), Health::Warn, "nothing was said yet: never green");
    assert_eq!((first.health(at(26)), first.health(at(31))), (Health::Warn, Health::Critical));
    assert_eq!(first.countdown(at(28)).unwrap(), "due in 02:00");
    assert_eq!(first.countdown(at(33)).unwrap(), "OVERDUE 03:00");

    let mut body = intended("MSG-1", "email");
    body["next"] = json!(at(65));
    book.apply(&record(2, 5, Kind::CommsIntended, body.clone()));
    assert_eq!(view(&book, &now).due, Some(at(30)), "what is only announced keeps no promise");
    body["detail"] = json!("refused");
    book.apply(&record(3, 5, Kind::CommsFailed, body.clone()));
    let failed = view(&book, &now);
    assert_eq!((failed.due, failed.ways[0].delivery), (Some(at(30)), Some(Delivery::Failed)));
    book.apply(&record(4, 6, Kind::CommsIntended, body.clone()));
    book.apply(&record(5, 6, Kind::CommsSent, body.clone()));
    let told = view(&book, &now);
    assert_eq!((told.due, told.moment), (Some(at(65)), Moment::Update));
    assert_eq!(told.health(at(40)), Health::Ok);
    assert_eq!(told.last.as_ref().unwrap().number, 1);

    now.severity = Severity::Sev1;
    assert_eq!(view(&book, &now).due, Some(at(36)), "thirty minutes from the last word");
    now.severity = Severity::Sev4;
    assert_eq!(view(&book, &now).due, Some(at(65)), "what was promised stays promised");
    // A step of a playbook tells tenants: the same audience under another of its names.
    let step = json!({ "run": "RUN-1", "step": "tell", "to": ["tenant contacts"], "channel": "a person" });
    book.apply(&record(6, 50, Kind::CommsSent, step));
    now.severity = Severity::Sev2;
    let told = view(&book, &now);
    assert_eq!((told.due, told.last.unwrap().number), (Some(at(110)), 2));
    body["moment"] = json!("resolved");
    book.apply(&record(7, 90, Kind::CommsSent, body));
    assert_eq!((view(&book, &now).due, view(&book, &now).health(at(91))), (None, Health::Ok), "the last word");

    let kept: Book = serde_json::from_value(serde_json::to_value(&book).unwrap()).unwrap();
    assert_eq!(kept, book, "a snapshot of the state loses nothing");
}

#[test]
fn a_channel_that_failed_offers_the_next_and_one_that_said_yes_is_over() {
    let table = table(None).unwrap();
    let ways = [way(Channel::Email), way(Channel::Webhook), way(Channel::File)];
    let mut book = Book::default();
    let declared = record(1, 0, Kind::IncidentDeclared, json!({ "title": "t", "severity": "SEV1" }));
    book.apply(&declared);
    book.apply(&record(2, 1, Kind::CommsIntended, intended("MSG-1", "email")));
    assert_eq!(book.open().count(), 1);
    let newest = |book: &Book| {
        Board::of(&table, book, Some(&incident(Severity::Sev1)), &ways).messages.into_iter().next().unwrap()
    };
    assert_eq!((newest(&book).delivery, newest(&book).offers.len()), (Delivery::Pending, 0));
    book.apply(&record(3, 2, Kind::CommsUnknown, intended("MSG-1", "email")));
    assert_eq!(newest(&book).delivery, Delivery::Unknown);
    assert_eq!(newest(&book).offers[0].channel, Channel::Webhook);
    book.apply(&record(4, 3, Kind::CommsIntended, intended("MSG-1", "webhook")));
    book.apply(&record(5, 3, Kind::CommsFailed, intended("MSG-1", "webhook")));
    assert_eq!((newest(&book).delivery, newest(&book).offers[0].channel), (Delivery::Failed, Channel::File));
    book.apply(&record(6, 4, Kind::CommsIntended, intended("MSG-1", "file")));
    book.apply(&record(7, 4, Kind::CommsSent, intended("MSG-1", "file")));
    let sent = newest(&book);
    assert_eq!((sent.delivery, sent.offers.len(), sent.attempts.len()), (Delivery::Sent, 0, 3));
    assert_eq!((book.next_message().as_str(), book.open().count()), ("MSG-2", 0));
}

#[test]
fn a_letter_is_what_its_record_says_and_a_drill_can_make_none_that_leaves() {
    let live = record(9, 1, Kind::CommsIntended, intended("MSG-1", "email"));
    let letter = Letter::of(&live).unwrap();
    assert_eq!(
        (letter.message(), letter.subject(), letter.key(), letter.channel()),
        ("MSG-1", "S", "k1", Channel::Email)
    );
    assert!(Letter::of(&record(9, 1, Kind::CommsSent, intended("MSG-1", "email"))).is_none(), "not announced");
    assert!(Letter::of(&record(9, 1, Kind::CommsIntended, intended("MSG-1", "simulated"))).is_none());
    for channel in Channel::REAL {
        let drill = record_in(Mode::Drill, 9, 1, Kind::CommsIntended, intended("MSG-1", channel.word()));
        assert!(Letter::of(&drill).is_none(), "{channel}");
    }
    let simulated = record_in(Mode::Drill, 9, 1, Kind::CommsIntended, intended("MSG-1", "simulated"));
    assert_eq!(Letter::of(&simulated).unwrap().channel(), Channel::Simulated);
    assert!(Letter::of(&record_in(Mode::ReadOnly, 9, 1, Kind::CommsIntended, intended("MSG-1", "email"))).is_none());
}

fn facts(book: &Book, next: Option<Timestamp>, now: Timestamp) -> Facts {
    let (incident, estate) = (incident(Severity::Sev1), estate());
    let about = About {
        incident: &incident,
        estate: &estate,
        seen: book.seen(&incident.id),
        now,
        next,
        number: 2,
        doing: &["Release the lock".into()],
        fallbacks: &["orders on paper".into()],
        summary: "",
    };
    Facts::of(&about, &decode::shipped())
}

#[test]
fn texts_say_whom_it_hurts_in_words_for_outsiders_and_customers_read_of_no_other_customer() {
    let mut book = Book::default();
    let raised = |rule: &str, classes: &[&str], tenant: &str| {
        json!({
            "finding": format!("{rule}/{tenant}"), "rule": rule, "classes": classes, "since": at(-3), "what": "w",
            "tenants": [tenant], "plants": ["Kassel"],
        })
    };
    book.apply(&record(0, -3, Kind::FindingRaised, raised("http-errors", &["IMPACT"], "t017")));
    book.apply(&record(1, 0, Kind::FindingRaised, raised("node-pressure", &["PRESSURE"], "t044")));
    book.apply(&record(2, 0, Kind::IncidentDeclared, json!({ "title": "t", "severity": "SEV1" })));
    book.apply(&record(3, 5, Kind::FindingRaised, raised("lock-chain", &["CAUSE", "IMPACT"], "t017")));
    book.apply(&record(4, 9, Kind::FindingCleared, json!({ "finding": "http-errors/t017" })));
    let table = decode::shipped();
    let write = |audience: &str, moment, next| {
        let template = table.fitting(audience, moment, Severity::Sev1).unwrap();
        Draft::of(template, &facts(&book, next, at(20))).unwrap()
    };
    let customer = write("customer", Moment::Update, Some(at(50)));
    assert_eq!(customer.subject, "Update 2: disturbance of your Odoo service (INC-7)");
    for part in [
        "lasts for 23 min",
        "Still affected:\n- entering and confirming orders",
        "Working again:\n- opening pages and saving documents",
        "- orders on paper",
        "Next word from us: 02:50 UTC (03:50 Europe/Berlin).",
    ] {
        assert!(customer.text.contains(part), "{part}\n---\n{}", customer.text);
    }
    for audience in &table.audiences {
        for moment in Moment::ALL {
            let next = (moment != Moment::Resolved).then(|| at(50));
            let draft = write(&audience.id, moment, next);
            assert!(draft.checked(false).is_ok(), "{} {moment}", audience.id);
            assert!(!draft.text.contains("\n\n\n") && !draft.text.contains("{{"), "{}", draft.text);
            let names = draft.text.contains("Brandt");
            assert!(!(names && audience.id == "customer"), "customers read of no other: {}", draft.text);
            let promises = draft.text.contains("02:50 UTC");
            assert_eq!(promises, next.is_some(), "{} {moment}: {}", audience.id, draft.text);
        }
    }
    let service = write("customer-service", Moment::First, Some(at(50)));
    assert!(
        service.text.contains("- Brandt GmbH (t017): Kassel\n") && !service.text.contains("Ferro"),
        "{}",
        service.text
    );
}

#[test]
fn a_text_keeps_to_one_subject_line_and_an_exercise_marks_it_whatever_a_person_wrote() {
    let draft = |subject: &str, text: &str| Draft { subject: subject.into(), text: text.into() };
    for (subject, text) in [("", "t"), ("a\nBcc: x@y", "t"), ("s", " \n"), ("s", "a\u{1b}[2J"), ("s", "a\u{202e}b")] {
        assert!(draft(subject, text).checked(false).is_err(), "{subject:?} {text:?}");
    }
    assert!(draft("s", &"ü".repeat(draft::LONGEST + 1)).checked(false).is_err());
    assert_eq!(draft(" s ", "a\r\n\r\n\r\nb\t \n").checked(false).unwrap(), draft("s", "a\n\nb"));
    let marked = draft("Real!", "do not panic").checked(true).unwrap();
    assert_eq!(marked.subject, "[DRILL] Real!");
    assert!(marked.text.starts_with(draft::DRILL) && marked.text.ends_with(draft::DRILL), "{}", marked.text);
    assert_eq!(marked.checked(true).unwrap(), marked, "the mark stands once");
}
