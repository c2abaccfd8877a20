//! Requests that the API server itself refuses when their object is not as it was read: a patch tests the UID and
//! every value that it replaces, a deletion carries UID and version, a creation fails where the name is taken.

use crate::domain::request::HttpCall;
use crate::domain::text::sanitize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How long the API server may work on one request; after that it has no effect any more
/// (query parameter `timeout`, <https://kubernetes.io/docs/reference/using-api/api-concepts/>).
pub(in crate::act) const SERVER_TIMEOUT_S: u64 = 10;

const UID: &str = "/metadata/uid";
const GENERATION: &str = "/metadata/generation";

/// A JSON patch (RFC 6902) on one object as it was read.
#[derive(Debug)]
pub(in crate::act) struct Patch {
    path: String,
    was: Value,
    is: Value,
    tests: Vec<(String, Value)>,
    operations: Vec<Value>,
    whole_spec: bool,
}

impl Patch {
    /// A patch at that path of the object that was read there.
    pub fn of(path: impl Into<String>, object: &Value) -> Self {
        let uid = object.pointer(UID).cloned().unwrap_or_default();
        Self {
            path: path.into(),
            was: object.clone(),
            is: object.clone(),
            tests: vec![(UID.into(), uid)],
            operations: Vec::new(),
            whole_spec: false,
        }
    }

    /// Tests that nothing of the spec has changed, instead of each value that is replaced.
    pub fn unchanged_spec(mut self) -> Self {
        self.whole_spec = true;
        self.expect(GENERATION)
    }

    /// Tests that a value is as it was read, also where there was none.
    pub fn expect(mut self, pointer: &str) -> Self {
        let pointer = present_or_missing(&self.was, pointer);
        let value = self.was.pointer(&pointer).cloned().unwrap_or_default();
        if !self.tests.iter().any(|(p, _)| *p == pointer) {
            self.tests.push((pointer, value));
        }
        self
    }

    /// Sets a value, with the objects around it where they are missing.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        if !self.whole_spec {
            self = self.expect(pointer);
        }
        let at = present_or_missing(&self.is, pointer);
        let below = pointer.get(at.len()..).unwrap_or_default();
        let whole = below.split('/').skip(1).collect::<Vec<_>>().into_iter().rev().fold(value, |inner, key| {
            let key = key.replace("~1", "/").replace("~0", "~");
            Value::Object(Map::from_iter([(key, inner)]))
        });
        put(&mut self.is, &at, Some(whole.clone()));
        self.operations.push(json!({"op": "add", "path": at, "value": whole}));
        self
    }

    /// Removes a value where there is one.
    pub fn remove(mut self, pointer: &str) -> Self {
        self = self.expect(pointer);
        if self.is.pointer(pointer).is_some() {
            put(&mut self.is, pointer, None);
            self.operations.push(json!({"op": "remove", "path": pointer}));
        }
        self
    }

    /// The request.
    pub fn call(self) -> HttpCall {
        let test = |(path, value): (String, Value)| json!({"op": "test", "path": path, "value": value});
        let patch: Vec<Value> = self.tests.into_iter().map(test).chain(self.operations).collect();
        HttpCall {
            method: "PATCH".into(),
            path: format!("{}?fieldManager=quarterdeck&timeout={SERVER_TIMEOUT_S}s", self.path),
            headers: content_type("application/json-patch+json"),
            body: format!("{:#}", Value::Array(patch)),
        }
    }
}

/// The pointer itself where its parent is there, else the outermost part of it that is missing.
fn present_or_missing(object: &Value, pointer: &str) -> String {
    let ends = pointer.match_indices('/').skip(1).map(|(at, _)| at);
    for end in ends {
        let part = pointer.get(..end).unwrap_or(pointer);
        if object.pointer(part).is_none_or(Value::is_null) {
            return part.to_owned();
        }
    }
    pointer.to_owned()
}

/// Writes or removes a member in the copy that later parts of a patch are made against.
fn put(object: &mut Value, pointer: &str, value: Option<Value>) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    let Some(Value::Object(members)) = object.pointer_mut(parent) else { return };
    match value {
        Some(value) => members.insert(key, value),
        None => members.remove(&key),
    };
}

/// Creates an object in a collection; refused (409) where the name is taken.
pub(in crate::act) fn create(collection: &str, object: &Value) -> HttpCall {
    HttpCall {
        method: "POST".into(),
        path: format!("{collection}?fieldManager=quarterdeck&timeout={SERVER_TIMEOUT_S}s"),
        headers: content_type("application/json"),
        body: format!("{object:#}"),
    }
}

/// Deletes an object, only if it is this one in this version.
pub(in crate::act) fn delete(path: &str, object: &Value) -> HttpCall {
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
        "preconditions": {"uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"]},
    });
    HttpCall {
        method: "DELETE".into(),
        path: format!("{path}?timeout={SERVER_TIMEOUT_S}s"),
        headers: content_type("application/json"),
        body: format!("{options:#}"),
    }
}

/// Deletes a pod, only if it is this one; its status may have changed since it was read.
pub(in crate::act) fn delete_pod(pod: &Value, grace: Option<u32>) -> HttpCall {
    let mut options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": pod["metadata"]["uid"]},
    });
    if let (Some(seconds), Some(members)) = (grace, options.as_object_mut()) {
        members.insert("gracePeriodSeconds".into(), json!(seconds));
    }
    HttpCall {
        method: "DELETE".into(),
        path: format!("{}?timeout={SERVER_TIMEOUT_S}s", pod_path(pod)),
        headers: content_type("application/json"),
        body: format!("{options:#}"),
    }
}

/// Evicts a pod, only if it is this one; refused (429) where a disruption budget would be violated
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/>).
pub(in crate::act) fn evict(pod: &Value) -> HttpCall {
    let metadata = &pod["metadata"];
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    });
    HttpCall {
        method: "POST".into(),
        path: format!("{}{EVICTION}?timeout={SERVER_TIMEOUT_S}s", pod_path(pod)),
        headers: content_type("application/json"),
        body: format!("{eviction:#}"),
    }
}

/// End of the path of an eviction.
pub(super) const EVICTION: &str = "/eviction";

fn pod_path(pod: &Value) -> String {
    let word = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
    format!("/api/v1/namespaces/{}/pods/{}", word("namespace"), word("name"))
}

fn content_type(kind: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("content-type".into(), kind.into())])
}

/// What the API server checks before a request has any effect, a sentence each.
pub(in crate::act) fn checks(calls: &[HttpCall]) -> Vec<String> {
    let mut all = Vec::new();
    for call in calls {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let of = if calls.len() == 1 { String::new() } else { format!("{}: ", place(&call.path)) };
        let mut add = |what: String| all.push(format!("{of}only if {what}"));
        match call.method.as_str() {
            "PATCH" => {
                let is_test = |one: &&Value| one["op"] == "test";
                for test in body.as_array().into_iter().flatten().filter(is_test) {
                    let field = field(test["path"].as_str().unwrap_or_default());
                    let unchanged = if field == "metadata.generation" { " (spec unchanged since read)" } else { "" };
                    add(format!("{field} = {}{unchanged}", short(&test["value"])));
                }
            }
            "POST" if !path_of(call).ends_with(EVICTION) => {
                add(format!("no {} of that name is there", body["kind"].as_str().unwrap_or("object")));
            }
            _ => {
                let options = if body.get("deleteOptions").is_some() { &body["deleteOptions"] } else { &body };
                for (key, value) in options["preconditions"].as_object().into_iter().flatten() {
                    add(format!("metadata.{key} = {}", short(value)));
                }
                if path_of(call).ends_with(EVICTION) {
                    add("no disruption budget is violated".into());
                }
            }
        }
    }
    all
}

/// The path without its query.
pub(super) fn path_of(call: &HttpCall) -> &str {
    call.path.split('?').next().unwrap_or_default()
}

/// The last two words of a path, which name an object: `pods/odoo-1`.
fn place(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let path = path.strip_suffix(EVICTION).unwrap_or(path);
    let words: Vec<&str> = path.rsplitn(3, '/').take(2).collect();
    words.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// A JSON pointer as people write fields: `spec.suspend`.
pub(super) fn field(pointer: &str) -> String {
    let words = pointer.split('/').skip(1).map(|w| w.replace("~1", "/").replace("~0", "~"));
    words.collect::<Vec<_>>().join(".")
}

/// A value in one short line.
pub(super) fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = sanitize(&text);
    // Whole where it tells objects apart; what differs past this is still tested by the server.
    if text.chars().count() > 160 {
        let digest = crate::act::kubernetes::object::digest(&text);
        format!("{}… ({digest})", text.chars().take(120).collect::<String>())
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(call: &HttpCall) -> Value {
        serde_json::from_str(&call.body).unwrap()
    }

    #[test]
    fn a_patch_tests_what_it_replaces_and_makes_what_is_missing() {
        let object = json!({"metadata": {"uid": "u"}, "spec": {"suspend": false}});
        let call = Patch::of("/apis/x/v1/things/t", &object)
            .set("/spec/suspend", json!(true))
            .set("/metadata/annotations/quarterdeck.io~1frozen", json!("a"))
            .set("/metadata/annotations/two", json!("b"))
            .call();
        assert_eq!(call.path, "/apis/x/v1/things/t?fieldManager=quarterdeck&timeout=10s");
        assert_eq!(
            parsed(&call),
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "u"},
                {"op": "test", "path": "/spec/suspend", "value": false},
                {"op": "test", "path": "/metadata/annotations", "value": null},
                {"op": "add", "path": "/spec/suspend", "value": true},
                {"op": "add", "path": "/metadata/annotations", "value": {"quarterdeck.io/frozen": "a"}},
                {"op": "add", "path": "/metadata/annotations/two", "value": "b"},
            ])
        );
        assert_eq!(
            checks(&[call]),
            ["only if metadata.uid = u", "only if spec.suspend = false", "only if metadata.annotations = nothing"]
        );
    }

    #[test]
    fn what_is_not_there_is_not_removed_and_the_generation_stands_for_the_spec() {
        let object = json!({"metadata": {"uid": "u", "generation": 4}, "spec": {"paused": true, "template": {"a": 1}}});
        let call = Patch::of("/x", &object).unchanged_spec().set("/spec/template", json!({"a": 2})).call();
        let tests = ["/metadata/uid", "/metadata/generation"];
        let found: Vec<Value> =
            parsed(&call).as_array().unwrap().iter().filter(|o| o["op"] == "test").map(|o| o["path"].clone()).collect();
        assert_eq!(found, tests);
        let call = Patch::of("/x", &object).remove("/spec/paused").remove("/spec/other").call();
        let removed: Vec<Value> =
            parsed(&call).as_array().unwrap().iter().filter(|o| o["op"] == "remove").cloned().collect();
        assert_eq!(removed, [json!({"op": "remove", "path": "/spec/paused"})]);
    }

    #[test]
    fn deletions_evictions_and_creations_say_their_conditions() {
        let pod = json!({"metadata": {"name": "p", "namespace": "t017", "uid": "u", "resourceVersion": "9"}});
        let eviction = evict(&pod);
        assert_eq!(eviction.path, "/api/v1/namespaces/t017/pods/p/eviction?timeout=10s");
        assert_eq!(parsed(&eviction)["deleteOptions"]["preconditions"], json!({"uid": "u"}));
        assert_eq!(
            checks(std::slice::from_ref(&eviction)),
            ["only if metadata.uid = u", "only if no disruption budget is violated"]
        );
        assert_eq!(parsed(&delete_pod(&pod, Some(0)))["gracePeriodSeconds"], 0);
        let deletion = delete("/apis/x/v1/namespaces/t017/things/t", &pod);
        assert_eq!(
            checks(&[deletion, eviction]),
            [
                "things/t: only if metadata.resourceVersion = 9",
                "things/t: only if metadata.uid = u",
                "pods/p: only if metadata.uid = u",
                "pods/p: only if no disruption budget is violated",
            ]
        );
        let creation = create("/apis/x/v1/things", &json!({"kind": "Thing"}));
        assert_eq!(checks(&[creation]), ["only if no Thing of that name is there"]);
    }
}
