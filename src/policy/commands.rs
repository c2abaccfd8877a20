//! Programs of this machine that playbooks may start: the allow-list of policy, and whether it takes an argument list.
//! Pure; `act::command` looks at the file and starts it.

use std::path::PathBuf;

/// One program that may be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Absolute path, without links on its way.
    pub path: PathBuf,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// A pattern for each argument, in order; `*` stands for any number of letters, digits and `._:/@=+,-`, all else
    /// for itself.
    pub args: Vec<String>,
}

impl Allowed {
    /// Whether these arguments are allowed; a sentence when they are not.
    pub fn takes(&self, args: &[String]) -> Result<(), String> {
        let path = self.path.display();
        if args.len() != self.args.len() {
            return Err(format!("policy allows {path} with {} arguments, {} are given", self.args.len(), args.len()));
        }
        for (at, (pattern, arg)) in self.args.iter().zip(args).enumerate() {
            if !matches(pattern, arg) {
                let arg = crate::domain::text::sanitize(arg);
                return Err(format!("argument {} of {path} is {arg:?}; policy allows {pattern}", at + 1));
            }
        }
        Ok(())
    }
}

/// What `*` may stand for: nothing that begins an option, quotes, or means something to a shell.
fn plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "._:/@=+,-".contains(c))
}

fn matches(pattern: &str, arg: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = arg.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    // A star at the beginning takes no dash: an option is allowed only where its dash stands in the pattern.
    if first.is_empty() && rest.starts_with('-') {
        return false;
    }
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        let (skipped, after) = rest.split_at(at);
        if !plain(skipped) {
            return false;
        }
        rest = after.get(part.len()..).unwrap_or_default();
    }
    rest.strip_suffix(last).is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_match_one_by_one_and_nothing_slips_in() {
        let allowed = Allowed {
            path: "/usr/bin/tool".into(),
            sha256: String::new(),
            args: vec!["--host=*".into(), "sync".into(), "*".into()],
        };
        let takes = |args: &[&str]| allowed.takes(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        assert_eq!(takes(&["--host=db.internal", "sync", "t017"]), Ok(()));
        for bad in [
            &["--host=db", "sync"][..],
            &["--host=db", "sync", "t017", "x"],
            &["--host=db;rm", "sync", "t017"],
            &["--host=$(id)", "sync", "t017"],
            &["--host=db", "drop", "t017"],
            &["--host=db", "sync", "--force"],
            &["--host=db", "sync", "a b"],
            &["--host=db", "sync", "a\nb"],
            &["host=db", "sync", "a"],
        ] {
            assert!(takes(bad).is_err(), "{bad:?}");
        }
        assert!(matches("a*b*c", "a1b2c") && !matches("a*b*c", "a1c") && matches("x", "x") && !matches("x", "xy"));
    }
}
