//! What keeps others out.

use super::SubjectKind::Certificate;
use super::{Signal, low};
use crate::domain::signal::Unit;

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[low(
    "certificate.ready",
    Unit::Flag,
    &[Certificate],
    "whether cert-manager could issue or renew the certificate",
    "Certificate status.conditions Ready",
    0.5,
    -1.0,
)];
