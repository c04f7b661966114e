use std::time::Duration;

use dlock_workloads::Result;

use crate::subject::Subject;

/// `<case> [--key value]...`
pub struct Arguments {
    pub case: String,
    pub subject: Subject,
    pub url: String,
    /// How long to measure.
    pub time: Duration,
    /// How long a lock is held.
    pub hold: Duration,
    /// How long somebody who has released it does something else.
    pub think: Duration,
    others: Vec<(String, String)>,
    /// As they were given, for processes that do the same.
    pub words: Vec<String>,
}

impl Arguments {
    pub fn parse() -> Result<Self> {
        Self::of(std::env::args().skip(1).collect())
    }

    fn of(words: Vec<String>) -> Result<Self> {
        let (case, rest) = words.split_first().ok_or("which case?")?;
        let mut others = Vec::new();
        for pair in rest.chunks(2) {
            let [key, value] = pair else {
                return Err(format!("{} what?", pair[0]).into());
            };
            let key = key.strip_prefix("--").ok_or_else(|| format!("{key}?"))?;
            others.push((key.to_owned(), value.clone()));
        }
        let mut arguments = Self {
            case: case.clone(),
            subject: Subject::Ours(dlock_workloads::Store::Redis),
            url: String::new(),
            time: Duration::ZERO,
            hold: Duration::ZERO,
            think: Duration::ZERO,
            others,
            words,
        };
        arguments.subject = arguments.text("subject")?.parse()?;
        arguments.url = arguments.text("url")?.to_owned();
        arguments.time = Duration::from_secs_f64(arguments.text("seconds")?.parse()?);
        let millis = |name| -> Result<Duration> {
            let number = arguments.number(name)?;
            Ok(Duration::from_millis(number.unwrap_or(0)))
        };
        (arguments.hold, arguments.think) = (millis("hold-ms")?, millis("think-ms")?);
        Ok(arguments)
    }

    pub fn text(&self, name: &str) -> Result<&str> {
        let found = self.others.iter().find(|(key, _)| key == name);
        let (_, value) = found.ok_or_else(|| format!("--{name}?"))?;
        Ok(value)
    }

    /// A number that may be missing.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        let text = self.text(name).ok();
        Ok(text.map(str::parse).transpose()?)
    }

    /// The number of this process, if it is a worker.
    pub fn worker(&self) -> Result<Option<u64>> {
        self.number("worker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments> {
        Arguments::of(line.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn a_worker_is_told_what_its_parent_was_told() {
        let line = "held --subject dlock-etcd --url http://x --seconds 0.5 --hold-ms 5";
        let parent = parsed(line).unwrap();
        assert_eq!(parent.time, Duration::from_millis(500));
        assert_eq!(parent.hold, Duration::from_millis(5));
        assert_eq!(parent.think, Duration::ZERO);
        assert_eq!(parent.worker().unwrap(), None);
        let words = [parent.words.join(" "), "--worker 3 --name x".to_owned()].join(" ");
        let worker = parsed(&words).unwrap();
        assert_eq!(worker.subject, parent.subject);
        assert_eq!(worker.worker().unwrap(), Some(3));
        assert_eq!(worker.text("name").unwrap(), "x");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (line, word) in [
            ("held --url http://x --seconds 1", "--subject"),
            ("held --subject etcd --url http://x --seconds 1", "`etcd`"),
            ("held --subject floor --url http://x --seconds", "--seconds"),
            ("held url http://x", "url"),
        ] {
            let error = parsed(line).err().unwrap().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
