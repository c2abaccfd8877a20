//! What a tenant does with its Odoo and with others.

use super::SubjectKind::{Integration, Tenant};
use super::{Signal, high, low, plain};
use crate::domain::signal::Unit;

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[
    low(
        "integration.ok",
        Unit::Flag,
        &[Integration],
        "whether the last exchange went well",
        "the integration's query or endpoint",
        0.5,
        0.5,
    ),
    low(
        "integration.success",
        Unit::Ratio,
        &[Integration],
        "share of exchanges that went well",
        "the integration's query or endpoint",
        0.99,
        0.90,
    ),
    plain(
        "integration.latency",
        Unit::Seconds,
        &[Integration],
        "time that one exchange takes",
        "the integration's query or endpoint",
    ),
    plain(
        "integration.retries",
        Unit::Count,
        &[Integration],
        "exchanges that are tried again",
        "the integration's query or endpoint",
    ),
    plain(
        "integration.backlog",
        Unit::Count,
        &[Integration],
        "exchanges that wait",
        "the integration's query or endpoint",
    ),
    high(
        "integration.lag",
        Unit::Seconds,
        &[Integration],
        "age of the oldest exchange that waits, or time since the last one",
        "the integration's query or endpoint",
        900.0,
        3600.0,
    ),
    high(
        "integration.failed_reservations",
        Unit::Count,
        &[Integration],
        "reservations that came to nothing",
        "the integration's query or endpoint",
        1.0,
        20.0,
    ),
    plain(
        "orders.hour",
        Unit::Count,
        &[Tenant],
        "sales orders confirmed in the last hour",
        "sale_order date_order, state; read where an index or a small table makes it cheap",
    ),
    plain(
        "mrp.duration",
        Unit::Seconds,
        &[Tenant],
        "how long the last planning run took, or the one that runs takes so far",
        "ir_cron_progress of stock.ir_cron_scheduler_action, Odoo 18 and later; a [[prometheus.query]] else",
    ),
    plain(
        "sessions.active",
        Unit::Count,
        &[Tenant],
        "people seen in the last five minutes",
        "bus_presence, mail_presence",
    ),
    low(
        "synthetic.ok",
        Unit::Ratio,
        &[Tenant],
        "share of the synthetics whose last try in the probe company went well",
        "/json/2",
        0.999,
        0.34,
    ),
    plain("synthetic.took", Unit::Seconds, &[Tenant], "time that the slowest of them takes", "/json/2"),
];
