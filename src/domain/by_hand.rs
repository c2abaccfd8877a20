//! What a business does by hand while Odoo is away, and how that is agreed: which process, where, who owns it and how it
//! is done. A person says it by a command, or a playbook by a step.

use super::estate::Estate;
use super::id::TenantId;
use super::text::sanitize;
use serde::{Deserialize, Serialize};

/// What the id of a fallback begins with; then come the process, the tenant and the plant.
pub const FALLBACK: &str = "fallback/";
/// What the id of a reconciliation begins with; the rest is that of its fallback.
pub const RECONCILE: &str = "reconcile/";
/// Least length of the words on a difference, in characters.
const EXPLAINED: usize = 10;
/// Longest words on how it is done, in characters.
const LONGEST: usize = 500;
/// Longest name of an owner, in characters.
const LONGEST_NAME: usize = 80;

/// What is done by hand while Odoo is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// Orders are taken.
    OrderCapture,
    /// Goods leave.
    Shipping,
    /// Goods come in.
    Receiving,
    /// Production reports what it has made and used.
    ProductionReporting,
    /// Which orders come first.
    Priorities,
    /// What was agreed with carriers.
    Carriers,
}

impl Hand {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OrderCapture,
        Self::Shipping,
        Self::Receiving,
        Self::ProductionReporting,
        Self::Priorities,
        Self::Carriers,
    ];

    /// The word in ids and output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OrderCapture => "order-capture",
            Self::Shipping => "shipping",
            Self::Receiving => "receiving",
            Self::ProductionReporting => "production-reporting",
            Self::Priorities => "priorities",
            Self::Carriers => "carriers",
        }
    }

    /// In words for outsiders.
    pub const fn says(self) -> &'static str {
        match self {
            Self::OrderCapture => "orders are taken by hand",
            Self::Shipping => "goods are shipped with paper",
            Self::Receiving => "goods are received with paper",
            Self::ProductionReporting => "production is reported on paper",
            Self::Priorities => "orders have an order of priority",
            Self::Carriers => "carriers are coordinated by phone",
        }
    }

    /// Whether it makes papers that have to be entered and compared.
    pub const fn makes_papers(self) -> bool {
        !matches!(self, Self::Priorities | Self::Carriers)
    }
}

impl Hand {
    /// The process of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hand| hand.word() == word)
    }
}

/// A fallback as it is agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Measure: `fallback/shipping/t017/Kassel`.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Where and how, one line.
    pub what: String,
    /// Who owns it and has to acknowledge it.
    pub owner: String,
}

impl Agreed {
    /// A fallback on an estate.
    ///
    /// # Errors
    /// One sentence: no such tenant or plant, no owner, no words on how.
    pub fn of(
        estate: &Estate,
        process: Hand,
        (tenant, plant): (&TenantId, Option<&str>),
        owner: &str,
        how: &str,
    ) -> Result<Self, String> {
        let line = |text: &str, what: &str, most: usize| {
            let text = sanitize(text.trim());
            let length = text.chars().count();
            if (1..=most).contains(&length) {
                Ok(text)
            } else {
                Err(format!("{what} has to be 1 to {most} characters"))
            }
        };
        let how = line(how, "how it is done", LONGEST)?;
        let owner = line(owner, "the owner", LONGEST_NAME)?;
        let place = place(estate, (tenant, plant))?;
        Ok(Self {
            id: format!("{FALLBACK}{}/{place}", process.word()),
            tenant: tenant.clone(),
            what: format!("{place}: {}: {how}", process.says()),
            owner,
        })
    }

    /// How it is ended.
    pub fn lift(&self) -> String {
        let papers = self.process().is_some_and(Hand::makes_papers);
        let then = if papers { "; its papers are reconciled then" } else { "" };
        format!("quarterdeck continuity end '{}'{then}", self.id)
    }

    fn process(&self) -> Option<Hand> {
        Hand::of(self.id.strip_prefix(FALLBACK)?.split('/').next()?)
    }
}

/// Where something is done by hand: a tenant, or one of its plants.
///
/// # Errors
/// One sentence: no such tenant or plant.
pub fn place(estate: &Estate, (tenant, plant): (&TenantId, Option<&str>)) -> Result<String, String> {
    let Some(known) = estate.tenant(tenant) else {
        return Err(format!("there is no tenant {}", sanitize(tenant.as_str())));
    };
    let Some(plant) = plant else { return Ok(tenant.to_string()) };
    if !known.plants.iter().any(|p| p.name == plant) {
        let plants: Vec<&str> = known.plants.iter().map(|p| p.name.as_str()).collect();
        let plants = if plants.is_empty() { "none".to_owned() } else { plants.join(", ") };
        return Err(format!("{tenant} has no plant {}; it has {plants}", sanitize(plant)));
    }
    Ok(format!("{tenant}/{plant}"))
}

/// The words on a comparison of papers with documents.
///
/// # Errors
/// One sentence: they differ, and nobody says why.
pub fn compared(sheets: u32, documents: u32, text: &str) -> Result<String, String> {
    let text = sanitize(text.trim());
    if sheets != documents && text.chars().count() < EXPLAINED {
        return Err(format!(
            "{sheets} sheets and {documents} documents differ: say in --text what became of the others"
        ));
    }
    let said = format!("{sheets} sheets, {documents} documents");
    Ok(if text.is_empty() { said } else { format!("{said}: {text}") })
}

/// What is owed once a fallback has ended: the measure and what it is; nothing where it made no papers.
pub fn owed(fallback: &str) -> Option<(String, String)> {
    let rest = fallback.strip_prefix(FALLBACK)?;
    let papers = Hand::of(rest.split('/').next()?).is_some_and(Hand::makes_papers);
    papers.then(|| {
        (format!("{RECONCILE}{rest}"), format!("papers of {rest} are to be compared with the documents in Odoo"))
    })
}
