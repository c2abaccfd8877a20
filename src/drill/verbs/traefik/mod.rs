//! The verbs of the simulated ingresses: the maintenance page, limits, routes. The parent module lists them.

mod limits;
mod page;

pub(super) use limits::EFFECTS;
pub(super) use page::Maintenance;
