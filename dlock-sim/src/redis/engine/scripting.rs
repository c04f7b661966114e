use std::sync::Arc;

use super::command::{Call, Flags, NO_INTEGER, integer};
use super::table::Spec;
use super::{Engine, Reply};
use crate::redis::lua;

const NO_SCRIPT: Reply = Reply::error("NOSCRIPT No matching script. Please use EVAL.");

/// A script that the server knows.
#[derive(Debug)]
pub struct KnownScript {
    /// Its text.
    pub text: Vec<u8>,
    /// Its SHA-1 in lower-case hexadecimal digits.
    pub sha: String,
    /// What its first line declares; nothing without such a line.
    pub declared: Option<Declared>,
}

/// What a script says of itself: `#!lua flags=no-writes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// It reads only.
    pub no_writes: bool,
    /// It may run without memory.
    pub allow_oom: bool,
}

/// What the first line declares, and how long it is.
fn declared(text: &[u8]) -> Result<(Option<Declared>, usize), Reply> {
    if !text.starts_with(b"#!") {
        return Ok((None, 0));
    }
    let Some(length) = text.iter().position(|&byte| byte == b'\n') else {
        return Err(Reply::error("ERR Invalid script shebang"));
    };
    let line = String::from_utf8_lossy(&text[..length]).into_owned();
    let mut words = line.split_whitespace();
    match words.next() {
        Some("#!lua") => {}
        engine => {
            let engine = engine.unwrap_or_default();
            return Err(Reply::error_text(format!(
                "ERR Unexpected engine in script shebang: {engine}"
            )));
        }
    }
    let mut declared = Declared::default();
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(Reply::error_text(format!(
                "ERR Unknown lua shebang option: {word}"
            )));
        };
        for flag in flags.split(',') {
            match flag {
                "no-writes" => declared.no_writes = true,
                "allow-oom" => declared.allow_oom = true,
                "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                _ => {
                    return Err(Reply::error_text(format!(
                        "ERR Unexpected flag in script shebang: {flag}"
                    )));
                }
            }
        }
    }
    Ok((Some(declared), length))
}

pub(super) fn eval(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let by_hash = call.name == "evalsha";
    if by_hash && call.words[1].len() != 40 {
        return Err(NO_SCRIPT);
    }
    let keys = integer(&call.words[2]).ok_or(NO_INTEGER)?;
    let rest = &call.words[3..];
    if keys > rest.len() as i64 {
        return Err(Reply::error(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let Ok(keys) = usize::try_from(keys) else {
        return Err(Reply::error("ERR Number of keys can't be negative"));
    };
    let script = if by_hash {
        let sha = String::from_utf8_lossy(&call.words[1]).to_ascii_lowercase();
        engine.scripts.get(&sha).cloned().ok_or(NO_SCRIPT)?
    } else {
        engine.learn(&call.words[1])?
    };
    let (keys, arguments) = rest.split_at(keys);
    Ok(lua::run(engine, call, &script, keys, arguments))
}

pub(super) fn load(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let script = engine.learn(&call.words[2])?;
    Ok(Reply::bulk(&script.sha))
}

pub(super) fn exists(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let known = call.words[2..].iter().map(|sha| {
        let sha = String::from_utf8_lossy(sha).to_ascii_lowercase();
        Reply::Integer(i64::from(engine.scripts.contains_key(&sha)))
    });
    Ok(Reply::Array(known.collect()))
}

pub(super) fn flush(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let plain = call.words.len() == 2;
    let mode = call.words.len() == 3 && matches!(call.option(2).as_str(), "sync" | "async");
    if !plain && !mode {
        return Err(Reply::error(
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    engine.flush_scripts();
    Ok(Reply::OK)
}

impl Engine {
    /// What counts for a call of a script: what it declares, if it does.
    pub(super) fn flags_of_script(&self, spec: &Spec, words: &[Vec<u8>]) -> Flags {
        let declared = if spec.name == "evalsha" {
            let sha = String::from_utf8_lossy(&words[1]).to_ascii_lowercase();
            self.scripts.get(&sha).and_then(|script| script.declared)
        } else {
            declared(&words[1]).ok().and_then(|(declared, _)| declared)
        };
        match declared {
            None
            | Some(Declared {
                no_writes: true, ..
            }) => spec.flags,
            Some(Declared {
                allow_oom: true, ..
            }) => spec.flags.and(Flags::WRITE),
            Some(_) => spec.flags.and(Flags::WRITE).and(Flags::GROWS),
        }
    }

    /// A script of this text, which is known from now on.
    fn learn(&mut self, text: &[u8]) -> Result<Arc<KnownScript>, Reply> {
        let sha = lua::hash(text);
        if let Some(script) = self.scripts.get(&sha) {
            return Ok(script.clone());
        }
        // The line's end stays: the numbers of the lines are the user's.
        let (declared, skipped) = declared(text)?;
        lua::compile(&sha, &text[skipped..])?;
        let script = Arc::new(KnownScript {
            text: text[skipped..].to_vec(),
            sha: sha.clone(),
            declared,
        });
        self.scripts.insert(sha, script.clone());
        Ok(script)
    }
}
