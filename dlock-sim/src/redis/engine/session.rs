use std::collections::BTreeSet;

/// What the server knows of a connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// `CLIENT ID`
    pub id: u64,
    /// 2 or 3.
    pub protocol: u8,
    /// The selected database.
    pub database: usize,
    /// `CLIENT SETNAME`
    pub name: Vec<u8>,
    /// Whether it may send commands.
    pub authenticated: bool,
    /// It is closed after the answers that are under way.
    pub closing: bool,
    pub(crate) channels: BTreeSet<Vec<u8>>,
    pub(crate) patterns: BTreeSet<Vec<u8>>,
    /// Up to where the replicas have to be for `WAIT`.
    pub(crate) written_to: u64,
}

impl Session {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            protocol: 2,
            database: 0,
            name: Vec::new(),
            authenticated: false,
            closing: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            written_to: 0,
        }
    }

    pub(crate) fn subscriptions(&self) -> i64 {
        (self.channels.len() + self.patterns.len()) as i64
    }

    /// RESP2 connections that listen may do little else.
    pub(crate) fn only_listens(&self) -> bool {
        self.protocol == 2 && self.subscriptions() > 0
    }
}
