use std::future::Future;

use dlock_core::fence::{FenceError, Stamp};

/// Where invoices are kept, with one fence for each of them.
pub trait Ledger {
    /// Claims the invoice for the lock's holder, then reads its total: older holders are refused from here on.
    fn open(
        &self,
        holder: Stamp,
        invoice: &str,
    ) -> impl Future<Output = Result<u64, LedgerError>> + Send;

    /// Writes the total, if nobody newer has claimed the invoice.
    fn save(
        &self,
        holder: Stamp,
        invoice: &str,
        total: u64,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// Why a ledger did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The fence refused.
    #[error("the ledger refused: {0}")]
    Refused(String),
    /// No answer came: it may or may not have been done.
    #[error("the ledger did not answer")]
    Unreachable,
}

impl From<FenceError> for LedgerError {
    fn from(error: FenceError) -> Self {
        Self::Refused(error.to_string())
    }
}
