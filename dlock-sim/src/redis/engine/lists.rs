use std::collections::VecDeque;

use super::command::{Call, WRONG_TYPE};
use super::{Engine, Reply, Value};

pub(super) fn push(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let key = &words[1];
    engine.items(call, key)?;
    let Value::List(items) = engine.or_insert(call, key, || Value::List(VecDeque::new())) else {
        return Err(WRONG_TYPE);
    };
    for item in &words[2..] {
        match call.name {
            "lpush" => items.push_front(item.clone()),
            _ => items.push_back(item.clone()),
        }
    }
    let length = items.len();
    engine.touched(call, key);
    Ok(Reply::Integer(length as i64))
}

pub(super) fn llen(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let items = engine.items(call, &call.words[1])?;
    Ok(Reply::Integer(items.map_or(0, VecDeque::len) as i64))
}

pub(super) fn lrange(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let (start, end) = (call.integer(2)?, call.integer(3)?);
    let Some(items) = engine.items(call, &call.words[1])? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let length = items.len() as i64;
    let from_end = |index: i64| {
        if index < 0 {
            index.saturating_add(length)
        } else {
            index
        }
    };
    let (start, end) = (from_end(start).max(0), from_end(end));
    let shown = items
        .iter()
        .enumerate()
        .filter(|(index, _)| (start..=end).contains(&(*index as i64)))
        .map(|(_, item)| Reply::bulk(item));
    Ok(Reply::Array(shown.collect()))
}

impl Engine {
    fn items(&mut self, call: &Call<'_>, key: &[u8]) -> Result<Option<&VecDeque<Vec<u8>>>, Reply> {
        match self.live(call, key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::List(items)) => Ok(Some(items)),
            Some(_) => Err(WRONG_TYPE),
        }
    }
}
