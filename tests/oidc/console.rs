//! The same from the keys of a console on a real pseudo-terminal: a role that is asked for, a step that is confirmed, and its
//! approval, with a login at the provider each.

use super::House;
use super::steps::{Estate, holds_key};
use crate::engine::Served;
use crate::picture;
use crate::support::{CTRL_C, END, ENTER, ESC, LEFT, SOON, Start, TAB, Term};
use std::path::Path;
use std::time::Duration;

const SIZE: (u16, u16) = (140, 40);

/// The code on the sheet of a login.
fn code_in(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let word = line.split_once("code  ")?.1.split_whitespace().next()?;
        (word.len() == 9 && word.contains('-')).then(|| word.to_owned())
    })
}

/// The code of the login that the sheet is about, once it is there.
fn code(term: &Term, what: &str) -> String {
    let text = term.until("the sheet with the code", SOON, |t| t.contains(what) && code_in(t).is_some());
    assert!(text.contains("/device") && text.contains("What you prove counts for this and for nothing else"), "{text}");
    code_in(&text).unwrap()
}

/// Pictures of the sheet at each size, where somebody asks for them (`screenshots/make login`).
fn pictures(term: &Term) {
    let Some(dir) = std::env::var_os("QUARTERDECK_PICTURES") else { return };
    for (width, height) in [(80, 24), (120, 40), (200, 60), (300, 80)] {
        term.resize(width, height);
        // What was typed last has to be drawn, as in `examples/screenshots`.
        std::thread::sleep(Duration::from_millis(700));
        let path = Path::new(&dir).join(format!("login-{width}x{height}.svg"));
        std::fs::write(path, picture::svg(term.shared.parser.lock().unwrap().screen())).unwrap();
    }
    term.resize(SIZE.0, SIZE.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_a_confirmation_and_an_approval_are_asked_for_by_keys_with_a_login_each() {
    let Some(house) = House::open(60) else { return };
    let estate = Estate::new(&house);
    let served = Served::start(estate.at(), &["--config", &estate.config]);
    let ended = estate.begin(&["playbook", "run", "call"], &[]).wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    let agent = holds_key(&estate, "ines");
    let socket = agent.socket().display().to_string();
    let open = |env: &[(&str, &str)]| {
        let args = ["--config", &estate.config, "attach"];
        Term::start(&Start { args: &args, env, home: estate.at(), size: SIZE })
    };
    let mut mara = open(&[("USER", "mara")]);
    mara.shows("Next: confirm step 1/1 of call");
    let wishes = |term: &mut Term| {
        term.keys("L").shows("Ask for a role for a time");
        term.keys(LEFT).keys(LEFT).keys(LEFT).shows("dba");
        term.keys(TAB).keys(TAB).keys("the replica has to be rebuilt").shows("has to be rebuilt");
        term.keys(ENTER);
        code(term, "as dba for 30 min")
    };
    wishes(&mut mara);
    pictures(&mara);
    mara.keys(ESC).shows("LOGIN-1 is cancelled");
    let shown = wishes(&mut mara);
    house.log_in(&shown, "login=mara&amr=otp").await;
    mara.shows("another person has to grant it");
    // The step that waits, by the key that does what is next.
    mara.keys(" ").shows("RUN-1");
    mara.keys(ENTER).shows("> Cancel <");
    mara.keys(END).shows("Ready: nothing stands in the way.");
    mara.keys(TAB).shows("> Run <");
    mara.keys(ENTER);
    let shown = code(&mara, "mara confirms act of RUN-1");
    house.log_in(&shown, "login=mara&amr=otp").await;
    mara.until("the step to wait for its approval", SOON, |t| {
        t.contains("confirmed") && t.contains("2 approvals waiting")
    });

    let mut ines = open(&[("USER", "mara"), ("SSH_AUTH_SOCK", &socket)]);
    ines.shows("2 approvals waiting");
    ines.keys("A").shows("REQ-1");
    ines.keys("n").shows("who approves logs in");
    ines.keys(END).keys(TAB).keys(TAB).shows("> Approve <");
    ines.keys(ENTER);
    let shown = code(&ines, "ines approves REQ-2");
    house.log_in(&shown, "login=ines&amr=otp").await;
    ines.shows("is approved by ines");
    for mut term in [mara, ines] {
        assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
        term.is_given_back();
    }
    served.ends();
    assert_eq!(estate.of("step.confirmed")[0]["body"]["identity"]["name"], "mara");
    assert_eq!(estate.of("approval.granted")[0]["body"]["identity"]["name"], "ines");
    assert_eq!((estate.of("identity.refused").len(), estate.of("elevation.requested").len()), (1, 1));
    assert_eq!(estate.of("step.finished")[0]["body"]["ended"], "done");
}
