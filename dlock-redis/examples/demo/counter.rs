//! The protected resource: a counter in a file, with its fence beside the value.
//!
//! The file is a log; its last line is the current state. One step reads that line, asks the fence,
//! and appends a line: value and fence change together or not at all. A step is atomic (`flock`), as
//! a statement in a database would be. From the claim to the write it takes two, and between them
//! nothing but dlock's lock keeps other processes away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dlock_core::fence::{Fence, FenceError, Stamp, Stamped};
use dlock_core::store::StoreError;
use dlock_core::{FencingToken, GrantHash};
use rustix::fs::{FlockOperation, flock};

/// Longer than any line.
const TAIL: u64 = 200;

pub struct Counter {
    file: PathBuf,
    worker: u32,
}

/// A line of the file.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub step: Step,
    pub stamp: Stamp,
    pub worker: u32,
    pub value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Claim,
    Write,
}

impl Counter {
    pub fn new(file: &Path, worker: u32) -> Self {
        Self {
            file: file.to_owned(),
            worker,
        }
    }

    /// Claims for this holder and reads the value. Older tokens are refused from here on.
    pub fn claim(&self, holder: &impl Stamped) -> Result<u64, FenceError> {
        self.step(Step::Claim, holder, |fence, value| {
            fence.claim(holder)?;
            Ok(value)
        })
    }

    /// Writes the value, if this holder is the newest claimant.
    pub fn write(&self, holder: &impl Stamped, value: u64) -> Result<(), FenceError> {
        self.step(Step::Write, holder, |fence, _| {
            fence.admit(holder)?;
            Ok(value)
        })?;
        Ok(())
    }

    fn step(
        &self,
        step: Step,
        holder: &impl Stamped,
        decide: impl FnOnce(&mut Fence, u64) -> Result<u64, FenceError>,
    ) -> Result<u64, FenceError> {
        // Locked until it is closed.
        let mut file = open(&self.file).map_err(storage)?;
        let last = last_entry(&mut file).map_err(storage)?;
        let (mut fence, value) = match last {
            Some(last) => (Fence::claimed_by(last.stamp), last.value),
            None => (Fence::default(), 0),
        };
        let value = decide(&mut fence, value)?;
        let entry = Entry {
            step,
            stamp: holder.stamp(),
            worker: self.worker,
            value,
        };
        file.write_all(entry.to_line().as_bytes())
            .map_err(storage)?;
        Ok(value)
    }
}

/// Every step that was accepted, in order.
pub fn read_log(file: &Path) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    text.lines().map(Entry::parse).collect()
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn last_entry(file: &mut File) -> io::Result<Option<Entry>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = String::new();
    file.read_to_string(&mut tail)?;
    tail.lines().next_back().map(Entry::parse).transpose()
}

fn storage(error: io::Error) -> FenceError {
    StoreError::indeterminate(format!("the counter's file: {error}"))
        .caused_by(error)
        .into()
}

impl Entry {
    fn to_line(self) -> String {
        let step = match self.step {
            Step::Claim => "claim",
            Step::Write => "write",
        };
        let Stamp { token, grant } = self.stamp;
        format!(
            "{step} {token} {grant} worker {} value {}\n",
            self.worker, self.value
        )
    }

    fn parse(line: &str) -> io::Result<Self> {
        let entry = || {
            let words: Vec<&str> = line.split(' ').collect();
            let [step, token, grant, "worker", worker, "value", value] = words[..] else {
                return None;
            };
            let step = match step {
                "claim" => Step::Claim,
                "write" => Step::Write,
                _ => return None,
            };
            let token = FencingToken::new(token.parse().ok()?)?;
            let stamp = Stamp {
                token,
                grant: GrantHash::parse(grant)?,
            };
            Some(Self {
                step,
                stamp,
                worker: worker.parse().ok()?,
                value: value.parse().ok()?,
            })
        };
        entry().ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("a line of `{line}`")))
    }
}
