//! How far it is known what is usual: what is learnt, what is left out, and which values can not be compared yet.

use super::health::Health;
use super::signal::Subject;
use serde::{Deserialize, Serialize};

/// How far what is usual is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UsualState {
    /// Series that are learnt: a signal of a subject each.
    pub learnt: usize,
    /// How many are learnt at most.
    pub most: usize,
    /// Series that were seen and are not learnt, because there are more.
    pub left_out: usize,
    /// Values of now that rules compare with what is usual.
    pub compared: usize,
    /// Those of them of which it is known.
    pub known: usize,
    /// Those of which it is not, of the most critical tenants first; at most 50.
    pub gaps: Vec<UsualGap>,
}

/// A value that can not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UsualGap {
    /// Of what.
    pub subject: Subject,
    /// Which signal.
    pub signal: String,
    /// The rule that would compare it.
    pub rule: String,
    /// Why it is not known.
    pub why: String,
}

impl UsualState {
    /// `unknown` unless every value can be compared: what nobody has learnt is never green.
    pub const fn health(&self) -> Health {
        if self.learnt > 0 && self.left_out == 0 && self.known == self.compared { Health::Ok } else { Health::Unknown }
    }

    /// Whether the gaps are all that there are.
    pub const fn told_all(&self) -> bool {
        self.compared - self.known == self.gaps.len()
    }

    /// In one sentence.
    pub fn words(&self) -> String {
        let mut said = if self.learnt == 0 {
            "nothing has been learnt yet of what is usual".to_owned()
        } else if self.compared == 0 {
            "no value was seen that rules compare with what is usual".to_owned()
        } else {
            format!("what is usual is known of {} of {} values that rules compare with it", self.known, self.compared)
        };
        if let Some(gap) = self.gaps.first() {
            said.push_str(&format!("; not of {} of {}: {}", gap.signal, gap.subject, gap.why));
        }
        if self.left_out > 0 {
            said.push_str(&format!(
                "; {} series are not learnt, {} are at most, those first that rules compare, and of the most critical tenants",
                self.left_out, self.most
            ));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_never_green_and_said() {
        let known = UsualState { learnt: 9, most: 6000, compared: 3, known: 3, ..UsualState::default() };
        assert_eq!((known.health(), known.told_all()), (Health::Ok, true));
        assert_eq!(known.words(), "what is usual is known of 3 of 3 values that rules compare with it");
        assert_eq!(UsualState::default().health(), Health::Unknown);
        assert_eq!(UsualState::default().words(), "nothing has been learnt yet of what is usual");
        let gap = UsualGap {
            subject: Subject::Tenant { tenant: "t017".into() },
            signal: "http.p95".into(),
            rule: "slower-than-usual".into(),
            why: "1 of 3 hours".into(),
        };
        let some = UsualState { known: 2, left_out: 4, gaps: vec![gap], ..known };
        assert_eq!((some.health(), some.told_all()), (Health::Unknown, true));
        let said = some.words();
        assert!(said.contains("2 of 3 values") && said.contains("http.p95 of t017: 1 of 3 hours"), "{said}");
        assert!(said.contains("4 series are not learnt, 6000 are at most"), "{said}");
    }
}
