//! The servers that a lane's tests run on: fresh ones, of which the tests learn by environment.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::etcd_binaries::Etcd;
use crate::etcd_server::{EtcdServer, unsupported_architecture};
use crate::redis_server::RedisServer;

/// What a lane may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Redis,
    Etcd,
}

impl Server {
    pub(crate) const ALL: &[Self] = &[Self::Redis, Self::Etcd];
}

/// The programs to start.
#[derive(Clone, Copy, Default)]
pub(crate) struct Binaries<'a> {
    pub(crate) redis: Option<&'a Path>,
    pub(crate) etcd: Option<&'a Etcd>,
}

/// Stopped when dropped.
pub(crate) struct TestServers<'a> {
    redis: Option<(RedisServer, &'a Path)>,
    etcd: Option<(EtcdServer, &'a Etcd)>,
}

impl<'a> TestServers<'a> {
    pub(crate) fn start(binaries: Binaries<'a>) -> Result<Self> {
        let mut servers = Self {
            redis: None,
            etcd: None,
        };
        if let Some(binary) = binaries.redis {
            let server = RedisServer::start(binary)?;
            println!("on {} ({})", server.version(), binary.display());
            servers.redis = Some((server, binary));
        }
        if let Some(etcd) = binaries.etcd {
            let server = EtcdServer::start(&etcd.server)?;
            println!("on {} ({})", server.version(), etcd.server.display());
            servers.etcd = Some((server, etcd));
        }
        Ok(servers)
    }

    pub(crate) fn tell(&self, command: &mut Command) {
        if let Some((server, binary)) = &self.redis {
            command
                .env("DLOCK_TEST_REDIS", server.url())
                .env("DLOCK_TEST_REDIS_SERVER", binary);
        }
        if let Some((server, etcd)) = &self.etcd {
            command
                .env("DLOCK_TEST_ETCD", server.url())
                .env("DLOCK_TEST_ETCD_SERVER", &etcd.server)
                .env("DLOCK_TEST_ETCDCTL", &etcd.ctl)
                // For the members that the tests start themselves.
                .envs(unsupported_architecture());
        }
        // A test that finds no server must fail here, not skip itself.
        command.env("DLOCK_TEST_REQUIRE_SERVERS", "1");
    }
}
