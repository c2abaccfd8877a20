//! What keeps others out.

use super::SubjectKind::{Certificate, Namespace, Tenant};
use super::{Signal, high, low, plain};
use crate::domain::signal::Unit;

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[
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
