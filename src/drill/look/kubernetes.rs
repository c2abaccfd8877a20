//! Facts of the simulated cluster.

use crate::domain::facts::kubernetes::{KubernetesFacts, Node, PodTotals, Workload};
use crate::drill::model::build::INGRESS_NAMESPACE;
use crate::drill::model::pods::Deployment;
use crate::drill::model::{Simulation, nodes};

pub(super) fn facts(sim: &Simulation) -> KubernetesFacts {
    let parts = || sim.tenants.iter().flat_map(|t| [(t, &t.web), (t, &t.workers)]);
    let mut workloads: Vec<Workload> = parts().map(|(t, d)| workload(sim, t.id.as_str(), d)).collect();
    workloads.extend(sim.edges.values().map(|e| workload(sim, INGRESS_NAMESPACE, &e.controller)));
    let total: u32 = workloads.iter().map(|w| w.desired).sum();
    let ready: u32 = workloads.iter().map(|w| w.ready).sum();
    let crash_looping: u32 = parts().map(|(_, d)| d.crash_looping).sum();
    let ready = ready.saturating_sub(sim.nodes.lost());
    KubernetesFacts {
        cluster_uid: "5d1b6a52-0c1e-4d5f-9a37-6f2f0f5f17c1".into(),
        version: "v1.36.1".into(),
        nodes: sim.nodes.all.iter().map(node).collect(),
        pods: Some(PodTotals {
            total,
            running: ready,
            pending: total.saturating_sub(ready).saturating_sub(crash_looping),
            failed: 0,
            crash_looping,
        }),
        workloads,
        ..KubernetesFacts::default()
    }
}

fn node(node: &nodes::Node) -> Node {
    Node { name: node.name.clone(), ready: Some(node.ready), cordoned: node.cordoned, pressure: Vec::new() }
}

pub(in crate::drill) fn workload(sim: &Simulation, namespace: &str, deployment: &Deployment) -> Workload {
    let (tick, d) = (sim.tick, deployment);
    let ready = d.ready(tick);
    let restarts = if d.crash_looping > 0 { d.crash_looping * 4 } else { 0 };
    Workload {
        namespace: namespace.into(),
        name: d.name.into(),
        uid: d.uid.clone(),
        generation: i64::from(d.revision),
        annotated: true,
        desired: d.desired,
        ready,
        updated: d.updated(tick),
        available: ready,
        observed: true,
        image: d.image.clone(),
        image_since: Some(sim.at(d.image_since)),
        revision: d.revision.to_string(),
        restarted_at: d.restarted_at.map(|tick| sim.at(tick)),
        // The simulated nodes do not say what they pulled.
        runs: Vec::new(),
        restarts: Some(restarts),
        restarts_5m: Some(restarts),
        crash_looping: Some(d.crash_looping),
        oom_killed: Some(d.oom_killed),
        pending: Some(u32::from(d.rolling(tick))),
    }
}
