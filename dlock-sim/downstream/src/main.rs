//! The service itself, on a real Redis: `cargo run -- redis://127.0.0.1/ invoice-42 1999`

use std::error::Error;
use std::sync::Mutex;

use dlock_core::Locker;
use dlock_redis::RedisStore;
use invoice_service::{Billing, InvoiceTable};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, invoice, cents] = &arguments[..] else {
        return Err("say where Redis is, which invoice, and how many cents".into());
    };
    let locker = Locker::new(RedisStore::connect(url).await?);
    let billing = Billing::new(locker.clone(), Mutex::new(InvoiceTable::default()));
    let outcome = billing.add(invoice, cents.parse()?).await;
    // Also after an error: gives back what is still held.
    locker.close().await;
    println!("{invoice} is {} cents now", outcome?);
    Ok(())
}
