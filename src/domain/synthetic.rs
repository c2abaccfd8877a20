//! What is tried in a tenant's Odoo to know that people can work: one small piece of work from its beginning to its
//! end, in a company that exists for nothing else.

use serde::{Deserialize, Serialize};

/// One kind of such work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Synthetic {
    /// A sales order is made and confirmed.
    SalesOrder,
    /// A piece is moved from one place of a warehouse to another.
    StockMove,
    /// A work order of a manufacturing order is started and paused.
    WorkOrder,
}

impl Synthetic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SalesOrder, Self::StockMove, Self::WorkOrder];

    /// As configuration and playbooks say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SalesOrder => "sales-order",
            Self::StockMove => "stock-move",
            Self::WorkOrder => "work-order",
        }
    }

    /// The module of Odoo that it works with.
    pub const fn module(self) -> &'static str {
        match self {
            Self::SalesOrder => "sale_management",
            Self::StockMove => "stock",
            Self::WorkOrder => "mrp",
        }
    }

    /// The model of what it makes.
    pub const fn document(self) -> &'static str {
        match self {
            Self::SalesOrder => "sale.order",
            Self::StockMove => "stock.picking",
            Self::WorkOrder => "mrp.production",
        }
    }

    /// What is tried, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::SalesOrder => "a sales order is confirmed",
            Self::StockMove => "a piece is moved within the warehouse",
            Self::WorkOrder => "a work order is started and paused",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl std::fmt::Display for Synthetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
