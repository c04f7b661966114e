use std::time::Duration;

use dlock_core::fence::Stamped;
use dlock_core::{LeaseError, Locker, RunError};

use crate::{Ledger, LedgerError};

/// Adds items to invoices.
#[derive(Debug)]
pub struct Billing<L> {
    locker: Locker,
    ledger: L,
    ttl: Duration,
}

/// Why an item may not be on the invoice.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// We lost the lock between reading and writing.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The ledger refused, or did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl<L: Ledger> Billing<L> {
    /// Locks with this locker, for 30 s at a time.
    pub fn new(locker: Locker, ledger: L) -> Self {
        Self {
            locker,
            ledger,
            ttl: Duration::from_secs(30),
        }
    }

    /// Locks for so long at a time: if this process dies, others wait until then.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Adds an item; returns the invoice's new total.
    pub async fn add(&self, invoice: &str, cents: u64) -> Result<u64, RunError<BillingError>> {
        let lock = self.locker.lock(invoice).ttl(self.ttl);
        lock.run(async |lease| {
            // The token travels with every request: the ledger refuses us once somebody newer has come.
            let stamp = lease.stamp();
            let total = self.ledger.open(stamp, invoice).await? + cents;
            // Saves a request that would be refused. What protects the data is the fence.
            lease.check()?;
            self.ledger.save(stamp, invoice, total).await?;
            Ok(total)
        })
        .await
    }
}
