//! Programs that the test itself writes, and what happens when somebody changes them.

use super::*;
use crate::domain::id::Digest;
use crate::domain::mode::Mode as Console;
use crate::domain::world::World;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

struct Rig {
    dir: tempfile::TempDir,
    path: PathBuf,
    verb: Arc<DynVerb>,
}

impl Rig {
    fn new(script: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = std::fs::canonicalize(dir.path()).unwrap().join("tool");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let sha256 = args::hex(&Sha256::digest(script));
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        let allowed = Allowed { path: path.clone(), sha256, args };
        let verb = verbs(Console::Live.may_act().unwrap(), vec![allowed]).remove(0);
        Self { dir, path, verb }
    }

    fn render(&self, args: Value) -> Result<Request, VerbError> {
        let estate = crate::observe::postgres::testbed::estate(&["t017"]);
        let args = BTreeMap::from([("program".to_owned(), json!(self.path)), ("args".to_owned(), args)]);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let world = World::new(Arc::new(estate), [], now);
        self.verb.render(&RenderContext { estate: &world.estate, world: &world, now, args: &args, surveyed: None })
    }

    async fn execute(&self, request: &Request, within: Duration) -> Outcome {
        self.verb.execute(Authorized::for_test(request.clone(), Digest::from_bytes(&[0; 32]), within)).await
    }
}

const LONG: Duration = Duration::from_secs(20);

fn refusal(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { why } => &why.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_are_and_no_shell_sees_them() {
    let rig = Rig::new(
        "#!/bin/sh\nprintf '%s|' \"$@\" \"$HOME\" \"$(pwd)\"; printf 'x\\033[31m' >&2\n",
        &["--x=*", "it's \"$(id)\" ;"],
    );
    let request = rig.render(json!(["--x=a", "it's \"$(id)\" ;"])).unwrap();
    assert!(rig.verb.dry_run(&request, None).await.unwrap().starts_with("would start "));
    let Outcome::Done { result, .. } = rig.execute(&request, LONG).await else { panic!() };
    assert_eq!(result["stdout"], "--x=a|it's \"$(id)\" ;||/|");
    assert_eq!(result["stderr"], "x·[31m");
    assert!(rig.render(json!(["--x=a"])).unwrap_err().message.contains("with 2 arguments, 1 are given"));
    assert!(rig.render(json!(["--x=a;id", "y"])).unwrap_err().message.contains("policy allows --x=*"));
    assert!(rig.render(json!("--x=a")).unwrap_err().message.contains("a list of texts"));
}

#[tokio::test]
async fn a_program_that_was_replaced_linked_or_opened_to_others_is_not_started() {
    let script = "#!/bin/sh\necho ran > \"$(dirname \"$1\")/ran\"\n";
    let rig = Rig::new(script, &["*"]);
    let mark = rig.dir.path().join("mark");
    let request = rig.render(json!([mark])).unwrap();
    let other = rig.dir.path().join("other");
    std::fs::write(&other, script).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();

    std::fs::remove_file(&rig.path).unwrap();
    std::os::unix::fs::symlink(&other, &rig.path).unwrap();
    let linked = rig.execute(&request, LONG).await;
    assert!(refusal(&linked).contains("is a link, or lies behind one"), "{linked:?}");

    std::fs::remove_file(&rig.path).unwrap();
    std::fs::write(&rig.path, format!("{script}echo evil\n")).unwrap();
    std::fs::set_permissions(&rig.path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let changed = rig.execute(&request, LONG).await;
    assert!(refusal(&changed).contains("has changed"), "{changed:?}");
    assert!(rig.verb.dry_run(&request, None).await.unwrap_err().message.contains("has changed"));

    std::fs::write(&rig.path, script).unwrap();
    std::fs::set_permissions(&rig.path, std::fs::Permissions::from_mode(0o757)).unwrap();
    let open = rig.execute(&request, LONG).await;
    assert!(refusal(&open).contains("others can write it"), "{open:?}");
    std::fs::remove_file(&rig.path).unwrap();
    assert!(refusal(&rig.execute(&request, LONG).await).contains("can not be started"));

    let mut wrong = request.clone();
    wrong.operation = Operation::Command { argv: vec!["/bin/sh".into(), "x".into()], sha256: String::new() };
    assert!(refusal(&rig.execute(&wrong, LONG).await).contains("policy does not allow the program /bin/sh"));
    assert!(!rig.dir.path().join("ran").exists(), "nothing ran");
}

#[tokio::test]
async fn an_error_is_unknown_and_the_time_limit_ends_all_of_its_processes() {
    let rig = Rig::new("#!/bin/sh\necho half done >&2\nexit 3\n", &[]);
    let request = rig.render(json!([])).unwrap();
    let ended = rig.execute(&request, LONG).await;
    assert!(matches!(&ended, Outcome::Unknown { why } if why.message.contains("half done")), "{ended:?}");
    assert!(matches!(rig.verb.reconcile(&request).await, Reconciled::Undecided { .. }));

    let rig = Rig::new("#!/bin/sh\n(while :; do echo more; sleep 0.01; done) &\nwhile :; do sleep 1; done\n", &[]);
    let request = rig.render(json!([])).unwrap();
    let from = Instant::now();
    let late = rig.execute(&request, Duration::from_millis(500)).await;
    assert!(matches!(&late, Outcome::Unknown { why } if why.kind == FailureKind::Timeout), "{late:?}");
    assert!(from.elapsed() < LONG);
    // Output without end is no trouble.
    let rig = Rig::new("#!/bin/sh\nhead -c 3000000 /dev/zero\n", &[]);
    let request = rig.render(json!([])).unwrap();
    let much = rig.execute(&request, LONG).await;
    assert!(
        matches!(&much, Outcome::Done { result, .. } if result["stdout"].as_str().unwrap().len() <= 2 << 20),
        "{}",
        refusal_or(&much)
    );
}

fn refusal_or(outcome: &Outcome) -> String {
    format!("{outcome:?}").chars().take(300).collect()
}

#[test]
fn a_program_that_outlived_its_engine_is_known_by_its_name_or_by_the_file_that_is_its_script() {
    let rig = Rig::new("#!/bin/sh\n", &["now"]);
    let request = rig.render(json!(["now"])).unwrap();
    let Operation::Command { argv, .. } = &request.operation else { panic!("{request:?}") };
    let is = |words: &[&str]| {
        let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        started(argv)(std::process::id(), &words)
    };
    let open = |path: &Path| {
        let file = std::fs::File::open(path).unwrap();
        (format!("/proc/self/fd/{}", file.as_raw_fd()), file)
    };
    let (own, _file) = open(&rig.path);
    let (other, _other) = open(rig.dir.path());
    assert!(is(&[&argv[0], "now"]));
    assert!(is(&["/bin/sh", &own, "now"]));
    for words in
        [&[&argv[0], "later"][..], &[&argv[0]], &["/bin/sh", &other, "now"], &["now"], &["/bin/sh", "x", "now"]]
    {
        assert!(!is(words), "{words:?}");
    }
}
