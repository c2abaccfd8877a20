//! Reading objects of the platform: autoscalers, budgets, quotas, claims, warnings; and certificates.

use super::kinds::What;
use super::{moment, text};
use serde_json::Value;

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn autoscaler(object: &Value) -> Option<What> {
    Some(What::Autoscaler {
        current: object["status"]["currentReplicas"].as_u64().unwrap_or(0),
        most: object["spec"]["maxReplicas"].as_u64().unwrap_or(u64::MAX),
        target: text(&object["spec"]["scaleTargetRef"]["name"]),
    })
}

pub(super) fn budget(object: &Value) -> Option<What> {
    let status = &object["status"];
    // Without a status the controller has not seen it yet.
    Some(What::Budget {
        allowed: status["disruptionsAllowed"].as_i64()?,
        expected: status["expectedPods"].as_i64().unwrap_or(0),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn quota(object: &Value) -> Option<What> {
    let (used, hard) = (&object["status"]["used"], &object["status"]["hard"]);
    let mut fullest: Option<(f64, &str)> = None;
    for (resource, limit) in hard.as_object().into_iter().flatten() {
        let share = quantity(&used[resource]).zip(quantity(limit)).filter(|(_, limit)| *limit > 0.0);
        let share = share.map(|(used, limit)| used / limit);
        fullest = match (share, fullest) {
            (Some(share), Some((most, _))) if share <= most => fullest,
            (Some(share), _) => Some((share, resource)),
            (None, known) => known,
        };
    }
    Some(What::Quota {
        share: fullest.map(|(share, _)| share),
        resource: fullest.map(|(_, r)| crate::domain::text::sanitize(r)).unwrap_or_default(),
    })
}

/// A quantity of Kubernetes: `500m`, `2`, `1.5Gi`, `12e3`, `100k`.
fn quantity(value: &Value) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let text = value.as_str()?;
    let scaled =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * factor));
    scaled.or_else(|| text.parse().ok()).filter(|n: &f64| n.is_finite())
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn claim(object: &Value) -> Option<What> {
    Some(What::Claim { phase: text(&object["status"]["phase"]) })
}

pub(super) fn warning(object: &Value) -> Option<What> {
    if object["type"] != "Warning" {
        return None;
    }
    let about = &object["involvedObject"];
    let times = [
        &object["series"]["lastObservedTime"],
        &object["lastTimestamp"],
        &object["eventTime"],
        &object["firstTimestamp"],
    ];
    Some(What::Warning {
        reason: text(&object["reason"]),
        about: format!("{}/{}", text(&about["kind"]).to_lowercase(), text(&about["name"])),
        message: text(&object["message"]),
        count: object["series"]["count"].as_u64().or_else(|| object["count"].as_u64()).unwrap_or(1),
        at: times.into_iter().find_map(moment),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn certificate(object: &Value) -> Option<What> {
    let ready = condition(object, "Ready");
    Some(What::Certificate {
        ready: ready.and_then(truth),
        why: ready.map(|c| text(&c["message"])).unwrap_or_default(),
        not_after: moment(&object["status"]["notAfter"]),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn network_policy(object: &Value) -> Option<What> {
    let spec = &object["spec"];
    let empty = |selector: &Value| {
        let bare = |key: &str| match &selector[key] {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => true,
        };
        selector.is_object() && bare("matchLabels") && bare("matchExpressions")
    };
    // Without types it is about what comes in.
    let inward = spec["policyTypes"].as_array().is_none_or(|types| types.iter().any(|t| t == "Ingress"));
    let everybody = |from: &Value| {
        let pods = &from["podSelector"];
        let cidr = from["ipBlock"]["cidr"].as_str();
        (empty(&from["namespaceSelector"]) && (pods.is_null() || empty(pods)))
            || matches!(cidr, Some("0.0.0.0/0" | "::/0"))
    };
    let opens = |rule: &Value| match rule["from"].as_array() {
        // A rule that names nobody lets all of them in.
        None => true,
        Some(from) => from.is_empty() || from.iter().any(everybody),
    };
    let open = inward && spec["ingress"].as_array().is_some_and(|rules| rules.iter().any(opens));
    Some(What::Fence { all: inward && empty(&spec["podSelector"]), open })
}

/// A condition of an object's status.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

/// What a condition says; `None` for Unknown.
pub(super) fn truth(condition: &Value) -> Option<bool> {
    match condition["status"].as_str() {
        Some("True") => Some(true),
        Some("False") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_keeps_others_out_or_lets_everybody_in() {
        let fence = |spec: Value| match network_policy(&json!({ "spec": spec })) {
            Some(What::Fence { all, open }) => (all, open),
            other => panic!("{other:?}"),
        };
        assert_eq!(fence(json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})), (true, false));
        assert_eq!(fence(json!({"podSelector": {}, "policyTypes": ["Egress"]})), (false, false));
        let labels = json!({"matchLabels": {"app": "odoo"}});
        let from = |from: Value| fence(json!({"podSelector": labels, "ingress": [{"from": [from]}]}));
        assert_eq!(from(json!({"namespaceSelector": labels})), (false, false));
        assert_eq!(from(json!({"podSelector": {}})), (false, false), "its own namespace");
        assert_eq!(from(json!({"namespaceSelector": {}})), (false, true));
        assert_eq!(from(json!({"namespaceSelector": {}, "podSelector": labels})), (false, false));
        assert_eq!(from(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})), (false, true));
        assert_eq!(fence(json!({"podSelector": {}, "ingress": [{}]})), (true, true));
        assert_eq!(fence(json!({})), (false, false), "an object without a spec says nothing");
    }

    #[test]
    fn quantities_are_read_and_the_fullest_resource_counts() {
        for (text, value) in [("500m", 0.5), ("2", 2.0), ("1.5Gi", 1_610_612_736.0), ("12e3", 12_000.0), ("3k", 3000.0)]
        {
            assert_eq!(quantity(&json!(text)), Some(value), "{text}");
        }
        assert_eq!(quantity(&json!("much")), None);
        let object = json!({"status": {"hard": {"pods": "10", "limits.cpu": "4", "x": "0"},
                                       "used": {"pods": "4", "limits.cpu": "3800m", "x": "0"}}});
        let Some(What::Quota { share, resource }) = quota(&object) else { panic!() };
        assert!((share.unwrap() - 0.95).abs() < 1e-9 && resource == "limits.cpu");
    }
}
