//! What the Deployment of a tenant's workers is to be changed to: the capacity of a channel, CPU and memory; as the
//! operations of a JSON patch that name what they replace. `deployment` sends it.

use crate::act::args;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::text::sanitize;
use serde_json::{Value, json};

/// The variable of `queue_job/jobrunner/runner.py`.
pub(super) const CHANNELS: &str = "ODOO_QUEUE_JOB_CHANNELS";

/// The first container, which is Odoo's.
pub(super) fn container(deployment: &Value) -> Option<&Value> {
    deployment.pointer("/spec/template/spec/containers/0")
}

/// Where the container is in a Deployment.
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// The value of a variable of the container, and its place.
pub(super) fn variable<'a>(deployment: &'a Value, name: &str) -> Option<(usize, &'a str)> {
    let env = container(deployment)?.get("env")?.as_array()?;
    let found = env.iter().enumerate().find(|(_, e)| e.get("name").and_then(Value::as_str) == Some(name))?;
    Some((found.0, found.1.get("value")?.as_str()?))
}

/// The value with one channel's capacity replaced, or the channel added; what else stands with it stays
/// (`root:4,root.wms:1:throttle=2`).
fn channels(now: &str, channel: &str, capacity: i64) -> String {
    let mut hit = false;
    let mut parts: Vec<String> = now
        .split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .map(|part| {
            let mut fields = part.split(':').map(str::to_owned).collect::<Vec<_>>();
            if fields.first().map(String::as_str) != Some(channel) {
                return part.to_owned();
            }
            hit = true;
            match fields.get_mut(1) {
                Some(field) if !field.contains('=') => *field = capacity.to_string(),
                _ => fields.insert(1, capacity.to_string()),
            }
            fields.join(":")
        })
        .collect();
    if !hit {
        parts.push(format!("{channel}:{capacity}"));
    }
    parts.join(",")
}

pub(super) fn test(path: &str, value: &Value) -> Value {
    json!({ "op": "test", "path": path, "value": value })
}

/// What is to be changed: the operations after the tests, and words for before and after.
pub(super) struct Wanted {
    pub(super) operations: Vec<Value>,
    pub(super) before: String,
    pub(super) after: String,
}

pub(super) fn capacity(context: &RenderContext<'_>, deployment: &Value) -> Result<Wanted, VerbError> {
    let channel = args::required(context, "channel")?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !channel.chars().all(fine) {
        return Err(VerbError::new(format!("{} is no name of a channel such as root.wms", sanitize(&channel))));
    }
    let capacity = args::required_whole(context, "capacity", 1, 1000)?;
    let (at, now) = variable(deployment, CHANNELS).ok_or_else(|| {
        VerbError::new(format!("the first container has no variable {CHANNELS} with a value, where its channels stand"))
    })?;
    let after = channels(now, &channel, capacity);
    if after == now {
        return Err(VerbError::new(format!("channel {channel} has the capacity {capacity} already")));
    }
    let entry = format!("{CONTAINER}/env/{at}");
    let operations = vec![
        test(&format!("{entry}/name"), &json!(CHANNELS)),
        test(&format!("{entry}/value"), &json!(now)),
        json!({ "op": "replace", "path": format!("{entry}/value"), "value": after }),
    ];
    Ok(Wanted { operations, before: format!("{CHANNELS}={now}"), after: format!("{CHANNELS}={after}") })
}

/// A quantity of Kubernetes, as far as people write it for CPU and memory.
fn quantity(name: &str, text: &str) -> Result<(), VerbError> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(number.len()..).unwrap_or_default();
    let known = ["", "m", "k", "Ki", "M", "Mi", "G", "Gi"].contains(&unit);
    if known && number.parse::<f64>().is_ok_and(|n| n > 0.0 && n.is_finite()) {
        return Ok(());
    }
    Err(VerbError::new(format!("the argument {name} is {}; allowed is a quantity such as 500m or 2Gi", sanitize(text))))
}

pub(super) fn profile(context: &RenderContext<'_>, deployment: &Value) -> Result<Wanted, VerbError> {
    let mut after = container(deployment).and_then(|c| c.get("resources")).cloned().unwrap_or_else(|| json!({}));
    let before = after.clone();
    for name in ["cpu", "memory"] {
        let Some(value) = args::optional(context, name)? else { continue };
        quantity(name, &value)?;
        for kind in ["requests", "limits"] {
            let Some(resources) = after.as_object_mut() else { continue };
            let entry = resources.entry(kind).or_insert_with(|| json!({}));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(name.to_owned(), json!(value));
            }
        }
    }
    if after == before {
        return Err(VerbError::new("the pods have that profile already, or neither cpu nor memory is given"));
    }
    let place = format!("{CONTAINER}/resources");
    let tests = container(deployment).and_then(|c| c.get("resources")).map(|now| test(&place, now));
    let operations =
        tests.into_iter().chain([json!({ "op": "add", "path": place, "value": after })]).collect::<Vec<_>>();
    Ok(Wanted { operations, before: before.to_string(), after: after.to_string() })
}

/// The part of a Deployment that a survey kept, at its places.
pub(super) fn rebuilt(found: &Value) -> Value {
    let at =
        found.pointer("/channels/at").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let mut env: Vec<Value> = Vec::new();
    if let Some(value) = found.pointer("/channels/value") {
        env.resize(at, json!({}));
        env.push(json!({ "name": CHANNELS, "value": value }));
    }
    let mut container = json!({ "env": env });
    if let (Some(resources), Some(into)) = (found.get("resources").filter(|r| !r.is_null()), container.as_object_mut())
    {
        into.insert("resources".to_owned(), resources.clone());
    }
    json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::odoo::deployment::Setting;

    #[test]
    fn one_capacity_changes_and_what_stands_with_it_stays() {
        for (now, after) in [
            ("root:4,root.wms:1:throttle=2", "root:4,root.wms:3:throttle=2"),
            ("root:4,root.wms", "root:4,root.wms:3"),
            ("root:4, root.wms:throttle=2", "root:4,root.wms:3:throttle=2"),
            ("root:4,root.wms.x:1", "root:4,root.wms.x:1,root.wms:3"),
            ("", "root.wms:3"),
        ] {
            assert_eq!(channels(now, "root.wms", 3), after);
        }
    }

    #[test]
    fn a_patch_names_what_it_replaces() {
        let found = json!({
            "metadata": { "uid": "u1", "replicas": 2 }, "channels": { "at": 3, "value": "root:4" },
            "resources": { "limits": { "cpu": "1" } },
        });
        let deployment = rebuilt(&found);
        assert_eq!(variable(&deployment, CHANNELS), Some((3, "root:4")));
        let patch = json!([
            { "op": "test", "path": "/metadata/uid", "value": "u1" },
            { "op": "replace", "path": "/spec/template/spec/containers/0/env/3/value", "value": "root:5" },
        ])
        .to_string();
        let mut seen = deployment;
        seen["metadata"] = json!({ "uid": "u1" });
        assert_eq!(Setting::is_as_wanted(&patch, &seen), Some(false));
        seen["spec"]["template"]["spec"]["containers"][0]["env"][3]["value"] = json!("root:5");
        assert_eq!(Setting::is_as_wanted(&patch, &seen), Some(true));
        seen["metadata"] = json!({ "uid": "u2" });
        assert_eq!(Setting::is_as_wanted(&patch, &seen), None);
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for good in ["500m", "2", "512Mi", "1.5Gi"] {
            assert!(quantity("cpu", good).is_ok(), "{good}");
        }
        for bad in ["", "0", "-1", "lots", "2 Gi", "1Zi", "NaN", "inf"] {
            assert!(quantity("cpu", bad).is_err(), "{bad}");
        }
    }
}
