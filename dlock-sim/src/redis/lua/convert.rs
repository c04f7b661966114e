use mlua::{Lua, Result, Table, Value};

use crate::redis::engine::{Reply, general};

/// As deep as a script's answer may be nested.
const DEEPEST: usize = 500;

/// What a command answers, as a script sees it.
pub(super) fn to_lua(lua: &Lua, reply: &Reply, protocol: u8) -> Result<Value> {
    let three = protocol == 3;
    Ok(match reply {
        Reply::Status(text) => single(lua, "ok", Value::String(lua.create_string(text)?))?,
        Reply::Error(text) => Value::Table(error_table(lua, text)?),
        Reply::Integer(number) => Value::Number(*number as f64),
        Reply::Bulk(text) => Value::String(lua.create_string(text)?),
        Reply::Null | Reply::NullArray if three => Value::Nil,
        Reply::Null | Reply::NullArray => Value::Boolean(false),
        Reply::Array(items) | Reply::Push(items) | Reply::Several(items) => {
            array(lua, items.iter(), protocol)?
        }
        Reply::Set(items) if three => {
            let set = lua.create_table()?;
            for item in items {
                set.raw_set(to_lua(lua, item, protocol)?, true)?;
            }
            single(lua, "set", Value::Table(set))?
        }
        Reply::Set(items) => array(lua, items.iter(), protocol)?,
        Reply::Map(pairs) if three => {
            let map = lua.create_table()?;
            for (key, value) in pairs {
                map.raw_set(to_lua(lua, key, protocol)?, to_lua(lua, value, protocol)?)?;
            }
            single(lua, "map", Value::Table(map))?
        }
        Reply::Pairs(pairs) if three => {
            let all = lua.create_table()?;
            for (index, (key, value)) in pairs.iter().enumerate() {
                all.raw_set(index + 1, array(lua, [key, value].into_iter(), protocol)?)?;
            }
            Value::Table(all)
        }
        Reply::Map(pairs) | Reply::Pairs(pairs) => {
            let flat = pairs.iter().flat_map(|(key, value)| [key, value]);
            array(lua, flat, protocol)?
        }
        Reply::Double(number) if three => single(lua, "double", Value::Number(*number))?,
        Reply::Double(number) => Value::String(lua.create_string(general(*number, 17))?),
        Reply::Boolean(yes) if three => Value::Boolean(*yes),
        Reply::Boolean(yes) => Value::Number(f64::from(u8::from(*yes))),
        Reply::BigNumber(digits) if three => {
            single(lua, "big_number", Value::String(lua.create_string(digits)?))?
        }
        Reply::BigNumber(text) => Value::String(lua.create_string(text)?),
        Reply::Verbatim(format, text) if three => {
            let parts = lua.create_table()?;
            parts.raw_set("string", lua.create_string(text)?)?;
            parts.raw_set("format", lua.create_string(format)?)?;
            single(lua, "verbatim_string", Value::Table(parts))?
        }
        Reply::Verbatim(_, text) => Value::String(lua.create_string(text)?),
    })
}

/// As `redis.pcall` returns a command's error.
pub(super) fn error_table(lua: &Lua, text: &[u8]) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    table.raw_set("ignore_error_stats_update", true)?;
    Ok(table)
}

fn array<'r>(lua: &Lua, items: impl Iterator<Item = &'r Reply>, protocol: u8) -> Result<Value> {
    let table = lua.create_table()?;
    for (index, item) in items.enumerate() {
        table.raw_set(index + 1, to_lua(lua, item, protocol)?)?;
    }
    Ok(Value::Table(table))
}

fn single(lua: &Lua, field: &str, value: Value) -> Result<Value> {
    let table = lua.create_table()?;
    table.raw_set(field, value)?;
    Ok(Value::Table(table))
}

/// What a script returns, as its client sees it. `protocol` is the script's own.
pub(super) fn to_reply(value: &Value, protocol: u8, depth: usize) -> Reply {
    if depth > DEEPEST {
        return Reply::error("ERR reached lua stack limit");
    }
    match value {
        Value::String(text) => Reply::bulk(text.as_bytes()),
        Value::Boolean(yes) if protocol == 3 => Reply::Boolean(*yes),
        Value::Boolean(true) => Reply::Integer(1),
        Value::Boolean(false) => Reply::Null,
        Value::Integer(number) => Reply::Integer(*number),
        Value::Number(number) => Reply::Integer(truncated(*number)),
        Value::Table(table) => table_to_reply(table, protocol, depth).unwrap_or(Reply::Null),
        _ => Reply::Null,
    }
}

/// As C converts on the machines that Redis runs on.
fn truncated(number: f64) -> i64 {
    if number.is_nan() || number >= i64::MAX as f64 {
        i64::MIN
    } else {
        number as i64
    }
}

/// Line ends become spaces.
fn spaced(text: &[u8]) -> Vec<u8> {
    let bytes = text.iter().map(|&byte| match byte {
        b'\r' | b'\n' => b' ',
        byte => byte,
    });
    bytes.collect()
}

fn table_to_reply(table: &Table, protocol: u8, depth: usize) -> Result<Reply> {
    // Lua takes numbers for strings nowhere here: the server looks at the type.
    if let Value::String(text) = table.raw_get("err")? {
        return Ok(Reply::error_text(text.as_bytes().to_vec()));
    }
    if let Value::String(text) = table.raw_get("ok")? {
        return Ok(Reply::Status(spaced(&text.as_bytes()).into()));
    }
    match table.raw_get("double")? {
        Value::Number(number) => return Ok(Reply::Double(number)),
        Value::Integer(number) => return Ok(Reply::Double(number as f64)),
        _ => {}
    }
    if let Value::String(digits) = table.raw_get("big_number")? {
        return Ok(Reply::BigNumber(spaced(&digits.as_bytes())));
    }
    if let Value::Table(parts) = table.raw_get("verbatim_string")?
        && let (Value::String(format), Value::String(text)) =
            (parts.raw_get("format")?, parts.raw_get("string")?)
    {
        let mut letters = [b' '; 3];
        for (to, from) in letters.iter_mut().zip(format.as_bytes().iter()) {
            *to = *from;
        }
        return Ok(Reply::Verbatim(letters, text.as_bytes().to_vec()));
    }
    if let Value::Table(map) = table.raw_get("map")? {
        let mut pairs = Vec::new();
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            pairs.push((
                to_reply(&key, protocol, depth + 1),
                to_reply(&value, protocol, depth + 1),
            ));
        }
        return Ok(Reply::Map(pairs));
    }
    if let Value::Table(set) = table.raw_get("set")? {
        let mut items = Vec::new();
        for pair in set.pairs::<Value, Value>() {
            items.push(to_reply(&pair?.0, protocol, depth + 1));
        }
        return Ok(Reply::Set(items));
    }
    let mut items = Vec::new();
    loop {
        let item: Value = table.raw_get(items.len() + 1)?;
        if item.is_nil() {
            return Ok(Reply::Array(items));
        }
        items.push(to_reply(&item, protocol, depth + 1));
    }
}
