use super::command::{Call, WRONG_TYPE, wrong_count};
use super::{Engine, Reply, Value};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

pub(super) fn hset(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    if words.len() % 2 == 1 {
        return Err(wrong_count(call.name));
    }
    let key = &words[1];
    let fields = engine.fields_mut(call, key)?;
    let mut created = 0;
    for pair in words[2..].chunks_exact(2) {
        created += i64::from(put(fields, &pair[0], &pair[1]));
    }
    engine.touched(call, key);
    Ok(match call.name {
        "hmset" => Reply::OK,
        _ => Reply::Integer(created),
    })
}

pub(super) fn hsetnx(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let key = &words[1];
    let fields = engine.fields_mut(call, key)?;
    if find(fields, &words[2]).is_some() {
        return Ok(Reply::Integer(0));
    }
    put(fields, &words[2], &words[3]);
    engine.touched(call, key);
    Ok(Reply::Integer(1))
}

pub(super) fn hget(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let fields = engine.fields(call, &words[1])?;
    Ok(Reply::optional(
        fields.and_then(|fields| find(fields, &words[2])),
    ))
}

pub(super) fn hmget(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let fields = engine.fields(call, &words[1])?;
    let values = words[2..]
        .iter()
        .map(|field| Reply::optional(fields.and_then(|fields| find(fields, field))));
    Ok(Reply::Array(values.collect()))
}

pub(super) fn hgetall(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let fields = engine.fields(call, &call.words[1])?;
    let pairs = fields.into_iter().flatten();
    let pairs = pairs.map(|(field, value)| (Reply::bulk(field), Reply::bulk(value)));
    Ok(Reply::Map(pairs.collect()))
}

pub(super) fn hexists(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let fields = engine.fields(call, &words[1])?;
    let there = fields.is_some_and(|fields| find(fields, &words[2]).is_some());
    Ok(Reply::Integer(i64::from(there)))
}

pub(super) fn hlen(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let fields = engine.fields(call, &call.words[1])?;
    Ok(Reply::Integer(fields.map_or(0, Vec::len) as i64))
}

pub(super) fn hdel(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let key = &words[1];
    if engine.fields(call, key)?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let fields = engine.fields_mut(call, key)?;
    let before = fields.len();
    for field in &words[2..] {
        fields.retain(|(name, _)| name != field);
    }
    let removed = before - fields.len();
    if removed > 0 {
        engine.settled(call, key);
    }
    Ok(Reply::Integer(removed as i64))
}

fn find<'f>(fields: &'f Fields, field: &[u8]) -> Option<&'f Vec<u8>> {
    let found = fields.iter().find(|(name, _)| name == field);
    found.map(|(_, value)| value)
}

/// Whether it is new.
fn put(fields: &mut Fields, field: &[u8], value: &[u8]) -> bool {
    match fields.iter_mut().find(|(name, _)| name == field) {
        Some((_, old)) => {
            *old = value.to_vec();
            false
        }
        None => {
            fields.push((field.to_vec(), value.to_vec()));
            true
        }
    }
}

impl Engine {
    fn fields(&mut self, call: &Call<'_>, key: &[u8]) -> Result<Option<&Fields>, Reply> {
        match self.live(call, key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Hash(fields)) => Ok(Some(fields)),
            Some(_) => Err(WRONG_TYPE),
        }
    }

    fn fields_mut(&mut self, call: &Call<'_>, key: &[u8]) -> Result<&mut Fields, Reply> {
        self.fields(call, key)?;
        match self.or_insert(call, key, || Value::Hash(Vec::new())) {
            Value::Hash(fields) => Ok(fields),
            _ => Err(WRONG_TYPE),
        }
    }
}
