//! What is printed, and whether it is enough and not more: on a PostgreSQL, a Redis and an API server.

use super::*;
use crate::config::model::Kubernetes;
use crate::domain::estate::{Estate, NamespaceRef};
use crate::domain::mode::Mode;
use crate::observe::postgres::testbed::{PASSWORD, Server, estate};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

fn asked(namespaced: bool) -> Rbac {
    Rbac {
        systems: Vec::new(),
        verbs: Vec::new(),
        namespaced,
        look_as: "quarterdeck-observe".into(),
        act_as: "quarterdeck-act".into(),
    }
}

fn names(of: &[&str]) -> BTreeSet<&'static str> {
    verbs(&of.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn cluster(id: &str) -> Kubernetes {
    Kubernetes {
        id: id.into(),
        kubeconfig: "/nowhere".into(),
        context: None,
        act_kubeconfig: None,
        impersonate: None,
        interval: Duration::from_secs(1),
    }
}

fn spaced() -> Estate {
    let mut estate = estate(&["t017", "t003"]);
    for tenant in &mut estate.tenants {
        let name = format!("odoo-{}", tenant.id);
        tenant.namespace =
            Some(NamespaceRef { cluster: "k8s-1".into(), name, web: String::new(), workers: String::new() });
    }
    estate
}

#[test]
fn verbs_are_named_one_by_one_by_adapter_or_none_and_by_default_those_of_the_playbooks() {
    assert_eq!(names(&["odoo.pause_crons"]).into_iter().collect::<Vec<_>>(), ["odoo.pause_crons"]);
    assert!(names(&["kubernetes.*"]).len() > 20 && names(&["none"]).is_empty());
    let used = names(&[]);
    assert!(used.contains("postgres.terminate_backend"), "{used:?}");
    let wrong = verbs(&["kubernetes.sclae".into()]).unwrap_err().to_string();
    assert!(wrong.contains("--verbs kubernetes.sclae is no verb") && wrong.contains("kubernetes.*"), "{wrong}");
}

#[test]
fn a_cluster_gets_what_its_verbs_need_and_nothing_for_others() {
    let (one, asked) = (names(&["kubernetes.scale"]), asked(true));
    let text = kubernetes::manifest(
        &cluster("k8s-1"),
        (&spaced(), false),
        &Wanted { verbs: &one, asked: &asked, people: &[] },
    );
    let acts = text.split("kind: ClusterRole\nmetadata: {name: quarterdeck-act}").nth(1).unwrap();
    let rules = acts.split("---").next().unwrap();
    assert_eq!(rules.trim(), "rules:\n- {apiGroups: [apps], resources: [deployments], verbs: [patch]}");
    assert!(acts.contains("kind: RoleBinding\nmetadata: {name: quarterdeck-act, namespace: odoo-t017}"), "{acts}");
    assert_eq!(acts.matches("kind: RoleBinding").count(), 2);
    assert!(!text.contains("secrets") && !text.contains('*'), "{text}");
    let none = BTreeSet::new();
    let text = kubernetes::manifest(
        &cluster("k8s-1"),
        (&spaced(), false),
        &Wanted { verbs: &none, asked: &asked, people: &[] },
    );
    assert!(!text.contains("metadata: {name: quarterdeck-act}"), "{text}");
}

#[test]
fn who_acts_in_the_names_of_people_may_use_those_names_and_nothing_else() {
    let (one, asked) = (names(&["kubernetes.scale"]), asked(false));
    let of = |text: &str, people: &[&str]| {
        let head = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[kubernetes]]\nid = \"k8s-1\"\nkubeconfig = \"/k\"\n\
                    act_kubeconfig = \"/a\"\n";
        let config = crate::config::decode::decode("c", &format!("{head}impersonate = {text}\n")).unwrap();
        let people: Vec<Person> = people.iter().map(|p| Person::from(*p)).collect();
        kubernetes::manifest(
            &config.kubernetes[0],
            (&spaced(), false),
            &Wanted { verbs: &one, asked: &asked, people: &people },
        )
    };
    let text = of("{ user = \"oidc:{person}\", group = \"crew\" }", &["ines", "jon"]);
    let role =
        text.split("metadata: {name: quarterdeck-impersonate}\nrules:\n").nth(1).unwrap().split("---").next().unwrap();
    assert_eq!(
        role.lines().collect::<Vec<_>>(),
        [
            "- {apiGroups: [\"\"], resources: [users], resourceNames: [\"oidc:ines\", \"oidc:jon\"], verbs: [impersonate]}",
            "- {apiGroups: [\"\"], resources: [groups], resourceNames: [crew], verbs: [impersonate]}",
            "- {apiGroups: [authentication.k8s.io], resources: [userextras/quarterdeck.io/run, userextras/quarterdeck.io/step], \
             verbs: [impersonate]}",
        ]
    );
    let subjects = |text: &str| text.rsplit("name: quarterdeck-act}\nsubjects:\n").next().unwrap().trim().to_owned();
    assert_eq!(subjects(&text), "- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: crew}");
    let text = of("{ user = \"{person}\" }", &["ines"]);
    assert_eq!(subjects(&text), "- {apiGroup: rbac.authorization.k8s.io, kind: User, name: ines}");
    let nobody = of("{ user = \"{person}\" }", &[]);
    assert!(
        nobody.contains("names nobody") && !nobody.contains("resources: [users]"),
        "a rule for all names: {nobody}"
    );
    assert!(!nobody.contains("kind: ClusterRoleBinding\nmetadata: {name: quarterdeck-act}"), "{nobody}");
}

#[test]
fn secrets_that_are_referred_to_may_be_read_by_their_names_alone() {
    let text = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[kubernetes]]\nid = \"k8s-1\"\nkubeconfig = \"/k\"\n\
                [[kubernetes]]\nid = \"k8s-2\"\nkubeconfig = \"/k\"\n[[postgres]]\nid = \"p\"\nhost = \"h\"\nuser = \"u\"\n\
                password = \"kubernetes:k8s-1/ops/pg#password\"\nact = { user = \"a\", password = \"kubernetes:k8s-1/ops/pg-act#password\" }\n";
    let config = crate::config::decode::decode("c", text).unwrap();
    let (none, asked) = (BTreeSet::new(), asked(false));
    let wanted = Wanted { verbs: &none, asked: &asked, people: &[] };
    let text = kubernetes::secrets(&config.kubernetes[0], &config, &wanted);
    let rule = "rules:\n- {apiGroups: [\"\"], resources: [secrets], resourceNames: [pg, pg-act], verbs: [get]}\n---";
    assert!(text.contains(rule) && text.contains("namespace: ops"), "{text}");
    assert!(text.ends_with("kind: User, name: quarterdeck-observe}\n"), "{text}");
    assert_eq!(kubernetes::secrets(&config.kubernetes[1], &config, &wanted), "");
}

/// The laboratory's own rights are these, so that every test against its API server is one of what is printed.
#[test]
fn the_laboratory_has_what_is_printed_for_all_verbs() {
    let (all, asked) = (verbs(&["*".into()]).unwrap(), asked(false));
    let text =
        kubernetes::manifest(&cluster("k8s-1"), (&spaced(), true), &Wanted { verbs: &all, asked: &asked, people: &[] });
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/kubernetes/rbac.yaml");
    if std::env::var_os("QUARTERDECK_WRITE").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        text,
        "QUARTERDECK_WRITE=1 cargo test --lib cli::rbac writes it"
    );
}

fn psql(server: &Server, text: &str) {
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port);
    let mut child = Command::new("psql")
        .args(["-X", "-q", &url])
        .env("PGPASSWORD", PASSWORD)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}

const TABLES: &str = "
CREATE TABLE queue_job (id serial); CREATE TABLE queue_job_lock (id int); CREATE TABLE ir_cron (id int);
CREATE TABLE ir_config_parameter (id serial); CREATE TABLE orm_signaling_stable (id serial); CREATE TABLE ir_model_data (id int);
CREATE TABLE res_groups_implied_rel (gid int); CREATE TABLE res_groups_users_rel (gid int);
CREATE TABLE orm_signaling_default (id serial); CREATE TABLE res_users (id int, login text, password text);
CREATE TABLE res_users_apikeys (id int, user_id int, expiration_date timestamp, key text)";

#[tokio::test]
async fn the_statements_give_a_postgresql_all_that_is_asked_for_and_not_more() {
    let Some(server) = Server::start().await else { return };
    server.sql("postgres", "CREATE ROLE odoo").await;
    server.sql("postgres", "CREATE DATABASE t017 OWNER odoo").await;
    server.sql("t017", TABLES).await;
    let mut config = server.config("act");
    config.observe.user = "look; \"x".to_owned();
    let (all, asked) = (verbs(&["*".into()]).unwrap(), asked(false));
    let text = postgres::statements(&config, &estate(&["t017"]), &Wanted { verbs: &all, asked: &asked, people: &[] });
    psql(&server, &text);
    psql(&server, &text);
    // The passwords are given by hand.
    server.sql("postgres", &format!("ALTER ROLE act PASSWORD '{PASSWORD}'")).await;
    let held = act::held::ask(Mode::Live.may_observe().unwrap(), &whole(&config), &[]).await;
    let [held] = &held[..] else { panic!("{held:?}") };
    let missing: Vec<&str> = held.missing.iter().map(|m| m.disables.as_str()).collect();
    assert!(missing.is_empty() && held.excess.is_empty() && held.asked >= 20, "{held:?}");
    let session = server.connect_as("act", "t017").await;
    for refused in ["SELECT password FROM res_users", "SELECT key FROM res_users_apikeys", "DELETE FROM queue_job"] {
        let why = session.batch_execute(refused).await.unwrap_err();
        assert!(format!("{why:?}").contains("permission denied"), "{refused}: {why:?}");
    }

    // One verb is one verb.
    let Some(other) = Server::start().await else { return };
    other.sql("postgres", "CREATE DATABASE t017").await;
    other.sql("t017", TABLES).await;
    let config = other.config("act");
    let one = names(&["postgres.terminate_backend"]);
    psql(
        &other,
        &postgres::statements(&config, &estate(&["t017"]), &Wanted { verbs: &one, asked: &asked, people: &[] }),
    );
    other.sql("postgres", &format!("ALTER ROLE act PASSWORD '{PASSWORD}'")).await;
    let held = act::held::ask(Mode::Live.may_observe().unwrap(), &whole(&config), &[]).await;
    let missing: Vec<&str> = held[0].missing.iter().map(|m| m.disables.as_str()).collect();
    assert!(missing.iter().any(|m| m.contains("odoo.requeue_jobs")), "{missing:?}");
    assert!(!missing.iter().any(|m| m.contains("postgres.terminate_backend")), "{missing:?}");
}

/// A configuration of one instance.
fn whole(postgres: &crate::config::model::Postgres) -> Config {
    let mut config =
        crate::config::decode::decode("t", "[estate]\nname = \"t\"\nenvironment = \"development\"\n").unwrap();
    config.estate = estate(&["t017"]);
    config.postgres = vec![postgres.clone()];
    config
}
