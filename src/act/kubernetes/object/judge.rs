//! What an object shows of a request on it: whether it had its effect, had none, or whether that can not be told.
//! Pure; everything is in the request itself, so that it can be judged as well after a crash.

use super::call::{EVICTION, field, path_of, short};
use crate::domain::ports::Reconciled;
use crate::domain::request::HttpCall;
use crate::domain::text::first_of;
use serde_json::{Value, json};

/// Path of the object that a request is about.
pub(super) fn object_path(call: &HttpCall) -> String {
    let path = path_of(call);
    match call.method.as_str() {
        "POST" if path.ends_with(EVICTION) => path.trim_end_matches(EVICTION).to_owned(),
        "POST" => format!("{path}/{}", body(call)["metadata"]["name"].as_str().unwrap_or_default()),
        _ => path.trim_end_matches("/status").to_owned(),
    }
}

/// Whether a request is an eviction.
pub(super) fn is_eviction(call: &HttpCall) -> bool {
    call.method == "POST" && path_of(call).ends_with(EVICTION)
}

/// Whether the answer to a request is one that says that it had its effect.
pub(super) fn believed(call: &HttpCall, answer: &Value) -> bool {
    match call.method.as_str() {
        "DELETE" => answer.is_object(),
        "POST" if is_eviction(call) => answer["status"] == "Success" || answer["kind"] == "Eviction",
        _ => matches!(judge(call, Some(answer)), Reconciled::TookEffect { .. }),
    }
}

/// What the object shows, or its absence.
pub(super) fn judge(call: &HttpCall, seen: Option<&Value>) -> Reconciled {
    let body = body(call);
    match call.method.as_str() {
        "PATCH" => patched(&body, seen),
        "DELETE" => gone(&body["preconditions"]["uid"], seen),
        "POST" if is_eviction(call) => gone(&body["deleteOptions"]["preconditions"]["uid"], seen),
        "POST" => created(&body, seen),
        other => Reconciled::Undecided { why: format!("{other} is no request of this adapter") },
    }
}

/// One verdict on several requests.
pub(super) fn together(all: &[(String, Reconciled)]) -> Reconciled {
    if let [(_, one)] = all {
        return one.clone();
    }
    let words = |which: fn(&Reconciled) -> bool| {
        let of = all.iter().filter(|(_, r)| which(r)).map(|(place, r)| format!("{place}: {}", said(r)));
        of.collect::<Vec<_>>()
    };
    let took = words(|r| matches!(r, Reconciled::TookEffect { .. }));
    let none = words(|r| matches!(r, Reconciled::NoEffect { .. }));
    let open = words(|r| matches!(r, Reconciled::Undecided { .. }));
    match (took.len(), none.len(), open.len()) {
        (_, 0, 0) => {
            Reconciled::TookEffect { seen: format!("all {} objects show it; {}", all.len(), first_of(&took, 5, "; ")) }
        }
        (0, _, 0) => Reconciled::NoEffect {
            seen: format!("none of {} objects shows it; {}", all.len(), first_of(&none, 5, "; ")),
        },
        _ => {
            let rest: Vec<String> = open.iter().chain(&none).cloned().collect();
            Reconciled::Undecided {
                why: format!(
                    "{} of {} objects show it; not these: {}",
                    took.len(),
                    all.len(),
                    first_of(&rest, 5, "; ")
                ),
            }
        }
    }
}

fn said(found: &Reconciled) -> &str {
    match found {
        Reconciled::TookEffect { seen } | Reconciled::NoEffect { seen } => seen,
        Reconciled::Undecided { why } => why,
    }
}

fn body(call: &HttpCall) -> Value {
    serde_json::from_str(&call.body).unwrap_or_default()
}

fn patched(patch: &Value, seen: Option<&Value>) -> Reconciled {
    let undecided = |why: String| Reconciled::Undecided { why };
    let Some(seen) = seen else { return undecided("the object is gone".into()) };
    let operations: Vec<&Value> = patch.as_array().into_iter().flatten().collect();
    let at = |one: &Value| one["path"].as_str().unwrap_or_default().to_owned();
    let now = |one: &Value| seen.pointer(&at(one)).cloned().unwrap_or_default();
    let uid = operations.iter().find(|o| o["op"] == "test" && o["path"] == "/metadata/uid");
    if uid.is_none_or(|o| o["value"] != now(o)) {
        let other = short(&seen["metadata"]["uid"]);
        return undecided(format!("the object has been replaced by another one, uid {other}"));
    }
    let changes: Vec<&&Value> = operations.iter().filter(|o| o["op"] != "test").collect();
    let held = |o: &Value| match o["op"].as_str() {
        Some("remove") => now(o).is_null(),
        _ => contains(&now(o), &o["value"]),
    };
    let show = |list: &[&&Value]| {
        let one = |o: &&&Value| format!("{} = {}", field(&at(o)), short(&now(o)));
        list.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    if !changes.is_empty() && changes.iter().all(|o| held(o)) {
        return Reconciled::TookEffect { seen: show(&changes) };
    }
    // Argo CD keeps an operation that it has taken up in the status, and removes it from where it was written.
    let taken = &seen["status"]["operationState"];
    if let Some(asked) = changes.iter().find(|o| o["path"] == "/operation")
        && contains(&taken["operation"], &asked["value"])
    {
        return Reconciled::TookEffect { seen: format!("Argo CD has taken it up: {}", short(&taken["phase"])) };
    }
    let tests: Vec<&&Value> = operations.iter().filter(|o| o["op"] == "test").collect();
    let differs: Vec<&&Value> = tests.into_iter().filter(|o| now(o) != o["value"]).collect();
    if differs.is_empty() {
        return Reconciled::NoEffect { seen: format!("it is as it was: {}", show(&changes)) };
    }
    undecided(format!("something else has changed it meanwhile: {}", show(&differs)))
}

fn created(wanted: &Value, seen: Option<&Value>) -> Reconciled {
    let kind = wanted["kind"].as_str().unwrap_or("object");
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    match seen {
        None => Reconciled::NoEffect { seen: format!("there is no {kind} {name}") },
        Some(seen) if contains(&seen["spec"], &wanted["spec"]) && contains(&seen["metadata"], &wanted["metadata"]) => {
            Reconciled::TookEffect { seen: format!("{kind} {name} is there, uid {}", short(&seen["metadata"]["uid"])) }
        }
        Some(seen) => Reconciled::Undecided {
            why: format!("there is another {kind} {name}, uid {}", short(&seen["metadata"]["uid"])),
        },
    }
}

fn gone(uid: &Value, seen: Option<&Value>) -> Reconciled {
    let Some(metadata) = seen.map(|s| &s["metadata"]) else {
        return Reconciled::TookEffect { seen: "it is gone".into() };
    };
    if metadata["uid"] != *uid {
        let seen = format!("it is gone; another one has its name, uid {}", short(&metadata["uid"]));
        return Reconciled::TookEffect { seen };
    }
    match &metadata["deletionTimestamp"] {
        Value::Null => Reconciled::NoEffect { seen: "it is there still".into() },
        at => Reconciled::TookEffect { seen: format!("it is ending, since {}", short(at)) },
    }
}

/// Whether a value has at least what was asked for: the server adds defaults, and writes quantities its own way.
pub(super) fn contains(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| seen.get(key).map_or_else(|| empty(value), |seen| contains(seen, value)))
        }
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() == wanted.len() && seen.iter().zip(wanted).all(|(s, w)| contains(s, w))
        }
        (Value::String(seen), Value::String(wanted)) => {
            seen == wanted || quantity(seen).is_some_and(|q| Some(q) == quantity(wanted))
        }
        (Value::Null, wanted) => empty(wanted),
        (seen, wanted) => seen == wanted,
    }
}

/// What a server leaves out of its answers.
fn empty(value: &Value) -> bool {
    value.is_null() || *value == json!({}) || *value == json!([]) || *value == json!(false)
}

/// A quantity as thousandths (`500m`, `4Gi`), if it has a suffix or is a number
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
fn quantity(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(end)?;
    let number: i128 = digits.parse().ok()?;
    let factor: i128 = match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::super::call::{Patch, create, delete, evict};
    use super::*;

    fn took(call: &HttpCall, seen: &Value) -> bool {
        matches!(judge(call, Some(seen)), Reconciled::TookEffect { .. })
    }

    #[test]
    fn a_patch_is_judged_by_what_it_tested_and_wrote() {
        let was = json!({"metadata": {"uid": "u"}, "spec": {"suspend": false}});
        let call = Patch::of("/x/t", &was).set("/spec/suspend", json!(true)).call();
        let mut is = was.clone();
        assert!(matches!(judge(&call, Some(&was)), Reconciled::NoEffect { .. }));
        is["spec"]["suspend"] = json!(true);
        assert!(took(&call, &is));
        is["metadata"]["uid"] = json!("other");
        assert!(matches!(judge(&call, Some(&is)), Reconciled::Undecided { .. }));
        assert!(matches!(judge(&call, None), Reconciled::Undecided { .. }));
        let scaled = Patch::of("/x", &json!({"metadata": {"uid": "u"}, "spec": {"n": 1}})).set("/spec/n", json!(3));
        let between = json!({"metadata": {"uid": "u"}, "spec": {"n": 2}});
        assert!(matches!(judge(&scaled.call(), Some(&between)), Reconciled::Undecided { .. }));
        let removal = Patch::of("/x/t", &was).remove("/spec/suspend").call();
        assert!(took(&removal, &json!({"metadata": {"uid": "u"}, "spec": {}})));
        assert!(!took(&removal, &was));
    }

    #[test]
    fn a_status_is_looked_up_at_its_object() {
        let object = json!({"metadata": {"uid": "u"}, "status": {}});
        let call = Patch::of("/x/t/status", &object).set("/status/a", json!(1)).call();
        assert_eq!(object_path(&call), "/x/t");
        assert_eq!(object_path(&create("/x", &json!({"metadata": {"name": "n"}}))), "/x/n");
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}});
        assert_eq!(object_path(&evict(&pod)), "/api/v1/namespaces/n/pods/p");
    }

    #[test]
    fn what_ends_is_gone_when_it_ends_or_another_has_its_name() {
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1"}});
        for call in [evict(&pod), delete("/x/p", &pod)] {
            assert!(matches!(judge(&call, None), Reconciled::TookEffect { .. }));
            assert!(matches!(judge(&call, Some(&pod)), Reconciled::NoEffect { .. }));
            assert!(took(&call, &json!({"metadata": {"uid": "v"}})));
            assert!(took(&call, &json!({"metadata": {"uid": "u", "deletionTimestamp": "2026-11-21T10:00:00Z"}})));
        }
    }

    #[test]
    fn what_was_created_may_have_defaults_and_its_quantities_in_other_words() {
        let wanted = json!({
            "kind": "ResourceQuota", "metadata": {"name": "q"},
            "spec": {"hard": {"limits.cpu": "4000m", "limits.memory": "1024Mi", "pods": "3"}},
        });
        let call = create("/x", &wanted);
        let seen = json!({
            "metadata": {"name": "q", "uid": "u"},
            "spec": {"hard": {"limits.cpu": "4", "limits.memory": "1Gi", "pods": "3"}, "scopes": []},
        });
        assert!(took(&call, &seen));
        assert!(matches!(judge(&call, None), Reconciled::NoEffect { .. }));
        let mut other = seen;
        other["spec"]["hard"]["limits.cpu"] = json!("5");
        assert!(matches!(judge(&call, Some(&other)), Reconciled::Undecided { .. }));
    }

    #[test]
    fn several_are_one_only_when_they_agree() {
        let of = |all: &[Reconciled]| {
            let named: Vec<_> = all.iter().enumerate().map(|(i, r)| (format!("pods/{i}"), r.clone())).collect();
            together(&named)
        };
        let took = Reconciled::TookEffect { seen: "gone".into() };
        let none = Reconciled::NoEffect { seen: "there".into() };
        assert!(matches!(of(&[took.clone(), took.clone()]), Reconciled::TookEffect { .. }));
        assert!(matches!(of(&[none.clone(), none.clone()]), Reconciled::NoEffect { .. }));
        let Reconciled::Undecided { why } = of(&[took, none.clone(), none]) else { panic!() };
        assert_eq!(why, "1 of 3 objects show it; not these: pods/1: there; pods/2: there");
    }
}
