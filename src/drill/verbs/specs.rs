//! What the simulated verbs declare: the very declarations of the live ones.

pub(super) use crate::act::http::PROBE;
pub(super) use crate::act::kubernetes::{ROLLOUT_RESTART, ROLLOUT_STATUS};
pub(super) use crate::act::odoo::{QUEUE_INSPECT, REQUEUE_JOBS};
pub(super) use crate::act::postgres::{BLOCKING_TREE, CANCEL, TERMINATE};
pub(super) use crate::act::traefik::{MAINTENANCE_OFF, MAINTENANCE_ON};
