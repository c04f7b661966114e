//! The service as the world sees it: its table on a machine of its own, reached over the network.

use dlock_core::fence::Stamp;
use dlock_core::{FencingToken, GrantHash};
use dlock_sim::{
    Access, Faults, ProtectedResource, Remote, SimClient, SimRedis, Simulation, Visit,
};
use invoice_service::{Billing, InvoiceTable, Ledger, LedgerError};
use serde::{Deserialize, Serialize};

/// Three processes of the service, on a Redis with a replica, under faults of all kinds.
pub fn simulation() -> Simulation {
    Simulation::new()
        .store(SimRedis::primary_with_replica())
        .resource("invoices", || Database(InvoiceTable::default()))
        .clients(3, |client| async move {
            let ledger = Connection::of(&client);
            add_an_item(&client, ledger).await;
        })
        .faults(Faults::swarm())
}

/// What each process does, again and again.
pub async fn add_an_item(client: &SimClient, ledger: impl Ledger) {
    // The faults know these names and this TTL: keys are deleted, and pauses are longer than it.
    let names = client.lock_names();
    let invoice = &names[client.random_below(names.len() as u64) as usize];
    let billing = Billing::new(client.locker(), ledger).ttl(client.ttl());
    // An error is a right answer, as long as nothing stale is written.
    let _ = billing.add(invoice, 100).await;
}

/// The table, behind the network, telling the checker what it does.
struct Database(InvoiceTable);

/// What travels to it. A stamp is two columns: the token, and the hash of the grant.
#[derive(Serialize, Deserialize)]
struct Query {
    token: u64,
    grant: String,
    invoice: String,
    statement: Statement,
}

#[derive(Serialize, Deserialize)]
enum Statement {
    Open,
    Save { total: u64 },
    Overwrite { total: u64 },
}

impl ProtectedResource for Database {
    type Request = Query;
    type Reply = Result<u64, String>;

    fn serve(&mut self, query: Query, visit: &Visit<'_>) -> Result<u64, String> {
        let Query {
            token,
            grant,
            invoice,
            statement,
        } = query;
        let token = FencingToken::new(token).ok_or("no token")?;
        let grant = GrantHash::parse(&grant).ok_or("no grant")?;
        let holder = Stamp { token, grant };
        let (access, answer) = match statement {
            Statement::Open => (Access::claim(&holder), self.0.open(holder, &invoice)),
            Statement::Save { total } => {
                let saved = self.0.save(holder, &invoice, total);
                (Access::write(&holder), saved.map(|()| total))
            }
            Statement::Overwrite { total } => {
                self.0.overwrite(&invoice, total);
                (Access::unfenced_write(), Ok(total))
            }
        };
        visit.report(access.accepted(answer.is_ok()).of(&invoice));
        answer.map_err(|refusal| refusal.to_string())
    }
}

/// A process's connection to the table.
pub struct Connection {
    client: SimClient,
    database: Remote<Database>,
}

impl Connection {
    pub fn of(client: &SimClient) -> Self {
        Self {
            client: client.clone(),
            database: client.resource_of("invoices"),
        }
    }

    async fn ask(
        &self,
        holder: Stamp,
        invoice: &str,
        statement: Statement,
    ) -> Result<u64, LedgerError> {
        let query = Query {
            token: holder.token.value(),
            grant: holder.grant.to_string(),
            invoice: invoice.to_owned(),
            statement,
        };
        let answer = self.database.ask(query).await;
        answer
            .map_err(|_| LedgerError::Unreachable)?
            .map_err(LedgerError::Refused)
    }
}

impl Ledger for Connection {
    async fn open(&self, holder: Stamp, invoice: &str) -> Result<u64, LedgerError> {
        self.ask(holder, invoice, Statement::Open).await
    }

    async fn save(&self, holder: Stamp, invoice: &str, total: u64) -> Result<(), LedgerError> {
        // After the last check, before the write: here a pause hurts most.
        self.client.safe_point("before-write").await;
        self.ask(holder, invoice, Statement::Save { total })
            .await
            .map(drop)
    }
}

/// The deliberate bug: the write goes past the fence, trusting that the lock was held a moment ago.
pub struct Trusting(pub Connection);

impl Ledger for Trusting {
    async fn open(&self, holder: Stamp, invoice: &str) -> Result<u64, LedgerError> {
        self.0.open(holder, invoice).await
    }

    async fn save(&self, holder: Stamp, invoice: &str, total: u64) -> Result<(), LedgerError> {
        self.0.client.safe_point("before-write").await;
        let statement = Statement::Overwrite { total };
        self.0.ask(holder, invoice, statement).await.map(drop)
    }
}
