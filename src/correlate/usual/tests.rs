use super::*;
use crate::correlate::tests::support::{estate, tenant};
use crate::domain::estate::OccasionDay;

fn subject() -> Subject {
    Subject::Tenant { tenant: "t017".into() }
}

fn named(name: &str) -> &'static Signal {
    signals::find(name).unwrap()
}

fn empty(calendar: &[Occasion]) -> Baselines {
    Baselines::new(&estate(vec![tenant("t017", 1)]), calendar, jiff::tz::db(), std::iter::empty())
}

/// A value a minute from one moment to another.
fn see(baselines: &mut Baselines, from: &str, minutes: i64, value: f64) {
    let from: Timestamp = from.parse().unwrap();
    for minute in 0..minutes {
        let at = from + SignedDuration::from_mins(minute);
        baselines.observe(&[Reading { subject: subject(), signal: named("http.p95"), value }], at, |_| false);
    }
}

fn learnt() -> Baselines {
    let mut baselines = empty(&[]);
    for (day, value) in [("02", 0.4), ("09", 0.5), ("16", 0.4)] {
        see(&mut baselines, &format!("2026-11-{day}T08:00:00Z"), 70, value);
    }
    baselines
}

#[test]
fn three_mondays_say_what_is_usual_and_in_which_words() {
    let baselines = learnt();
    let at = "2026-11-23T08:20:00Z".parse().unwrap();
    let signal = named("http.p95");
    let view = baselines.view(&subject(), signal, at).unwrap();
    assert_eq!(view.words, "usual 0.4 s on Mondays at 08:00, 0.4 s to 0.4 s (3 good hours)");
    let sunday = "2026-11-22T08:20:00Z".parse().unwrap();
    let view = baselines.view(&subject(), signal, sunday).unwrap();
    assert_eq!(view.words, "usual not known yet: 0 of 3 good hours of Sundays at 08:00 were seen");
    assert_eq!(baselines.usual(&subject(), named("lock.blocked"), at), Known::NotLearnt);
    assert!(baselines.view(&subject(), named("lock.blocked"), at).is_none());
}

#[test]
fn what_is_bad_is_not_learnt() {
    let mut baselines = empty(&[]);
    let reading = |value| [Reading { subject: subject(), signal: named("http.p95"), value }];
    let from: Timestamp = "2026-11-02T08:00:00Z".parse().unwrap();
    for minute in 0..60 {
        let at = from + SignedDuration::from_mins(minute);
        baselines.observe(&reading(if minute % 2 == 0 { 0.4 } else { 9.0 }), at, |r| r.value > 1.0);
        baselines.observe(&reading(f64::NAN), at + SignedDuration::from_secs(70 * 60), |_| false);
    }
    assert_eq!(baselines.taken(), 0, "its first hour is not over");
    let tenants = [TenantId::new("t017")].into();
    baselines.void(&tenants, &BTreeSet::new(), from);
    see(&mut baselines, "2026-11-02T11:00:00Z", 1, 0.4);
    assert_eq!(baselines.taken(), 0, "an hour within a finding says nothing");
}

#[test]
fn an_occasion_is_not_compared_with_any_other_night() {
    let close = Occasion {
        what: "month-end close".into(),
        kind: OccasionKind::MonthEnd,
        days: vec![OccasionDay::Last],
        from: jiff::civil::time(20, 0, 0, 0),
        to: Some(jiff::civil::time(23, 59, 0, 0)),
        time_zone: "UTC".into(),
        tenants: vec!["t017".into()],
    };
    let mut baselines = empty(std::slice::from_ref(&close));
    let house = estate(vec![tenant("t017", 1)]);
    let calendar = Calendar::new(&house, std::slice::from_ref(&close), jiff::tz::db());
    baselines.heed(&calendar, "2026-11-30T20:00:00Z".parse().unwrap());
    see(&mut baselines, "2026-11-30T20:00:00Z", 225, 3.0);
    let late = "2026-11-30T23:30:00Z".parse().unwrap();
    let signal = named("http.p95");
    assert_eq!(
        baselines.view(&subject(), signal, late).unwrap().words,
        "usual 3.0 s in month-end close, 3.0 s to 3.0 s (3 good hours)"
    );
    baselines.heed(&calendar, "2026-12-01T20:00:00Z".parse().unwrap());
    assert_eq!(
        baselines.usual(&subject(), named("http.p95"), "2026-12-01T20:30:00Z".parse().unwrap()),
        Known::NotYet { hours: 0 }
    );
    // Kept by its name: an occasion before it in the file changes nothing.
    let text = baselines.to_text("sim").unwrap();
    let other = Occasion { what: "planning run".into(), kind: OccasionKind::Mrp, ..close.clone() };
    let mut again = empty(&[other, close]);
    again.take_up(&text, "sim").unwrap();
    let (_, series) = &again.series[&subject()][0];
    assert_eq!(series.places.first().unwrap().place, WEEK + 1);
}

#[test]
fn it_is_taken_up_as_it_was_written() {
    let before = learnt();
    let text = before.to_text("sim").unwrap();
    let mut after = empty(&[]);
    after.take_up(&text, "sim").unwrap();
    assert_eq!(after.to_text("sim").unwrap(), text);
    assert_eq!(after.len(), before.len());
}

#[test]
fn every_damage_is_said_and_nothing_of_it_is_taken_up() {
    let text = learnt().to_text("sim").unwrap();
    let mut seen = BTreeSet::new();
    for cut in 0..text.len() {
        let mut after = empty(&[]);
        let error = after.take_up(&text[..cut], "sim").err();
        // The last line break may be missing.
        assert!(error.is_some() || cut == text.len() - 1, "cut at {cut}");
        assert!(error.is_none() || after.is_empty());
        seen.extend(error.map(|e| e.to_string()));
    }
    assert!(seen.iter().any(|e| e.contains("digest")), "{seen:?}");
    let changed = |from: &str, to: &str| {
        let (body, _) = text.trim_end().rsplit_once('\n').unwrap();
        let body = format!("{}\n", body.replace(from, to));
        let digest = crate::domain::id::Digest::from_bytes(&<sha2::Sha256 as sha2::Digest>::digest(&body).into());
        empty(&[]).take_up(&format!("{body}{digest}\n"), "sim").unwrap_err().to_string()
    };
    assert_eq!(changed("\"version\":1", "\"version\":2"), "its version is 2, this program reads version 1");
    assert_eq!(changed("\"estate\":\"sim\"", "\"estate\":\"other\""), "it is of the estate `other`");
    assert!(changed("[[8,", "[[8,[0.4]],[8,").contains("line 2 is damaged"));
    assert!(changed("[[8,", "[[300,").contains("there is no place 300"));
}

#[test]
fn there_is_an_end_to_what_is_learnt() {
    let mut baselines = empty(&[]);
    let at = "2026-11-02T08:00:00Z".parse().unwrap();
    let readings: Vec<Reading> = (0..MOST_SERIES + 5)
        .map(|n| Reading {
            subject: Subject::Tenant { tenant: format!("x{n}").as_str().into() },
            signal: named("http.p95"),
            value: 1.0,
        })
        .collect();
    baselines.observe(&readings, at, |_| false);
    assert_eq!((baselines.len(), baselines.left_out()), (MOST_SERIES, 5));
    let (subject, signal) = (&readings[MOST_SERIES + 1].subject, named("http.p95"));
    assert_eq!(baselines.usual(subject, signal, at), Known::LeftOut);
    let said = baselines.view(subject, signal, at).unwrap();
    assert!(said.median.is_none() && said.words.contains("6000 series are learnt, those first"), "{}", said.words);
    // Seen again they are no more of them, and what is gone for weeks leaves its place.
    baselines.observe(&readings, at, |_| false);
    assert_eq!(baselines.left_out(), 5);
    let later = at + SignedDuration::from_hours(24 * 40);
    baselines.observe(&readings[MOST_SERIES..], later, |_| false);
    assert_eq!((baselines.len(), baselines.left_out()), (5, 0));
}

#[test]
fn what_rules_compare_and_the_most_critical_tenants_are_learnt_first() {
    let house = estate(vec![tenant("a", 3), tenant("b", 1), tenant("c", 2)]);
    let mut baselines = Baselines::new(&house, &[], jiff::tz::db(), ["http.p95"].into_iter());
    let at = "2026-11-02T08:00:00Z".parse().unwrap();
    let of = |id: &str, signal| Reading {
        subject: Subject::Tenant { tenant: id.into() },
        signal: named(signal),
        value: 1.0,
    };
    let crowd: Vec<Reading> = (0..MOST_SERIES - 1).map(|n| of(&format!("x{n}"), "http.requests")).collect();
    baselines.observe(&crowd, at, |_| false);
    baselines.observe(&[of("a", "http.p95"), of("b", "http.requests"), of("b", "http.p95")], at, |_| false);
    // The two that rules compare are in, and so is the one of a known tenant; two of the crowd had to go.
    let known = |b: &Baselines, id: &str, signal| {
        b.usual(&of(id, signal).subject, named(signal), at) == Known::NotYet { hours: 0 }
    };
    assert!(known(&baselines, "a", "http.p95") && known(&baselines, "b", "http.p95"));
    assert!(known(&baselines, "b", "http.requests"));
    assert_eq!((baselines.len(), baselines.left_out()), (MOST_SERIES, 2));
    // One more of the crowd does not come in, nor does it push anybody out.
    baselines.observe(&[of("y", "http.requests")], at, |_| false);
    assert_eq!(baselines.usual(&of("y", "http.requests").subject, named("http.requests"), at), Known::LeftOut);
    assert_eq!((baselines.len(), baselines.left_out()), (MOST_SERIES, 3));
}
