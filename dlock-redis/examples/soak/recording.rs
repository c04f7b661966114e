//! The soak as a trace: what the lockers of all processes did with a few of the locks, for `dlock-sim`'s checker.

use std::path::{Path, PathBuf};

use dlock_redis::dlock_core::store::Capabilities;
use dlock_sim::checker::check_file;
use dlock_sim::trace::{Header, Kind, NodeInfo, ProcessRecorder, Role, Trace, Verdict};

use crate::Result;
use crate::ledger::lock;

/// All of them would be gigabytes.
const LOCKS: u32 = 3;
/// A frozen head costs its grace at each turn; a killed holder its TTL.
const BOUND_NS: u64 = 20_000_000_000;
const WORLD: &str = "world";

pub struct Recording {
    folder: PathBuf,
    world: ProcessRecorder,
}

impl Recording {
    pub fn begin(folder: &Path) -> Result<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            world: ProcessRecorder::create(folder.join("world.jsonl"), WORLD, 0)?,
        })
    }

    /// Nobody is killed or frozen any more.
    pub fn healed(&self) {
        self.world.record(Kind::Healed { core: None });
    }

    /// Writes the trace and says what the checker says; whether nothing is wrong.
    pub fn end(self, capabilities: &Capabilities) -> Result<bool> {
        self.world.record(Kind::End);
        let header = Header {
            nodes: vec![NodeInfo {
                name: WORLD.to_owned(),
                role: Role::World,
            }],
            liveness_bound_ns: Some(BOUND_NS),
            ..Header::of_real("soak", capabilities)
        };
        let mut files = std::fs::read_dir(&self.folder)?
            .map(|file| Ok(file?.path()))
            .collect::<Result<Vec<PathBuf>>>()?;
        files.sort();
        let path = self.folder.join("trace.jsonl");
        Trace::gather(header, files)?.save(&path)?;
        let report = check_file(&path)?;
        println!("trace: {}\n{report}", path.display());
        // What nobody contended for shows nothing.
        Ok(report.verdict == Verdict::Valid)
    }
}

/// A worker's observer.
pub fn observer(folder: &Path, number: u32) -> Result<ProcessRecorder> {
    let recorder = recorder(folder, &format!("locks-{number}"), number)?;
    Ok(recorder.only((0..LOCKS).map(lock)))
}

/// What happens to a worker, in its name.
pub fn process(folder: &Path, number: u32, state: &str) -> Result<()> {
    let state = state.to_owned();
    recorder(folder, &format!("process-{number}"), number)?.record(Kind::Process { state });
    Ok(())
}

fn recorder(folder: &Path, file: &str, number: u32) -> Result<ProcessRecorder> {
    let path = folder.join(format!("{file}.jsonl"));
    Ok(ProcessRecorder::create(
        path,
        &format!("w{number}"),
        number,
    )?)
}
