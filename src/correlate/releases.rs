//! Which release each tenant is to run, and whether all of its pods do.

use super::index::Index;
use super::readings::kubernetes::by_tenant;
use crate::domain::account::Release;
use crate::domain::facts::Facts;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::world::World;

/// The release of every tenant whose web Deployment is known, as it is now.
pub(super) fn releases(world: &World, index: &Index) -> Vec<Release> {
    let mut all = Vec::new();
    for id in world.sources.keys() {
        let Some(Facts::Kubernetes(facts)) = world.last(id) else { continue };
        for (position, parts) in by_tenant(facts, id, index) {
            let Some((tenant, web)) = index.at(position).zip(parts.web).filter(|(_, web)| !web.image.is_empty()) else {
                continue;
            };
            all.push(Release {
                tenant: tenant.id.clone(),
                image: web.image.clone(),
                was: None,
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
