//! The four kinds that are watched, and where each watch stands.

use super::store::{self, Store, Table};
use super::wire::{self, Meta};
use crate::domain::facts::Missing;
use crate::domain::sample::Failure;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// One watched kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    Deployments,
    ReplicaSets,
    Pods,
    Nodes,
}

impl Feed {
    /// All.
    pub const ALL: [Self; 4] = [Self::Deployments, Self::ReplicaSets, Self::Pods, Self::Nodes];

    /// The resource, as RBAC and messages name it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Deployments => "deployments",
            Self::ReplicaSets => "replicasets",
            Self::Pods => "pods",
            Self::Nodes => "nodes",
        }
    }

    /// The API group; empty for the core.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Deployments | Self::ReplicaSets => "apps",
            Self::Pods | Self::Nodes => "",
        }
    }

    /// Path of the list of all of them.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Deployments => "/apis/apps/v1/deployments",
            Self::ReplicaSets => "/apis/apps/v1/replicasets",
            Self::Pods => "/api/v1/pods",
            Self::Nodes => "/api/v1/nodes",
        }
    }

    /// What goes without it and the rule that helps.
    pub fn missing(self) -> Missing {
        let disables = match self {
            Self::Deployments => "workloads: replicas, rollouts and images of Deployments",
            Self::ReplicaSets => "image age of Deployments",
            Self::Pods => "pods: restarts, crash loops, OOM kills, pending pods and pod totals",
            Self::Nodes => "nodes: readiness, cordons and pressure",
        };
        let group = self.group();
        let remedy = format!(
            "ClusterRole rule: apiGroups: [\"{group}\"], resources: [\"{}\"], verbs: [\"get\", \"list\", \"watch\"]",
            self.resource()
        );
        Missing { disables: disables.into(), remedy }
    }
}

/// Where one watch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Being opened, or the objects of the start are coming in.
    Starting,
    /// Its rows are what the server has.
    Live,
    /// The right is missing; there are no rows.
    Forbidden(Failure),
    /// Broken and tried again; its rows are old.
    Down(Failure),
}

impl State {
    /// Whether waiting makes no difference to a sample.
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Live | Self::Forbidden(_))
    }
}

/// What the watches write and the samples are made of.
#[derive(Debug)]
pub struct Board {
    store: Mutex<Store>,
    states: watch::Sender<[State; 4]>,
    /// Wakes watches that wait before they try again.
    pub nudge: Notify,
}

impl Default for Board {
    fn default() -> Self {
        let states = watch::Sender::new([const { State::Starting }; 4]);
        Self { store: Mutex::default(), states, nudge: Notify::new() }
    }
}

impl Board {
    /// The rows. A row is put whole or not at all, so a poisoned lock does no harm.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a watch stands.
    pub fn state(&self, feed: Feed) -> State {
        let [deployments, sets, pods, nodes] = &*self.states.borrow();
        match feed {
            Feed::Deployments => deployments,
            Feed::ReplicaSets => sets,
            Feed::Pods => pods,
            Feed::Nodes => nodes,
        }
        .clone()
    }

    /// Says where a watch stands.
    pub fn set(&self, feed: Feed, state: State) {
        self.states.send_if_modified(|all| match at(all, feed) {
            known if *known == state => false,
            known => {
                *known = state;
                true
            }
        });
    }

    /// Waits until each watch is live or forbidden.
    pub async fn settled(&self) {
        self.all(State::is_settled).await;
    }

    /// Waits until no watch is starting.
    pub async fn listed(&self) {
        self.all(|state| *state != State::Starting).await;
    }

    async fn all(&self, fits: impl Fn(&State) -> bool) {
        // The sender is part of self, so the channel can not close while this waits.
        let _ = self.states.subscribe().wait_for(|all| all.iter().all(&fits)).await;
    }
}

const fn at(all: &mut [State; 4], feed: Feed) -> &mut State {
    let [deployments, sets, pods, nodes] = all;
    match feed {
        Feed::Deployments => deployments,
        Feed::ReplicaSets => sets,
        Feed::Pods => pods,
        Feed::Nodes => nodes,
    }
}

/// An object of a watched kind, as it comes over the wire.
pub trait Kind: DeserializeOwned + Send + 'static {
    /// Its row.
    type Row;
    /// Which kind.
    const FEED: Feed;
    /// Its metadata.
    fn meta(&self) -> &Meta;
    /// Where its rows are.
    fn table(store: &mut Store) -> &mut Table<Self::Row>;
    /// Makes its row, new or instead of the one before.
    fn put(self, store: &mut Store, now: Timestamp);
}

impl Kind for wire::Deployment {
    type Row = store::Deployment;
    const FEED: Feed = Feed::Deployments;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn table(store: &mut Store) -> &mut Table<Self::Row> {
        &mut store.deployments
    }
    fn put(self, store: &mut Store, now: Timestamp) {
        store.put_deployment(self, now);
    }
}

impl Kind for wire::ReplicaSet {
    type Row = store::ReplicaSet;
    const FEED: Feed = Feed::ReplicaSets;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn table(store: &mut Store) -> &mut Table<Self::Row> {
        &mut store.sets
    }
    fn put(self, store: &mut Store, _now: Timestamp) {
        store.put_set(&self);
    }
}

impl Kind for wire::Pod {
    type Row = store::Pod;
    const FEED: Feed = Feed::Pods;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn table(store: &mut Store) -> &mut Table<Self::Row> {
        &mut store.pods
    }
    fn put(self, store: &mut Store, now: Timestamp) {
        store.put_pod(&self, now);
    }
}

impl Kind for wire::Node {
    type Row = store::Node;
    const FEED: Feed = Feed::Nodes;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn table(store: &mut Store) -> &mut Table<Self::Row> {
        &mut store.nodes
    }
    fn put(self, store: &mut Store, _now: Timestamp) {
        store.put_node(self);
    }
}
