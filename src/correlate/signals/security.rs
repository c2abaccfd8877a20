//! What keeps others out.

use super::SubjectKind::{Certificate, Cluster, Instance, Namespace, Source, Tenant};
use super::{Signal, high, low, plain};
use crate::domain::signal::Unit;

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[
    high(
        "baseline.drift",
        Unit::Count,
        &[Instance, Cluster],
        "what differs from the approved security baseline: roles, members, owners, grants, rights, policies",
        "pg_roles, pg_auth_members, pg_database; RBAC, NetworkPolicy, Namespace, StorageClass; the file of [baseline]",
        1.0,
        1000.0,
    ),
    high(
        "baseline.gains",
        Unit::Count,
        &[Instance, Cluster],
        "roles and rights that reach further than was approved",
        "the same",
        1.0,
        1.0,
    ),
    plain(
        "privileged.actions",
        Unit::Count,
        &[Instance, Cluster, Source],
        "privileged actions of the last hour: roles and rights that changed, broken glass, elevations, access to pods and secrets",
        "the same between two looks, the journal, the audit log of Kubernetes",
    ),
    high(
        "exports.records",
        Unit::Count,
        &[Tenant],
        "records that the person who exports most has taken out of Odoo in the last hour",
        "Odoo's log, odoo.addons.web.controllers.export",
        10_000.0,
        100_000.0,
    ),
    low(
        "certificate.ready",
        Unit::Flag,
        &[Certificate],
        "whether cert-manager could issue or renew the certificate",
        "Certificate status.conditions Ready",
        0.5,
        -1.0,
    ),
    plain(
        "tenancy.role",
        Unit::Flag,
        &[Tenant],
        "whether the owner of the tenant's database owns no other one",
        "pg_database datdba",
    ),
    high(
        "tenancy.foreign",
        Unit::Count,
        &[Tenant],
        "owners of other databases that may connect to the tenant's",
        "pg_roles, has_database_privilege()",
        1.0,
        1.0,
    ),
    plain(
        "tenancy.isolated",
        Unit::Flag,
        &[Tenant, Namespace],
        "whether a NetworkPolicy keeps others from all pods of the namespace",
        "NetworkPolicy spec.podSelector, spec.policyTypes",
    ),
    high(
        "tenancy.open",
        Unit::Count,
        &[Tenant, Namespace],
        "NetworkPolicies that let everybody in, which undoes the others",
        "NetworkPolicy spec.ingress",
        1.0,
        1.0,
    ),
    plain("tenancy.quota", Unit::Flag, &[Tenant, Namespace], "whether the namespace has a quota", "ResourceQuota"),
];
