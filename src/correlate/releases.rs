//! Which release each tenant is to run, and whether all of its pods do.

use super::index::Index;
use super::readings::kubernetes::by_tenant;
use crate::domain::facts::Facts;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::id::TenantId;
use crate::domain::world::World;
use jiff::Timestamp;

/// The release that a tenant's web Deployment is to run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Image of its pod template.
    pub image: &'a str,
    /// Since when it is in the template, where that is known.
    pub since: Option<Timestamp>,
    /// Whether all its pods run it and are ready.
    pub in_service: bool,
}

/// The release of every tenant whose web Deployment is known, as it is now.
pub(super) fn releases<'a>(world: &'a World, index: &'a Index) -> Vec<Running<'a>> {
    let mut all = Vec::new();
    for id in world.sources.keys() {
        let Some(Facts::Kubernetes(facts)) = world.last(id) else { continue };
        for (position, parts) in by_tenant(facts, id, index) {
            let Some((tenant, web)) = index.at(position).zip(parts.web).filter(|(_, web)| !web.image.is_empty()) else {
                continue;
            };
            all.push(Running {
                tenant: &tenant.id,
                image: &web.image,
                since: web.image_since,
                in_service: is_whole(web),
            });
        }
    }
    all
}

/// Whether the controller has seen the newest template and all pods are of it and ready.
fn is_whole(web: &Workload) -> bool {
    web.observed && web.desired > 0 && web.updated >= web.desired && web.ready >= web.desired
}
