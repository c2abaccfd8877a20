//! What the library holds: everything that ships, free of problems, and a user's own file in the place of what ships.

use quarterdeck::correlate::signals::names;
use quarterdeck::playbook::library::{BUILT_IN, Library, lint_built_in};

fn load(own: &[(String, String)]) -> (Library, Vec<String>) {
    let signals = names();
    let (library, problems) = Library::load(own, &quarterdeck::act::catalog(), &signals);
    (library, problems.iter().map(ToString::to_string).collect())
}

fn shipped(id: &str) -> String {
    let text = BUILT_IN.iter().find(|(name, _)| *name == format!("{id}.yaml")).map(|(_, text)| *text);
    text.unwrap_or_else(|| panic!("{id} does not ship")).to_owned()
}

#[test]
fn what_ships_is_free_of_problems() {
    let signals = names();
    // The library itself reads them without looking at what their words mean.
    assert_eq!(lint_built_in(&quarterdeck::act::catalog(), &signals), []);
    let (library, problems) = load(&[]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(library.all().count(), BUILT_IN.len());
    assert!(library.all().all(|entry| entry.origin == "built-in"));
}

#[test]
fn a_users_file_takes_the_place_of_what_is_built_in_unless_it_is_wrong() {
    let own = shipped("schema-lock");
    let wrong = shipped("queue-backlog").replacen("owner:", "onwer:", 1);
    let files =
        [("/etc/q/a.yaml", own.clone()), ("/etc/q/b.yaml", own), ("/etc/q/c.yaml", wrong)].map(|(n, t)| (n.into(), t));
    let (library, said) = load(&files);
    assert_eq!(library.get(&"schema-lock".into()).unwrap().origin, "/etc/q/a.yaml");
    assert_eq!(library.get(&"queue-backlog".into()).unwrap().origin, "built-in");
    let second = "/etc/q/b.yaml:1:1: the playbook `schema-lock` is in /etc/q/a.yaml already";
    assert!(said.iter().any(|p| p.starts_with(second)), "{said:?}");
    assert!(said.iter().any(|p| p.starts_with("/etc/q/c.yaml:") && p.contains("unknown key `onwer`")), "{said:?}");
    assert_eq!(library.fitting("nothing").count(), 0);
    assert!(library.fitting("queue-zombies").count() >= 1);
}
