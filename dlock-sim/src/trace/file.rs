use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::{Event, Header, SCHEMA};

/// The longest line that is read: a broken file must not fill the memory.
const LONGEST_LINE: u64 = 4 << 20;

/// A whole trace: what a file of JSON Lines holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The first line.
    pub header: Header,
    /// All other lines.
    pub events: Vec<Event>,
}

impl Trace {
    /// Writes it: one line for the header, one for each event, in the order in which they are here. The same trace
    /// gives the same bytes.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        write_line(&mut to, &self.header)?;
        for event in &self.events {
            write_line(&mut to, event)?;
        }
        to.flush()
    }

    /// What [`Trace::write`] writes.
    pub fn to_jsonl(&self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    /// Writes it to a file, which is replaced.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.write(BufWriter::new(File::create(path)?))
    }

    /// Reads what [`Trace::write`] wrote. Empty lines are skipped; fields that are not known are ignored, kinds that
    /// are not known are an error.
    pub fn read(mut from: impl BufRead) -> Result<Self, TraceError> {
        let mut lines = Lines {
            from: &mut from,
            number: 0,
        };
        let (number, line) = lines.next_line()?.ok_or(TraceError::Empty)?;
        let header = header(number, &line)?;
        let mut events = Vec::new();
        while let Some((number, line)) = lines.next_line()? {
            let event = serde_json::from_str(&line)
                .map_err(|source| TraceError::Line { number, source })?;
            events.push(event);
        }
        Ok(Self { header, events })
    }

    /// Reads a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        Self::read(BufReader::new(File::open(path)?))
    }
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file cannot be opened or read.
    #[error("the trace cannot be read ({0}): check the path and its permissions")]
    Io(#[from] io::Error),
    /// There is no line.
    #[error(
        "the trace is empty: record it again (its first line is a header, each other line an event)"
    )]
    Empty,
    /// The first line is not a header.
    #[error(
        "line {number} is no header of a trace ({source}): the first line must be one, with \"schema\":\"{SCHEMA}\""
    )]
    Header {
        /// The line's number, from 1.
        number: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another format, or another version of it.
    #[error(
        "line {number} says that this is a {found:?}, and only {SCHEMA} can be read: use the version that wrote it"
    )]
    Schema {
        /// The line's number, from 1.
        number: u64,
        /// What the header says.
        found: String,
    },
    /// A line is not an event.
    #[error(
        "line {number} is no event of {SCHEMA} ({source}): if it is the last one, the recording was cut off and the line may be removed; else record it again"
    )]
    Line {
        /// The line's number, from 1.
        number: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line is not text.
    #[error("line {number} is not UTF-8: this is no trace, or it is damaged; record it again")]
    NotText {
        /// The line's number, from 1.
        number: u64,
    },
    /// A line is longer than any event.
    #[error(
        "line {number} is longer than {LONGEST_LINE} bytes: this is no trace, or it is damaged; record it again"
    )]
    TooLong {
        /// The line's number, from 1.
        number: u64,
    },
}

fn write_line(to: &mut impl Write, line: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

fn header(number: u64, line: &str) -> Result<Header, TraceError> {
    // The schema first: another version may have other fields.
    #[derive(serde::Deserialize)]
    struct Named {
        schema: String,
    }
    let wrong = |source| TraceError::Header { number, source };
    let named: Named = serde_json::from_str(line).map_err(wrong)?;
    if named.schema != SCHEMA {
        let found = named.schema.chars().take(64).collect();
        return Err(TraceError::Schema { number, found });
    }
    serde_json::from_str(line).map_err(wrong)
}

struct Lines<'a, R> {
    from: &'a mut R,
    number: u64,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next line that is not empty, with its number.
    fn next_line(&mut self) -> Result<Option<(u64, String)>, TraceError> {
        loop {
            let mut line = Vec::new();
            let mut limited = self.from.by_ref().take(LONGEST_LINE);
            let read = limited.read_until(b'\n', &mut line)? as u64;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if read == LONGEST_LINE && line.last() != Some(&b'\n') {
                return Err(TraceError::TooLong { number });
            }
            let line = String::from_utf8(line).map_err(|_| TraceError::NotText { number })?;
            if !line.trim().is_empty() {
                return Ok(Some((number, line)));
            }
        }
    }
}
