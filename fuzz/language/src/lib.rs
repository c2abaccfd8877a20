//! The vocabulary, policy, playbooks and the protocol of the socket, from the program's own sources.

#![allow(missing_docs, dead_code, reason = "the sources are documented and checked where they belong")]

#[path = "../../../src/config/mod.rs"]
pub mod config;
#[path = "../../../src/domain/mod.rs"]
pub mod domain;
#[path = "../../../src/playbook/mod.rs"]
pub mod playbook;
#[path = "../../../src/policy/mod.rs"]
pub mod policy;

pub mod engine {
    #[path = "../../../../src/engine/api.rs"]
    pub mod api;

    pub mod attach {
        /// Parts go from the engine to its consoles; only their name stands in a message.
        pub mod parts {
            #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
            pub enum Part {
                Whole,
            }
        }
        #[path = "../../../../../src/engine/attach/wire.rs"]
        pub mod wire;
    }
}
