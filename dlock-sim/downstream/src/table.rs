use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dlock_core::fence::{Fence, FenceError, Stamp};

use crate::{Ledger, LedgerError};

/// Invoices in memory, each with its fence. (In PostgreSQL this is a table, with the fence in two columns more:
/// `dlock_core::fence` shows the statements.)
#[derive(Debug, Default)]
pub struct InvoiceTable {
    invoices: BTreeMap<String, Invoice>,
}

#[derive(Debug, Default)]
struct Invoice {
    fence: Fence,
    total: u64,
}

impl InvoiceTable {
    /// Claims an invoice, then reads its total.
    pub fn open(&mut self, holder: Stamp, invoice: &str) -> Result<u64, FenceError> {
        let invoice = self.invoice(invoice);
        invoice.fence.claim(&holder)?;
        Ok(invoice.total)
    }

    /// Writes, if this holder is the newest that has claimed.
    pub fn save(&mut self, holder: Stamp, invoice: &str, total: u64) -> Result<(), FenceError> {
        let invoice = self.invoice(invoice);
        invoice.fence.admit(&holder)?;
        invoice.total = total;
        Ok(())
    }

    /// Writes past the fence: for repairs by hand, while the service is down.
    pub fn overwrite(&mut self, invoice: &str, total: u64) {
        self.invoice(invoice).total = total;
    }

    fn invoice(&mut self, invoice: &str) -> &mut Invoice {
        self.invoices.entry(invoice.to_owned()).or_default()
    }
}

/// A table in this process.
impl Ledger for Mutex<InvoiceTable> {
    async fn open(&self, holder: Stamp, invoice: &str) -> Result<u64, LedgerError> {
        let mut table = self.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(table.open(holder, invoice)?)
    }

    async fn save(&self, holder: Stamp, invoice: &str, total: u64) -> Result<(), LedgerError> {
        let mut table = self.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(table.save(holder, invoice, total)?)
    }
}
