//! What the ingresses say, and what a probe from outside sees.

use super::SubjectKind::{Certificate, Endpoint, Ingress, Router, Tenant};
use super::{Signal, SubjectKind, high, low, plain};
use crate::domain::signal::Unit;

const HTTP: &[SubjectKind] = &[Tenant, Router, Ingress];

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[
    low(
        "certificate.days",
        Unit::Days,
        &[Tenant, Ingress, Certificate, Endpoint],
        "days until the certificate expires; for a tenant the one that covers its host",
        "traefik_tls_certs_not_after, Certificate status.notAfter, TLS handshake from here",
        21.0,
        3.0,
    ),
    high(
        "http.burn",
        Unit::Count,
        HTTP,
        "how many times too fast the error budget of 0.1% burns, over an hour and over five minutes, the slower of both",
        "failed against all requests, by the minute",
        14.4,
        72.0,
    ),
    plain(
        "http.p50",
        Unit::Seconds,
        HTTP,
        "median latency since the sample before",
        "traefik_router_request_duration_seconds",
    ),
    high(
        "http.p95",
        Unit::Seconds,
        HTTP,
        "95th percentile of latency since the sample before",
        "traefik_router_request_duration_seconds",
        2.0,
        5.0,
    ),
    plain(
        "http.p99",
        Unit::Seconds,
        HTTP,
        "99th percentile of latency since the sample before",
        "traefik_router_request_duration_seconds",
    ),
    plain("http.requests", Unit::PerSecond, HTTP, "requests a second", "traefik_router_requests_total"),
    plain(
        "http.share_4xx",
        Unit::Ratio,
        HTTP,
        "share of requests answered with 4xx",
        "traefik_router_requests_total by code",
    ),
    high(
        "http.share_5xx",
        Unit::Ratio,
        HTTP,
        "share of requests answered with 5xx",
        "traefik_router_requests_total by code",
        0.05,
        0.20,
    ),
    low(
        "reload.ok",
        Unit::Flag,
        &[Ingress],
        "whether the newest configuration reload went well",
        "traefik_config_reloads_failure_total",
        0.5,
        -1.0,
    ),
    low(
        "router.ok",
        Unit::Flag,
        &[Tenant, Router],
        "whether Traefik has the router in force; only told where its API is given",
        "/api/http/routers status, error",
        0.5,
        0.5,
    ),
    plain("ingress.connections", Unit::Count, &[Ingress], "connections open", "traefik_open_connections"),
    low(
        "service.up",
        Unit::Ratio,
        &[Ingress, Router],
        "share of servers behind a service that its health check finds up",
        "traefik_service_server_up",
        0.999,
        0.0,
    ),
    low(
        "probe.ok",
        Unit::Flag,
        &[Tenant, Endpoint],
        "whether the address answers as it should, asked from here",
        "GET from the bastion",
        0.5,
        0.5,
    ),
    high(
        "probe.latency",
        Unit::Seconds,
        &[Tenant, Endpoint],
        "time to the answer, with connecting and TLS",
        "GET from the bastion",
        2.0,
        5.0,
    ),
];
