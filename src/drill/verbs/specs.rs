//! What the simulated verbs declare: word for word what the live ones of `act` declare.

use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};

const TENANT: ArgSpec = ArgSpec { name: "tenant", required: true, what: "id of the tenant" };
const INSTANCE: ArgSpec = ArgSpec { name: "instance", required: true, what: "source id of the PostgreSQL instance" };
const CLUSTER: ArgSpec =
    ArgSpec { name: "cluster", required: true, what: "name of the [[kubernetes]] source the Deployment runs on" };
const NAMESPACE: ArgSpec = ArgSpec { name: "namespace", required: true, what: "namespace of the Deployment" };
const DEPLOYMENT: ArgSpec = ArgSpec { name: "deployment", required: true, what: "name of the Deployment" };

static BACKEND: &[ArgSpec] = &[
    INSTANCE,
    ArgSpec { name: "pid", required: false, what: "process id of the backend, with backend_start" },
    ArgSpec { name: "backend_start", required: false, what: "when the backend started, RFC 3339 with microseconds" },
    ArgSpec {
        name: "root_of",
        required: false,
        what: "database name, instead of pid and backend_start: the root blocker with most sessions waiting behind it",
    },
];

/// A verb that only looks.
const fn look(name: &'static str, what: &'static str, args: &'static [ArgSpec]) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Low,
        blast_radius: BlastRadius::Pod,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: true,
        args,
    }
}

pub(super) static BLOCKING_TREE: VerbSpec = look(
    "postgres.blocking_tree",
    "shows which sessions wait for locks, and who stands at the root of each chain",
    &[
        INSTANCE,
        ArgSpec { name: "database", required: false, what: "only sessions of this database and those that block them" },
    ],
);

pub(super) static CANCEL: VerbSpec = VerbSpec {
    name: "postgres.cancel_backend",
    what: "cancels the running query of one session",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: BACKEND,
};

pub(super) static TERMINATE: VerbSpec = VerbSpec {
    name: "postgres.terminate_backend",
    what: "ends one session; its open transaction is rolled back",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::No,
    idempotent: true,
    read_only: false,
    args: BACKEND,
};

pub(super) static QUEUE_INSPECT: VerbSpec =
    look("odoo.queue_inspect", "shows the job channels of a tenant: depth, oldest due, zombies", &[TENANT]);

pub(super) static REQUEUE_JOBS: VerbSpec = VerbSpec {
    name: "odoo.requeue_jobs",
    what: "puts jobs that were started too long ago, and that nobody works on, back to pending",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::No,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec {
            name: "channel",
            required: false,
            what: "full name of one channel, such as root.wms; all when absent",
        },
        ArgSpec {
            name: "older_than_s",
            required: false,
            what: "seconds since a job was started; at least, and by default, the limit at which it counts as a zombie",
        },
    ],
};

pub(super) static ROLLOUT_RESTART: VerbSpec = VerbSpec {
    name: "kubernetes.rollout_restart",
    what: "replaces the pods of a Deployment one after another, as its rollout strategy says",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: false,
    read_only: false,
    args: &[CLUSTER, NAMESPACE, DEPLOYMENT],
};

pub(super) static ROLLOUT_STATUS: VerbSpec = look(
    "kubernetes.rollout_status",
    "looks how far the rollout of a Deployment is",
    &[CLUSTER, NAMESPACE, DEPLOYMENT],
);

pub(super) static MAINTENANCE_ON: VerbSpec = VerbSpec {
    name: "traefik.maintenance_on",
    what: "answers a tenant's host with the maintenance page, by a router of high priority",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec {
            name: "allow_from",
            required: false,
            what: "networks that still reach the tenant, such as 10.1.0.0/16, as a list or with commas between",
        },
    ],
};

pub(super) static MAINTENANCE_OFF: VerbSpec = VerbSpec {
    name: "traefik.maintenance_off",
    what: "removes a tenant's maintenance page",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[TENANT],
};

pub(super) static PROBE: VerbSpec = look(
    "http.probe",
    "sends one GET and says status, latency and the beginning of the body",
    &[
        ArgSpec { name: "tenant", required: false, what: "tenant whose host is asked for at its ingress" },
        ArgSpec { name: "url", required: false, what: "URL, in place of a tenant" },
        ArgSpec { name: "path", required: false, what: "path with query, / by default; with a tenant only" },
    ],
);
