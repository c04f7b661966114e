//! Texts of errors without secrets (R14): no password, no attempt id.
//!
//! What the server says is shown with care: "unknown command" repeats the arguments, and these may
//! be a password or an attempt id; any text may repeat a lock's value.

use redis::{ErrorKind, RedisError};

/// A server's error, taken apart.
pub(super) struct Answer {
    /// `ERR`, `OOM`, …
    pub code: String,
    /// The rest.
    pub detail: String,
}

impl Answer {
    pub fn of(error: &RedisError) -> Self {
        let (code, detail) = (
            error.code().unwrap_or_default(),
            error.detail().unwrap_or_default(),
        );
        let (code, detail) = inside_script(code, detail).unwrap_or((code, detail));
        // A missing permission inside a script, as Redis 6 and Valkey word it.
        let forbidden = code == "ERR"
            && (detail.starts_with("ACL failure") || detail.contains("can't run this command"));
        let code = if forbidden { "NOPERM" } else { code };
        Self {
            code: code.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

/// Redis 6 hides the code of what failed inside a script: `@user_script: 63: -OOM command not …`.
fn inside_script<'a>(code: &str, detail: &'a str) -> Option<(&'a str, &'a str)> {
    let text = if code.starts_with("@user_script") {
        detail
    } else if detail.starts_with("Error running script") {
        detail.rsplit_once("@user_script")?.1
    } else {
        return None;
    };
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == ' ');
    match text.split_once(' ') {
        Some((code, detail)) if code.starts_with('-') => Some((&code[1..], detail)),
        Some((code, detail))
            if code.len() > 1 && code.bytes().all(|byte| byte.is_ascii_uppercase()) =>
        {
            Some((code, detail))
        }
        _ => Some(("ERR", text)),
    }
}

/// An error answer, with what to do about it where we know.
pub(super) fn of_answer(error: &RedisError) -> String {
    let Answer { code, detail } = Answer::of(error);
    let (code, detail) = (redact(&code), redact(&detail));
    let remedy = match code.as_str() {
        "READONLY" => "; this is a replica: connect to the primary",
        "MOVED" | "ASK" | "CROSSSLOT" => {
            "; this is a Redis Cluster, which this store does not do yet"
        }
        "NOAUTH" | "WRONGPASS" => "; check user and password of the URL",
        "ERR" if detail.contains("unauthenticated") => "; check user and password of the URL",
        "NOPERM" => {
            "; give the user ~*lock:* (with your prefix for lock:, and the data behind a fence) &dlock:wakeup:* +@connection +@scripting +@string +@keyspace +@hash +@sortedset +@pubsub +time"
        }
        "OOM" => "; raise maxmemory, or free memory",
        "DLOCKTYPE" | "DLOCKCOUNTER" | "DLOCKFENCE" => {
            "; delete it if nobody needs it, or choose another name or prefix"
        }
        "ERR" if detail.starts_with("unknown command") => "; is it renamed or disabled?",
        _ => "",
    };
    match detail.is_empty() {
        true => format!("the server says {code}{remedy}"),
        false => format!("the server says {code}: {detail}{remedy}"),
    }
}

/// Why connecting failed.
pub(super) fn of_connect(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => of_answer(error),
        ErrorKind::AuthenticationFailed => {
            "the server refuses the credentials: check user and password of the URL".to_owned()
        }
        _ => of_broken(error),
    }
}

/// Why a connection broke.
pub(super) fn of_broken(error: &RedisError) -> String {
    match error.kind() {
        // The text would repeat what was received.
        ErrorKind::Parse => "what came is not the Redis protocol".to_owned(),
        _ => redact(&error.to_string()),
    }
}

/// Whether the error's own text may be shown, as the source of ours.
pub(super) fn is_harmless(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Io
}

fn redact(detail: &str) -> String {
    const LONGEST: usize = 300;
    const ID_DIGITS: usize = 32;
    // `unknown command 'X', with args beginning with: …`
    let detail = detail
        .split_once(", with args")
        .map_or(detail, |(before, _)| before);
    let mut shown = String::new();
    let mut digits = String::new();
    // The whole text first: a cut might leave most of an id, too short to be known as one.
    for c in detail.chars().chain(['\0']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        if digits.len() < ID_DIGITS {
            shown.push_str(&digits);
        } else {
            shown.push('…');
        }
        digits.clear();
        shown.push(if c.is_control() { ' ' } else { c });
    }
    shown.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes())
            .unwrap()
            .extract_error()
            .unwrap_err()
    }

    /// Lines as Redis 6.0.16, Redis 7.0.15 and Valkey 9.1 send them.
    #[test]
    fn the_code_is_found_inside_scripts() {
        for (line, code, detail) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'. script: 3f",
                "OOM",
                "command not allowed",
            ),
            (
                "@user_script: 63: -OOM command not allowed when used memory > 'maxmemory'.",
                "OOM",
                "command not allowed",
            ),
            (
                "@user_script: 63: -READONLY You can't write against a read only replica.",
                "READONLY",
                "You can't",
            ),
            (
                "@user_script: 27: The user executing the script can't run this command or subcommand",
                "NOPERM",
                "The user",
            ),
            (
                "ERR ACL failure in script: User weak has no permissions to run the 'get' command",
                "NOPERM",
                "ACL failure",
            ),
            (
                "ERR Error running script (call to f_0a): @user_script:1: @user_script: 1: -OOM command not allowed",
                "OOM",
                "command",
            ),
            (
                "ERR Error running script (call to f_0a): @user_script:1: @user_script: 1: Unknown Redis command called from Lua script",
                "ERR",
                "Unknown",
            ),
            ("ERR unknown command 'X', with args", "ERR", "unknown"),
            ("DLOCKTYPE the lock key holds", "DLOCKTYPE", "the lock key"),
        ] {
            let answer = Answer::of(&answer(line));
            assert_eq!(answer.code, code, "{line}");
            assert!(
                answer.detail.starts_with(detail),
                "{line}: {}",
                answer.detail
            );
        }
    }

    /// R14
    #[test]
    fn what_the_server_repeats_is_not_shown() {
        let id = "0123456789abcdef0123456789abcdef";
        let unknown =
            format!("ERR unknown command 'AUTH', with args beginning with: 'hunter2' '{id}'");
        let shown = of_answer(&answer(&unknown));
        assert!(
            shown.contains("AUTH") && !shown.contains("hunter2") && !shown.contains(id),
            "{shown}"
        );
        let shown = of_answer(&answer(&format!("ODD dlock1:{id}:7:host")));
        assert!(shown.contains("dlock1:…:7:host"), "{shown}");
        assert!(of_answer(&answer(&"x".repeat(10_000))).len() < 400);
    }
}
