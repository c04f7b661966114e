use super::command::{Call, SYNTAX};
use super::{DATABASES, Engine, Reply};

pub(super) fn del(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let mut removed = 0;
    for key in &call.words[1..] {
        if engine.live(call, key).is_some() {
            engine.keyspace(call.session.database).remove(key);
            engine.touched(call, key);
            removed += 1;
        }
    }
    Ok(Reply::Integer(removed))
}

pub(super) fn exists(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let there = words[1..]
        .iter()
        .filter(|key| engine.live(call, key).is_some());
    Ok(Reply::Integer(there.count() as i64))
}

pub(super) fn kind(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let kind = engine
        .live(call, &call.words[1])
        .map_or("none", |entry| entry.value.kind());
    Ok(Reply::Status(kind.as_bytes().into()))
}

pub(super) fn expire(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let (mut only_without, mut only_with, mut greater, mut less) = (false, false, false, false);
    for index in 3..call.words.len() {
        match call.option(index).as_str() {
            "nx" => only_without = true,
            "xx" => only_with = true,
            "gt" => greater = true,
            "lt" => less = true,
            _ => {
                let mut text = b"ERR Unsupported option ".to_vec();
                text.extend_from_slice(call.word(index));
                return Err(Reply::error_text(text));
            }
        }
    }
    if only_without && (only_with || greater || less) {
        return Err(Reply::error(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if greater && less {
        return Err(Reply::error(
            "ERR GT and LT options at the same time are not compatible",
        ));
    }
    let invalid = || {
        Reply::error_text(format!(
            "ERR invalid expire time in '{}' command",
            call.name
        ))
    };
    let mut until = call.integer(2)?;
    if !call.name.starts_with('p') {
        until = until.checked_mul(1000).ok_or_else(invalid)?;
    }
    if !call.name.ends_with("at") {
        until = until.checked_add(call.now_ms()).ok_or_else(invalid)?;
    }
    let key = &call.words[1];
    let Some(before) = engine.live(call, key).map(|entry| entry.until_ms) else {
        return Ok(Reply::Integer(0));
    };
    let refused = only_without && before.is_some()
        || only_with && before.is_none()
        || greater && before.is_none_or(|before| until <= before)
        || less && before.is_some_and(|before| until >= before);
    if refused {
        return Ok(Reply::Integer(0));
    }
    let now_ms = call.now_ms();
    let keyspace = engine.keyspace(call.session.database);
    if until <= now_ms {
        keyspace.remove(key);
    } else {
        keyspace.set_end(key, Some(until));
    }
    engine.touched(call, key);
    Ok(Reply::Integer(1))
}

pub(super) fn persist(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let key = &call.words[1];
    let ends = engine
        .live(call, key)
        .is_some_and(|entry| entry.until_ms.is_some());
    if ends {
        engine.keyspace(call.session.database).set_end(key, None);
        engine.touched(call, key);
    }
    Ok(Reply::Integer(i64::from(ends)))
}

pub(super) fn ttl(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let Some(entry) = engine.live(call, &call.words[1]) else {
        return Ok(Reply::Integer(-2));
    };
    let Some(until) = entry.until_ms else {
        return Ok(Reply::Integer(-1));
    };
    let shown = match call.name.ends_with("time") {
        true => until,
        false => (until - call.now_ms()).max(0),
    };
    Ok(Reply::Integer(match call.name.starts_with('p') {
        true => shown,
        false => (shown / 1000).saturating_add((shown % 1000 + 500) / 1000),
    }))
}

pub(super) fn keys(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let now_ms = call.now_ms();
    let pattern = &call.words[1];
    let all = pattern == b"*";
    let keyspace = engine.keyspace(call.session.database);
    let keys = keyspace
        .entries()
        .filter(|(key, entry)| !entry.is_over(now_ms) && (all || matches(pattern, key)))
        .map(|(key, _)| Reply::bulk(key));
    Ok(Reply::Array(keys.collect()))
}

pub(super) fn dbsize(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let keyspace = engine.keyspace(call.session.database);
    Ok(Reply::Integer(keyspace.len() as i64))
}

pub(super) fn flush(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    match call.words.len() {
        1 => {}
        2 if matches!(call.option(1).as_str(), "sync" | "async") => {}
        _ => return Err(SYNTAX),
    }
    let databases = match call.name {
        "flushall" => 0..DATABASES,
        _ => call.session.database..call.session.database + 1,
    };
    engine.clear(databases);
    Ok(Reply::OK)
}

impl Engine {
    /// Removes all keys of these databases.
    pub(crate) fn clear(&mut self, databases: std::ops::Range<usize>) {
        for database in databases {
            if let Some(keyspace) = self.keyspaces.get_mut(database) {
                let cleared = std::mem::take(keyspace);
                let keys = cleared.entries().map(|(key, _)| (database, key.clone()));
                self.changed.extend(keys);
            }
        }
    }
}

/// Glob patterns, as `KEYS` and `PSUBSCRIBE` have them.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // As the server has it: `*` does not match nothing at all.
    match text {
        [] => pattern.is_empty(),
        _ => rest_matches(pattern, text),
    }
}

fn rest_matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| rest_matches(rest, &text[skip..])),
        Some((b'?', rest)) => !text.is_empty() && rest_matches(rest, &text[1..]),
        Some((b'[', rest)) => {
            let Some((&first, others)) = text.split_first() else {
                return false;
            };
            let (not, mut rest) = match rest.strip_prefix(b"^") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let mut hit = false;
            loop {
                match rest {
                    [b'\\', byte, after @ ..] => {
                        hit |= *byte == first;
                        rest = after;
                    }
                    [b']', after @ ..] => {
                        rest = after;
                        break;
                    }
                    [] => break,
                    [low, b'-', high, after @ ..] => {
                        let (low, high) = (low.min(high), low.max(high));
                        hit |= (low..=high).contains(&&first);
                        rest = after;
                    }
                    [byte, after @ ..] => {
                        hit |= *byte == first;
                        rest = after;
                    }
                }
            }
            hit != not && rest_matches(rest, others)
        }
        Some((b'\\', [byte, rest @ ..])) => {
            text.first() == Some(byte) && rest_matches(rest, &text[1..])
        }
        Some((byte, rest)) => text.first() == Some(byte) && rest_matches(rest, &text[1..]),
    }
}
