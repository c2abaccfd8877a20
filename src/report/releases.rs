//! How the releases of a period did: which came into service, which harmed their tenant or were taken back.

use super::collect::field;
use crate::domain::account::Release;
use crate::domain::id::TenantId;
use crate::journal::Record;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Harm within so long of a release is laid to it.
const PROBATION: SignedDuration = SignedDuration::from_hours(1);

/// What became of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It came into service and harmed nobody within an hour.
    Succeeded,
    /// A finding of harm named its tenant within an hour.
    Harmed,
    /// The next release of its tenant was the one before it.
    TakenBack,
    /// Another one followed before all its pods were ready.
    NeverInService,
    /// It is not in service yet, or its hour is not over.
    Open,
}

/// A release of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Released {
    /// When it came, as far as that is known; else when it was seen.
    pub at: Timestamp,
    /// Of which tenant.
    pub tenant: TenantId,
    /// Its image.
    pub image: String,
    /// The image before.
    pub was: String,
    /// What became of it.
    pub fate: Fate,
    /// Whether it is the one that was there before the one before it: a release taken back.
    pub is_return: bool,
    /// Record.
    pub seq: u64,
}

/// What a tenant runs, and the release that brought it there.
#[derive(Debug)]
struct Current {
    image: String,
    in_service: bool,
    harmed: bool,
    /// Its place among the releases; absent for the first that was seen.
    place: Option<usize>,
}

/// Follows the releases of all tenants through the records.
#[derive(Debug, Default)]
pub(super) struct Course {
    current: BTreeMap<TenantId, Current>,
    all: Vec<Released>,
}

impl Course {
    /// Takes in a record of releases.
    pub(super) fn seen(&mut self, record: &Record) {
        for release in field::<Vec<Release>>(&record.body, "releases").unwrap_or_default() {
            self.one(release, record);
        }
    }

    fn one(&mut self, release: Release, record: &Record) {
        if let Some(now) = self.current.get_mut(&release.tenant).filter(|now| now.image == release.image) {
            now.in_service |= release.in_service;
            return;
        }
        let before = self.current.remove(&release.tenant);
        let was = release.was.or(before.as_ref().map(|b| b.image.clone()));
        let last = before.and_then(|b| b.place.map(|place| (place, b)));
        let mut is_return = false;
        if let Some((place, before)) = last
            && let Some(last) = self.all.get_mut(place)
        {
            is_return = last.was == release.image;
            last.fate = match (is_return, before.harmed, before.in_service) {
                // What goes back to an earlier release is not taken back by the next attempt at the newer one.
                (true, _, _) if !last.is_return => Fate::TakenBack,
                (_, true, _) => Fate::Harmed,
                (_, false, true) => Fate::Succeeded,
                (_, false, false) => Fate::NeverInService,
            };
            is_return &= !last.is_return;
        }
        let place = was.map(|was| {
            let at = release.since.filter(|since| *since <= record.time).unwrap_or(record.time);
            let (tenant, image) = (release.tenant.clone(), release.image.clone());
            self.all.push(Released { at, tenant, image, was, fate: Fate::Open, is_return, seq: record.seq });
            self.all.len() - 1
        });
        let current = Current { image: release.image, in_service: release.in_service, harmed: false, place };
        self.current.insert(release.tenant, current);
    }

    /// A finding of harm names a tenant.
    pub(super) fn harmed(&mut self, tenant: &TenantId, at: Timestamp) {
        let Some(now) = self.current.get_mut(tenant) else { return };
        let release = now.place.and_then(|place| self.all.get(place));
        now.harmed |= release.is_some_and(|r| at >= r.at && at.duration_since(r.at) <= PROBATION);
    }

    /// All releases, oldest first; what the newest record leaves undecided is open.
    pub(super) fn end(mut self, until: Timestamp) -> Vec<Released> {
        for now in self.current.values() {
            let Some(release) = now.place.and_then(|place| self.all.get_mut(place)) else { continue };
            release.fate = match (now.harmed, now.in_service) {
                (true, _) => Fate::Harmed,
                (false, true) if until.duration_since(release.at) > PROBATION => Fate::Succeeded,
                _ => Fate::Open,
            };
        }
        self.all.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.seq.cmp(&b.seq)));
        self.all
    }
}
