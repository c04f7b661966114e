use super::command::{Call, NO_INTEGER, SYNTAX, WRONG_TYPE, integer};
use super::{Engine, Reply, Value};

pub(super) fn get(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let key = &call.words[1];
    Ok(Reply::optional(engine.text(call, key)?))
}

pub(super) fn strlen(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let key = &call.words[1];
    let length = engine.text(call, key)?.map_or(0, Vec::len);
    Ok(Reply::Integer(length as i64))
}

#[derive(Default)]
struct Options {
    only_new: bool,
    only_old: bool,
    get: bool,
    keep: bool,
    /// Whether in seconds, whether from now, and the word.
    end: Option<(bool, bool, usize)>,
}

fn options(call: &Call<'_>) -> Result<Options, Reply> {
    let mut options = Options::default();
    let mut index = 3;
    // The same unit may be said twice: the last one counts.
    let mut unit = None;
    while index < call.words.len() {
        let next = index + 1 < call.words.len();
        let word = call.option(index);
        match word.as_str() {
            "nx" if !options.only_old => options.only_new = true,
            "xx" if !options.only_new => options.only_old = true,
            "get" => options.get = true,
            "keepttl" if options.end.is_none() => options.keep = true,
            "ex" | "px" | "exat" | "pxat"
                if next && !options.keep && unit.as_ref().is_none_or(|unit| *unit == word) =>
            {
                let seconds = word.starts_with('e');
                let relative = !word.ends_with("at");
                index += 1;
                options.end = Some((seconds, relative, index));
                unit = Some(word);
            }
            _ => return Err(SYNTAX),
        }
        index += 1;
    }
    Ok(options)
}

/// The absolute end in ms.
fn end(call: &Call<'_>, seconds: bool, relative: bool, index: usize) -> Result<i64, Reply> {
    let invalid = || {
        Reply::error_text(format!(
            "ERR invalid expire time in '{}' command",
            call.name
        ))
    };
    let mut number = call.integer(index)?;
    if number <= 0 {
        return Err(invalid());
    }
    if seconds {
        number = number.checked_mul(1000).ok_or_else(invalid)?;
    }
    if relative {
        number = number.checked_add(call.now_ms()).ok_or_else(invalid)?;
    }
    Ok(number)
}

pub(super) fn set(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let options = options(call)?;
    let key = &call.words[1];
    let until = match options.end {
        Some((seconds, relative, index)) => Some(end(call, seconds, relative, index)?),
        None => None,
    };
    let before = match options.get {
        true => Some(Reply::optional(engine.text(call, key)?)),
        false => None,
    };
    let found = engine.live(call, key).map(|entry| entry.until_ms);
    if options.only_new && found.is_some() || options.only_old && found.is_none() {
        return Ok(before.unwrap_or(Reply::Null));
    }
    let until = match found {
        Some(kept) if options.keep => kept,
        _ => until,
    };
    engine.store(call, key, Value::Text(call.words[2].clone()), until);
    Ok(before.unwrap_or(Reply::OK))
}

pub(super) fn setnx(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let key = &call.words[1];
    if engine.live(call, key).is_some() {
        return Ok(Reply::Integer(0));
    }
    engine.store(call, key, Value::Text(call.words[2].clone()), None);
    Ok(Reply::Integer(1))
}

pub(super) fn setex(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let until = end(call, call.name == "setex", true, 2)?;
    let key = &call.words[1];
    engine.store(call, key, Value::Text(call.words[3].clone()), Some(until));
    Ok(Reply::OK)
}

pub(super) fn getdel(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let key = &call.words[1];
    let before = engine.text(call, key)?.cloned();
    if before.is_some() {
        engine.keyspace(call.session.database).remove(key);
        engine.touched(call, key);
    }
    Ok(Reply::optional(before.as_ref()))
}

pub(super) fn getset(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let key = &call.words[1];
    let before = engine.text(call, key)?.cloned();
    engine.store(call, key, Value::Text(call.words[2].clone()), None);
    Ok(Reply::optional(before.as_ref()))
}

pub(super) fn mget(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let values = words[1..].iter().map(|key| match engine.text(call, key) {
        Ok(value) => Reply::optional(value),
        Err(_) => Reply::Null,
    });
    Ok(Reply::Array(values.collect()))
}

pub(super) fn mset(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    if words.len().is_multiple_of(2) {
        return Err(super::command::wrong_count(call.name));
    }
    for pair in words[1..].chunks_exact(2) {
        engine.store(call, &pair[0], Value::Text(pair[1].clone()), None);
    }
    Ok(Reply::OK)
}

pub(super) fn append(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let key = &call.words[1];
    engine.text(call, key)?;
    let value = engine.or_insert(call, key, || Value::Text(Vec::new()));
    let length = match value {
        Value::Text(text) => {
            text.extend_from_slice(&call.words[2]);
            text.len()
        }
        _ => 0,
    };
    engine.touched(call, key);
    Ok(Reply::Integer(length as i64))
}

pub(super) fn add(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let by = match call.name {
        "incr" => 1,
        "decr" => -1,
        "incrby" => call.integer(2)?,
        _ => {
            let by = call.integer(2)?;
            by.checked_neg()
                .ok_or(Reply::error("ERR decrement would overflow"))?
        }
    };
    let key = &call.words[1];
    let before = match engine.text(call, key)? {
        Some(text) => integer(text).ok_or(NO_INTEGER)?,
        None => 0,
    };
    let after = before
        .checked_add(by)
        .ok_or(Reply::error("ERR increment or decrement would overflow"))?;
    let until = engine.live(call, key).and_then(|entry| entry.until_ms);
    let text = after.to_string().into_bytes();
    engine.store(call, key, Value::Text(text), until);
    Ok(Reply::Integer(after))
}

impl Engine {
    pub(super) fn text(&mut self, call: &Call<'_>, key: &[u8]) -> Result<Option<&Vec<u8>>, Reply> {
        match self.live(call, key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(WRONG_TYPE),
        }
    }
}
