//! A real `OpenID` provider (`tests/lab/lab up oidc`) of the test's own, and a person's browser that logs in at it.

use quarterdeck::config::model::{Ca, Oidc, SecretRef};
use quarterdeck::observe::http::{Answer, Http, Trust};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ALLOWED: Duration = Duration::from_secs(20);
const FORM: &str = "application/x-www-form-urlencoded";

pub struct House {
    dir: tempfile::TempDir,
    child: Child,
    pub url: String,
    http: Http,
}

impl Drop for House {
    fn drop(&mut self) {
        self.close();
    }
}

/// The cookies of one person.
#[derive(Default)]
struct Browser(BTreeMap<String, String>);

impl House {
    /// Starts one whose codes live so many seconds; `None`, said, where the lab's part is not up.
    pub fn open(code_lives_s: u32) -> Option<Self> {
        let Ok(script) = std::env::var("LAB_OIDC") else {
            // A part of the lab that is brought up by name: where it is not, nothing that CI asks for is missing.
            eprintln!("SKIP the OpenID provider: it is not up (tests/lab/lab up oidc)");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut child = Command::new("node")
            .arg(script)
            .args([&cert, &key])
            .arg(code_lives_s.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = said.map_while(Result::ok).find_map(|line| line.strip_prefix("listens at ").map(str::to_owned));
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let url = url.unwrap_or_else(|| panic!("the provider did not start: {log}"));
        let http = Http::new(&Trust::own(cert)).unwrap();
        Some(Self { dir, child, url, http })
    }

    /// It is gone.
    pub fn close(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// `[oidc]` of a client.
    pub fn config(&self, client: &str) -> Oidc {
        Oidc {
            issuer: self.url.clone(),
            client_id: client.into(),
            client_secret: None,
            ca: Ca::from(self.ca()),
            name: "preferred_username".into(),
            acr: vec!["phr".into()],
            amr: vec!["otp".into(), "hwk".into()],
            max_age: Duration::from_mins(2),
            clock_skew: Duration::from_secs(30),
        }
    }

    /// The same of a client with a secret.
    pub fn confidential(&self, secret: &str) -> Oidc {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.path().join("secret");
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Oidc { client_secret: Some(SecretRef::File(path)), ..self.config("confidential") }
    }

    async fn send(&self, method: Method, url: &str, kind: &str, cookies: &str, body: &str) -> Answer {
        let request = self.http.request(method, Url::parse(url).unwrap()).header(COOKIE, cookies);
        let request = request.header(CONTENT_TYPE, kind).body(body.to_owned());
        Http::send(request, url, 1 << 20, ALLOWED).await.unwrap()
    }

    /// Has something go otherwise; when it was asked for tokens so far, in milliseconds.
    pub async fn lab(&self, wish: &Value) -> Vec<i64> {
        let answer =
            self.send(Method::POST, &format!("{}/lab", self.url), "application/json", "", &wish.to_string()).await;
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        said["polls"].as_array().unwrap().iter().map(|at| at.as_i64().unwrap()).collect()
    }

    /// What the token endpoint answers next, instead of its own.
    pub async fn answers(&self, next: &Value) {
        self.lab(&json!({ "next": next })).await;
    }

    /// A person enters a code and logs in: `login=mara&amr=pwd,otp`.
    pub async fn log_in(&self, code: &str, how: &str) {
        let mut browser = Browser::default();
        let form = browser.enter(self, code).await;
        let to = browser.go(self, Method::POST, "/device", &format!("{form}&confirm=yes")).await;
        let back = browser.go(self, Method::GET, &format!("{to}?{how}"), "").await;
        browser.go(self, Method::GET, &back, "").await;
    }

    /// A person enters a code and says no.
    pub async fn deny(&self, code: &str) {
        let mut browser = Browser::default();
        let form = browser.enter(self, code).await;
        browser.go(self, Method::POST, "/device", &format!("{form}&abort=yes")).await;
    }

    /// A token that this provider gives to another client for the same person.
    pub async fn token_of(&self, client: &str, how: &str) -> String {
        let post = async |path: &str, body: String| -> Value {
            let answer = self.send(Method::POST, &format!("{}{path}", self.url), FORM, "", &body).await;
            serde_json::from_slice(&answer.body).unwrap()
        };
        let asked = post("/device/auth", format!("client_id={client}&scope=openid%20profile&max_age=60")).await;
        self.log_in(asked["user_code"].as_str().unwrap(), how).await;
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let code = asked["device_code"].as_str().unwrap();
        let given = post("/token", format!("client_id={client}&grant_type={grant}&device_code={code}")).await;
        given["id_token"].as_str().unwrap_or_else(|| panic!("{given}")).to_owned()
    }
}

impl Browser {
    /// Opens the page with a code; what its form sends.
    async fn enter(&mut self, house: &House, code: &str) -> String {
        let url = format!("{}/device?user_code={code}", house.url);
        let page = house.send(Method::GET, &url, FORM, "", "").await;
        self.keep(&page);
        let page = String::from_utf8(page.body).unwrap();
        let (_, rest) = page.split_once("name=\"xsrf\" value=\"").unwrap_or_else(|| panic!("{page}"));
        format!("xsrf={}&user_code={code}", rest.split('"').next().unwrap())
    }

    /// Goes somewhere, and answers where that leads.
    async fn go(&mut self, house: &House, method: Method, to: &str, body: &str) -> String {
        let url = if to.starts_with('/') { format!("{}{to}", house.url) } else { to.to_owned() };
        let cookies: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = house.send(method, &url, FORM, &cookies.join("; "), body).await;
        self.keep(&answer);
        assert!(answer.status < 400, "{to}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        answer.headers.get(LOCATION).map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn keep(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }
}
