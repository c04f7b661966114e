use super::table::{self, Spec};
use super::{Engine, Entry, Keyspace, Outcome, Reply, Role, Session, Value};

/// What is said of a command in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(pub u16);

impl Flags {
    pub const NONE: Self = Self(0);
    pub const WRITE: Self = Self(1);
    /// Refused when there is no memory.
    pub const GROWS: Self = Self(2);
    /// Not from a script.
    pub const NO_SCRIPT: Self = Self(4);
    /// Also while the data is being loaded.
    pub const LOADING: Self = Self(8);
    /// Before authentication.
    pub const NO_AUTH: Self = Self(16);
    /// Also for RESP2 connections that listen.
    pub const LISTENING: Self = Self(32);

    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One command on its way.
pub(crate) struct Call<'a> {
    pub words: &'a [Vec<u8>],
    pub now_us: i64,
    pub session: &'a mut Session,
    /// The name as the server says it in errors.
    pub name: &'static str,
}

pub(crate) type Run = fn(&mut Engine, &mut Call<'_>) -> Result<Reply, Reply>;

pub(crate) const WRONG_TYPE: Reply =
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value");
pub(crate) const SYNTAX: Reply = Reply::error("ERR syntax error");
pub(crate) const NO_INTEGER: Reply = Reply::error("ERR value is not an integer or out of range");
pub(crate) const READ_ONLY: Reply =
    Reply::error("READONLY You can't write against a read only replica.");
pub(crate) const OUT_OF_MEMORY: Reply =
    Reply::error("OOM command not allowed when used memory > 'maxmemory'.");

/// Checks a client's command, and runs it.
pub(super) fn execute(
    engine: &mut Engine,
    session: &mut Session,
    now_us: i64,
    words: &[Vec<u8>],
) -> Outcome {
    match check(engine, session, words) {
        Err(refusal) => Outcome::Reply(refusal),
        Ok(spec) => {
            let mut call = Call {
                words,
                now_us,
                session,
                name: spec.name,
            };
            if spec.name == "wait" {
                return super::server::wait(engine, &call).unwrap_or_else(Outcome::Reply);
            }
            Outcome::Reply((spec.run)(engine, &mut call).unwrap_or_else(|error| error))
        }
    }
}

fn check(engine: &Engine, session: &Session, words: &[Vec<u8>]) -> Result<&'static Spec, Reply> {
    let spec = table::find(words).ok_or_else(|| unknown(words))?;
    if !spec.takes(words.len()) {
        return Err(wrong_count(spec.name));
    }
    let flags = match spec.name {
        "eval" | "evalsha" => engine.flags_of_script(spec, words),
        _ => spec.flags,
    };
    if !session.authenticated && !flags.has(Flags::NO_AUTH) {
        return Err(Reply::error("NOAUTH Authentication required."));
    }
    if engine.is_out_of_memory() && flags.has(Flags::GROWS) {
        return Err(OUT_OF_MEMORY);
    }
    if engine.role != Role::Primary && flags.has(Flags::WRITE) {
        return Err(READ_ONLY);
    }
    if session.only_listens() && !flags.has(Flags::LISTENING) {
        return Err(Reply::error_text(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            spec.name
        )));
    }
    if engine.loading && !flags.has(Flags::LOADING) {
        return Err(Reply::error(
            "LOADING Redis is loading the dataset in memory",
        ));
    }
    Ok(spec)
}

fn unknown(words: &[Vec<u8>]) -> Reply {
    let cut = |word: &[u8], most: usize| {
        // C prints up to the first zero.
        let end = word
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(word.len());
        word[..end.min(most)].to_vec()
    };
    if let Some(group) = table::group(words)
        && words.len() > 1
    {
        let mut text = b"ERR unknown subcommand '".to_vec();
        text.extend(cut(&words[1], 128));
        text.extend(format!("'. Try {} HELP.", group.to_uppercase()).into_bytes());
        return Reply::error_text(text);
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend(words.first().map(|word| cut(word, 128)).unwrap_or_default());
    text.extend_from_slice(b"', with args beginning with: ");
    let mut arguments = Vec::new();
    for word in words.iter().skip(1) {
        if arguments.len() >= 128 {
            break;
        }
        let most = 128 - arguments.len();
        arguments.push(b'\'');
        arguments.extend(cut(word, most));
        arguments.extend_from_slice(b"' ");
    }
    text.extend(arguments);
    // The trailing space stays; only line ends are replaced.
    for byte in &mut text {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    Reply::Error(text.into())
}

pub(crate) fn wrong_count(name: &str) -> Reply {
    Reply::error_text(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

impl Call<'_> {
    pub fn word(&self, index: usize) -> &[u8] {
        self.words.get(index).map_or(&[], Vec::as_slice)
    }

    /// The option at this place, in lower case.
    pub fn option(&self, index: usize) -> String {
        String::from_utf8_lossy(self.word(index)).to_ascii_lowercase()
    }

    pub fn integer(&self, index: usize) -> Result<i64, Reply> {
        integer(self.word(index)).ok_or(NO_INTEGER)
    }

    pub fn now_ms(&self) -> i64 {
        self.now_us.div_euclid(1000)
    }
}

/// As the server reads numbers: no sign but a minus, no leading zeros, no spaces.
pub(crate) fn integer(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    if !digits.iter().all(u8::is_ascii_digit)
        || digits.is_empty()
        || (digits[0] == b'0' && word.len() > 1)
    {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

impl Engine {
    pub(crate) fn is_out_of_memory(&self) -> bool {
        // Nobody serves anything with less than a megabyte.
        let limit = self.setting("maxmemory").parse().unwrap_or(0_u64);
        // A replica keeps what its primary has.
        self.role == Role::Primary && (self.out_of_memory || (limit > 0 && limit < 1 << 20))
    }

    /// The entry of a key that is there.
    pub(crate) fn live(&mut self, call: &Call<'_>, key: &[u8]) -> Option<&Entry> {
        let now_ms = call.now_ms();
        let database = call.session.database;
        let primary = self.role == Role::Primary;
        let keyspace: &mut Keyspace = self.keyspace(database);
        if keyspace.entry(key)?.is_over(now_ms) {
            if primary {
                keyspace.remove(key);
                self.changed.push((database, key.to_vec()));
            }
            return None;
        }
        self.keyspaces[database].entry(key)
    }

    /// Puts a value that never ends.
    pub(crate) fn store(
        &mut self,
        call: &Call<'_>,
        key: &[u8],
        value: Value,
        until_ms: Option<i64>,
    ) {
        let database = call.session.database;
        self.keyspace(database)
            .put(key.to_vec(), Entry { value, until_ms });
        self.touched(call, key);
    }

    /// Puts a collection into place if there is nothing, and lets it be changed.
    pub(crate) fn or_insert(
        &mut self,
        call: &Call<'_>,
        key: &[u8],
        empty: impl FnOnce() -> Value,
    ) -> &mut Value {
        let database = call.session.database;
        if self.live(call, key).is_none() {
            let entry = Entry {
                value: empty(),
                until_ms: None,
            };
            self.keyspace(database).put(key.to_vec(), entry);
        }
        match self.keyspaces[database].value_mut(key) {
            Some(value) => value,
            None => unreachable!("it was put there"),
        }
    }

    pub(crate) fn touched(&mut self, call: &Call<'_>, key: &[u8]) {
        self.changed.push((call.session.database, key.to_vec()));
    }

    /// After a collection was changed.
    pub(crate) fn settled(&mut self, call: &Call<'_>, key: &[u8]) {
        let database = call.session.database;
        self.keyspace(database).settle(key);
        self.touched(call, key);
    }
}
