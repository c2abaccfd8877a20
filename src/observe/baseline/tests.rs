//! Against a PostgreSQL that the test starts, the lab's API server, and servers of a few lines for what no real one does.

use super::*;
use crate::config::decode;
use crate::domain::mode::Mode;
use crate::observe::http::rig::{SetClock, measured, skip, until};
use crate::observe::kubernetes::fake::{Fake, Reply};
use crate::observe::kubernetes::lab::kubectl;
use crate::observe::postgres::testbed::Server as Postgres;
use serde_json::{Value, json};

/// A directory with a baseline file, and the configuration around it.
struct Rig {
    dir: tempfile::TempDir,
    clock: Arc<SetClock>,
}

impl Rig {
    fn new() -> Self {
        let clock = SetClock::at("2026-11-22T12:00:00Z".parse().unwrap());
        Self { dir: tempfile::tempdir().unwrap(), clock }
    }

    fn approve(&self, text: &str) {
        std::fs::write(self.dir.path().join("baseline.toml"), text).unwrap();
    }

    fn config(&self, system: &str) -> Config {
        let file = self.dir.path().join("baseline.toml");
        let head = "[estate]\nname = \"e\"\nenvironment = \"staging\"\n";
        decode::decode("c.toml", &format!("{head}{system}[baseline]\nfile = \"{}\"\n", file.display())).unwrap()
    }

    fn observer(&self, config: &Config) -> BaselineObserver {
        let clock: Arc<dyn Clock> = self.clock.clone();
        BaselineObserver::all(Mode::ReadOnly.may_observe().unwrap(), config, &clock).remove(0)
    }

    fn pass(&self, minutes: i64) {
        self.clock.set(self.clock.now() + SignedDuration::from_mins(minutes));
    }
}

fn value(facts: &MeasuredFacts, signal: &str) -> Option<f64> {
    facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value)
}

/// As somebody approves it: what is there, taken.
async fn taken(config: &Config, aspects: &[Aspect]) -> String {
    let mut system = System::all(Mode::ReadOnly.may_observe().unwrap(), config).remove(0);
    let seen = system.read(aspects).await.unwrap();
    assert!(seen.unread.is_empty(), "{seen:?}");
    crate::config::baseline::encode("taken", &[(system.id().clone(), Approved(seen.read))].into())
}

#[tokio::test]
async fn a_role_that_nobody_approved_is_named_and_a_mighty_one_is_a_gain() {
    let Some(server) = Postgres::start().await else { return };
    server.role("observe", "").await;
    server.sql("postgres", "CREATE ROLE odoo LOGIN; CREATE ROLE readers").await;
    server.sql("postgres", "CREATE DATABASE t017 OWNER odoo").await;
    server.sql("postgres", "REVOKE CONNECT ON DATABASE t017 FROM PUBLIC; GRANT readers TO observe").await;
    let rig = Rig::new();
    let mut config = rig.config("[[postgres]]\nid = \"pg-a\"\nhost = \"h\"\nuser = \"observe\"\n");
    // A login that holds no right reads it too: these catalogs are open to all.
    config.postgres[0] = server.config("observe");
    let text = taken(&config, Aspect::POSTGRES).await;
    for line in
        ["\"odoo: login\"", "\"observe in readers: member\"", "\"t017: owner odoo\"", "\"PUBLIC on t017: temporary\""]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("\"postgres: bypassrls createdb createrole login replication superuser\""), "{text}");
    rig.approve(&text);
    let mut observer = rig.observer(&config);
    assert_eq!(observer.spec().id.as_str(), "pg-a/baseline");
    let facts = measured(&mut observer).await;
    let all = |f: &MeasuredFacts| ["baseline.drift", "baseline.gains", "privileged.actions"].map(|s| value(f, s));
    assert_eq!(all(&facts), [Some(0.0); 3], "{facts:#?}");
    assert!(facts.said.is_empty() && facts.happened.is_empty() && facts.missing.is_empty(), "{facts:#?}");

    server
        .sql("postgres", "CREATE ROLE mallory LOGIN; GRANT pg_execute_server_program TO mallory WITH ADMIN OPTION")
        .await;
    server.sql("postgres", "ALTER ROLE odoo SUPERUSER; GRANT CONNECT ON DATABASE t017 TO PUBLIC").await;
    rig.pass(5);
    let facts = measured(&mut observer).await;
    assert_eq!(all(&facts), [Some(4.0), Some(2.0), Some(4.0)], "{facts:#?}");
    assert_eq!(
        facts.said,
        [
            "role odoo is login superuser, approved is login",
            "membership mallory in pg_execute_server_program is not approved: admin mighty",
            "role mallory is not approved: login",
            "grant to PUBLIC on t017 is connect temporary, approved is temporary",
        ]
    );
    let what: Vec<&str> = facts.happened.iter().map(|h| h.what.as_str()).collect();
    assert!(what.contains(&"role mallory is new: login"), "{what:?}");
    assert!(what.contains(&"role odoo is login superuser, was login"), "{what:?}");

    // An hour later they are no longer recent, and still not approved; what is taken back is one more change.
    rig.pass(61);
    server.sql("postgres", "ALTER ROLE odoo NOSUPERUSER").await;
    let facts = measured(&mut observer).await;
    assert_eq!(all(&facts), [Some(3.0), Some(1.0), Some(1.0)], "{facts:#?}");
    // Who approves puts it into the file: the next look goes by that.
    rig.approve(&taken(&config, Aspect::POSTGRES).await);
    assert_eq!(value(&measured(&mut observer).await, "baseline.drift"), Some(0.0));
}

#[tokio::test]
async fn a_file_that_is_gone_wrong_or_silent_about_a_system_is_never_well() {
    let Some(server) = Postgres::start().await else { return };
    let rig = Rig::new();
    let mut config = rig.config("[[postgres]]\nid = \"pg-a\"\nhost = \"h\"\nuser = \"observe\"\n");
    config.postgres[0] = server.config("postgres");
    let mut observer = rig.observer(&config);
    let gone = observer.poll().await.unwrap_err();
    assert!(gone.kind == FailureKind::Local && gone.message.contains("baseline.toml can not be read"), "{gone}");
    rig.approve("[[system]]\nid = \"pg-a\"\nrolls = []\n");
    let wrong = observer.poll().await.unwrap_err();
    assert!(wrong.message.contains("baseline.toml:3:1: unknown key `rolls`"), "{wrong}");
    rig.approve("[[system]]\nid = \"pg-b\"\nroles = []\n");
    let facts = measured(&mut observer).await;
    assert!(facts.untold[0].why.ends_with("says nothing of pg-a"), "{facts:#?}");
    assert_eq!((value(&facts, "baseline.drift"), value(&facts, "privileged.actions")), (None, Some(0.0)));
    rig.approve("[[system]]\nid = \"pg-a\"\nmembers = []\n");
    let facts = measured(&mut observer).await;
    assert_eq!(value(&facts, "baseline.gains"), Some(0.0));
    assert_eq!(facts.said, ["the baseline does not judge roles, databases, grants"]);
    drop(server);
    assert_eq!(observer.poll().await.unwrap_err().kind, FailureKind::Unreachable);
}

fn cluster(kubeconfig: &std::path::Path) -> String {
    format!("[[kubernetes]]\nid = \"k8s-1\"\nkubeconfig = \"{}\"\n", kubeconfig.display())
}

#[tokio::test]
async fn pages_are_followed_and_a_right_that_is_missing_leaves_that_aspect_unknown() {
    let fake = Fake::start(|asked| {
        let path = asked.line.trim_start_matches("get ");
        if path.contains("/storageclasses") {
            return Reply::Answer(403, r#"{"message":"forbidden"}"#.into());
        }
        let page = |items: Value, next: &str| {
            Reply::Answer(200, json!({"metadata": {"continue": next}, "items": items}).to_string())
        };
        match path {
            p if p.contains("/namespaces") && p.ends_with("continue=") => {
                page(json!([{"metadata": {"name": "erp"}}]), "a+b/=")
            }
            p if p.contains("/namespaces") && p.ends_with("continue=a%2bb%2f%3d") => {
                page(json!([{"metadata": {"name": "new"}}]), "")
            }
            p if p.contains("/networkpolicies") => Reply::Answer(404, "{}".into()),
            _ => page(json!([]), ""),
        }
    })
    .await;
    let rig = Rig::new();
    rig.approve(
        "[[system]]\nid = \"k8s-1\"\nnamespaces = [\"erp\"]\nnetwork_policies = []\nstorage_classes = [\"fast\"]\n",
    );
    let mut observer = rig.observer(&rig.config(&cluster(&fake.kubeconfig)));
    let facts = measured(&mut observer).await;
    // So much is known to differ; that nothing reaches further is not known.
    assert_eq!((value(&facts, "baseline.drift"), value(&facts, "baseline.gains")), (Some(1.0), None), "{facts:#?}");
    assert!(facts.untold.iter().any(|u| u.why == "these can not be read: storage_classes"), "{facts:#?}");
    assert_eq!(facts.said[0], "namespace new is not approved");
    assert_eq!(fake.count("/secrets"), 0, "what is not judged is not asked for");
    let remedy =
        "ClusterRole rule: apiGroups: [\"storage.k8s.io\"], resources: [\"storageclasses\"], verbs: [\"list\"]";
    assert_eq!(facts.missing[0].remedy, remedy);
    let rubbish = Fake::start(|_| Reply::Answer(200, "<html>".into())).await;
    let mut observer = rig.observer(&rig.config(&cluster(&rubbish.kubeconfig)));
    assert_eq!(observer.poll().await.unwrap_err().kind, FailureKind::Protocol);
}

/// What a test made on the lab's API server, taken away again.
struct Made(Vec<String>);

impl Drop for Made {
    fn drop(&mut self) {
        for one in &self.0 {
            kubectl(&["delete", one, "--wait=false"], "");
        }
    }
}

#[tokio::test]
async fn rights_and_policies_of_the_real_api_server_are_compared() {
    let (Ok(kubeconfig), Ok(poor)) = (std::env::var("LAB_KUBECONFIG_OBSERVE"), std::env::var("LAB_KUBECONFIG_POOR"))
    else {
        return skip("baseline", "no lab (tests/lab/lab up kubernetes)");
    };
    let space = format!("baseline-{}", std::process::id());
    let _made = Made(vec![format!("namespace/{space}"), format!("clusterrolebinding/{space}")]);
    assert!(kubectl(&["create", "namespace", &space], ""));
    let create = |object: Value| assert!(kubectl(&["-n", &space, "apply", "-f", "-"], &object.to_string()), "{object}");
    let policy = |spec: Value| {
        create(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}, "spec": spec}),
        );
    };
    policy(json!({"podSelector": {}}));
    let rig = Rig::new();
    let config = rig.config(&cluster(kubeconfig.as_ref()));
    let judged = [Aspect::Rights, Aspect::NetworkPolicies, Aspect::Namespaces, Aspect::StorageClasses];
    let text = taken(&config, &judged).await;
    assert!(text.contains("\"group system:masters as clusterrole/cluster-admin everywhere: everything\""), "{text}");
    rig.approve(&text);
    let mut observer = rig.observer(&config);
    // Other tests make and remove namespaces of their own meanwhile: only what is this test's is looked for.
    let mine = |facts: &MeasuredFacts| facts.said.iter().filter(|s| s.contains(&space)).cloned().collect::<Vec<_>>();
    assert!(mine(&measured(&mut observer).await).is_empty());
    create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ci"}}));
    create(
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": space},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "ci", "namespace": space}]}),
    );
    policy(json!({"podSelector": {}, "ingress": [{}]}));
    let facts = until("the binding and the policy are seen", Duration::from_secs(30), async || {
        let facts = measured(&mut observer).await;
        (mine(&facts).len() >= 2).then_some(facts)
    })
    .await;
    let right = format!(
        "right of serviceaccount {space}/ci as clusterrole/cluster-admin everywhere is not approved: everything"
    );
    assert_eq!(mine(&facts)[0], right, "{facts:#?}");
    assert!(mine(&facts)[1].starts_with(&format!("network policy {space}/deny is sha256-")), "{facts:#?}");
    assert!(
        value(&facts, "baseline.gains") >= Some(1.0) && value(&facts, "privileged.actions") >= Some(1.0),
        "{facts:#?}"
    );
    assert!(
        facts.happened.iter().any(|h| h.what.contains(&format!("{space}/ci")) && h.what.contains("is new: everything"))
    );

    let facts = measured(&mut rig.observer(&rig.config(&cluster(poor.as_ref())))).await;
    assert!(facts.readings.is_empty() && facts.untold.len() == 3, "{facts:#?}");
    assert!(facts.missing.iter().any(|m| m.remedy.contains("resources: [\"clusterroles\"]")), "{:#?}", facts.missing);
}
