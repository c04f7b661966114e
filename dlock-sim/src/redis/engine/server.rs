use super::command::{Call, SYNTAX};
use super::keys::matches;
use super::{Engine, Outcome, Reply, Role};
use crate::redis::VERSION;

/// The settings that can be looked at and changed, with their defaults.
const SETTINGS: &[(&str, &str)] = &[
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("replica-serve-stale-data", "yes"),
    ("requirepass", ""),
    ("save", ""),
    ("timeout", "0"),
];

pub(super) fn time(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let seconds = call.now_us.div_euclid(1_000_000);
    let micros = call.now_us.rem_euclid(1_000_000);
    Ok(Reply::Array(
        [seconds, micros]
            .map(|number| Reply::bulk(number.to_string()))
            .to_vec(),
    ))
}

pub(super) fn info(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let sections: Vec<String> = (1..call.words.len())
        .map(|index| call.option(index))
        .collect();
    let wanted = |name: &str| {
        sections.is_empty()
            || sections
                .iter()
                .any(|section| [name, "all", "default", "everything"].contains(&section.as_str()))
    };
    let mut parts = Vec::new();
    if wanted("server") {
        parts.push(format!(
            "# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nrun_id:{}\r\ntcp_port:{}\r\nserver_time_usec:{}\r\n",
            engine.run_id, engine.port, call.now_us
        ));
    }
    if wanted("persistence") {
        let loading = u8::from(engine.loading);
        parts.push(format!("# Persistence\r\nloading:{loading}\r\n"));
    }
    if wanted("replication") {
        let (role, primary) = match &engine.role {
            Role::Primary => ("master", String::new()),
            Role::Replica { primary } => (
                "slave",
                format!("master_host:{primary}\r\nmaster_link_status:up\r\nslave_read_only:1\r\n"),
            ),
        };
        parts.push(format!(
            "# Replication\r\nrole:{role}\r\n{primary}connected_slaves:{}\r\nmaster_replid:{}\r\nmaster_repl_offset:{}\r\n",
            engine.replicas, engine.replication_id, engine.offset
        ));
    }
    Ok(Reply::Verbatim(*b"txt", parts.join("\r\n").into_bytes()))
}

pub(super) fn config_get(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let wanted = |name: &str| {
        let words = &call.words[2..];
        words
            .iter()
            .any(|word| matches(&word.to_ascii_lowercase(), name.as_bytes()))
    };
    let pairs = SETTINGS
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, _)| (Reply::bulk(name), Reply::bulk(engine.setting(name))));
    Ok(Reply::Map(pairs.collect()))
}

pub(super) fn config_set(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let pairs = &call.words[2..];
    if pairs.len() % 2 == 1 {
        return Err(SYNTAX);
    }
    let mut changes = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let name = String::from_utf8_lossy(&pair[0]).to_ascii_lowercase();
        let Some((name, _)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
            let mut text = b"ERR Unknown option or number of arguments for CONFIG SET - '".to_vec();
            text.extend_from_slice(&pair[0]);
            text.push(b'\'');
            return Err(Reply::error_text(text));
        };
        let value = String::from_utf8_lossy(&pair[1]).into_owned();
        if *name == "maxmemory" && value.parse::<u64>().is_err() {
            return Err(Reply::error(
                "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
            ));
        }
        changes.push((*name, value));
    }
    engine.settings.extend(changes);
    Ok(Reply::OK)
}

pub(super) fn config_resetstat(_: &mut Engine, _: &mut Call<'_>) -> Result<Reply, Reply> {
    Ok(Reply::OK)
}

pub(super) fn replicaof(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    if call.option(1) == "no" && call.option(2) == "one" {
        engine.role = Role::Primary;
        return Ok(Reply::OK);
    }
    let port = call
        .integer(2)
        .ok()
        .filter(|port| (0..=65535).contains(port))
        .ok_or(Reply::error("ERR Invalid master port"))?;
    let host = String::from_utf8_lossy(call.word(1));
    let role = Role::Replica {
        primary: format!("{host}:{port}"),
    };
    if engine.role == role {
        return Ok(Reply::Status(
            b"OK Already connected to specified master".into(),
        ));
    }
    engine.role = role;
    Ok(Reply::OK)
}

pub(super) fn role(engine: &mut Engine, _: &mut Call<'_>) -> Result<Reply, Reply> {
    Ok(Reply::Array(match &engine.role {
        Role::Primary => vec![
            Reply::bulk("master"),
            Reply::Integer(engine.offset as i64),
            Reply::Array(Vec::new()),
        ],
        Role::Replica { primary } => vec![
            Reply::bulk("slave"),
            Reply::bulk(primary),
            Reply::Integer(0),
            Reply::bulk("connected"),
            Reply::Integer(engine.offset as i64),
        ],
    }))
}

/// `WAIT` has a reply that comes later: see [`wait`].
pub(super) fn wait_elsewhere(_: &mut Engine, _: &mut Call<'_>) -> Result<Reply, Reply> {
    Err(SYNTAX)
}

pub(super) fn wait(engine: &Engine, call: &Call<'_>) -> Result<Outcome, Reply> {
    if engine.role != Role::Primary {
        return Err(Reply::error(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.",
        ));
    }
    let replicas = call.integer(1)?;
    let timeout_ms = call
        .integer(2)
        .map_err(|_| Reply::error("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(Reply::error("ERR timeout is negative"));
    }
    Ok(Outcome::Wait {
        replicas,
        timeout_ms,
    })
}

impl Engine {
    pub(crate) fn setting(&self, name: &str) -> &str {
        let default = || SETTINGS.iter().find(|(known, _)| *known == name);
        match self.settings.get(name) {
            Some(value) => value,
            None => default().map_or("", |(_, value)| value),
        }
    }
}
