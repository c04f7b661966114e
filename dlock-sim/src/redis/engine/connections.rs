use super::command::{Call, SYNTAX};
use super::{DATABASES, Engine, Reply, Role, Session};
use crate::redis::VERSION;

pub(super) fn ping(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    if call.words.len() > 2 {
        return Err(super::command::wrong_count(call.name));
    }
    let text = call.words.get(1);
    Ok(if call.session.only_listens() {
        Reply::Array(vec![
            Reply::bulk("pong"),
            Reply::bulk(text.map_or(&[][..], Vec::as_slice)),
        ])
    } else {
        text.map_or(Reply::Status(b"PONG".into()), Reply::bulk)
    })
}

pub(super) fn echo(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    Ok(Reply::bulk(&call.words[1]))
}

pub(super) fn select(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let index = call.integer(1)?;
    match usize::try_from(index) {
        Ok(index) if index < DATABASES => {
            call.session.database = index;
            Ok(Reply::OK)
        }
        _ => Err(Reply::error("ERR DB index is out of range")),
    }
}

pub(super) fn hello(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let mut protocol = None;
    if call.words.len() > 1 {
        let version = call
            .integer(1)
            .map_err(|_| Reply::error("ERR Protocol version is not an integer or out of range"))?;
        protocol = match version {
            2 => Some(2),
            3 => Some(3),
            _ => return Err(Reply::error("NOPROTO unsupported protocol version")),
        };
    }
    let mut index = 2;
    while index < call.words.len() {
        let more = call.words.len() - 1 - index;
        match call.option(index).as_str() {
            "auth" if more >= 2 => {
                let (user, password) = (call.word(index + 1), call.word(index + 2));
                if !engine.accepts(user, password) {
                    return Err(WRONG_PASSWORD);
                }
                call.session.authenticated = true;
                index += 2;
            }
            "setname" if more >= 1 => {
                set_name(call.session, &call.words[index + 1])?;
                index += 1;
            }
            _ => {
                let mut text = b"ERR Syntax error in HELLO option '".to_vec();
                text.extend_from_slice(call.word(index));
                text.push(b'\'');
                return Err(Reply::error_text(text));
            }
        }
        index += 1;
    }
    if !call.session.authenticated {
        return Err(Reply::error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(protocol) = protocol {
        call.session.protocol = protocol;
    }
    let role = match engine.role {
        Role::Primary => "master",
        Role::Replica { .. } => "replica",
    };
    let fields = [
        ("server", Reply::bulk("redis")),
        ("version", Reply::bulk(VERSION)),
        ("proto", Reply::Integer(i64::from(call.session.protocol))),
        ("id", Reply::Integer(call.session.id as i64)),
        ("mode", Reply::bulk("standalone")),
        ("role", Reply::bulk(role)),
        ("modules", Reply::Array(Vec::new())),
    ];
    let fields = fields.map(|(name, value)| (Reply::bulk(name), value));
    Ok(Reply::Map(fields.to_vec()))
}

const WRONG_PASSWORD: Reply =
    Reply::error("WRONGPASS invalid username-password pair or user is disabled.");

pub(super) fn auth(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let (user, password) = match call.words {
        [_, password] => {
            if engine.setting("requirepass").is_empty() {
                return Err(Reply::error(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                ));
            }
            (&b"default"[..], password)
        }
        [_, user, password] => (user.as_slice(), password),
        _ => return Err(SYNTAX),
    };
    if !engine.accepts(user, password) {
        return Err(WRONG_PASSWORD);
    }
    call.session.authenticated = true;
    Ok(Reply::OK)
}

pub(super) fn reset(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    engine.forget(call.session);
    *call.session = engine.connect(call.session.id);
    Ok(Reply::Status(b"RESET".into()))
}

pub(super) fn quit(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    call.session.closing = true;
    Ok(Reply::OK)
}

pub(super) fn client_id(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    Ok(Reply::Integer(call.session.id as i64))
}

pub(super) fn client_name(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let name = &call.session.name;
    Ok(Reply::optional((!name.is_empty()).then_some(name)))
}

pub(super) fn client_set_name(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    set_name(call.session, &call.words[2])?;
    Ok(Reply::OK)
}

pub(super) fn client_no_evict(_: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    match call.option(2).as_str() {
        "on" | "off" => Ok(Reply::OK),
        _ => Err(SYNTAX),
    }
}

fn set_name(session: &mut Session, name: &[u8]) -> Result<(), Reply> {
    if name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
        return Err(Reply::error(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    session.name = name.to_vec();
    Ok(())
}

impl Engine {
    fn accepts(&self, user: &[u8], password: &[u8]) -> bool {
        let needed = self.setting("requirepass");
        user == b"default" && (needed.is_empty() || needed.as_bytes() == password)
    }
}
