use super::*;

const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0O2BkYbFqsg0TKZn4MCfJy9uT2a3mMCCEkVxBhrE4s";
const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEvJWwJjBMmBMxjWYmMjjSA1gUyWH4eNFmv3fBDU9rD";

fn roster() -> String {
    format!(
        "[[person]]\nname = \"mara\"\nuser = \"mara\"\nroles = [\"commander\"]\n\n\
         [[person]]\nname = \"ines\"\nuid = 1004\nroles = [\"approver until 2027-01-01T00:00:00Z\", \"dba\"]\nkeys = [\"{ONE} ines@laptop\"]\n\n"
    )
}

fn problems(text: &str) -> Vec<String> {
    Policy::decode("policy.toml", text).map_or_else(|p| p.0.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn the_shipped_policy_is_read_and_names_nobody() {
    let shipped = Policy::decode("policy.toml", SHIPPED).unwrap();
    assert_eq!(shipped, Policy::shipped());
    assert!(shipped.people.is_empty());
    assert_eq!(shipped.approvals[&Risk::High].quorum, 1);
    assert!(shipped.glass_waives_approvals && shipped.automation);
    // What its comments show works too, with the keys that a person would put in.
    let shown: String = SHIPPED
        .lines()
        .map(|l| {
            l.strip_prefix("# ")
                .filter(|l| l.starts_with("[[") || (l.contains(" = ") && !l.starts_with("----")))
                .unwrap_or(l)
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let shown = shown
        .replace("ssh-ed25519 AAAA... ines@laptop", ONE)
        .replace("\"ssh-ed25519 AAAA... ca\"", &format!("\"{TWO}\""));
    let shown = shown.replace(", \"sk-ssh-ed25519@openssh.com AAAA... ines@token\"", "");
    let found = problems(&shown);
    // One person alone can not do it; everything else is right.
    assert!(found.iter().all(|p| p.contains("roster") || p.contains("business-owner")), "{found:#?}");
}

#[test]
fn people_are_known_by_uid_or_name_and_their_roles_end() {
    let policy = Policy::decode("policy.toml", &roster()).unwrap();
    let who = |user: &str, uid| policy.person_of(user, uid).map(ToString::to_string);
    assert_eq!(who("mara", 7), Some("mara".into()));
    assert_eq!(who("anybody", 1004), Some("ines".into()));
    assert_eq!(who("ines", 7), None, "an entry with a user id is not met by its name");
    let at = |t: &str| policy.standing(t.parse().unwrap());
    let ines = Person::new("ines");
    assert!(at("2026-12-31T23:59:59Z").holds(&ines, Role::Approver));
    assert!(!at("2027-01-01T00:00:00Z").holds(&ines, Role::Approver));
    assert!(at("2027-01-01T00:00:00Z").holds(&ines, Role::Dba));
    let mut standing = at("2027-01-01T00:00:00Z");
    standing.elevate(&Person::new("nobody"), Role::Approver);
    assert!(standing.with(&[Role::Approver]).is_empty(), "who is not in the roster can not be elevated");
}

#[test]
fn the_identity_provider_knows_a_person_by_one_name() {
    let named = |oidc: &str| roster().replacen("name = \"ines\"", &format!("name = \"ines\"\noidc = \"{oidc}\""), 1);
    let policy = Policy::decode("policy.toml", &format!("{}[elevation]\nmfa = [\"dba\"]\n", named("i.vogt"))).unwrap();
    let who = |name: &str| policy.named_by(name).map(ToString::to_string);
    assert_eq!((who("mara"), who("i.vogt")), (Some("mara".into()), Some("ines".into())));
    assert_eq!((who("ines"), who("MARA"), who("")), (None, None, None), "another name is nobody's");
    assert_eq!(policy.elevation_mfa, [Role::Dba]);
    let found = problems(&named("mara"));
    assert!(
        found.iter().any(|p| p.contains("`mara` is what the identity provider calls another person already")),
        "{found:?}"
    );
    let source = |word: &str| Policy::decode("p", &format!("[mfa]\nsource = \"{word}\"\n")).map(|p| p.mfa_source);
    assert_eq!(source("security-key").unwrap(), Some(SecondFactor::SecurityKey));
    assert_eq!(source("oidc").unwrap(), Some(SecondFactor::Oidc));
    assert!(source("sms").unwrap_err().to_string().contains("security-key, oidc"));
    let found = problems("[elevation]\nmfa = [\"boss\"]\n");
    assert!(found[0].contains("`boss` is no role"), "{found:?}");
}

#[test]
fn a_person_is_proven_by_a_key_or_by_a_user_id_of_their_own_and_never_by_a_name() {
    let of = |(name, who): (&str, &str)| format!("[[person]]\nname = \"{name}\"\nroles = [\"approver\"]\n{who}\n");
    let people = [
        ("ines", format!("uid = 1001\nkeys = [\"{ONE}\"]")),
        ("jon", format!("user = \"jon\"\nkeys = [\"{TWO}\"]")),
        ("mara", "uid = 1002\nuser = \"mara\"".to_owned()),
        ("otto", "uid = 1002\nuser = \"otto\"".to_owned()),
    ];
    let text: String = people.iter().map(|(name, who)| of((name, who))).collect();
    let policy = Policy::decode("p", &format!("{SHIPPED}\n{text}")).unwrap();
    let actor = |user: &str, uid| {
        let (user, via, host) = (user.to_owned(), "socket".to_owned(), "h".to_owned());
        Actor { user, uid, via, host, console: None }
    };
    let proven = |actor: &Actor| policy.proven(actor).map(ToString::to_string);
    assert_eq!(proven(&actor("whatever", 1001)).as_deref(), Some("ines"));
    for (user, uid) in [("jon", 5), ("jon", 1001 + 7), ("mara", 1002), ("otto", 1002), ("ines", 9)] {
        assert_eq!(proven(&actor(user, uid)), None, "{user} {uid}");
    }
    let by_key = actor("x", 0).proven("otto".into(), "SHA256:abc");
    assert_eq!(proven(&by_key).as_deref(), Some("otto"));
    assert_eq!(proven(&actor("x", 1001).proven("stranger".into(), "SHA256:abc")), None, "not in the roster");
}

#[test]
fn every_error_has_its_place_and_says_what_is_allowed() {
    for (text, place, says) in [
        ("[[person]]\nname = \"a\"\nuser = \"a\"\nroles = [\"boss\"]\n", ":4:9:", "`boss` is no role"),
        ("[[person]]\nname = \"a\"\nuser = \"a\"\nroles = [\"dba until tomorrow\"]\n", ":4:9:", "no moment"),
        ("[[person]]\nname = \"a\"\n", ":1:1:", "neither `user` nor `uid`"),
        ("[[person]]\nname = \"a\"\nuser = \"a\"\nkeys = [\"ssh-dss AAAA\"]\n", ":4:8:", "key of a"),
        ("[[raise]]\nto = \"huge\"\nbecause = \"x\"\n", ":2:6:", "allowed is low, medium, high"),
        ("[[raise]]\nto = \"high\"\n", ":1:1:", "lacks `because`"),
        ("[approvals.high]\nquorum = 0\n", ":2:10:", "at least one other person"),
        ("[glass]\nwaives = [\"journal\"]\n", ":2:10:", "never the journal"),
        ("[[window]]\nname = \"x\"\nkind = \"freeze\"\nzone = \"Mars/Olympus\"\n", ":4:8:", "time zone"),
        ("[[window]]\nname = \"x\"\nkind = \"freeze\"\nzone = \"UTC\"\nfrom = \"06:00\"\n", ":5:8:", "`to` is needed"),
        ("[[command]]\npath = \"bin/x\"\nsha256 = \"00\"\n", ":2:8:", "no absolute path"),
        ("[[authority]]\nkey = \"nothing\"\n", ":2:7:", "public key"),
        ("colour = \"red\"\n", ":1:1:", "unknown key `colour`"),
        ("a = = 1\n", ":1:5:", ""),
    ] {
        let found = problems(text);
        assert!(found.iter().any(|p| p.contains(place) && p.contains(says)), "{text}: {found:#?}");
    }
}

#[test]
fn a_quorum_that_nobody_can_reach_is_an_error_at_its_place() {
    let with = |more: &str| problems(&format!("{}{more}", roster()));
    assert_eq!(with("[approvals.high]\nquorum = 1\nroles = [\"approver\"]\n"), Vec::<String>::new());
    for (text, says) in [
        ("[approvals.high]\nquorum = 2\nroles = [\"approver\"]\n", "2 approvals are asked for, and 1"),
        ("[approvals.high]\nquorum = 1\nroles = [\"business-owner\"]\n", "nobody in the roster may approve high risk"),
        ("[approvals.high]\nquorum = 2\n", "the roster has 2 people in all"),
        ("[approvals.high]\nquorum = 1\nroles = [\"commander\"]\n", "has a key"),
        ("[roster]\nquorum = 2\n", "the roster has 2 people in all"),
        ("[closing]\nrecovery_accepted = \"SEV2\"\n", "nobody in the roster is business-owner"),
        ("[[right]]\nverbs = [\"cnpg.*\"]\nneeds = \"business-owner\"\nbecause = \"x\"\n", "nobody in the roster is"),
    ] {
        let found = with(text);
        assert!(found.iter().any(|p| p.contains(says)), "{text}: {found:#?}");
    }
    let twice = format!("{}[[person]]\nname = \"bo\"\nuser = \"bo\"\nkeys = [\"{ONE}\"]\n", roster());
    assert!(problems(&twice)[0].contains("is there already"), "one key, one person");
}

#[test]
fn windows_follow_the_time_of_their_place() {
    let text = "[[window]]\nname = \"night\"\nkind = \"production\"\nzone = \"Europe/Berlin\"\ndays = [\"fri\"]\n\
                from = \"22:00\"\nto = \"06:00\"\n\
                [[window]]\nname = \"closing\"\nkind = \"freeze\"\nzone = \"Europe/Berlin\"\n\
                start = \"2026-12-28T00:00\"\nend = \"2027-01-04T06:00\"\n";
    let policy = Policy::decode("policy.toml", text).unwrap();
    let night = |t: &str| policy.production_window(t.parse().unwrap()).is_some();
    // Friday 10 July 2026, 22:00 in Berlin is 20:00Z; Saturday 06:00 is 04:00Z.
    assert!(!night("2026-07-10T19:59:59Z") && night("2026-07-10T20:00:00Z"));
    assert!(night("2026-07-11T03:59:59Z") && !night("2026-07-11T04:00:00Z"));
    assert!(!night("2026-07-11T20:30:00Z"), "Saturday night is not asked for");
    assert!(!night("2026-07-10T02:00:00Z"), "nor is the end of Thursday's");
    let frozen = |t: &str| policy.freeze_window(t.parse().unwrap()).map(|w| w.name.clone());
    assert_eq!(frozen("2026-12-27T23:00:00Z"), Some("closing".into()), "midnight in Berlin");
    assert_eq!((frozen("2026-12-27T22:59:59Z"), frozen("2027-01-04T05:00:00Z")), (None, None));
}

#[test]
fn the_strict_policy_lets_nothing_through() {
    let strict = Policy::default();
    assert!(strict.raises.iter().all(|r| r.to == Some(Risk::High)));
    assert!(strict.approvals.values().all(|a| a.quorum >= 1) && !strict.automation);
}

#[test]
fn a_change_window_knows_when_it_opens_next() {
    let text = "[[window]]\nname = \"w\"\nkind = \"change\"\nzone = \"Europe/Berlin\"\ndays = [\"sat\"]\nfrom = \"22:00\"\nto = \"04:00\"\n";
    let policy = Policy::decode("policy.toml", text).unwrap();
    let closed = |at: &str| policy.change_window_closed("w", at.parse().unwrap());
    assert_eq!(closed("2026-11-21T21:00:00Z"), None, "Saturday, 22:00 in Berlin");
    assert_eq!(closed("2026-11-22T02:59:59Z"), None, "past midnight it is still Saturday's");
    assert!(closed("2026-11-22T03:00:00Z").unwrap().contains("opens at 2026-11-28T21:00:00Z"));
    let over = text.replace("days = [\"sat\"]", "end = \"2026-01-01T00:00\"");
    let policy = Policy::decode("policy.toml", &over).unwrap();
    let said = policy.change_window_closed("w", "2026-11-22T03:00:00Z".parse().unwrap()).unwrap();
    assert!(said.contains("does not open within five weeks"), "{said}");
    let found = problems(&format!("{}[freeze]\napprover = \"dba\"\n", roster()));
    assert!(found.is_empty(), "{found:?}");
    let found = problems(&format!("{}[freeze]\napprover = \"scribe\"\n", roster()));
    assert!(found.iter().any(|p| p.contains("nobody in the roster is scribe")), "{found:?}");
}
