//! What the logins of the lab hold, as its servers say.

use super::*;
use crate::act::kubernetes::lab::{cluster, lab};
use crate::config::model::{Kubernetes, Login, Pgbouncer, Postgres, Redis, SecretRef, Tls};
use crate::domain::estate::Estate;

fn estate() -> Estate {
    let mut estate = crate::observe::postgres::testbed::estate(&["t017"]);
    for tenant in &mut estate.tenants {
        if let Some(database) = &mut tenant.database {
            database.instance = "pg-a".into();
        }
    }
    estate
}

/// User, password, host and port of a URL.
fn parts(url: &str) -> (String, String, String, u16) {
    let (_, rest) = url.split_once("//").unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (host, port) = place.split(['/', '?']).next().unwrap().split_once(':').unwrap();
    (user.into(), password.into(), host.into(), port.parse().unwrap())
}

fn login(dir: &std::path::Path, (user, password): (&str, &str)) -> Login {
    let path = dir.join(user);
    std::fs::write(&path, password).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Login { user: user.to_owned(), password: Some(SecretRef::File(path)) }
}

#[tokio::test]
async fn each_right_on_the_api_server_is_asked_for_and_the_missing_ones_are_named_as_rules() {
    let Some(full) = cluster() else { return };
    let Found { asked, missing, excess, .. } = kubernetes::ask(&full, &estate(), &[]).await.unwrap();
    assert!(asked >= 30 && missing.is_empty() && excess.is_empty(), "{asked}: {missing:?} {excess:?}");
    let admin = Kubernetes { act_kubeconfig: lab("LAB_KUBECONFIG_ADMIN").map(Into::into), ..full.clone() };
    let more = kubernetes::ask(&admin, &estate(), &[]).await.unwrap().excess;
    assert_eq!(more, ["the user that acts: everything in the cluster"]);
    let poor = Kubernetes { act_kubeconfig: lab("LAB_KUBECONFIG_POOR").map(Into::into), ..full };
    let Found { asked: again, missing, .. } = kubernetes::ask(&poor, &estate(), &[]).await.unwrap();
    assert_eq!(again, asked);
    let rule = "give the user that acts the rule {apiGroups: [apps], resources: [deployments], verbs: [patch]}";
    let found = missing.iter().find(|m| m.remedy == rule).unwrap_or_else(|| panic!("{missing:?}"));
    for verb in ["kubernetes.rollout_restart", "kubernetes.scale", "odoo.set_channel_capacity", "redis.restart"] {
        assert!(found.disables.contains(verb), "{}", found.disables);
    }
    assert!(missing.iter().all(|m| m.remedy.contains("that acts")), "the other login looks: {missing:?}");
}

#[tokio::test]
async fn grants_of_the_role_that_acts_are_named_where_they_lack() {
    let Some(url) = lab("LAB_PG_POOR_DSN") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (user, password, host, port) = parts(&url);
    let poor = login(dir.path(), (&user, &password));
    let config = |login: Login| Postgres {
        id: "pg-a".into(),
        host: host.clone(),
        port,
        database: "postgres".into(),
        observe: login.clone(),
        act: Some(login),
        tls: Tls::Disable,
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(1),
        tenant_pace: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
    };
    let Found { asked, missing, .. } = postgres::ask(&config(poor), &estate()).await.unwrap();
    let all: Vec<&str> = missing.iter().map(|m| m.remedy.as_str()).collect();
    for grant in [
        format!("GRANT pg_signal_backend TO {user}"),
        format!("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {user}"),
        format!("GRANT pg_checkpoint TO {user}"),
        format!("in database t017: GRANT SELECT, UPDATE ON ir_cron TO {user}"),
    ] {
        assert!(all.contains(&grant.as_str()), "{grant}: {all:?}");
    }
    let (user, password, ..) = parts(&lab("LAB_PG_ADMIN_DSN").unwrap());
    let whole = postgres::ask(&config(login(dir.path(), (&user, &password))), &estate()).await.unwrap();
    assert_eq!((whole.asked, whole.missing.len()), (asked, 0), "{:?}", whole.missing);
    assert_eq!(whole.excess, ["superuser"]);
}

#[tokio::test]
async fn rules_of_the_user_that_acts_are_named_where_they_lack_and_nothing_is_carried_out() {
    if lab("LAB_REDIS_ADMIN_URL").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = |url: &str| {
        let (user, password, ..) = parts(url);
        Redis {
            id: "redis-s".into(),
            url: lab("LAB_REDIS_PLAIN_URL").unwrap(),
            observe: None,
            act: Some(login(dir.path(), (if user.is_empty() { "default" } else { &user }, &password))),
            purpose: "session".into(),
            sentinels: Vec::new(),
            sentinel_name: None,
            ca: crate::config::model::Ca::default(),
            workload: None,
            keys: Vec::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
        }
    };
    let client = ::redis::Client::open(lab("LAB_REDIS_ADMIN_URL").unwrap()).unwrap();
    let mut admin = client.get_multiplexed_async_connection().await.unwrap();
    let limit = async |admin: &mut ::redis::aio::MultiplexedConnection| {
        let said: Vec<String> = ::redis::cmd("CONFIG").arg(&["GET", "maxmemory"]).query_async(admin).await.unwrap();
        said[1].clone()
    };
    let before = limit(&mut admin).await;
    let whole = redis::ask(&config(&lab("LAB_REDIS_ADMIN_URL").unwrap())).await.unwrap();
    assert_eq!(whole.missing.len(), 0, "{:?}", whole.missing);
    assert_eq!(whole.excess.len(), crate::act::grants::BEYOND.len(), "an administrator: {:?}", whole.excess);
    assert_eq!(limit(&mut admin).await, before, "the transaction was discarded");
    for rules in [&["SETUSER", "asked", "on", ">pw", "resetkeys", "-@all", "+multi", "+discard", "+info"][..]] {
        ::redis::cmd("ACL").arg(rules).query_async::<()>(&mut admin).await.unwrap();
    }
    let few = redis::ask(&config("redis://asked:pw@127.0.0.1:1/0")).await.unwrap();
    assert!(few.excess.is_empty(), "{:?}", few.excess);
    let none = {
        ::redis::cmd("ACL").arg(&["SETUSER", "asked", "-multi"]).query_async::<()>(&mut admin).await.unwrap();
        redis::ask(&config("redis://asked:pw@127.0.0.1:1/0")).await.unwrap()
    };
    ::redis::cmd("ACL").arg(&["DELUSER", "asked"]).query_async::<()>(&mut admin).await.unwrap();
    assert_eq!(few.missing.len(), few.asked - 1, "all but INFO: {:?}", few.missing);
    assert!(few.missing.iter().any(|m| m.remedy == "ACL SETUSER asked +flushdb"), "{:?}", few.missing);
    assert!(
        none.missing[0].disables.contains("is not known") && none.missing[0].remedy.contains("+multi"),
        "{:?}",
        none.missing
    );
}

#[tokio::test]
async fn who_is_no_administrator_of_a_pooler_is_told_so() {
    let Some(url) = lab("LAB_PGBOUNCER_ACT_DSN") else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = |url: &str| {
        let (user, password, host, port) = parts(url);
        let login = login(dir.path(), (&user, &password));
        Pgbouncer {
            id: "pool".into(),
            host,
            port,
            observe: login.clone(),
            act: Some(login),
            databases_file: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
        }
    };
    let whole = pgbouncer::ask(&config(&url)).await.unwrap();
    assert_eq!((whole.asked, whole.missing.len()), (1, 0), "{:?}", whole.missing);
    let looks = pgbouncer::ask(&config(&lab("LAB_PGBOUNCER_OBSERVE_DSN").unwrap())).await.unwrap();
    assert_eq!(looks.lacking, 1);
    assert_eq!(looks.missing[0].remedy, "add quarterdeck_observe to admin_users in pgbouncer.ini, then RELOAD");
    assert!(looks.missing[0].disables.contains("pgbouncer_pause"), "{:?}", looks.missing);
}

#[tokio::test]
async fn sentinels_are_asked_about_nobody_and_one_that_is_silent_is_named() {
    let (Some(url), Some(sentinels)) = (lab("LAB_REDIS_PLAIN_URL"), lab("LAB_REDIS_SENTINELS")) else { return };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut config = Redis {
        id: "redis-s".into(),
        url,
        observe: None,
        act: None,
        purpose: "session".into(),
        sentinels: sentinels.split(',').map(str::to_owned).collect(),
        sentinel_name: lab("LAB_REDIS_SENTINEL_NAME"),
        ca: crate::config::model::Ca::default(),
        workload: None,
        keys: Vec::new(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
    };
    let whole = cache(&config).await.unwrap();
    assert_eq!((whole.asked, whole.missing.len()), (6, 0), "{:?}", whole.missing);
    config.sentinels.push(nobody.clone());
    let one = cache(&config).await.unwrap();
    assert_eq!((one.asked, one.lacking), (8, 1));
    assert!(one.missing[0].disables.contains(&nobody), "{:?}", one.missing);
}
