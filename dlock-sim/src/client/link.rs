use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::timeout;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Mutex;

use super::SimClient;
use super::storage::STORAGE;
use crate::world::SimStream;

/// A connection to the machine with the protected resources: a line of JSON there, a line back.
#[derive(Clone)]
pub(crate) struct Link {
    port: u16,
    pub patience: Duration,
    connection: Arc<Mutex<Option<BufReader<SimStream>>>>,
}

impl Link {
    pub fn to(port: u16) -> Self {
        Self {
            port,
            patience: Duration::from_secs(2),
            connection: Arc::default(),
        }
    }

    /// None: no answer came in time. It may or may not have been done.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        client: &SimClient,
        question: &Q,
    ) -> Option<A> {
        let runtime = client.runtime();
        let until = runtime.now() + self.patience;
        let exchange = self.exchange(client, question);
        timeout(&*runtime, until, exchange).await.ok().flatten()
    }

    async fn exchange<Q: Serialize, A: DeserializeOwned>(
        &self,
        client: &SimClient,
        question: &Q,
    ) -> Option<A> {
        let mut slot = self.connection.lock().await;
        // Taken out, so that whatever happens, an answer that nobody heard is not the next one's.
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => {
                let machine = client.machine();
                let stream =
                    SimStream::connect(machine, STORAGE, self.port, client.is_verbose()).await;
                BufReader::new(stream.ok()?)
            }
        };
        let mut line = serde_json::to_vec(question).ok()?;
        line.push(b'\n');
        connection.write_all(&line).await.ok()?;
        let mut answer = String::new();
        if connection.read_line(&mut answer).await.ok()? == 0 {
            return None;
        }
        let answer = serde_json::from_str(&answer).ok()?;
        *slot = Some(connection);
        Some(answer)
    }
}
