//! Which verbs set or lift a measure in force.

use crate::domain::request::Request;
use crate::journal::Kind;
use serde_json::{Value, json};

/// The record that a request which had its effect owes, if any. A measure's id is its kind and its tenants.
pub fn of(request: &Request) -> Option<(Kind, Value)> {
    let tenants = request.target.tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match request.verb.as_str() {
        "traefik.maintenance_on" => Some((
            Kind::MeasureSet,
            json!({
                "measure": format!("maintenance/{tenants}"),
                "what": format!("maintenance page for {tenants}"),
                "lift": "playbook maintenance-mode, its last step; or traefik.maintenance_off",
                "source": request.target.source,
            }),
        )),
        "traefik.maintenance_off" => {
            Some((Kind::MeasureLifted, json!({ "measure": format!("maintenance/{tenants}") })))
        }
        _ => None,
    }
}
