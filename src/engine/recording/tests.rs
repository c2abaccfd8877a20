use super::past::Past;
use super::piece::{Frames, Piece};
use super::player::Player;
use super::recorder::Recording;
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::health::Health;
use crate::domain::id::{IncidentId, Person};
use crate::domain::mode::Mode;
use crate::engine::api::{Command, ReplayAsk, SignIn, SignInState, Snapshot};
use crate::journal::{Draft, Journal, Kind, OpenOptions, evidence};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// So many seconds after the beginning.
fn at(second: i64) -> Timestamp {
    "2026-11-22T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

/// What consoles show at a second: a pane whose one source has this age, whether a finding alerts, and the state of the
/// incident, if there is one.
fn frame(second: i64, age: u64, alert: bool, incident: Option<&str>) -> Arc<Snapshot> {
    let mut snapshot = json!({
        "generation": second, "at": at(second), "mode": "live", "health": "ok", "me": "mara",
        "estate": { "name": "e", "environment": "staging", "time_zone": "UTC", "tenants": [] },
        "panes": { "sources": [{
            "id": "pg-a", "kind": "postgres", "health": "ok", "address": "h:1", "observed_at": null, "age_s": age,
            "took_ms": null, "unknown_since": null, "why": null, "missing": [],
        }], "tenants": [], "databases": [], "queues": [], "ingress": [] },
        "findings": [], "changes": [], "runs": [], "playbooks": [], "measures": [], "glass": null, "drill": null,
        "incidents": [], "journal": { "dir": "d", "size": second, "root": "r", "broken": null, "tail": [] },
    });
    if let Some(state) = incident {
        snapshot["incidents"] = json!([{
            "id": "INC-1", "title": "t", "severity": "SEV1", "state": state, "declared_at": at(100),
            "closed_at": null, "roles": {}, "findings": [], "timeline": [],
        }]);
    }
    if alert {
        snapshot["findings"] = json!([{
            "id": "F-1", "rule": "lock-chain", "classes": [], "level": "alert", "severity": "warn", "since": at(0),
            "subject": { "kind": "tenant", "tenant": "t017" }, "what": "W", "disproof": "D", "evidence": [{
                "signal": "lock.blocked", "subject": { "kind": "tenant", "tenant": "t017" }, "unit": "count",
                "now": second, "threshold": 1.0, "series": [],
            }],
            "whom": { "tenants": ["t017"], "plants": [], "next_cutoff": null }, "changed": [], "playbooks": [],
            "good_intervals": 0, "acknowledged": null,
        }]);
    }
    Arc::new(serde_json::from_value(snapshot).unwrap())
}

fn see(recording: &mut Recording, seconds: std::ops::Range<i64>, alert: bool, incident: Option<&str>) -> Vec<Piece> {
    seconds.flat_map(|s| recording.see(&frame(s, s.unsigned_abs(), alert, incident))).collect()
}

#[test]
fn a_quiet_estate_is_not_kept_and_what_led_to_an_incident_is() {
    let mut recording = Recording::default();
    assert_eq!(see(&mut recording, 0..1000, false, None), []);
    // It alerts for 20 minutes: the last ten are held, and nothing of it counts before an incident is declared.
    assert_eq!(see(&mut recording, 1000..2250, true, None), []);
    let kept = see(&mut recording, 2250..2251, true, Some("investigating"));
    assert_eq!(kept.len(), 2);
    assert!(kept[0].from > at(1000) && kept[1].to < at(2250), "{} to {}", kept[0].from, kept[1].to);
    let more = see(&mut recording, 2251..2900, false, Some("identified"));
    let closed = see(&mut recording, 2900..2903, false, Some("closed"));
    let all: Vec<&Piece> = kept.iter().chain(&more).chain(&closed).collect();
    for pair in all.windows(2) {
        let gap = pair[1].from.duration_since(pair[0].to).as_secs();
        assert!((0..=5).contains(&gap), "{gap} s between two pieces");
    }
    assert_eq!(closed.len(), 1, "the piece in hand ends with the incident");
    let mut last = Frames::read(&closed[0].bytes).unwrap();
    let end = last.at(at(5000)).unwrap();
    assert_eq!((end.at, end.incidents[0].state), (at(2900), crate::domain::incident::IncidentState::Closed));
    assert_eq!(see(&mut recording, 2903..4000, false, Some("closed")), []);
    assert!(recording.finish().is_none());
}

#[test]
fn what_is_in_hand_is_kept_at_the_end_of_the_engine() {
    let mut recording = Recording::default();
    assert_eq!(see(&mut recording, 0..60, false, Some("investigating")), []);
    let piece = recording.finish().unwrap();
    assert_eq!((piece.from, piece.frames), (at(0), 60));
    let mut recording = Recording::default();
    see(&mut recording, 0..60, true, None);
    assert!(recording.finish().is_none(), "nothing is kept of what became no incident");
}

#[test]
fn a_code_that_somebody_has_to_use_is_shown_and_not_kept() {
    let mut recording = Recording::default();
    for second in 0..5 {
        let mut shown = (*frame(second, 0, true, Some("investigating"))).clone();
        let (uri, code) = ("https://login.example/device".to_owned(), "FLMZ-FCQG".to_owned());
        let state = SignInState::Waiting { uri, uri_complete: None, code, until: at(600) };
        let (id, title) = ("LOGIN-1".to_owned(), "mara as dba".to_owned());
        shown.sign_ins = vec![SignIn { id, person: "mara".into(), title, at: at(0), state }];
        assert_eq!(recording.see(&Arc::new(shown)), []);
    }
    let piece = recording.finish().unwrap();
    assert_eq!(piece.frames, 5);
    assert!(Frames::read(&piece.bytes).unwrap().at(at(4)).unwrap().sign_ins.is_empty());
}

#[test]
fn a_fast_drill_whose_frames_are_a_minute_apart_leaves_no_gap() {
    let mut recording = Recording::default();
    let minutes = (0..40).map(|m| m * 60);
    let mut kept: Vec<Piece> =
        minutes.flat_map(|s| recording.see(&frame(s, s.unsigned_abs(), false, Some("investigating")))).collect();
    kept.extend(recording.finish());
    assert!(kept.len() >= 8, "{}", kept.len());
    for pair in kept.windows(2) {
        assert_eq!(pair[0].to, pair[1].from);
    }
}

proptest! {
    #[test]
    fn any_moment_is_shown_as_it_was(ages in proptest::collection::vec((0..4_u64, any::<bool>()), 1..60), to in 0..70_i64) {
        let frames: Vec<_> =
            (0..).zip(&ages).map(|(s, (age, alert))| frame(s, *age, *alert, Some("investigating"))).collect();
        let mut recording = Recording::default();
        let kept: Vec<Piece> = frames.iter().flat_map(|f| recording.see(f)).chain(None).collect();
        prop_assert!(kept.is_empty());
        let mut read = Frames::read(&recording.finish().unwrap().bytes).unwrap();
        for moment in [to, 0, to] {
            let shown = read.at(at(moment)).unwrap();
            let was = frames.iter().rev().find(|f| f.at <= at(moment)).unwrap();
            let stale = was.at.duration_since(shown.at).as_secs();
            prop_assert!((0..=5).contains(&stale));
            prop_assert_eq!(&shown.findings, &was.findings, "what is news is never left out");
            let shown_frame = frames.iter().find(|f| f.at == shown.at).unwrap();
            prop_assert_eq!(&*shown, &**shown_frame);
        }
    }

    #[test]
    fn any_bytes_are_a_piece_or_a_sentence(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Frames::read(&bytes).is_err());
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        prop_assert!(Frames::read(&packed.finish().unwrap()).is_err());
    }
}

fn actor() -> Actor {
    Actor { user: "mara".into(), uid: 1001, via: "console".into(), host: "b".into(), console: None }
}

/// A journal in which INC-1 is declared in the second 100, noted on in 130 and 400, and closed in 500; of what the
/// consoles showed, seconds 90 to 160 and 300 to 505 are kept.
fn journal(dir: &Path) {
    let options = OpenOptions {
        low_water: 0,
        ..OpenOptions::new(dir, "quarterdeck/sim", actor(), Mode::Live, Environment::Staging, at(0))
    };
    let (journal, _) = Journal::open(options).unwrap();
    let put = |second: i64, kind: Kind, body: Value, incident: bool| {
        let draft = Draft {
            kind,
            incident: incident.then(|| IncidentId::new("INC-1".to_owned())),
            body,
            actor: actor(),
            mode: Mode::Live,
            environment: Environment::Staging,
            time: at(second),
        };
        journal.append_blocking(vec![draft]).unwrap();
    };
    let piece = |seconds: std::ops::Range<i64>| {
        let mut recording = Recording::default();
        let end = seconds.end;
        assert_eq!(see(&mut recording, seconds, true, Some("investigating")), []);
        let piece = recording.finish().unwrap();
        let sha256 = evidence::put(dir, &piece.bytes).unwrap();
        put(end, Kind::EvidenceCaptured, piece.body(&sha256), false);
    };
    let declared = json!({ "incident": "INC-1", "title": "orders fail", "severity": "SEV1", "findings": [] });
    put(100, Kind::IncidentDeclared, declared, true);
    put(130, Kind::NoteAdded, json!({ "text": "the lock is of a migration" }), true);
    piece(90..160);
    put(400, Kind::NoteAdded, json!({ "text": "it drains" }), true);
    put(500, Kind::IncidentClosed, json!({ "summary": "over" }), true);
    piece(300..505);
    journal.close_blocking(at(506)).unwrap();
}

fn player(dir: &Path) -> Player {
    let past = Past::open(dir, &IncidentId::new("INC-1".to_owned())).unwrap().unwrap();
    Player::new(past, Person::new("zoe".to_owned()))
}

#[test]
fn a_past_incident_is_shown_at_any_moment_and_what_is_not_known_is_said() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let mut player = player(dir.path());
    let first = player.show();
    assert_eq!((first.at, first.mode, first.me.as_str()), (at(90), Mode::Replay, "zoe"));
    let mut to = |ask: ReplayAsk| {
        player.ask(&ask).unwrap();
        player.show()
    };
    let notes = |s: &Snapshot| s.incidents[0].timeline.iter().filter(|e| e.kind == "note.added").count();
    // A record is seen in its second, also between two frames.
    let shown = to(ReplayAsk::To("02:02:10".to_owned()));
    assert_eq!((shown.at, shown.health, notes(&shown)), (at(130), Health::Ok, 1));
    assert_eq!(shown.panes.sources[0].age_s, Some(130.0));
    assert_eq!(shown.replay.as_ref().unwrap().records, (2, 4));
    let before = to(ReplayAsk::By(-5));
    assert_eq!((before.at, notes(&before)), (at(125), 0));
    // Nothing was kept in between: the records are all that is known.
    let gap = to(ReplayAsk::By(120));
    let why = gap.replay.as_ref().unwrap().unseen.clone().unwrap();
    assert!(why.contains(&format!("up to {}", at(159))) && why.contains(&format!("of {}", at(300))), "{why}");
    assert_eq!((gap.health, gap.panes.sources.len(), notes(&gap)), (Health::Unknown, 0, 1));
    assert_eq!(gap.estate.name, "sim");
    let later = to(ReplayAsk::Later);
    assert_eq!((later.at, notes(&later), later.replay.as_ref().unwrap().unseen.as_ref()), (at(400), 2, None));
    let closed = to(ReplayAsk::Later);
    assert_eq!(closed.incidents[0].state, crate::domain::incident::IncidentState::Closed);
    assert_eq!(to(ReplayAsk::Earlier).at, at(400));
    assert_eq!(to(ReplayAsk::To("-1m".to_owned())).at, at(340));
    assert_eq!(to(ReplayAsk::By(-100_000)).at, at(90), "not before the beginning");
    for (wrong, said) in [
        (ReplayAsk::Earlier, "no record of the incident before"),
        (ReplayAsk::To("01:00".to_owned()), "INC-1, which goes from"),
        (ReplayAsk::To("soon".to_owned()), "allowed are"),
        (ReplayAsk::Speed(f64::NAN), "allowed is 0 to 3600"),
        (ReplayAsk::Speed(-1.0), "allowed is 0 to 3600"),
    ] {
        let why = player.ask(&wrong).unwrap_err();
        assert!(why.contains(said), "{why}");
    }
}

#[test]
fn the_signals_behind_findings_are_read_from_what_was_shown() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let mut past = Past::open(dir.path(), &IncidentId::new("INC-1".to_owned())).unwrap().unwrap();
    let all = super::courses(&mut past, (at(100), at(330)));
    let [course] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((course.finding.as_str(), course.signal.as_str()), ("F-1", "lock.blocked"));
    let seconds: Vec<f64> = course.points.iter().map(|(_, v)| *v).collect();
    assert_eq!(seconds, [100.0, 115.0, 130.0, 145.0, 159.0, 310.0, 325.0], "and nothing of what was not kept");
    assert_eq!(super::courses(&mut past, (at(200), at(250))), []);
}

#[test]
fn pieces_that_are_gone_or_altered_are_said_and_hide_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let pieces: Vec<_> =
        std::fs::read_dir(dir.path().join(evidence::FOLDER)).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(pieces.len(), 2);
    for piece in &pieces {
        std::fs::write(piece, b"something else").unwrap();
    }
    let unseen = |player: &mut Player, moment: i64| {
        player.ask(&ReplayAsk::To(at(moment).to_string())).unwrap();
        let shown = player.show();
        assert_eq!(shown.incidents[0].title, "orders fail");
        shown.replay.unwrap().unseen.unwrap()
    };
    let why = unseen(&mut player(dir.path()), 130);
    assert!(why.contains("digest") || why.contains("sha256") || why.contains("altered"), "{why}");
    std::fs::remove_file(&pieces[0]).unwrap();
    std::fs::remove_file(&pieces[1]).unwrap();
    let why = unseen(&mut player(dir.path()), 400);
    assert!(why.contains("is gone; `audit evidence list` says why"), "{why}");
    assert!(Past::open(dir.path(), &IncidentId::new("INC-7".to_owned())).unwrap().is_none());
}

#[tokio::test]
async fn it_plays_by_itself_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let client = super::player::start(player(dir.path()), actor());
    let reply = client.send(Command::Note { incident: None, text: "now".to_owned() }).await;
    assert_eq!(reply.words(), "this is the past: nothing can be changed in a replay");
    let mut snapshots = client.snapshots.clone();
    assert_eq!(client.send(Command::Replay { ask: ReplayAsk::Speed(3600.0) }).await.words(), "playing, x3600");
    let end = snapshots.wait_for(|s| s.at == at(500)).await.unwrap().clone();
    let view = end.replay.as_ref().unwrap();
    assert_eq!((view.speed, view.records), (0.0, (4, 4)), "it stands at its end");
}
