use super::command::{Call, SYNTAX, WRONG_TYPE};
use super::{Engine, Reply, Value};

type Members = Vec<(f64, Vec<u8>)>;

const NO_FLOAT: Reply = Reply::error("ERR value is not a valid float");

#[derive(Default)]
struct Adding {
    only_new: bool,
    only_old: bool,
    changes: bool,
    increments: bool,
    greater: bool,
    less: bool,
}

pub(super) fn zadd(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let mut options = Adding::default();
    let mut first = 2;
    if call.name == "zincrby" {
        options.increments = true;
    } else {
        while first < call.words.len() {
            match call.option(first).as_str() {
                "nx" => options.only_new = true,
                "xx" => options.only_old = true,
                "ch" => options.changes = true,
                "incr" => options.increments = true,
                "gt" => options.greater = true,
                "lt" => options.less = true,
                _ => break,
            }
            first += 1;
        }
    }
    let pairs = &call.words[first..];
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(SYNTAX);
    }
    if options.only_new && options.only_old {
        return Err(Reply::error(
            "ERR XX and NX options at the same time are not compatible",
        ));
    }
    if (options.greater || options.less) && options.only_new || options.greater && options.less {
        return Err(Reply::error(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if options.increments && pairs.len() > 2 {
        return Err(Reply::error(
            "ERR INCR option supports a single increment-element pair",
        ));
    }
    let scores: Option<Vec<f64>> = pairs.iter().step_by(2).map(|word| float(word)).collect();
    let scores = scores.ok_or(NO_FLOAT)?;

    let key = &call.words[1];
    if engine.members(call, key)?.is_none() && options.only_old {
        return Ok(match options.increments {
            true => Reply::Null,
            false => Reply::Integer(0),
        });
    }
    let members = engine.members_mut(call, key)?;
    let (mut added, mut updated, mut result) = (0, 0, None);
    let mut failed = None;
    for (score, pair) in scores.into_iter().zip(pairs.chunks_exact(2)) {
        match put(members, score, &pair[1], &options) {
            Err(error) => {
                failed = Some(error);
                break;
            }
            Ok(Put::Added(score)) => {
                added += 1;
                result = Some(score);
            }
            Ok(Put::Updated(score)) => {
                updated += 1;
                result = Some(score);
            }
            Ok(Put::Same(score)) => result = Some(score),
            Ok(Put::Refused) => {}
        }
    }
    // Also when nothing was added to a new one.
    engine.settled(call, key);
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(if options.increments {
        result.map_or(Reply::Null, Reply::Double)
    } else {
        Reply::Integer(added + if options.changes { updated } else { 0 })
    })
}

enum Put {
    Added(f64),
    Updated(f64),
    Same(f64),
    Refused,
}

fn put(members: &mut Members, score: f64, member: &[u8], options: &Adding) -> Result<Put, Reply> {
    let at = members.iter().position(|(_, name)| name == member);
    let Some(at) = at else {
        if options.only_old {
            return Ok(Put::Refused);
        }
        insert(members, score, member);
        return Ok(Put::Added(score));
    };
    if options.only_new {
        return Ok(Put::Refused);
    }
    let before = members[at].0;
    let score = if options.increments {
        before + score
    } else {
        score
    };
    if score.is_nan() {
        return Err(Reply::error("ERR resulting score is not a number (NaN)"));
    }
    if options.greater && score <= before || options.less && score >= before {
        return Ok(Put::Refused);
    }
    if score == before {
        return Ok(Put::Same(score));
    }
    members.remove(at);
    insert(members, score, member);
    Ok(Put::Updated(score))
}

fn insert(members: &mut Members, score: f64, member: &[u8]) {
    let at = members.partition_point(|(other, name)| (*other, name.as_slice()) < (score, member));
    members.insert(at, (score, member.to_vec()));
}

pub(super) fn zrem(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let key = &words[1];
    if engine.members(call, key)?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let members = engine.members_mut(call, key)?;
    let before = members.len();
    for member in &words[2..] {
        members.retain(|(_, name)| name != member);
    }
    let removed = before - members.len();
    if removed > 0 {
        engine.settled(call, key);
    }
    Ok(Reply::Integer(removed as i64))
}

pub(super) fn zrank(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let members = engine.members(call, &words[1])?;
    let rank = members.and_then(|members| members.iter().position(|(_, name)| *name == words[2]));
    Ok(rank.map_or(Reply::Null, |rank| Reply::Integer(rank as i64)))
}

pub(super) fn zscore(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let members = engine.members(call, &words[1])?;
    let found = members.and_then(|members| members.iter().find(|(_, name)| *name == words[2]));
    Ok(found.map_or(Reply::Null, |(score, _)| Reply::Double(*score)))
}

pub(super) fn zcard(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let members = engine.members(call, &call.words[1])?;
    Ok(Reply::Integer(members.map_or(0, Vec::len) as i64))
}

pub(super) fn zrange(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let (mut with_scores, mut reverse, mut by_score) = (false, false, false);
    let mut limit = None;
    let mut index = 4;
    while index < call.words.len() {
        match call.option(index).as_str() {
            "withscores" => with_scores = true,
            "rev" => reverse = true,
            "byscore" => by_score = true,
            "limit" if index + 2 < call.words.len() => {
                limit = Some((call.integer(index + 1)?, call.integer(index + 2)?));
                index += 2;
            }
            _ => return Err(SYNTAX),
        }
        index += 1;
    }
    if limit.is_some_and(|(_, count)| count != -1) && !by_score {
        return Err(Reply::error(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    let shown = if by_score {
        let (low, high) = if reverse { (3, 2) } else { (2, 3) };
        let low = bound(call.word(low))?;
        let high = bound(call.word(high))?;
        let members = engine.members(call, &call.words[1])?;
        let mut inside: Members = members
            .into_iter()
            .flatten()
            .filter(|(score, _)| {
                let above = if low.1 {
                    *score > low.0
                } else {
                    *score >= low.0
                };
                let below = if high.1 {
                    *score < high.0
                } else {
                    *score <= high.0
                };
                above && below
            })
            .cloned()
            .collect();
        if reverse {
            inside.reverse();
        }
        if let Some((offset, count)) = limit {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            inside = inside.into_iter().skip(offset).take(count).collect();
        }
        inside
    } else {
        let (start, end) = (call.integer(2)?, call.integer(3)?);
        let Some(members) = engine.members(call, &call.words[1])? else {
            return Ok(Reply::Array(Vec::new()));
        };
        let length = members.len() as i64;
        let from_end = |index: i64| {
            if index < 0 {
                index.saturating_add(length)
            } else {
                index
            }
        };
        let (start, end) = (from_end(start).max(0), from_end(end).min(length - 1));
        let mut all: Vec<_> = members.iter().collect();
        if reverse {
            all.reverse();
        }
        if start > end {
            Vec::new()
        } else {
            let range = start as usize..=end as usize;
            all.get(range)
                .unwrap_or_default()
                .iter()
                .map(|&one| one.clone())
                .collect()
        }
    };
    Ok(if with_scores {
        let pairs = shown.into_iter();
        Reply::Pairs(
            pairs
                .map(|(score, name)| (Reply::Bulk(name), Reply::Double(score)))
                .collect(),
        )
    } else {
        Reply::Array(
            shown
                .into_iter()
                .map(|(_, name)| Reply::Bulk(name))
                .collect(),
        )
    })
}

/// A score, and whether it is excluded.
fn bound(word: &[u8]) -> Result<(f64, bool), Reply> {
    let (word, excluded) = match word.strip_prefix(b"(") {
        Some(rest) => (rest, true),
        None => (word, false),
    };
    // C reads nothing as zero.
    let score = if word.is_empty() {
        Some(0.0)
    } else {
        float(word)
    };
    let score = score.ok_or(Reply::error("ERR min or max is not a float"))?;
    Ok((score, excluded))
}

fn float(word: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(word).ok()?;
    let number: f64 = text.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

impl Engine {
    fn members(&mut self, call: &Call<'_>, key: &[u8]) -> Result<Option<&Members>, Reply> {
        match self.live(call, key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Sorted(members)) => Ok(Some(members)),
            Some(_) => Err(WRONG_TYPE),
        }
    }

    fn members_mut(&mut self, call: &Call<'_>, key: &[u8]) -> Result<&mut Members, Reply> {
        self.members(call, key)?;
        match self.or_insert(call, key, || Value::Sorted(Vec::new())) {
            Value::Sorted(members) => Ok(members),
            _ => Err(WRONG_TYPE),
        }
    }
}
