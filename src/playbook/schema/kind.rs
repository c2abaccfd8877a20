//! The types of steps.

use serde::de::{self, Deserialize, Deserializer};

macro_rules! types {
    ($($variant:ident $word:literal $doc:literal;)+) => {
        /// Type of a step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StepType {
            $(#[doc = $doc] $variant,)+
        }

        impl StepType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the file.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

types! {
    Check "check" "A verb that only looks.";
    Assert "assert" "Conditions that must hold now.";
    WaitFor "wait_for" "Conditions that must come to hold in time.";
    Action "action" "A verb that changes something.";
    Approval "approval" "Other people approve that the run goes on.";
    Manual "manual" "Something that a person does outside and then confirms.";
    Decision "decision" "A person chooses how to go on.";
    Branch "branch" "Conditions choose how to go on.";
    Parallel "parallel" "Several looks, or several playbooks, at the same time.";
    Foreach "foreach" "A verb that changes something, for each item of a list.";
    Input "input" "A person gives values that later steps use.";
    Notify "notify" "Stakeholders are told, by a verb of `comms` or by a person.";
    Escalate "escalate" "Somebody is called, by a verb of `comms` or by a person.";
    Evidence "evidence" "What a look answers is kept as evidence.";
    SubPlaybook "sub_playbook" "Another playbook is run to its end.";
    Sleep "sleep" "A time passes.";
}

impl<'de> Deserialize<'de> for StepType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::ALL.iter().copied().find(|kind| kind.word() == text).ok_or_else(|| {
            let all: Vec<String> = Self::ALL.iter().map(|kind| format!("`{}`", kind.word())).collect();
            de::Error::custom(format!("unknown step type `{text}`, expected one of {}", all.join(", ")))
        })
    }
}

/// What carrying a step out amounts to, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A request that only looks.
    Looks,
    /// A request that changes something: intent, confirmation, approvals, start, outcome.
    Acts,
    /// The same without a request: only people say yes.
    Gate,
    /// Waits for conditions.
    Waits,
    /// A person does something outside.
    Person,
    /// A person chooses.
    Decides,
    /// Conditions choose.
    Branches,
    /// A person gives values.
    Asks,
    /// Time passes.
    Sleeps,
    /// Another run.
    Child,
}
