//! References that lead to a real Vault (`tests/lab/lab up vault`), started by each test, and to the lab's API server.

use super::*;
use crate::config::decode::decode;
use crate::config::model::{Config, SecretRef};
use crate::observe::http::rig::{Server, certificate, ports, until};
use crate::observe::http::{Http, Trust};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Instant;

const SOON: Duration = Duration::from_secs(20);

/// A Vault of the test's own, unsealed, with a key/value store at `secret`.
struct House {
    dir: tempfile::TempDir,
    server: Server,
    url: String,
    http: Http,
    root: String,
    unseal: String,
}

impl House {
    async fn open() -> Option<Self> {
        let Ok(program) = std::env::var("LAB_VAULT") else {
            // A part of the lab that is brought up by name: where it is not, nothing that CI asks for is missing.
            eprintln!("SKIP Vault: it is not up (tests/lab/lab up vault)");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        assert!(certificate(dir.path(), 9, &["localhost"]));
        let [port] = ports();
        let mut command = Command::new(program);
        let files = ["cert", "key"].map(|name| dir.path().join(format!("{name}.pem")).display().to_string());
        command.args(["-listen", &format!("127.0.0.1:{port}"), "-cert", &files[0], "-key", &files[1]]);
        let server = Server::start(&mut command, &dir.path().join("log"));
        let http = Http::new(&Trust::own(dir.path().join("cert.pem"))).unwrap();
        let url = format!("https://localhost:{port}");
        let mut house = Self { dir, server, url, http, root: String::new(), unseal: String::new() };
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = until("it can be initialized", SOON, async || {
            let (status, said) = house.try_api(Method::PUT, "sys/init", &shares).await?;
            (status == 200).then_some(said)
        })
        .await;
        house.root = made["root_token"].as_str().unwrap().to_owned();
        house.unseal = made["keys_base64"][0].as_str().unwrap().to_owned();
        house.unseal().await;
        until("it is active", SOON, async || {
            let (status, _) = house.try_api(Method::GET, "auth/token/lookup-self", &Value::Null).await?;
            (status == 200).then_some(())
        })
        .await;
        house.api(Method::POST, "sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } })).await;
        // A new store makes itself ready for version 2.
        until("the store is ready", SOON, async || {
            let (status, _) = house.try_api(Method::GET, "secret/config", &Value::Null).await?;
            (status == 200).then_some(())
        })
        .await;
        house.put("odoo/pg", "first").await;
        Some(house)
    }

    async fn try_api(&self, method: Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        let url = format!("{}/v1/{path}", self.url);
        let mut request = self.http.request(method, url.parse().unwrap()).header("x-vault-token", &self.root);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let answer = Http::send(request, &url, 1 << 20, SOON).await.ok()?;
        Some((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// As its administrator.
    async fn api(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, said) = self.try_api(method, path, body).await.unwrap_or_else(|| panic!("{}", self.server.log()));
        assert!((200..300).contains(&status), "{path}: {status} {said}");
        said
    }

    async fn unseal(&self) {
        self.api(Method::PUT, "sys/unseal", &json!({ "key": self.unseal })).await;
    }

    async fn put(&self, path: &str, password: &str) {
        self.api(Method::POST, &format!("secret/data/{path}"), &json!({ "data": { "password": password, "n": "1" } }))
            .await;
    }

    /// A policy that may read `odoo/*`, and an `AppRole` whose tokens live so long.
    async fn role(&self, ttl: &str, longest: &str) -> String {
        let may = json!({ "policy": "path \"secret/data/odoo/*\" { capabilities = [\"read\"] }" });
        self.api(Method::PUT, "sys/policies/acl/q", &may).await;
        self.try_api(Method::POST, "sys/auth/approle", &json!({ "type": "approle" })).await;
        let role = json!({ "token_policies": "q", "token_ttl": ttl, "token_max_ttl": longest });
        self.api(Method::POST, "auth/approle/role/q", &role).await;
        let id = self.api(Method::GET, "auth/approle/role/q/role-id", &Value::Null).await;
        let secret = self.api(Method::POST, "auth/approle/role/q/secret-id", &Value::Null).await;
        self.write("secret_id", secret["data"]["secret_id"].as_str().unwrap());
        format!(
            "approle = {{ role_id = \"{}\", secret_id = \"file:{}\" }}",
            id["data"]["role_id"].as_str().unwrap(),
            self.path("secret_id")
        )
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn config(&self, login: &str, reference: &str) -> Config {
        decode(
            "c.toml",
            &format!(
                "[estate]\nname = \"e\"\nenvironment = \"staging\"\n[[vault]]\nid = \"v\"\nurl = \"{}\"\nca = \"{}\"\n{login}\n\
                 [[postgres]]\nid = \"p\"\nhost = \"h\"\nuser = \"u\"\npassword = \"{reference}\"\n",
                self.url,
                self.path("cert.pem")
            ),
        )
        .unwrap()
    }

    /// How many tokens it knows.
    async fn tokens(&self) -> usize {
        let found = self.api(Method::GET, "auth/token/accessors?list=true", &Value::Null).await;
        found["data"]["keys"].as_array().unwrap().len()
    }
}

fn reference(config: &Config) -> SecretRef {
    config.postgres[0].observe.password.clone().unwrap()
}

async fn says(reference: &SecretRef) -> String {
    read(reference).await.map_or_else(|why| why.to_string(), |secret| format!("it was given: {}", secret.expose()))
}

const REFERENCE: &str = "vault:v/odoo/pg#password";

#[tokio::test]
async fn a_vault_gives_what_is_in_it_now_and_its_token_lives_on_while_it_is_used() {
    let Some(house) = House::open().await else { return };
    let login = house.role("2s", "1h").await;
    let config = house.config(&login, REFERENCE);
    let secret = reference(&config);
    assert_eq!(read(&secret).await.unwrap().expose(), "first");
    let tokens = house.tokens().await;
    house.put("odoo/pg", "second").await;
    assert_eq!(read(&secret).await.unwrap().expose(), "second", "it was changed, and nothing was started again");
    // Three lives of the token, of which nobody asks for a secret in two.
    let renewed = Instant::now();
    until("three lives are over", SOON, async || (renewed.elapsed() > Duration::from_secs(6)).then_some(())).await;
    assert_eq!(read(&secret).await.unwrap().expose(), "second");
    assert_eq!(house.tokens().await, tokens, "the same token, renewed");

    // One that is revoked is got anew; one that can live no longer, too.
    let accessors = house.api(Method::GET, "auth/token/accessors?list=true", &Value::Null).await;
    for accessor in accessors["data"]["keys"].as_array().unwrap() {
        let about = house.api(Method::POST, "auth/token/lookup-accessor", &json!({ "accessor": accessor })).await;
        if about["data"]["path"] == "auth/approle/login" {
            house.api(Method::POST, "auth/token/revoke-accessor", &json!({ "accessor": accessor })).await;
        }
    }
    assert_eq!(read(&secret).await.unwrap().expose(), "second");
    let short = house.role("1s", "2s").await;
    let config = house.config(&short, REFERENCE);
    let secret = reference(&config);
    for _ in 0..3 {
        assert_eq!(read(&secret).await.unwrap().expose(), "second");
        let began = Instant::now();
        until("its longest life is over", SOON, async || (began.elapsed() > Duration::from_millis(2500)).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn denied_sealed_slow_and_gone_vaults_are_one_sentence_each_and_give_nothing() {
    let Some(mut house) = House::open().await else { return };
    house.put("other/pg", "not for us").await;
    let login = house.role("1h", "1h").await;
    let of = |text: &str| reference(&house.config(&login, text));
    let url = house.url.clone();
    let whole = format!("the vault v ({url})");
    let denied = of("vault:v/other/pg#password");
    let expected = format!(
        "{whole} does not let us read secret/data/other/pg (403): its policy needs path \"secret/data/other/pg\" {{ capabilities = [\"read\"] }}"
    );
    assert_eq!(says(&denied).await, expected);
    let tokens = house.tokens().await;
    assert_eq!(says(&denied).await, expected);
    assert_eq!(house.tokens().await, tokens, "a refusal is no reason to log in again");
    assert_eq!(
        says(&of("vault:v/odoo/none#password")).await,
        format!("{whole} has no secret secret/data/odoo/none, or has deleted it")
    );
    assert_eq!(
        says(&of("vault:v/odoo/pg#pasword")).await,
        format!("secret/data/odoo/pg of {whole} has no key `pasword`")
    );

    // Logins that are refused.
    house.write("token", "hvs.of-nobody");
    let by_token = reference(&house.config(&format!("token = \"file:{}\"", house.path("token")), REFERENCE));
    assert_eq!(says(&by_token).await, format!("{whole} does not take the token (403)"));
    house.write("token", &house.root);
    assert_eq!(says(&by_token).await, "it was given: first", "a token that was put right counts from then on");
    let gone = reference(&house.config("token = \"file:/no/such\"", REFERENCE));
    assert!(
        says(&gone)
            .await
            .starts_with(&format!("{whole} can not be logged in to: the secret file /no/such can not be read"))
    );
    house.write("secret_id", "00000000-0000-0000-0000-000000000000");
    let said = says(&of(REFERENCE)).await;
    assert!(said.contains("invalid role or secret ID") && said.ends_with("it refuses the login by AppRole"), "{said}");
    assert!(!said.contains("00000000"), "{said}");

    // Another authority than the one that was named.
    let other = tempfile::tempdir().unwrap();
    assert!(certificate(other.path(), 9, &["localhost"]));
    std::fs::rename(house.path("cert.pem"), house.path("right.pem")).unwrap();
    std::fs::copy(other.path().join("cert.pem"), house.path("cert.pem")).unwrap();
    let said = says(&of(REFERENCE)).await;
    assert!(said.starts_with(&format!("{whole} can not be reached: invalid peer certificate")), "{said}");
    std::fs::rename(house.path("right.pem"), house.path("cert.pem")).unwrap();

    let config = house.config(&format!("token = \"file:{}\"", house.path("token")), REFERENCE);
    let (secret, vault) = (reference(&config), config.vaults[0].clone());
    assert_eq!(says(&secret).await, "it was given: first");
    let standing = vault.standing().await;
    assert!(standing.version.is_some() && standing.why.is_none(), "{standing:?}");
    house.api(Method::PUT, "sys/seal", &Value::Null).await;
    let sealed = format!("{whole} is sealed: whoever holds its keys has to unseal it");
    assert_eq!(says(&secret).await, sealed, "what was read before is not given instead");
    assert_eq!(vault.standing().await.why, Some(sealed));
    house.unseal().await;
    until("it gives again", SOON, async || (says(&secret).await == "it was given: first").then_some(())).await;

    house.server.signal(Signal::STOP);
    assert_eq!(says(&secret).await, format!("{whole} gave no answer within 5 s"));
    house.server.signal(Signal::KILL);
    until("it is gone", SOON, async || house.server.ended().then_some(())).await;
    let said = says(&secret).await;
    assert!(said.starts_with(&format!("{whole} can not be reached: ")), "{said}");
    let standing = vault.standing().await;
    assert!(standing.version.is_none() && standing.why.unwrap().contains("can not be reached"));
}

/// Standard output of the lab's `kubectl`, as its administrator.
fn kubectl(args: &[&str]) -> Option<String> {
    let (Ok(program), Ok(admin)) = (std::env::var("LAB_KUBECTL"), std::env::var("LAB_KUBECONFIG_ADMIN")) else {
        assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "tests/lab/lab up kubernetes");
        eprintln!("SKIP Secrets of Kubernetes: tests/lab/lab up kubernetes");
        return None;
    };
    let out = Command::new(program).arg("--kubeconfig").arg(admin).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[tokio::test]
async fn a_secret_of_kubernetes_is_read_as_it_is_now_and_only_with_the_right_to_it() {
    let space = format!("secrets-{}", std::process::id());
    let Some(_) = kubectl(&["create", "namespace", &space]) else { return };
    kubectl(&["-n", &space, "create", "secret", "generic", "pg", "--from-literal=password=first"]);
    let observe = std::env::var("LAB_KUBECONFIG_OBSERVE").unwrap();
    let of = |kubeconfig: &str, rest: &str| {
        let text = format!(
            "[estate]\nname = \"e\"\nenvironment = \"staging\"\n[[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"{kubeconfig}\"\n\
             [[postgres]]\nid = \"p\"\nhost = \"h\"\nuser = \"u\"\npassword = \"kubernetes:k8s/{space}/{rest}\"\n"
        );
        reference(&decode("c.toml", &text).unwrap())
    };
    let secret = of(&observe, "pg#password");
    let whole = format!("the Secret {space}/pg of cluster k8s");
    assert_eq!(
        says(&secret).await,
        format!("{whole} may not be read (403): `quarterdeck rbac` prints the rule for it")
    );
    kubectl(&["-n", &space, "create", "role", "q", "--verb=get", "--resource=secrets", "--resource-name=pg"]);
    kubectl(&["-n", &space, "create", "rolebinding", "q", "--role=q", "--user=quarterdeck-observe"]);
    until("the right counts", SOON, async || (says(&secret).await == "it was given: first").then_some(())).await;
    let patch = "{\"stringData\":{\"password\":\"second\"}}";
    kubectl(&["-n", &space, "patch", "secret", "pg", "-p", patch]);
    assert_eq!(says(&secret).await, "it was given: second");
    assert_eq!(says(&of(&observe, "pg#pasword")).await, format!("{whole} has no key `pasword`"));
    kubectl(&["-n", &space, "delete", "secret", "pg"]);
    assert_eq!(says(&secret).await, format!("{whole} is not there"));
    let [port] = ports();
    let lost = tempfile::tempdir().unwrap();
    let file = lost.path().join("k");
    let text = std::fs::read_to_string(&observe).unwrap();
    let api = std::env::var("LAB_KUBERNETES_PORT").unwrap();
    std::fs::write(&file, text.replace(&format!("127.0.0.1:{api}"), &format!("127.0.0.1:{port}"))).unwrap();
    let said = says(&of(&file.display().to_string(), "pg#password")).await;
    assert!(said.starts_with(&format!("{whole} can not be read: ")) && said.contains("refused"), "{said}");
    let said = says(&of("/no/such", "pg#password")).await;
    assert_eq!(said, format!("{whole} can not be asked for: kubeconfig /no/such: it can not be read"));
    kubectl(&["delete", "namespace", &space, "--wait=false"]);
}

#[tokio::test]
async fn the_login_of_a_service_account_opens_a_vault() {
    let Some(house) = House::open().await else { return };
    let space = format!("vaulted-{}", std::process::id());
    let Some(_) = kubectl(&["create", "namespace", &space]) else { return };
    for account in ["reviewer", "quarterdeck"] {
        kubectl(&["-n", &space, "create", "serviceaccount", account]);
    }
    let (binding, reviewer) = (format!("{space}-review"), format!("--serviceaccount={space}:reviewer"));
    kubectl(&["create", "clusterrolebinding", &binding, "--clusterrole=system:auth-delegator", &reviewer]);
    let token = |account: &str| kubectl(&["-n", &space, "create", "token", account]).unwrap();
    let _ = house.role("1h", "1h").await;
    house.api(Method::POST, "sys/auth/kubernetes", &json!({ "type": "kubernetes" })).await;
    let ca = kubectl(&["config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}"])
        .unwrap();
    let ca = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, ca).unwrap();
    let about = json!({
        "kubernetes_host": format!("https://127.0.0.1:{}", std::env::var("LAB_KUBERNETES_PORT").unwrap()),
        "kubernetes_ca_cert": String::from_utf8(ca).unwrap(),
        "token_reviewer_jwt": token("reviewer"),
        "disable_local_ca_jwt": true,
    });
    house.api(Method::POST, "auth/kubernetes/config", &about).await;
    let role = json!({
        "bound_service_account_names": "quarterdeck", "bound_service_account_namespaces": &space, "token_policies": "q",
    });
    house.api(Method::POST, "auth/kubernetes/role/q", &role).await;
    house.write("account", &token("reviewer"));
    let login = format!("kubernetes = {{ role = \"q\", token = \"file:{}\" }}", house.path("account"));
    let secret = reference(&house.config(&login, REFERENCE));
    let said = says(&secret).await;
    assert!(said.ends_with("it refuses the login by Kubernetes"), "{said}");
    house.write("account", &token("quarterdeck"));
    assert_eq!(says(&secret).await, "it was given: first");
    kubectl(&["delete", "clusterrolebinding", &binding]);
    kubectl(&["delete", "namespace", &space, "--wait=false"]);
}
