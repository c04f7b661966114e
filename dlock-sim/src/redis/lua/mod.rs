//! Scripts: real Lua 5.1, with what Redis 7 gives to scripts, but for the libraries `cjson`,
//! `cmsgpack`, `struct` and `bit`.
//!
//! One interpreter a thread serves all engines on it: scripts cannot change what they see, so
//! nothing of one engine reaches another. While a script runs, its engine lives in [`FRAME`].

mod convert;
mod random;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use mlua::{
    Chunk, ChunkMode, Error, Function, Lua, LuaOptions, MultiValue, Result, StdLib, Table, Value,
};

use super::VERSION;
use super::engine::{
    Call, Declared, Engine, Flags, KnownScript, Reply, Role, Session, find_command, general,
    one_line,
};
use convert::{error_table, to_lua, to_reply};
pub(crate) use random::FIRST as FIRST_RANDOM;

const SETUP: &str = include_str!("setup.lua");

/// As scripts are called in the server's messages.
const CHUNK: &str = "@user_script";

/// 7.0.15
const VERSION_NUMBER: u32 = 0x0007_000f;

thread_local! {
    static INTERPRETER: RefCell<Option<Interpreter>> = const { RefCell::new(None) };
    static FRAME: RefCell<Option<Frame>> = const { RefCell::new(None) };
}

/// A script that runs.
struct Frame {
    engine: Engine,
    session: Session,
    now_us: i64,
    /// It has written, and is refused nothing any more.
    wrote: bool,
    declared: Option<Declared>,
}

#[derive(Clone)]
struct Interpreter {
    lua: Lua,
    environment: Table,
    globals: Table,
    guarded_call: Function,
    handler: Function,
}

/// Compiled scripts of this thread, by hash.
type Compiled = BTreeMap<String, Function>;

/// So many texts' hashes are remembered.
const REMEMBERED: usize = 256;

thread_local! {
    static COMPILED: RefCell<Compiled> = const { RefCell::new(Compiled::new()) };
    static HASHES: RefCell<BTreeMap<Vec<u8>, String>> = const { RefCell::new(BTreeMap::new()) };
}

/// The name of a script: the SHA-1 of its text, in hexadecimal digits. Every schedule sends the same
/// few texts, so they are remembered.
pub(crate) fn hash(text: &[u8]) -> String {
    HASHES.with_borrow_mut(|hashes| {
        if let Some(hash) = hashes.get(text) {
            return hash.clone();
        }
        let hash = sha1_smol::Sha1::from(text).digest().to_string();
        if hashes.len() >= REMEMBERED {
            hashes.clear();
        }
        hashes.insert(text.to_vec(), hash.clone());
        hash
    })
}

/// Says what is wrong with a script, if it is no Lua.
pub(crate) fn compile(sha: &str, text: &[u8]) -> std::result::Result<(), Reply> {
    compiled(sha, text).map(drop)
}

/// Runs a script in place of the command that called it.
pub(crate) fn run(
    engine: &mut Engine,
    call: &mut Call<'_>,
    script: &KnownScript,
    keys: &[Vec<u8>],
    arguments: &[Vec<u8>],
) -> Reply {
    let function = match compiled(&script.sha, &script.text) {
        Ok(function) => function,
        Err(reply) => return reply,
    };
    let interpreter = match interpreter() {
        Ok(interpreter) => interpreter,
        Err(error) => return broken(&error),
    };
    let mut session = Session::new(call.session.id);
    session.database = call.session.database;
    let frame = Frame {
        engine: std::mem::take(engine),
        session,
        now_us: call.now_us,
        wrote: false,
        declared: script.declared,
    };
    FRAME.set(Some(frame));
    let outcome = interpreter.call(&function, keys, arguments);
    let protocol = match FRAME.take() {
        Some(frame) => {
            *engine = frame.engine;
            frame.session.protocol
        }
        None => 2,
    };
    match outcome {
        Ok((true, value)) => to_reply(&value, protocol, 0),
        Ok((false, problem)) => failed(&problem, &script.sha),
        Err(error) => broken(&error),
    }
}

fn broken(error: &Error) -> Reply {
    Reply::error_text(format!("ERR Lua is broken: {error}"))
}

/// What became of a script that raised an error; the handler has made a table of it.
fn failed(problem: &Value, sha: &str) -> Reply {
    let Value::Table(table) = problem else {
        return Reply::error_text(format!("ERR Error running script {sha}, execution failure"));
    };
    let text = |field: &str| match table.raw_get::<Value>(field) {
        Ok(Value::String(text)) => Some(text.as_bytes().to_vec()),
        Ok(Value::Integer(number)) => Some(number.to_string().into_bytes()),
        Ok(Value::Number(number)) => Some(general(number, 14).into_bytes()),
        _ => None,
    };
    let mut message = text("err").unwrap_or_default();
    if let (Some(line), Some(source)) = (text("line"), text("source")) {
        message.extend_from_slice(format!(" script: {sha}, on ").as_bytes());
        message.extend(source);
        message.push(b':');
        message.extend(line);
        message.push(b'.');
    }
    Reply::Error(one_line(message).into())
}

fn compiled(sha: &str, text: &[u8]) -> std::result::Result<Function, Reply> {
    if let Some(function) = COMPILED.with_borrow(|compiled| compiled.get(sha).cloned()) {
        return Ok(function);
    }
    let interpreter = interpreter().map_err(|error| broken(&error))?;
    let chunk: Chunk<'_> = interpreter.lua.load(text);
    let chunk = chunk.set_name(CHUNK).set_mode(ChunkMode::Text);
    let function = chunk.into_function().map_err(|error| {
        let what = match error {
            Error::SyntaxError { message, .. } => message,
            other => other.to_string(),
        };
        Reply::error_text(format!("ERR Error compiling script (new function): {what}"))
    })?;
    let environment = interpreter.environment.clone();
    function
        .set_environment(environment)
        .map_err(|error| broken(&error))?;
    COMPILED.with_borrow_mut(|compiled| compiled.insert(sha.to_owned(), function.clone()));
    Ok(function)
}

fn interpreter() -> Result<Interpreter> {
    INTERPRETER.with_borrow_mut(|slot| {
        if let Some(interpreter) = slot {
            return Ok(interpreter.clone());
        }
        let interpreter = Interpreter::new()?;
        *slot = Some(interpreter.clone());
        Ok(interpreter)
    })
}

impl Interpreter {
    fn new() -> Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let guarded_call = lua.globals().get("xpcall")?;
        let handler = lua.create_function(|lua, problem: Value| explain(lua, problem))?;
        let host = lua.create_table()?;
        host.set(
            "call",
            lua.create_function(|lua, words| command(lua, words, true))?,
        )?;
        host.set(
            "pcall",
            lua.create_function(|lua, words| command(lua, words, false))?,
        )?;
        host.set("error_reply", lua.create_function(error_reply)?)?;
        host.set("status_reply", lua.create_function(status_reply)?)?;
        host.set("sha1hex", lua.create_function(sha1hex)?)?;
        host.set("log", lua.create_function(log)?)?;
        host.set("setresp", lua.create_function(set_protocol)?)?;
        host.set("random", lua.create_function(random_number)?)?;
        host.set("rawset", lua.create_function(raw_set)?)?;
        host.set("setmetatable", lua.create_function(set_metatable)?)?;
        host.set(
            "randomseed",
            lua.create_function(|_, seed: f64| {
                with_frame((), |frame| {
                    frame.engine.random = random::seeded(seed as i32)
                });
                Ok(())
            })?,
        )?;
        host.set(
            "table_of",
            lua.create_function(|lua, problem: Value| table_of(lua, problem))?,
        )?;
        host.set("version", VERSION)?;
        host.set("version_number", VERSION_NUMBER)?;
        let setup = lua.load(SETUP).set_name("=redis");
        let (environment, globals) = setup.call(host)?;
        Ok(Self {
            lua,
            environment,
            globals,
            guarded_call,
            handler,
        })
    }

    fn call(
        &self,
        function: &Function,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
    ) -> Result<(bool, Value)> {
        for (name, words) in [("KEYS", keys), ("ARGV", arguments)] {
            let table = self.lua.create_table_with_capacity(words.len(), 0)?;
            for (index, word) in words.iter().enumerate() {
                table.raw_set(index + 1, self.lua.create_string(word)?)?;
            }
            self.globals.raw_set(name, table)?;
        }
        self.guarded_call.call((function, &self.handler))
    }
}

/// An error of the server's own, on its way through Lua.
#[derive(Debug)]
enum Raised {
    /// The server's: scripts see a table.
    Table(Vec<u8>),
    /// Lua's own.
    Text(String),
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Raised {}

fn raise(text: &str) -> Error {
    Error::external(Raised::Table(text.as_bytes().to_vec()))
}

fn raised(error: &Error) -> Option<&Raised> {
    match error {
        Error::CallbackError { cause, .. } => raised(cause),
        Error::ExternalError(error) => error.downcast_ref(),
        _ => None,
    }
}

/// An error of ours as scripts see it: a table, as Redis raises it.
fn table_of(lua: &Lua, problem: Value) -> Result<Value> {
    let Value::Error(error) = &problem else {
        return Ok(problem);
    };
    let table = match raised(error) {
        Some(Raised::Table(text)) => error_table(lua, text)?,
        Some(Raised::Text(text)) => return Ok(Value::String(lua.create_string(text)?)),
        None => error_table(lua, format!("ERR {error}").as_bytes())?,
    };
    Ok(Value::Table(table))
}

/// The error handler of all scripts: says where it was.
fn explain(lua: &Lua, problem: Value) -> Result<Table> {
    let table = match table_of(lua, problem)? {
        Value::Table(table) => table,
        other => {
            let table = lua.create_table()?;
            let mut text = b"ERR ".to_vec();
            text.extend_from_slice(other.to_string()?.as_bytes());
            table.raw_set("err", lua.create_string(text)?)?;
            table
        }
    };
    let place = |level: usize| {
        lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let name = source
                .source
                .map(|name| name.into_owned())
                .unwrap_or_default();
            let line = frame.current_line().map_or(-1, |line| line as i64);
            (source.what, name, line)
        })
    };
    let mut level = 1;
    let mut at = place(level);
    if matches!(&at, Some(("C", ..))) {
        level += 1;
        at = place(level);
    }
    while matches!(&at, Some((_, name, _)) if name == "=redis") {
        level += 1;
        at = place(level);
    }
    if let Some((_, name, line)) = at {
        table.raw_set("source", name)?;
        table.raw_set("line", line)?;
    }
    Ok(table)
}

fn with_frame<T>(otherwise: T, act: impl FnOnce(&mut Frame) -> T) -> T {
    FRAME.with_borrow_mut(|frame| match frame {
        Some(frame) => act(frame),
        None => otherwise,
    })
}

/// An error of one of Lua's functions that says where it was called.
fn raise_here(lua: &Lua, text: &str) -> Error {
    let place = lua.inspect_stack(1, |frame| {
        let source = frame.source().short_src?.into_owned();
        Some(format!("{source}:{}: ", frame.current_line()?))
    });
    let place = place.flatten().unwrap_or_default();
    Error::external(Raised::Text(format!("{place}{text}")))
}

const READ_ONLY_TABLE: &str = "Attempt to modify a readonly table";

/// Whether it stands before a table that scripts must not change.
fn guards(table: &Table) -> bool {
    let meta = table.metatable();
    meta.is_some_and(|meta| meta.raw_get::<bool>("guards").unwrap_or(false))
}

fn raw_set(_: &Lua, (table, name, value): (Table, Value, Value)) -> Result<Table> {
    if guards(&table) {
        return Err(Error::external(Raised::Text(READ_ONLY_TABLE.to_owned())));
    }
    table.raw_set(name, value)?;
    Ok(table)
}

fn set_metatable(_: &Lua, (table, meta): (Table, Option<Table>)) -> Result<Table> {
    if guards(&table) {
        return Err(Error::external(Raised::Text(READ_ONLY_TABLE.to_owned())));
    }
    table.set_metatable(meta)?;
    Ok(table)
}

/// `math.random`
fn random_number(lua: &Lua, bounds: MultiValue) -> Result<f64> {
    let share = with_frame(0.0, |frame| random::next(&mut frame.engine.random));
    let mut numbers = Vec::new();
    for (index, bound) in bounds.iter().enumerate() {
        let number = match bound {
            Value::Integer(number) => *number as f64,
            Value::Number(number) => number.trunc(),
            other => {
                let text = format!(
                    "bad argument #{} to 'random' (number expected, got {})",
                    index + 1,
                    other.type_name()
                );
                return Err(raise_here(lua, &text));
            }
        };
        numbers.push(number);
    }
    let (low, high) = match numbers[..] {
        [] => return Ok(share),
        [high] => (1.0, high),
        [low, high] => (low, high),
        _ => return Err(raise_here(lua, "wrong number of arguments")),
    };
    if low > high {
        let text = format!(
            "bad argument #{} to 'random' (interval is empty)",
            numbers.len()
        );
        return Err(raise_here(lua, &text));
    }
    Ok((share * (high - low + 1.0)).floor() + low)
}

/// `redis.call` and `redis.pcall`
fn command(lua: &Lua, words: MultiValue, raises: bool) -> Result<Value> {
    let (reply, protocol) = match to_words(&words) {
        Err(error) => (error, 2),
        Ok(words) => with_frame((NOT_RUNNING, 2), |frame| {
            (frame.execute(&words), frame.session.protocol)
        }),
    };
    match reply {
        Reply::Error(text) if raises => Err(Error::external(Raised::Table(text.into_owned()))),
        reply => to_lua(lua, &reply, protocol),
    }
}

const NOT_RUNNING: Reply =
    Reply::error("ERR redis.call/pcall can only be called inside a script invocation");

fn to_words(values: &MultiValue) -> std::result::Result<Vec<Vec<u8>>, Reply> {
    if values.is_empty() {
        return Err(Reply::error(
            "ERR Please specify at least one argument for this redis lib call",
        ));
    }
    let words = values.iter().map(|value| match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(number.to_string().into_bytes()),
        Value::Number(number) => Some(general(*number, 17).into_bytes()),
        _ => None,
    });
    words.collect::<Option<_>>().ok_or(Reply::error(
        "ERR Lua redis lib command arguments must be strings or integers",
    ))
}

impl Frame {
    fn execute(&mut self, words: &[Vec<u8>]) -> Reply {
        let Some(spec) = find_command(words) else {
            return Reply::error("ERR Unknown Redis command called from script");
        };
        if !spec.takes(words.len()) {
            return Reply::error("ERR Wrong number of args calling Redis command from script");
        }
        let flags = spec.flags;
        if flags.has(Flags::NO_SCRIPT) {
            return Reply::error("ERR This Redis command is not allowed from script");
        }
        let declared = self.declared.unwrap_or_default();
        if declared.no_writes && (flags.has(Flags::WRITE) || spec.name == "publish") {
            return Reply::error("ERR Write commands are not allowed from read-only scripts.");
        }
        if !self.wrote {
            if flags.has(Flags::WRITE) && self.engine.role != Role::Primary {
                return super::engine::READ_ONLY;
            }
            if flags.has(Flags::GROWS) && self.engine.is_out_of_memory() && !declared.allow_oom {
                return super::engine::OUT_OF_MEMORY;
            }
        }
        self.wrote |= flags.has(Flags::WRITE);
        let mut call = Call {
            words,
            now_us: self.now_us,
            session: &mut self.session,
            name: spec.name,
        };
        (spec.run)(&mut self.engine, &mut call).unwrap_or_else(|error| error)
    }
}

/// An error's text as `redis.error_reply` makes it: with a code.
fn error_reply(lua: &Lua, arguments: MultiValue) -> Result<Table> {
    let table = lua.create_table()?;
    let text = match (arguments.len(), arguments.front()) {
        (1, Some(Value::String(text))) => {
            let text = text.as_bytes().to_vec();
            let text = text.strip_prefix(b"-").unwrap_or(&text);
            match text.iter().position(|&byte| byte == b' ') {
                Some(_) => text.to_vec(),
                None => [b"ERR ", text].concat(),
            }
        }
        _ => b"ERR wrong number or type of arguments".to_vec(),
    };
    table.raw_set("err", lua.create_string(trimmed(&text))?)?;
    Ok(table)
}

fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    &text[..end.map_or(0, |end| end + 1)]
}

fn status_reply(lua: &Lua, arguments: MultiValue) -> Result<Table> {
    let table = lua.create_table()?;
    match (arguments.len(), arguments.front()) {
        (1, Some(Value::String(text))) => table.raw_set("ok", text)?,
        _ => table.raw_set("err", "ERR wrong number or type of arguments")?,
    }
    Ok(table)
}

fn sha1hex(lua: &Lua, arguments: MultiValue) -> Result<Value> {
    if arguments.len() != 1 {
        return Err(raise("ERR wrong number of arguments"));
    }
    let text = match arguments.front() {
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        Some(Value::Integer(number)) => number.to_string().into_bytes(),
        Some(Value::Number(number)) => general(*number, 14).into_bytes(),
        _ => Vec::new(),
    };
    let digest = sha1_smol::Sha1::from(text).digest().to_string();
    Ok(Value::String(lua.create_string(digest)?))
}

fn log(_: &Lua, arguments: MultiValue) -> Result<()> {
    if arguments.len() < 2 {
        return Err(raise("ERR redis.log() requires two arguments or more."));
    }
    let level = match arguments.front() {
        Some(Value::Integer(level)) => *level as f64,
        Some(Value::Number(level)) => *level,
        _ => return Err(raise("ERR First argument must be a number (log level).")),
    };
    if !(0.0..4.0).contains(&level) {
        return Err(raise("ERR Invalid debug level."));
    }
    Ok(())
}

fn set_protocol(_: &Lua, arguments: MultiValue) -> Result<()> {
    if arguments.len() != 1 {
        return Err(raise("ERR redis.setresp() requires one argument."));
    }
    let protocol = match arguments.front() {
        Some(Value::Integer(version)) => *version as f64,
        Some(Value::Number(version)) => *version,
        _ => 0.0,
    };
    if protocol != 2.0 && protocol != 3.0 {
        return Err(raise("ERR RESP version must be 2 or 3."));
    }
    with_frame((), |frame| frame.session.protocol = protocol as u8);
    Ok(())
}
