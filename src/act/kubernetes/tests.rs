//! Rendering from facts, and sending to servers that refuse, fail, fall silent or hang up.

use super::*;
use crate::domain::estate::{Environment, Estate, NamespaceRef, Tenancy, Tenant};
use crate::domain::facts::kubernetes::Workload;
use crate::domain::facts::{Facts, KubernetesFacts, Missing};
use crate::domain::id::{Digest, SourceId, TenantId};
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request};
use crate::domain::sample::{FailureKind, Sample, SourceKind, SourceSpec};
use crate::domain::world::World;
use crate::observe::kubernetes::fake::{Fake, Reply};
use crate::policy::authorized::Authorized;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const NOW: &str = "2026-11-21T14:50:07.123456Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn tenant(id: &str) -> Tenant {
    Tenant {
        id: TenantId::new(id),
        name: id.into(),
        tenancy: Tenancy::Dedicated,
        criticality: 1,
        plants: Vec::new(),
        cutoffs: Vec::new(),
        database: None,
        namespace: Some(NamespaceRef {
            cluster: SourceId::new("k8s-1"),
            name: id.into(),
            web: "odoo".into(),
            workers: "odoo-worker".into(),
        }),
        router: None,
    }
}

pub(super) fn estate() -> Arc<Estate> {
    Arc::new(Estate {
        name: "acme".into(),
        environment: Environment::Production,
        time_zone: "UTC".into(),
        tenants: vec![tenant("t003"), tenant("t017")],
    })
}

/// A world that knows of one cluster what was seen so many seconds ago.
pub(in crate::act) fn world(facts: KubernetesFacts, taken_at: Timestamp) -> World {
    let spec = SourceSpec {
        id: SourceId::new("k8s-1"),
        kind: SourceKind::Kubernetes,
        interval: Duration::from_secs(5),
        address: "kubeconfig".into(),
    };
    let mut world = World::new(estate(), [spec], taken_at);
    let result = Ok(Arc::new(Facts::Kubernetes(facts)));
    world.take(Sample { source: SourceId::new("k8s-1"), taken_at, took: Duration::ZERO, result });
    world
}

fn facts() -> KubernetesFacts {
    let workload = |namespace: &str| Workload {
        namespace: namespace.into(),
        name: "odoo-worker".into(),
        uid: "11111111-2222".into(),
        generation: 3,
        desired: 3,
        ..Workload::default()
    };
    let workloads = vec![workload("t017"), workload("traefik")];
    KubernetesFacts { cluster_uid: "cluster-1".into(), workloads, ..KubernetesFacts::default() }
}

pub(super) fn render(
    verb: &DynVerb,
    world: &World,
    now: Timestamp,
    args: &[(&str, Value)],
) -> Result<Request, VerbError> {
    let args: BTreeMap<String, Value> = args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    verb.render(&RenderContext { estate: &world.estate, world, now, args: &args, surveyed: None })
}

pub(super) fn named(namespace: &str, deployment: &str) -> Vec<(&'static str, Value)> {
    vec![("cluster", json!("k8s-1")), ("namespace", json!(namespace)), ("deployment", json!(deployment))]
}

fn cluster(kubeconfig: &Path, act: Option<&Path>) -> Kubernetes {
    Kubernetes {
        id: SourceId::new("k8s-1"),
        kubeconfig: kubeconfig.into(),
        context: None,
        act_kubeconfig: act.map(Into::into),
        impersonate: None,
        interval: Duration::from_secs(5),
    }
}

pub(super) fn verb(clusters: &[Kubernetes], name: &str) -> Arc<DynVerb> {
    let all = verbs(Mode::Live.may_act().unwrap(), clusters);
    all.into_iter().find(|v| v.spec().name == name).unwrap()
}

/// The verb on a cluster that is never asked.
fn offline(name: &str) -> Arc<DynVerb> {
    verb(&[cluster(Path::new("/nowhere"), Some(Path::new("/nowhere")))], name)
}

pub(super) fn permit(request: &Request, timeout: Duration) -> Authorized {
    Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), timeout)
}

#[test]
fn a_restart_is_rendered_whole() {
    let request =
        render(&*offline("kubernetes.rollout_restart"), &world(facts(), now()), now(), &named("t017", "odoo-worker"));
    let request = request.unwrap();
    let Operation::Http { method, path, headers, body } = &request.operation else { panic!("{request:?}") };
    assert_eq!(method, "PATCH");
    assert_eq!(path, "/apis/apps/v1/namespaces/t017/deployments/odoo-worker?fieldManager=quarterdeck");
    assert_eq!(headers["content-type"], "application/json-patch+json");
    let annotations = json!({"kubectl.kubernetes.io/restartedAt": "2026-11-21T14:50:07Z"});
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "11111111-2222"},
            {"op": "test", "path": "/metadata/generation", "value": 3},
            {"op": "add", "path": "/spec/template/metadata/annotations", "value": annotations},
        ])
    );
    assert_eq!(request.by_hand, "kubectl -n t017 rollout restart deployment/odoo-worker");
    assert_eq!((request.target.identity.as_str(), request.target.count), ("cluster-1", 3));
    assert_eq!(request.target.tenants, [TenantId::new("t017")]);
    assert_eq!(request.target.environment, Environment::Production);
    assert!(request.server_checks.iter().any(|c| c.contains("generation = 3")));
    // The same in, the same out: nothing but the arguments is read.
    let again =
        render(&*offline("kubernetes.rollout_restart"), &world(facts(), now()), now(), &named("t017", "odoo-worker"));
    assert_eq!(again.unwrap(), request);
}

#[test]
fn a_status_that_changes_voids_nothing_and_annotations_stay() {
    let restart = offline("kubernetes.rollout_restart");
    let mut annotated = facts();
    annotated.workloads[0].annotated = true;
    let shown = render(&*restart, &world(annotated.clone(), now()), now(), &named("t017", "odoo-worker")).unwrap();
    let Operation::Http { body, .. } = &shown.operation else { panic!("{shown:?}") };
    let annotation = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    let patch = serde_json::from_str::<Value>(body).unwrap();
    assert_eq!(patch[2], json!({"op": "add", "path": annotation, "value": "2026-11-21T14:50:07Z"}));
    // Pods flap: only the status changes, and the request stays the same to the letter.
    annotated.workloads[0].ready = 1;
    annotated.workloads[0].available = 0;
    let again = render(&*restart, &world(annotated, now()), now(), &named("t017", "odoo-worker")).unwrap();
    assert_eq!(again, shown);
}

#[test]
fn a_namespace_of_no_tenant_may_serve_them_all() {
    let request = render(
        &*offline("kubernetes.rollout_restart"),
        &world(facts(), now()),
        now(),
        &named("traefik", "odoo-worker"),
    );
    assert_eq!(request.unwrap().target.tenants, [TenantId::new("t003"), TenantId::new("t017")]);
}

#[test]
fn what_is_not_known_now_is_not_acted_on() {
    let restart = offline("kubernetes.rollout_restart");
    let refused = |world: &World, at, args: &[(&str, Value)]| render(&*restart, world, at, args).unwrap_err().message;
    let args = named("t017", "odoo-worker");
    let world = world(facts(), now());
    let later = now() + SignedDuration::from_secs(11);
    assert!(refused(&world, later, &args).contains("no sample for 11 s"));
    assert!(refused(&world, now(), &named("t017", "odoo")).contains("no Deployment t017/odoo"));
    let mut elsewhere = args.clone();
    elsewhere[0].1 = json!("k8s-9");
    assert!(refused(&world, now(), &elsewhere).contains("k8s-9 is not configured; known: k8s-1"));
    assert!(refused(&world, now(), &args[..2]).contains("deployment is missing"));
    for name in ["", "Odoo", "../secrets", "a/b", "a?b", "-a", "a..b", "odoo%2f"] {
        let message = refused(&world, now(), &named("t017", name));
        assert!(message.contains("argument deployment"), "{name}: {message}");
    }
    let hidden = KubernetesFacts {
        missing: vec![Missing { disables: "workloads".into(), remedy: "resources: [\"deployments\"]".into() }],
        ..KubernetesFacts::default()
    };
    let hidden = super::tests::world(hidden, now());
    assert!(refused(&hidden, now(), &args).contains("that we may see"));
    let looking = verb(&[cluster(Path::new("/nowhere"), None)], "kubernetes.rollout_restart");
    let message = render(&*looking, &world, now(), &args).unwrap_err().message;
    assert!(message.contains("no act_kubeconfig"), "{message}");
}

#[test]
fn a_scale_takes_whole_numbers_that_change_something() {
    let scale = offline("kubernetes.scale");
    let world = world(facts(), now());
    let with = |replicas: Value| {
        let mut args = named("t017", "odoo-worker");
        args.push(("replicas", replicas));
        render(&*scale, &world, now(), &args)
    };
    for replicas in [json!(5), json!("5")] {
        let request = with(replicas).unwrap();
        assert_eq!(request.target.count, 2);
        assert_eq!(request.by_hand, "kubectl -n t017 scale deployment/odoo-worker --replicas=5");
        assert_eq!(request.undo, "the same with replicas = 3");
        let Operation::Http { body, .. } = request.operation else { panic!() };
        let patch = serde_json::from_str::<Value>(&body).unwrap();
        assert_eq!(patch[2], json!({"op": "replace", "path": "/spec/replicas", "value": 5}));
    }
    assert!(with(json!(0)).unwrap().hurts.contains("none is left"));
    for refused in [json!(-1), json!(2.5), json!("many"), json!(null), json!(3_000_000_000_u32)] {
        assert!(with(refused.clone()).unwrap_err().message.contains("whole number"), "{refused}");
    }
    assert!(with(json!(3)).unwrap_err().message.contains("already"));
}

/// A Deployment as a server answers it.
fn answered(uid: &str, restarted_at: Option<&str>) -> Value {
    let annotations = restarted_at.map(|at| json!({"kubectl.kubernetes.io/restartedAt": at}));
    json!({
        "metadata": {"uid": uid, "generation": 4},
        "spec": {"replicas": 3, "template": {"metadata": {"annotations": annotations}}},
    })
}

struct Stage {
    fake: Fake,
    verb: Arc<DynVerb>,
    request: Request,
}

/// A server that answers each request like this, and a restart rendered for it.
async fn stage(reply: Reply) -> Stage {
    let fake = Fake::start(move |_| reply.clone()).await;
    let verb = verb(&[cluster(&fake.kubeconfig, Some(&fake.kubeconfig))], "kubernetes.rollout_restart");
    let request = render(&*verb, &world(facts(), now()), now(), &named("t017", "odoo-worker")).unwrap();
    Stage { fake, verb, request }
}

fn json_reply(code: u16, body: &Value) -> Reply {
    Reply::Answer(code, body.to_string())
}

const OURS: &str = "2026-11-21T14:50:07Z";

#[tokio::test]
async fn what_was_rendered_is_sent_as_it_is_and_once() {
    let stage = stage(json_reply(200, &answered("11111111-2222", Some(OURS)))).await;
    let outcome = stage.verb.execute(permit(&stage.request, Duration::from_secs(5))).await;
    let Outcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((result["generation"].clone(), result["restarted_at"].clone()), (json!(4), json!(OURS)));
    let asked = stage.fake.asked.lock().unwrap();
    let [sent] = asked.as_slice() else { panic!("{asked:?}") };
    let Operation::Http { body, path, .. } = &stage.request.operation else { panic!() };
    assert_eq!(sent.line, format!("patch {}", path.to_ascii_lowercase()));
    assert!(sent.head.contains("content-type: application/json-patch+json"), "{}", sent.head);
    assert_eq!(&sent.body, body);
}

#[tokio::test]
async fn a_refusal_changed_nothing_and_a_server_error_leaves_it_open() {
    let status = |code: u16| json!({"kind": "Status", "code": code, "message": "no"});
    for code in [400, 401, 403, 404, 409, 422, 429] {
        let stage = stage(json_reply(code, &status(code))).await;
        let outcome = stage.verb.execute(permit(&stage.request, Duration::from_secs(5))).await;
        let Outcome::Failed { why } = outcome else { panic!("{code}: {outcome:?}") };
        assert!(why.message.contains(&code.to_string()), "{why:?}");
        assert_eq!(stage.fake.count("patch"), 1, "{code} is not tried again");
    }
    for code in [408, 500, 503, 504] {
        let stage = stage(json_reply(code, &status(code))).await;
        let outcome = stage.verb.execute(permit(&stage.request, Duration::from_secs(5))).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{code}: {outcome:?}");
        assert_eq!(stage.fake.count("patch"), 1, "{code} is not tried again");
    }
}

#[tokio::test]
async fn silence_and_a_lost_answer_are_unknown_a_closed_port_is_not() {
    let short = Duration::from_millis(400);
    let silent = stage(Reply::Silence).await;
    let outcome = silent.verb.execute(permit(&silent.request, short)).await;
    let Outcome::Unknown { why } = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.kind, FailureKind::Timeout);

    for bytes in
        ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"meta", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]
    {
        let lost = stage(Reply::Raw(bytes.into())).await;
        let outcome = lost.verb.execute(permit(&lost.request, Duration::from_secs(5))).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{bytes:?}: {outcome:?}");
    }

    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let text = std::fs::read_to_string(&silent.fake.kubeconfig).unwrap();
    let server = text.split('\'').nth(1).unwrap().to_owned();
    std::fs::write(&silent.fake.kubeconfig, text.replace(&server, &format!("http://{free}"))).unwrap();
    let outcome = silent.verb.execute(permit(&silent.request, Duration::from_secs(5))).await;
    let Outcome::Failed { why } = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn an_answer_without_our_restart_is_not_believed() {
    let stage = stage(json_reply(200, &answered("11111111-2222", None))).await;
    let outcome = stage.verb.execute(permit(&stage.request, Duration::from_secs(5))).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_request_of_another_verb_or_kind_is_not_sent() {
    let stage = stage(json_reply(200, &answered("11111111-2222", Some(OURS)))).await;
    let mut other = stage.request.clone();
    other.verb = "kubernetes.scale".into();
    assert!(matches!(stage.verb.execute(permit(&other, Duration::from_secs(5))).await, Outcome::Failed { .. }));
    let mut file = stage.request.clone();
    file.operation = Operation::File { path: "/etc/passwd".into(), content: None };
    assert!(matches!(stage.verb.execute(permit(&file, Duration::from_secs(5))).await, Outcome::Failed { .. }));
    assert!(matches!(stage.verb.look(&stage.request).await, Outcome::Failed { .. }));
    assert_eq!(stage.fake.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_dry_run_says_so_to_the_server() {
    let stage = stage(json_reply(200, &answered("11111111-2222", Some(OURS)))).await;
    let words = stage.verb.dry_run(&stage.request, None).await.unwrap();
    assert!(words.contains(OURS), "{words}");
    assert_eq!((stage.fake.count("&dryrun=all"), stage.fake.asked.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn looking_tells_an_effect_from_none_and_says_when_it_can_not() {
    let ours = stage(json_reply(200, &answered("11111111-2222", Some(OURS)))).await;
    assert!(matches!(ours.verb.reconcile(&ours.request).await, Reconciled::TookEffect { .. }));
    assert_eq!(ours.fake.count("get /apis/apps/v1/namespaces/t017/deployments/odoo-worker"), 1);
    let none = stage(json_reply(200, &answered("11111111-2222", None))).await;
    assert!(matches!(none.verb.reconcile(&none.request).await, Reconciled::NoEffect { .. }));
    assert_eq!(none.fake.count("get"), 2, "no effect is believed at the second look only");
    let replaced = stage(json_reply(200, &answered("another", Some(OURS)))).await;
    assert!(matches!(replaced.verb.reconcile(&replaced.request).await, Reconciled::Undecided { .. }));
    let gone = stage(json_reply(404, &json!({"code": 404, "message": "not found"}))).await;
    assert!(matches!(gone.verb.reconcile(&gone.request).await, Reconciled::Undecided { .. }));
}

#[test]
fn every_verb_is_in_the_catalogue_and_read_only_can_build_none() {
    let declared: Vec<&str> =
        super::super::catalog().iter().map(|s| s.name).filter(|n| n.starts_with("kubernetes.")).collect();
    let built: Vec<&str> = verbs(Mode::Live.may_act().unwrap(), &[]).iter().map(|v| v.spec().name).collect();
    assert_eq!(declared, built);
    assert!(Mode::ReadOnly.may_act().is_none() && Mode::Drill.may_act().is_none());
}

#[test]
fn the_rights_are_declared_for_each_verb() {
    let declared: Vec<&str> = RIGHTS.iter().map(|(spec, _)| spec.name).collect();
    assert_eq!(declared, SPECS.iter().map(|s| s.name).collect::<Vec<_>>());
    for (spec, rights) in RIGHTS {
        assert!(rights.iter().any(|r| !r.acts), "{} reads nothing", spec.name);
        assert_eq!(rights.iter().any(|r| r.acts), !spec.read_only, "{}", spec.name);
    }
}

#[tokio::test]
async fn a_dry_run_of_a_deletion_says_so_in_its_body() {
    let fake = Fake::start(|_| Reply::Answer(200, json!({"kind": "Status", "status": "Success"}).to_string())).await;
    let remove = verb(&[cluster(&fake.kubeconfig, Some(&fake.kubeconfig))], "kubernetes.lift_isolation");
    let policy = json!({"metadata": {"name": "quarterdeck-isolation", "uid": "u", "resourceVersion": "7"}});
    let surveyed = json!({"identity": "c", "found": {"policies": {"items": [policy]}}});
    let world = world(facts(), now());
    let args = BTreeMap::from([("cluster".to_owned(), json!("k8s-1")), ("namespace".to_owned(), json!("t017"))]);
    let context =
        RenderContext { estate: &world.estate, world: &world, now: now(), args: &args, surveyed: Some(&surveyed) };
    let request = remove.render(&context).unwrap();
    assert_eq!(request.server_checks, ["only if metadata.resourceVersion = 7", "only if metadata.uid = u"]);
    remove.dry_run(&request, None).await.unwrap();
    let asked = fake.asked.lock().unwrap();
    assert!(asked[0].line.starts_with("delete ") && asked[0].body.contains(r#""dryRun":["All"]"#), "{asked:?}");
}

/// A server on which an object can be looked at only after some time shows that its change came late.
#[tokio::test]
async fn a_lost_request_is_waited_out_before_it_is_believed_to_have_had_no_effect() {
    let looks = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let seen = Arc::clone(&looks);
    let fake = Fake::start(move |asked| {
        if asked.line.starts_with("patch") {
            return Reply::Raw(Vec::new());
        }
        let late = seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0;
        Reply::Answer(200, json!({"metadata": {"uid": "u"}, "spec": {"suspend": late}}).to_string())
    })
    .await;
    let clusters = [cluster(&fake.kubeconfig, Some(&fake.kubeconfig))];
    let clusters = Arc::new(Clusters::settling(&clusters, Duration::from_secs(3)));
    let suspend = on(&clusters).into_iter().find(|v| v.spec().name == "kubernetes.suspend_cronjob").unwrap();
    let found = json!({"object": {"metadata": {"uid": "u"}, "spec": {"suspend": false}}});
    let surveyed = json!({"identity": "c", "found": found});
    let world = world(facts(), now());
    let args: BTreeMap<String, Value> =
        serde_json::from_value(json!({"cluster": "k8s-1", "namespace": "t017", "cronjob": "nightly"})).unwrap();
    let context =
        RenderContext { estate: &world.estate, world: &world, now: now(), args: &args, surveyed: Some(&surveyed) };
    let request = suspend.render(&context).unwrap();
    assert_eq!(request.target.tenants, [TenantId::new("t017")]);
    let outcome = suspend.execute(permit(&request, Duration::from_secs(5))).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let found = suspend.reconcile(&request).await;
    assert!(matches!(found, Reconciled::TookEffect { .. }), "{found:?}");
    assert_eq!(looks.load(std::sync::atomic::Ordering::SeqCst), 2, "the first look saw none");
}
