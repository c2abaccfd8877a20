//! Facts of the simulated cluster.

use crate::domain::facts::kubernetes::{KubernetesFacts, Node, PodTotals, Workload};
use crate::drill::model::Simulation;
use crate::drill::model::pods::Deployment;

pub(super) fn facts(sim: &Simulation) -> KubernetesFacts {
    let parts = || sim.tenants.iter().flat_map(|t| [(t, &t.web), (t, &t.workers)]);
    let workloads: Vec<Workload> = parts().map(|(t, d)| workload(sim, t.id.as_str(), d)).collect();
    let total: u32 = workloads.iter().map(|w| w.desired).sum();
    let ready: u32 = workloads.iter().map(|w| w.ready).sum();
    let crash_looping: u32 = parts().map(|(_, d)| d.crash_looping).sum();
    KubernetesFacts {
        cluster_uid: "5d1b6a52-0c1e-4d5f-9a37-6f2f0f5f17c1".into(),
        version: "v1.36.1".into(),
        nodes: (1..=sim.nodes)
            .map(|n| Node { name: format!("node-{n}"), ready: Some(true), ..Node::default() })
            .collect(),
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
        restarts: Some(restarts),
        restarts_5m: Some(restarts),
        crash_looping: Some(d.crash_looping),
        oom_killed: Some(0),
        pending: Some(u32::from(d.rolling(tick))),
    }
}
