use std::sync::Arc;
use std::time::Duration;

use dlock_core::LockName;
use dlock_core::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::keys::Keys;
use crate::lease::{Keepalives, Pool};
use crate::members::{Members, Source};
use crate::minder::Minder;
use crate::table::Table;
use crate::watch::Hub;

/// What all clones of a store share.
pub(crate) struct Inner {
    pub members: Arc<Members>,
    pub keepalives: Arc<Keepalives>,
    pub pool: Arc<Pool>,
    pub hub: Arc<Hub>,
    pub minder: Arc<Minder>,
    pub table: Arc<Table>,
    /// Turns to ask about the order of a queue that many stand in.
    pub crowd: Semaphore,
    pub prefix: String,
}

const TURNS: usize = 4;

impl Inner {
    pub fn new(
        source: Source,
        runtime: Arc<dyn Runtime>,
        connect_timeout: Duration,
        response_timeout: Duration,
        prefix: String,
    ) -> Arc<Self> {
        let members = Members::new(source, runtime, connect_timeout, response_timeout);
        let keepalives = Keepalives::new(members.clone());
        let pool = Pool::new(members.clone(), keepalives.clone());
        let hub = Hub::new(members.clone());
        let table = Arc::new(Table::default());
        let minder = Minder::new(members.clone(), hub.clone(), pool.clone(), table.clone());
        Arc::new(Self {
            members,
            keepalives,
            pool,
            hub,
            minder,
            table,
            crowd: Semaphore::new(TURNS),
            prefix,
        })
    }

    pub fn runtime(&self) -> &dyn Runtime {
        &*self.members.runtime
    }

    pub fn keys(&self, name: &LockName) -> Keys {
        Keys::new(&self.prefix, name)
    }
}

impl Drop for Inner {
    /// Ends the streams. Nothing is released: leases end by themselves.
    fn drop(&mut self) {
        for candidate in self.table.drain() {
            let remains = candidate.end();
            remains
                .leases
                .iter()
                .for_each(|one| self.pool.leave_alone(one));
        }
        self.hub.close();
        self.keepalives.close();
        self.pool.abandon();
    }
}
