//! Real etcd members of our own: on free ports, each with its own folder.

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::etcd_info;
use crate::info::Info;
use crate::server_process::{
    ATTEMPTS, Detached, Lifetime, ServerProcess, command, does_not_start, free_ports,
};

/// A cluster of one member, stopped when dropped.
pub(crate) struct EtcdServer {
    member: Member,
    _folder: TempDir,
}

impl EtcdServer {
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let folder = TempDir::with_prefix("dlock-etcd-").context("making a temporary folder")?;
        let mut members = start(binary, &[folder.path()], Lifetime::OfXtask)?;
        Ok(Self {
            member: members.pop().context("a cluster without a member")?,
            _folder: folder,
        })
    }

    pub(crate) fn url(&self) -> String {
        url(self.member.plan.client)
    }

    pub(crate) fn version(&self) -> &str {
        &self.member.info.version
    }
}

/// Starts a cluster that outlives xtask, for manual work: a member for each folder.
pub(crate) fn start_detached(binary: &Path, folders: &[&Path]) -> Result<Vec<Detached>> {
    let members = start(binary, folders, Lifetime::OfItsOwn)?;
    let detached = members.into_iter().map(|member| Detached {
        port: member.plan.client,
        pid: member.process.detach(),
        info: member.info,
    });
    Ok(detached.collect())
}

pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// What etcd wants to hear on a processor for which its version has no promise.
pub(crate) fn unsupported_architecture() -> Option<(&'static str, &'static str)> {
    (env::consts::ARCH == "aarch64").then_some(("ETCD_UNSUPPORTED_ARCH", "arm64"))
}

struct Member {
    process: ServerProcess,
    plan: Plan,
    info: Info,
}

fn start(binary: &Path, folders: &[&Path], lifetime: Lifetime) -> Result<Vec<Member>> {
    for attempt in 0..ATTEMPTS {
        let plans = Plan::for_members(folders)?;
        let cluster: Vec<String> = plans.iter().map(Plan::in_cluster).collect();
        let cluster = cluster.join(",");
        // None is ready before most of them run.
        let started = folders.iter().zip(plans).map(|(folder, plan)| {
            let mut command = command(binary, lifetime);
            plan.configure(&mut command, &cluster);
            // What an attempt leaves behind would be another cluster's data to the next.
            command.arg("--data-dir");
            command.arg(folder.join(format!("data-{attempt}")));
            Ok((ServerProcess::spawn(command, folder)?, plan))
        });
        let started = started.collect::<Result<Vec<_>>>()?;
        if let Some(members) = until_ready(started)? {
            return Ok(members);
        }
    }
    Err(does_not_start(binary, folders[0]))
}

/// `None` if one of them ended instead; the others end with it.
fn until_ready(started: Vec<(ServerProcess, Plan)>) -> Result<Option<Vec<Member>>> {
    let mut members = Vec::new();
    for (mut process, plan) in started {
        let Some(info) = process.until_ready(|_| plan.ask())? else {
            return Ok(None);
        };
        members.push(Member {
            process,
            plan,
            info,
        });
    }
    Ok(Some(members))
}

/// What a member will be called and where it will listen.
struct Plan {
    name: String,
    client: u16,
    peer: u16,
}

impl Plan {
    fn for_members(folders: &[&Path]) -> Result<Vec<Self>> {
        let ports = free_ports(2 * folders.len())?;
        let plans = folders
            .iter()
            .zip(ports.chunks_exact(2))
            .map(|(folder, ports)| {
                let name = folder.file_name().context("a folder without a name")?;
                Ok(Self {
                    // The random part of the folder's name makes it nobody else's.
                    name: name.to_string_lossy().into_owned(),
                    client: ports[0],
                    peer: ports[1],
                })
            });
        plans.collect()
    }

    fn in_cluster(&self) -> String {
        format!("{}={}", self.name, url(self.peer))
    }

    fn configure(&self, command: &mut std::process::Command, cluster: &str) {
        let (client, peer) = (url(self.client), url(self.peer));
        // An ETCD_ variable beside the flag of its name is an error to etcd.
        for (variable, _) in env::vars_os() {
            if variable.to_string_lossy().starts_with("ETCD_") {
                command.env_remove(variable);
            }
        }
        command
            .envs(unsupported_architecture())
            .args(["--name", &self.name])
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", cluster])
            // Whoever had these ports before was a member of another cluster.
            .args(["--initial-cluster-token", cluster])
            .args(["--logger", "zap", "--log-outputs", "stderr"])
            .args(["--log-level", "error"]);
    }

    /// Another server may have taken the port: only our own member counts.
    fn ask(&self) -> Option<Info> {
        let info = etcd_info::ask(self.client).ok()?;
        let ready = info.run_id == self.name && etcd_info::is_healthy(self.client).ok()?;
        ready.then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_ends_at_once_is_an_error_with_its_name() {
        let error = EtcdServer::start(Path::new("/bin/true")).err().unwrap();
        assert!(error.to_string().contains("/bin/true does not start"));
    }

    #[test]
    fn members_know_each_other_and_share_no_port() {
        let folders = [
            Path::new("/servers/etcd-1-a"),
            Path::new("/servers/etcd-2-b"),
        ];
        let plans = Plan::for_members(&folders).unwrap();
        let names: Vec<_> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["etcd-1-a", "etcd-2-b"]);
        let mut ports: Vec<_> = plans.iter().flat_map(|p| [p.client, p.peer]).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 4);
        let member = plans[0].in_cluster();
        assert_eq!(
            member,
            format!("etcd-1-a=http://127.0.0.1:{}", plans[0].peer)
        );
    }
}
