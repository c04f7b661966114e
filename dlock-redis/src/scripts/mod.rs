//! The steps that the server runs: one script, one step. Each `.lua` file says what it takes and
//! what it answers.

use std::sync::OnceLock;

use redis::{Cmd, ErrorKind, ServerErrorKind, Value};

use crate::connection::{Failure, Session};

pub(crate) static ATTEMPT: Script = Script::new(concat!(
    include_str!("queue.lua"),
    include_str!("take.lua"),
    include_str!("attempt.lua")
));
pub(crate) static RENEW: Script = Script::new(include_str!("renew.lua"));
pub(crate) static RELEASE: Script = Script::new(concat!(
    include_str!("queue.lua"),
    include_str!("take.lua"),
    include_str!("release.lua")
));
pub(crate) static FORCE_RELEASE: Script = Script::new(concat!(
    include_str!("queue.lua"),
    include_str!("force_release.lua")
));
pub(crate) static INSPECT: Script = Script::new(include_str!("inspect.lua"));
pub(crate) static CLAIM: Script = Script::new(include_str!("claim.lua"));
pub(crate) static FENCED_SET: Script = Script::new(include_str!("fenced_set.lua"));

/// A script, run by its hash.
pub(crate) struct Script {
    text: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    const fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: OnceLock::new(),
        }
    }

    /// Runs the script over this connection.
    ///
    /// When the server does not know it (restarted, `SCRIPT FLUSH`), the whole text is sent: that
    /// runs it, whatever is flushed meanwhile, and the server knows it from then on. Never part of
    /// a pipeline, where one such answer would spoil all commands.
    pub async fn run(
        &self,
        session: &Session,
        keys: &[impl AsRef<[u8]>],
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Value, Failure> {
        match session.request(&self.by_hash(keys, arguments)).await {
            Err(failure) if is_unknown_script(&failure) => {
                tracing::debug!("the server does not know a script yet, or no more: sending it");
                session
                    .request(&self.command("EVAL", self.text, keys, arguments))
                    .await
            }
            answer => answer,
        }
    }

    /// The command that runs it, if the server knows it.
    pub fn by_hash(&self, keys: &[impl AsRef<[u8]>], arguments: &[impl AsRef<[u8]>]) -> Cmd {
        self.command("EVALSHA", self.hash(), keys, arguments)
    }

    fn command(
        &self,
        name: &str,
        script: &str,
        keys: &[impl AsRef<[u8]>],
        arguments: &[impl AsRef<[u8]>],
    ) -> Cmd {
        let words = keys.iter().map(AsRef::as_ref);
        let words = words.chain(arguments.iter().map(AsRef::as_ref));
        let bytes: usize = words.map(<[u8]>::len).sum();
        let mut command =
            Cmd::with_capacity(3 + keys.len() + arguments.len(), bytes + script.len() + 16);
        command.arg(name).arg(script).arg(keys.len());
        for key in keys {
            command.arg(key.as_ref());
        }
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        command
    }

    fn hash(&self) -> &str {
        self.hash
            .get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }
}

pub(crate) fn is_unknown_script(failure: &Failure) -> bool {
    matches!(failure, Failure::Answered(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}
