//! A little invoice service: many processes add items to invoices, one at a time for each invoice.
//!
//! - [`Billing`]: the critical section, and all that the lock is for.
//! - [`Ledger`]: what it needs of the place where invoices are kept.
//! - [`InvoiceTable`]: such a place, with a fence in it.
//!
//! `tests/` runs the same code in dlock's simulated world.

mod billing;
mod ledger;
mod table;

pub use billing::{Billing, BillingError};
pub use ledger::{Ledger, LedgerError};
pub use table::InvoiceTable;
