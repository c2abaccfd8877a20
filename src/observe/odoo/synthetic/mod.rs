//! Trying small pieces of work in a tenant's Odoo, through its JSON API (`POST /json/2/<model>/<method>`, Odoo 19): what
//! is sent ([`script`]), where it may be sent ([`ground`]), and sending it with a clean-up that is verified ([`run`]).
//! The periodic observer and the verb `odoo.synthetic` share it; it knows neither.

pub mod ground;
pub mod run;
pub mod script;

#[cfg(test)]
mod tests;

/// What everything that a synthetic makes is named with, so that its leavings can be told from people's work.
pub const MARK: &str = "quarterdeck-probe/";

/// The code of what it stands on: a customer, products, a place, a bill of materials.
pub const CODE: &str = "QUARTERDECK-PROBE";
