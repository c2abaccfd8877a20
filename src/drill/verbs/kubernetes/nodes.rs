//! Nodes of the simulated cluster: closed, opened, drained, added and taken away.

use super::super::effect::{Aim, Done, Effect, Look, http};
use super::super::given::Given;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::build::CLUSTER;
use crate::drill::model::nodes::{MOST_PODS, Node};
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "kubernetes.cordon", aim: cordon_aim, act: cordon, stands: |g, s| closed(g, s) == Some(true) },
    Effect {
        name: "kubernetes.uncordon",
        aim: uncordon_aim,
        act: uncordon,
        stands: |g, s| closed(g, s) == Some(false),
    },
    Effect { name: "kubernetes.drain", aim: drain_aim, act: drain, stands: draining },
    Effect { name: "kubernetes.scale_nodes", aim: scale_aim, act: scale, stands: scaled },
];

pub(super) static LOOKS: &[Look] = &[Look { name: "kubernetes.node_status", aim: status_aim, tell: status }];

fn node<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Node, VerbError> {
    given.cluster()?;
    let name = given.text("node")?;
    sim.nodes.get(&name).ok_or_else(|| VerbError::new(format!("there is no node {}", sanitize(&name))))
}

fn node_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Node, VerbError> {
    let name = given.text("node")?;
    sim.nodes.get_mut(&name).ok_or_else(|| VerbError::new(format!("there is no node {}", sanitize(&name))))
}

fn closed(given: &Given<'_>, sim: &Simulation) -> Option<bool> {
    node(given, sim).ok().map(|n| n.cordoned)
}

fn switch(given: &Given<'_>, sim: &Simulation, on: bool) -> Result<Aim, VerbError> {
    let node = node(given, sim)?;
    let body = json!({ "spec": { "unschedulable": on } });
    let aim =
        Aim::at(CLUSTER, format!("node {}", node.name), http("PATCH", format!("/api/v1/nodes/{}", node.name), &body));
    let (word, back) = if on { ("cordon", "uncordon") } else { ("uncordon", "cordon") };
    Ok(aim
        .bound(json!({ "spec.unschedulable": node.cordoned }))
        .means("nobody: pods that run stay", format!("kubernetes.{back} takes it back"))
        .by_hand(format!("kubectl {word} {}", node.name)))
}

fn cordon_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    switch(given, sim, true)
}

fn uncordon_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    switch(given, sim, false)
}

fn cordon(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let node = node_mut(given, sim)?;
    node.cordoned = true;
    Ok((json!({ "cordoned": true }), format!("{} takes no new pods", node.name)))
}

fn uncordon(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let node = node_mut(given, sim)?;
    (node.cordoned, node.draining) = (false, false);
    Ok((json!({ "cordoned": false }), format!("{} takes new pods again", node.name)))
}

fn drain_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let node = node(given, sim)?;
    let url = format!("/api/v1/nodes/{} and the eviction of each of its pods", node.name);
    let aim = Aim::at(
        CLUSTER,
        format!("node {}", node.name),
        http("PATCH", url, &json!({ "spec": { "unschedulable": true } })),
    );
    let hurts = format!("{} pods are evicted, as their disruption budgets allow, and start elsewhere", node.pods);
    Ok(Aim { count: u64::from(node.pods), ..aim }
        .bound(json!({ "spec.unschedulable": node.cordoned }))
        .means(hurts, "kubernetes.uncordon opens the node; moved pods stay where they are")
        .by_hand(format!("kubectl drain {} --ignore-daemonsets", node.name)))
}

fn drain(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let node = node_mut(given, sim)?;
    (node.cordoned, node.draining) = (true, true);
    // What a node that does not answer holds is given up: the pods start elsewhere.
    Ok((json!({ "count": node.pods }), format!("{} pods of {} are evicted one after another", node.pods, node.name)))
}

fn draining(given: &Given<'_>, sim: &Simulation) -> bool {
    node(given, sim).is_ok_and(|n| n.draining)
}

fn status_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let node = node(given, sim)?;
    let aim = Aim::at(
        CLUSTER,
        format!("node {}", node.name),
        http("GET", format!("/api/v1/nodes/{}", node.name), &Value::Null),
    );
    Ok(aim.by_hand(format!("kubectl describe node {}", node.name)))
}

fn status(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let n = node(given, sim)?;
    let result = json!({
        "ready": n.ready, "cordoned": n.cordoned, "pressure": [], "pods": n.pods, "pods_to_drain": n.pods, "ending": 0,
        "drained": n.cordoned && n.pods == 0,
    });
    let state = if n.ready { "ready" } else { "not ready" };
    let open = if n.cordoned { "closed" } else { "open" };
    Ok((result, format!("{state}, {open} to new pods; {} pods a drain would move", n.pods)))
}

fn count(sim: &Simulation) -> u32 {
    u32::try_from(sim.nodes.all.len()).unwrap_or(u32::MAX)
}

fn scale_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    given.cluster()?;
    let (now, wanted) = (count(sim), given.number("nodes")?);
    let pods: u32 = sim.nodes.all.iter().map(|n| n.pods).sum();
    if wanted.saturating_mul(MOST_PODS) < pods {
        return Err(VerbError::new(format!("{wanted} nodes have no room for the {pods} pods that run")));
    }
    let name = given.optional("machine_deployment")?.map_or_else(|| given.text("node_pool"), Ok)?;
    let url = format!("/apis/cluster.x-k8s.io/v1beta1/machinedeployments/{name}");
    let aim =
        Aim::at(CLUSTER, format!("nodes of {name}"), http("PATCH", url, &json!({ "spec": { "replicas": wanted } })));
    let hurts = if wanted < now {
        format!("{} nodes are taken away; their pods start elsewhere", now - wanted)
    } else {
        format!("nobody; {} more nodes cost until they are taken away again", wanted - now)
    };
    Ok(Aim { count: u64::from(wanted.abs_diff(now)), ..aim }
        .bound(json!({ "spec.replicas": now }))
        .means(hurts, format!("the same with nodes = {now}")))
}

fn scale(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let wanted = given.number("nodes")?;
    sim.nodes.scale(wanted);
    Ok((json!({ "nodes": wanted }), format!("{wanted} nodes are asked for; they come and go in minutes")))
}

fn scaled(given: &Given<'_>, sim: &Simulation) -> bool {
    given.number("nodes") == Ok(count(sim))
}
