//! Readings of Odoo.

use super::{Out, greater, tenant_subject};
use crate::correlate::index::Index;
use crate::domain::facts::OdooFacts;
use crate::domain::facts::odoo::Channel;
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;

pub(super) fn read(facts: &OdooFacts, source: &SourceId, index: &Index, out: &mut Out) {
    let Some(tenant) = index.odoo_tenant(source) else { return };
    let subject = tenant_subject(tenant);
    if let Some(crons) = &facts.crons {
        out.push(&subject, "cron.lateness", crons.lateness_s);
        out.push(&subject, "cron.failing", f64::from(crons.failing));
    }
    out.maybe(&subject, "modules.pending", facts.modules_pending.map(f64::from));
    out.maybe(&subject, "orders.hour", facts.orders_hour.map(f64::from));
    out.maybe(&subject, "sessions.active", facts.sessions_active.map(f64::from));
    out.maybe(&subject, "mrp.duration", facts.planning.map(|p| p.took_s));
    if let Some(bloat) = &facts.bloat {
        out.push(&subject, "vacuum.dead", bloat.dead_share);
        out.maybe(&subject, "bloat.share", bloat.share);
        out.maybe(&subject, "bloat.bytes", bloat.bytes);
    }
    if let Some(access) = &facts.access {
        out.push(&subject, "tenancy.role", super::flag(access.own_role));
        let foreign = u32::try_from(access.foreign.len()).unwrap_or(u32::MAX);
        out.push(&subject, "tenancy.foreign", f64::from(foreign));
    }
    let Some(channels) = &facts.channels else { return };
    let mut total = Channel::default();
    for channel in channels {
        let of = Subject::Channel { tenant: tenant.id.clone(), channel: channel.name.as_str().into() };
        write(channel, &of, out);
        total.pending = total.pending.saturating_add(channel.depth());
        total.failed = total.failed.saturating_add(channel.failed);
        total.done_10m = total.done_10m.saturating_add(channel.done_10m);
        total.zombies = total.zombies.saturating_add(channel.zombies);
        total.oldest_due_s = greater(total.oldest_due_s, channel.oldest_due_s);
    }
    write(&total, &subject, out);
}

fn write(channel: &Channel, subject: &Subject, out: &mut Out) {
    out.push(subject, "queue.depth", f64::from(channel.depth()));
    // Nothing waits: then nothing is old. Jobs due in the future give a negative age.
    out.push(subject, "queue.oldest", channel.oldest_due_s.unwrap_or(0.0).max(0.0));
    out.push(subject, "queue.done", f64::from(channel.done_10m));
    out.push(subject, "queue.zombies", f64::from(channel.zombies));
    let (failed, done) = (f64::from(channel.failed), f64::from(channel.done_10m));
    out.push(subject, "queue.failed_share", if failed > 0.0 { failed / (failed + done) } else { 0.0 });
}
