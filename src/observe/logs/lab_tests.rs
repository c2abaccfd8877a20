//! Logs of pods by the lab's API server, which asks kwok's kubelet for them: a real way, at whose end lies a file.

use super::pods::PodLogs;
use super::tests::{tail, untold};
use crate::config::model::Kubernetes;
use crate::domain::estate::{NamespaceRef, Tenancy, Tenant};
use crate::domain::logs::{LogAsk, LogPlace, LogReader as _};
use crate::domain::mode::Mode;
use crate::observe::http::rig::skip;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::time::Duration;

fn reader(kubeconfig: &str) -> PodLogs {
    let config = Kubernetes {
        id: "k8s-1".into(),
        kubeconfig: PathBuf::from(kubeconfig),
        context: None,
        act_kubeconfig: None,
        impersonate: None,
        interval: Duration::from_secs(2),
    };
    PodLogs::new(Mode::ReadOnly.may_observe().unwrap(), &config)
}

fn tenant(workers: &str) -> Tenant {
    Tenant {
        id: "t017".into(),
        name: "A".into(),
        tenancy: Tenancy::Dedicated,
        criticality: 1,
        plants: Vec::new(),
        cutoffs: Vec::new(),
        database: Some(crate::domain::estate::DatabaseRef { instance: "pg".into(), name: "t017".into() }),
        namespace: Some(NamespaceRef {
            cluster: "k8s-1".into(),
            name: "t017".into(),
            web: "odoo".into(),
            workers: workers.into(),
        }),
        router: None,
    }
}

async fn logs(kubeconfig: &str, workers: &str) -> Vec<LogPlace> {
    let until = Timestamp::now();
    let ask =
        LogAsk { tenant: tenant(workers), from: until.checked_sub(SignedDuration::from_hours(12)).unwrap(), until };
    reader(kubeconfig).read(&ask).await
}

#[tokio::test]
async fn logs_of_pods_come_through_the_real_api_server_and_a_missing_right_is_named() {
    let (Ok(observe), Ok(poor), Ok(_)) =
        (std::env::var("LAB_KUBECONFIG_OBSERVE"), std::env::var("LAB_KUBECONFIG_POOR"), std::env::var("LAB_POD_LOG"))
    else {
        return skip("pods' logs", "no lab (tests/lab/lab up kubernetes)");
    };
    let places = logs(&observe, "odoo-worker").await;
    assert_eq!(places.len(), 4, "two pods of each Deployment: {places:?}");
    for place in &places {
        assert!(place.log.starts_with("pod t017/odoo-"), "{}", place.log);
        let tail = tail(place);
        assert_eq!((tail.lines, tail.errors, tail.warnings, tail.of_others), (23, 3, 1, 1), "{tail:?}");
        let kinds: Vec<_> = tail.fingerprints.iter().map(|f| (f.count, f.shape.as_str())).collect();
        assert_eq!(
            kinds,
            [
                (2, "psycopg2.errors.LockNotAvailable in sale_x/models/sale_order.py action_confirm"),
                (1, "odoo.sql_db: bad query: SELECT ‹n› FROM stock_quant WHERE id = ‹n› FOR UPDATE NOWAIT"),
            ]
        );
        assert!(tail.newest > tail.oldest.map(|at| at - SignedDuration::from_secs(1)), "{tail:?}");
    }
    assert_eq!(reader(&observe).lacks(&[tenant("odoo-worker")]).await, Ok(Vec::new()));
    let lacks = reader(&poor).lacks(&[tenant("odoo-worker")]).await.unwrap();
    assert_eq!(lacks.len(), 2, "{lacks:?}");
    assert!(lacks[1].remedy.contains("resources: [\"pods/log\"], verbs: [\"get\"]"), "{lacks:?}");
    let places = logs(&observe, "no-such-worker").await;
    assert_eq!(places.len(), 2);
    let places = logs(&poor, "odoo-worker").await;
    let why = untold(&places[0]);
    assert!(why.why.contains("403 Forbidden") && why.remedy.as_ref().unwrap().contains("[\"pods\"]"), "{why:?}");
}
