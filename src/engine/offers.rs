//! Which playbooks are offered for a finding, and in which order.

use crate::domain::finding::{Finding, Level, Offer};
use crate::playbook::library::Library;

/// Adds the playbooks whose own triggers name the rule of a finding, behind those that the rule itself offers: first
/// what is for this finding alone, then what is for many. A note entitles to none.
pub(super) fn triggered(library: &Library, finding: &mut Finding) {
    if finding.level == Level::Note {
        return;
    }
    let own = finding.playbooks.len();
    for entry in library.fitting(&finding.rule) {
        let playbook = entry.playbook();
        if finding.playbooks.iter().any(|o| o.id == playbook.id) {
            continue;
        }
        let tenant = playbook.tenant_parameter().zip(finding.whom.tenants.first());
        let params = tenant.map(|(name, tenant)| (name.to_owned(), tenant.to_string())).into_iter().collect();
        let why = format!("its triggers name {}", finding.rule);
        finding.playbooks.push(Offer { id: playbook.id.clone(), why, params });
    }
    let triggered = finding.playbooks.get_mut(own..).unwrap_or_default();
    triggered.sort_by_key(|offer| library.get(&offer.id).map_or(0, |e| e.playbook().triggers.findings.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: &str, level: Level) -> Finding {
        serde_json::from_value(serde_json::json!({
            "id": "F-1", "rule": rule, "classes": [], "level": level, "severity": "warn",
            "since": "2026-11-22T02:00:00Z", "subject": {"kind": "tenant", "tenant": "t017"}, "what": "W",
            "whom": {"tenants": ["t017"], "plants": [], "next_cutoff": null}, "evidence": [], "changed": [], "playbooks": [], "disproof": "D",
            "good_intervals": 0, "acknowledged": null,
        }))
        .unwrap()
    }

    fn offered(rule: &str, own: &[&str], level: Level) -> Vec<String> {
        let names = crate::correlate::signals::names();
        let (library, _) = Library::load(&[], &crate::act::catalog(), &names);
        let offer = |id: &&str| Offer { id: (*id).into(), why: "the rule says so".into(), params: [].into() };
        let mut finding = finding(rule, level);
        finding.playbooks = own.iter().map(offer).collect();
        triggered(&library, &mut finding);
        finding.playbooks.iter().map(|o| o.id.to_string()).collect()
    }

    #[test]
    fn what_is_for_this_finding_alone_is_offered_before_what_is_for_many() {
        assert_eq!(offered("certificate", &[], Level::Alert), ["certificate-renewal", "access-outage"]);
        let lag = offered("replication-lag", &[], Level::Alert);
        assert_eq!(lag, ["replication-lag"]);
        assert_eq!(offered("volume-full", &[], Level::Alert), ["volume-full"]);
        // One trigger, then three, then six and more; of as many, in the order of their names.
        let errors = offered("http-errors", &[], Level::Alert);
        assert_eq!(errors.first().map(String::as_str), Some("maintenance-mode"));
        assert_eq!(errors.last().map(String::as_str), Some("release-rollback"));
    }

    #[test]
    fn what_the_rule_itself_offers_comes_first_and_a_note_entitles_to_none() {
        let own = offered("http-errors", &["regional-dr"], Level::Alert);
        assert_eq!(own.first().map(String::as_str), Some("regional-dr"), "{own:?}");
        assert_eq!(own.iter().filter(|id| *id == "regional-dr").count(), 1);
        assert!(offered("certificate", &[], Level::Note).is_empty());
    }
}
