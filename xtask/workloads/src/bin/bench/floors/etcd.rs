use std::collections::VecDeque;
use std::time::Duration;

use dlock_workloads::Result;
use etcd_client::{
    Client, Compare, CompareOp, EventType, KvClient, PutOptions, Txn, TxnOp, WatchStream,
};

use super::{PATIENCE, STOP, Token};
use crate::cases::Cycle;
use crate::turns::Player;

const TTL_S: i64 = 600;

/// One connection and a lease that is there already: a transaction that puts the key if it is absent,
/// and one that deletes it if it is still ours.
#[derive(Clone)]
pub struct EtcdFloor {
    client: KvClient,
    lease: i64,
}

impl EtcdFloor {
    pub async fn connect(url: &str) -> Result<Self> {
        let mut client = Client::connect([url], None).await?;
        let lease = client.lease_grant(TTL_S, None).await?.id();
        Ok(Self {
            client: client.kv_client(),
            lease,
        })
    }

    /// The key's creation revision.
    async fn take(&mut self, key: &str) -> Result<i64> {
        let put = TxnOp::put(key, "held", Some(PutOptions::new().with_lease(self.lease)));
        let absent = Compare::create_revision(key, CompareOp::Equal, 0);
        let answer = self.client.txn(Txn::new().when([absent]).and_then([put]));
        let answer = answer.await?;
        if !answer.succeeded() {
            return Err("the floor's lock was held".into());
        }
        Ok(answer.header().ok_or("no header")?.revision())
    }

    async fn free(&mut self, key: &str, created: i64) -> Result<()> {
        let ours = Compare::create_revision(key, CompareOp::Equal, created);
        let delete = TxnOp::delete(key, None);
        let answer = self.client.txn(Txn::new().when([ours]).and_then([delete]));
        if !answer.await?.succeeded() {
            return Err("the floor's lock was lost".into());
        }
        Ok(())
    }
}

impl Cycle for EtcdFloor {
    async fn acquire_and_release(&mut self, key: &str) -> Result<()> {
        let created = self.take(key).await?;
        self.free(key, created).await
    }
}

/// A token passed between two connections: a put on one, and its watch event on the other.
pub struct EtcdToken {
    client: KvClient,
    arrivals: WatchStream,
    arrived: VecDeque<u64>,
    to: String,
    turn: u64,
}

impl Token for EtcdToken {
    async fn connect(url: &str, from: String, to: String) -> Result<Self> {
        let mut client = Client::connect([url], None).await?;
        // Without a start revision: one that starts in the past waits for etcd's catch-up loop.
        let mut arrivals = client.watch(from, None).await?;
        let answer = arrivals.message().await?.ok_or("the watch has ended")?;
        if !answer.created() {
            return Err("a watch was not created".into());
        }
        Ok(Self {
            client: client.kv_client(),
            arrivals,
            arrived: VecDeque::new(),
            to,
            turn: 0,
        })
    }

    async fn pass(&mut self, turn: u64) -> Result<()> {
        let (to, turn) = (self.to.as_str(), turn.to_string());
        self.client.put(to, turn, None).await?;
        Ok(())
    }
}

impl EtcdToken {
    async fn arrival(&mut self) -> Result<u64> {
        loop {
            if let Some(turn) = self.arrived.pop_front() {
                return Ok(turn);
            }
            let answer = self.arrivals.message().await?;
            for event in answer.ok_or("the watch has ended")?.events() {
                let put = event.kv().filter(|_| event.event_type() == EventType::Put);
                let turn = put.ok_or("a token was deleted")?.value_str()?.parse()?;
                self.arrived.push_back(turn);
            }
        }
    }
}

impl Player for EtcdToken {
    async fn begin(&mut self) -> Result<Option<u64>> {
        let patience = Duration::from_secs(PATIENCE);
        self.turn = tokio::time::timeout(patience, self.arrival()).await??;
        Ok((self.turn != STOP).then_some(self.turn))
    }

    async fn end(&mut self, last: bool) -> Result<()> {
        self.pass(if last { STOP } else { self.turn + 1 }).await
    }
}
