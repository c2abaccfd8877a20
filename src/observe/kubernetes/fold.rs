//! Folding the rows into facts: one workload a Deployment with what its pods and `ReplicaSet`s say.

use super::store::{Deployment, Phase, ReplicaSet, Store};
use crate::domain::facts::kubernetes::{Node, PodTotals, Running, Workload};
use jiff::Timestamp;
use std::collections::HashMap;

/// What the rows say of the cluster.
#[derive(Debug)]
pub struct Folded {
    /// By namespace and name.
    pub workloads: Vec<Workload>,
    /// By name.
    pub nodes: Vec<Node>,
    /// Over all pods.
    pub pods: Option<PodTotals>,
}

/// Sums over the pods of one Deployment.
#[derive(Clone, Copy, Default)]
struct Sums {
    restarts: u32,
    crash_looping: u32,
    oom_killed: u32,
    pending: u32,
}

/// Images that are told of one Deployment.
const RUNS: usize = 8;

/// Pods by what they run, of each Deployment.
type Runs<'a> = HashMap<&'a str, HashMap<(&'a str, &'a str), u32>>;

fn running(of: Option<&HashMap<(&str, &str), u32>>) -> Vec<Running> {
    let one = |((image, digest), pods): (&(&str, &str), &u32)| Running {
        image: (*image).to_owned(),
        digest: (*digest).to_owned(),
        pods: *pods,
    };
    let mut all: Vec<Running> = of.into_iter().flatten().map(one).collect();
    all.sort_unstable_by(|a, b| b.pods.cmp(&a.pods).then_with(|| (&a.image, &a.digest).cmp(&(&b.image, &b.digest))));
    all.truncate(RUNS);
    all
}

/// The last fold, for as long as the rows that it is made of are the same: a large cluster at rest is not folded anew for
/// each sample. One for each [`Store`].
#[derive(Debug, Default)]
pub struct Kept {
    /// [`Store::version`], and whether pods were watched.
    of: Option<(u64, bool)>,
    workloads: Vec<Workload>,
    pods: Option<PodTotals>,
}

impl Kept {
    /// What [`fold`] gives.
    pub fn fold(&mut self, store: &Store, sees_pods: bool) -> Folded {
        let of = Some((store.version(), sees_pods));
        if self.of != of {
            let Folded { workloads, pods, .. } = fold(store, sees_pods);
            *self = Self { of, workloads, pods };
        }
        Folded { workloads: self.workloads.clone(), nodes: nodes(store), pods: self.pods.clone() }
    }
}

/// Folds all rows. `sees_pods` says whether pods are watched at all: without them nothing is known of restarts, which
/// is not the same as none.
pub fn fold(store: &Store, sees_pods: bool) -> Folded {
    let known = |n: u32| sees_pods.then_some(n);
    let mut pods = PodTotals { total: count(store.pods.len()), ..PodTotals::default() };
    let mut sums: HashMap<&str, Sums> = HashMap::with_capacity(store.deployments.len());
    let mut oldest: HashMap<&str, i64> = HashMap::with_capacity(store.deployments.len());
    let mut runs: Runs<'_> = HashMap::with_capacity(store.deployments.len());
    for pod in store.pods.rows() {
        match pod.phase {
            Phase::Pending => pods.pending += 1,
            Phase::Running => pods.running += 1,
            Phase::Failed => pods.failed += 1,
            Phase::Other => {}
        }
        pods.crash_looping += u32::from(pod.crash_looping);
        if let Some((workload, set)) = &pod.owner {
            let sum = sums.entry(workload).or_default();
            sum.restarts = sum.restarts.saturating_add(pod.restarts);
            sum.crash_looping += u32::from(pod.crash_looping);
            sum.oom_killed += u32::from(pod.oom_killed);
            sum.pending += u32::from(pod.phase == Phase::Pending);
            if let Some((image, digest)) = pod.runs.as_ref().filter(|_| pod.phase == Phase::Running) {
                *runs.entry(workload).or_default().entry((image, digest)).or_default() += 1;
            }
            oldest.entry(set).and_modify(|at| *at = pod.created.min(*at)).or_insert(pod.created);
        }
    }
    let mut sets: HashMap<&str, Vec<&ReplicaSet>> = HashMap::with_capacity(store.deployments.len());
    for set in store.sets.rows() {
        sets.entry(&set.workload).or_default().push(set);
    }
    let mut workloads: Vec<Workload> = store
        .deployments
        .iter()
        .map(|(uid, row)| {
            let sum = sums.get(&*row.key).copied().unwrap_or_default();
            let seen = store.restarts.get(&row.key);
            let sets = sets.get_mut(&*row.key).map(Vec::as_mut_slice).unwrap_or_default();
            Workload {
                namespace: row.namespace.as_ref().into(),
                name: row.name.as_ref().into(),
                uid: uid.into(),
                generation: row.generation,
                annotated: row.annotated,
                desired: row.desired,
                ready: row.ready,
                updated: row.updated,
                available: row.available,
                observed: row.observed,
                image: row.image.as_ref().into(),
                image_since: image_since(row, sets, &oldest),
                revision: if row.revision == 0 { String::new() } else { row.revision.to_string() },
                restarted_at: row.restarted_at,
                runs: running(runs.get(&*row.key)),
                restarts: known(sum.restarts),
                restarts_5m: known(seen.map_or(0, |s| s.iter().fold(0, |all, (_, n)| all.saturating_add(*n)))),
                crash_looping: known(sum.crash_looping),
                oom_killed: known(sum.oom_killed),
                pending: known(sum.pending),
            }
        })
        .collect();
    workloads.sort_unstable_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Folded { workloads, nodes: nodes(store), pods: sees_pods.then_some(pods) }
}

fn nodes(store: &Store) -> Vec<Node> {
    let mut nodes: Vec<Node> = store
        .nodes
        .rows()
        .map(|n| Node {
            name: n.name.as_ref().into(),
            ready: n.ready,
            cordoned: n.cordoned,
            pressure: n.pressure.iter().map(|p| p.as_ref().into()).collect(),
        })
        .collect();
    nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    nodes
}

/// Since when the image is in the pod template.
///
/// A restart makes a new ReplicaSet with the same image, so the age of the pods says nothing. The newest
/// revisions in a row that have the image are taken: it is there since the first of them was created. A
/// rollback takes an old ReplicaSet into use again, which shows in a ReplicaSet of a lower revision that was
/// created later; its creation then says nothing, and the moment counts at which this observer saw the change,
/// or else the oldest living pod of that `ReplicaSet`, which is at most too young. Without `ReplicaSet`s it is
/// known only if the change was seen, or if there has been but one revision.
fn image_since(row: &Deployment, sets: &mut [&ReplicaSet], oldest: &HashMap<&str, i64>) -> Option<Timestamp> {
    sets.sort_unstable_by_key(|s| std::cmp::Reverse(s.revision));
    let run = sets.iter().take_while(|s| s.image == row.image).count();
    let (run, before) = sets.split_at(run);
    let Some(since) = run.iter().map(|s| s.created).min() else {
        return row.image_changed.or(if sets.is_empty() && row.revision == 1 { row.created } else { None });
    };
    if before.iter().any(|s| s.created > since) {
        let pods = run.iter().filter_map(|s| oldest.get(&*s.key)).min();
        return row.image_changed.or_else(|| pods.and_then(|at| Timestamp::from_second(*at).ok()));
    }
    Some(since)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
