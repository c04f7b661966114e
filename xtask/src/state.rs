//! What `servers up` started: a file from which `servers down` knows its own servers again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::etcd_info;
use crate::etcd_server;
use crate::info::Info;
use crate::redis_info;
use crate::redis_server;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `redis`, `valkey`, `etcd`, or one of a cluster: `etcd-1`.
    pub(crate) kind: String,
    pub(crate) port: u16,
    pub(crate) pid: u32,
    pub(crate) run_id: String,
    pub(crate) folder: PathBuf,
}

/// What became of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Running(Info),
    /// Nobody listens on its port, or somebody else.
    Gone,
    /// Whoever has its port does not answer, so it cannot be asked for its run id.
    Silent,
}

impl Entry {
    pub(crate) fn fate(&self) -> Fate {
        self.judge(if self.is_etcd() {
            etcd_info::ask(self.port)
        } else {
            redis_info::ask(self.port)
        })
    }

    pub(crate) fn is_etcd(&self) -> bool {
        self.kind.starts_with("etcd")
    }

    pub(crate) fn url(&self) -> String {
        if self.is_etcd() {
            etcd_server::url(self.port)
        } else {
            redis_server::url(self.port)
        }
    }

    fn judge(&self, answer: std::io::Result<Info>) -> Fate {
        match answer {
            Ok(info) if info.run_id == self.run_id => Fate::Running(info),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Fate::Silent
            }
            Ok(_) | Err(_) => Fate::Gone,
        }
    }

    /// Whether the process with its number still works in its folder, which is nobody else's.
    pub(crate) fn process_is_ours(&self) -> bool {
        let cwd = fs::read_link(format!("/proc/{}/cwd", self.pid));
        let folder = fs::canonicalize(&self.folder);
        matches!((cwd, folder), (Ok(cwd), Ok(folder)) if cwd == folder)
    }
}

pub(crate) fn load(file: &Path) -> Result<Vec<Entry>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    parse(&text).with_context(|| {
        format!(
            "{} cannot be read: stop the servers it names and delete it",
            file.display()
        )
    })
}

pub(crate) fn save(file: &Path, entries: &[Entry]) -> Result<()> {
    let values: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "kind": entry.kind,
                "port": entry.port,
                "pid": entry.pid,
                "run_id": entry.run_id,
                "folder": entry.folder,
            })
        })
        .collect();
    // Renamed into place: an interrupt must not leave half a file.
    let whole = file.with_extension("new");
    fs::write(&whole, format!("{:#}\n", Value::from(values)))
        .and_then(|()| fs::rename(&whole, file))
        .with_context(|| format!("writing {}", file.display()))
}

fn parse(text: &str) -> Result<Vec<Entry>> {
    let values: Vec<Value> = serde_json::from_str(text)?;
    values.iter().map(entry).collect()
}

fn entry(value: &Value) -> Result<Entry> {
    let text = |key: &str| {
        let text = value[key].as_str();
        text.map(str::to_owned).with_context(|| format!("no {key}"))
    };
    let number = |key: &str| value[key].as_u64().with_context(|| format!("no {key}"));
    Ok(Entry {
        kind: text("kind")?,
        port: number("port")?.try_into()?,
        pid: number("pid")?.try_into()?,
        run_id: text("run_id")?,
        folder: text("folder")?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn example() -> Entry {
        Entry {
            kind: "redis".into(),
            port: 45_123,
            pid: std::process::id(),
            run_id: "aa".into(),
            folder: "/somewhere/else".into(),
        }
    }

    fn info(run_id: &str) -> Info {
        Info {
            version: "Redis 7.0.15".into(),
            run_id: run_id.into(),
            pid: Some(7),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        assert_eq!(load(&file).unwrap(), []);
        save(&file, &[example()]).unwrap();
        assert_eq!(load(&file).unwrap(), [example()]);
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        for broken in ["", "{}", r#"[{"kind": "redis", "port": 70000}]"#] {
            fs::write(&file, broken).unwrap();
            let error = load(&file).unwrap_err().to_string();
            assert!(error.contains("state.json"), "{error}");
        }
    }

    #[test]
    fn only_the_same_run_id_is_the_same_server() {
        let entry = example();
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        let timeout = io::Error::from(ErrorKind::WouldBlock);
        assert_eq!(entry.judge(Ok(info("aa"))), Fate::Running(info("aa")));
        assert_eq!(entry.judge(Ok(info("bb"))), Fate::Gone);
        assert_eq!(entry.judge(Err(refused)), Fate::Gone);
        assert_eq!(entry.judge(Err(timeout)), Fate::Silent);
    }

    #[test]
    fn members_of_a_cluster_are_etcd_too() {
        let mut entry = example();
        assert_eq!(entry.url(), "redis://127.0.0.1:45123");
        for kind in ["etcd", "etcd-1"] {
            entry.kind = kind.into();
            assert_eq!(entry.url(), "http://127.0.0.1:45123");
        }
    }

    #[test]
    fn a_process_that_got_the_same_number_is_not_ours() {
        let mut entry = example();
        assert!(!entry.process_is_ours());
        entry.folder = std::env::temp_dir();
        assert!(!entry.process_is_ours());
        if cfg!(target_os = "linux") {
            entry.folder = std::env::current_dir().unwrap();
            assert!(entry.process_is_ours());
        }
    }
}
