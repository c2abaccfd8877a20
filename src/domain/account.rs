//! What is accounted for over months, beside incidents: which release each tenant runs, and how much of what is
//! reserved for it is used. `governance` counts them from the records `release.seen` and `capacity.seen`.

use super::id::TenantId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The release that a tenant's web Deployment is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Whose.
    pub tenant: TenantId,
    /// Image of its pod template.
    pub image: String,
    /// The one before; absent where this is the first that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Since when it is in the template, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether all its pods have run it, ready, at one moment.
    pub in_service: bool,
}

/// What a unit of reserved capacity costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Three letters: `EUR`.
    pub currency: String,
    /// Of a processor core for an hour, in millionths of the currency.
    pub core_hour: u64,
    /// Of a GiB of memory for an hour, in millionths of the currency.
    pub gib_hour: u64,
}

/// What a tenant has reserved and used on one day (UTC) or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Whose.
    pub tenant: TenantId,
    /// Minutes of the day for which both are known.
    pub minutes: u32,
    /// Thousandths of a core that its pods reserve: mean of those minutes.
    pub cpu_m: u64,
    /// Thousandths of a core in use, in the busiest hour's mean.
    pub cpu_busiest_m: u64,
    /// MiB that its pods reserve: mean of those minutes.
    pub memory_mib: u64,
    /// MiB in use, in the busiest hour's mean.
    pub memory_busiest_mib: u64,
}
