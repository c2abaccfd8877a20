//! Which hosts a rule of Traefik takes, from its text
//! (<https://doc.traefik.io/traefik/reference/routing-configuration/http/routing/rules-and-priority/>): matchers
//! with quoted arguments, joined by `&&`, `||`, `!` and parentheses as in Go.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// Longest rule that is read.
const LONGEST: usize = 16 << 10;
/// Parentheses and negations in one another, at most.
const DEEPEST: u8 = 32;

/// The hosts that a rule may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Every one: it does not ask for the host.
    Any,
    /// None but these, in lower case.
    These(BTreeSet<String>),
    /// Not told by the text: a pattern, a negation, or no rule at all.
    Unknown,
}

impl Hosts {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::These(a), Self::These(b)) => Self::These(a.intersection(&b).cloned().collect()),
            // What a pattern lets through is among those that are named.
            (Self::These(named), _) | (_, Self::These(named)) => Self::These(named),
            (Self::Any, Self::Any) => Self::Any,
            (Self::Any | Self::Unknown, Self::Any | Self::Unknown) => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => Self::Any,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::These(mut a), Self::These(b)) => {
                a.extend(b);
                Self::These(a)
            }
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::These(_) | Self::Unknown => Self::Unknown,
        }
    }
}

/// The hosts of a rule.
pub(super) fn hosts(rule: &str) -> Hosts {
    if rule.len() > LONGEST {
        return Hosts::Unknown;
    }
    let mut reader = Reader { text: rule.chars().peekable(), depth: 0 };
    let read = reader.either();
    if reader.next_char().is_some() { Hosts::Unknown } else { read.unwrap_or(Hosts::Unknown) }
}

/// Descends through a rule; each method answers `None` where the text is no rule.
struct Reader<'a> {
    text: Peekable<Chars<'a>>,
    depth: u8,
}

impl Reader<'_> {
    /// The next character that is no space, left where it is.
    fn next_char(&mut self) -> Option<char> {
        while self.text.next_if(|c| c.is_whitespace()).is_some() {}
        self.text.peek().copied()
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        (self.next_char() == Some(wanted)).then(|| self.text.next()).map(|_| ())
    }

    /// `a && b || c`: the weaker of both first.
    fn either(&mut self) -> Option<Hosts> {
        let mut all = self.both()?;
        while self.next_char() == Some('|') {
            self.take('|')?;
            self.text.next_if_eq(&'|')?;
            all = all.or(self.both()?);
        }
        Some(all)
    }

    fn both(&mut self) -> Option<Hosts> {
        let mut all = self.one()?;
        while self.next_char() == Some('&') {
            self.take('&')?;
            self.text.next_if_eq(&'&')?;
            all = all.and(self.one()?);
        }
        Some(all)
    }

    fn one(&mut self) -> Option<Hosts> {
        match self.next_char()? {
            '!' => {
                self.text.next();
                self.deeper(|reader| reader.one().map(Hosts::not))
            }
            '(' => {
                self.text.next();
                let inside = self.deeper(Self::either)?;
                self.take(')')?;
                Some(inside)
            }
            _ => self.matcher(),
        }
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Option<Hosts>) -> Option<Hosts> {
        self.depth = self.depth.checked_add(1).filter(|d| *d <= DEEPEST)?;
        let read = read(self);
        self.depth = self.depth.saturating_sub(1);
        read
    }

    /// ``Host(`a`, `b`)``. Traefik takes the names in any case.
    fn matcher(&mut self) -> Option<Hosts> {
        let mut name = String::new();
        while let Some(c) = self.text.next_if(char::is_ascii_alphanumeric) {
            name.push(c.to_ascii_lowercase());
        }
        self.take('(')?;
        let mut arguments = Vec::new();
        while self.next_char()? != ')' {
            if !arguments.is_empty() {
                self.take(',')?;
            }
            arguments.push(self.quoted()?);
        }
        self.take(')')?;
        match name.as_str() {
            // Until version 2 also by the second name, and several in one.
            "host" | "hostheader" if !arguments.is_empty() => {
                Some(Hosts::These(arguments.iter().map(|host| host.trim_end_matches('.').to_lowercase()).collect()))
            }
            "" | "host" | "hostheader" => None,
            "hostregexp" => Some(Hosts::Unknown),
            _ => Some(Hosts::Any),
        }
    }

    /// A text between backticks, or between quotation marks with `\` before what is meant as it is.
    fn quoted(&mut self) -> Option<String> {
        let mark = self.next_char().filter(|c| matches!(c, '`' | '"'))?;
        self.text.next();
        let mut text = String::new();
        loop {
            match self.text.next()? {
                c if c == mark => return Some(text),
                '\\' if mark == '"' => text.push(self.text.next()?),
                c => text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn these(hosts: &[&str]) -> Hosts {
        Hosts::These(hosts.iter().map(|h| (*h).to_owned()).collect())
    }

    #[test]
    fn the_hosts_that_a_rule_names() {
        for (rule, expected) in [
            ("Host(`t017.example`)", these(&["t017.example"])),
            ("Host(`t017.example`) && PathPrefix(`/shop`)", these(&["t017.example"])),
            ("PathPrefix(`/shop`)&&Host(\"T017.Example.\")", these(&["t017.example"])),
            ("Host(`a`) || Host(`b`)", these(&["a", "b"])),
            ("Host(`a`, `b`)", these(&["a", "b"])),
            ("HostHeader(`a`)", these(&["a"])),
            ("host(`a`)", these(&["a"])),
            ("(Host(`a`) || Host(`b`)) && !PathPrefix(`/x`)", these(&["a", "b"])),
            ("Host(`a`) || Host(`b`) && Path(`/x`)", these(&["a", "b"])),
            ("Host(`a`) && Host(`b`)", these(&[])),
            ("Host(`a`) && !Host(`b`)", these(&["a"])),
            ("HostRegexp(`^.+$`) && Host(`a`)", these(&["a"])),
            ("Host(`a`) && Header(`x`, `a)b || c`)", these(&["a"])),
            ("Host(\"a\\\"b\")", these(&["a\"b"])),
        ] {
            assert_eq!(hosts(rule), expected, "{rule}");
        }
    }

    #[test]
    fn a_rule_without_hosts_takes_any_and_a_pattern_is_not_known() {
        for rule in ["PathPrefix(`/shop`)", "!Path(`/x`)", "Host(`a`) || PathPrefix(`/`)", "ClientIP(`10.0.0.0/8`)"] {
            assert_eq!(hosts(rule), Hosts::Any, "{rule}");
        }
        for rule in [
            "HostRegexp(`{sub:[a-z]+}.example`)",
            "!Host(`a`)",
            "Host(`a`) || HostRegexp(`.+`)",
            "HostRegexp(`.+`) && Path(`/x`)",
        ] {
            assert_eq!(hosts(rule), Hosts::Unknown, "{rule}");
        }
    }

    #[test]
    fn what_is_no_rule_is_not_known() {
        let deep = format!("{}Host(`a`){}", "(".repeat(40), ")".repeat(40));
        let long = format!("Host(`{}`)", "a".repeat(LONGEST));
        let wrong =
            ["", "Host(`a`", "Host()", "Host(a)", "(`a`)", "Host(`a`) & Host(`b`)", "Host(`a`) x", "Host:a", "||"];
        for rule in wrong.into_iter().chain([deep.as_str(), long.as_str()]) {
            assert_eq!(hosts(rule), Hosts::Unknown, "{rule}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(rule in "[()!&|`\"\\\\ ,a-zHost]{0,60}") {
            let _ = hosts(&rule);
        }

        #[test]
        fn more_conditions_take_no_more_hosts(a in "[a-c]", b in "[a-c]", path in "/[a-z]{0,3}") {
            let rule = format!("(Host(`{a}`) || Host(`{b}`)) && PathPrefix(`{path}`)");
            prop_assert_eq!(hosts(&rule), these(&[a.as_str(), b.as_str()]));
        }
    }
}
