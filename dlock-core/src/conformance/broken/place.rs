//! Flaws of waiting: places that wake too late, too often, or never.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{BrokenStore, Core, Flaw};
use crate::LockName;
use crate::store::{AttemptRequest, LockStore, Place};

const OFTEN: Duration = Duration::from_millis(5);

impl BrokenStore {
    /// A place in the memory store's queue, or something worse.
    pub(super) fn place(&self, request: &AttemptRequest, right: Box<dyn Place>) -> Box<dyn Place> {
        let way = match self.core.flaw {
            Flaw::WakeupDropped => Way::Never,
            Flaw::WakeupLate => Way::UntilFree(Duration::from_secs(2)),
            Flaw::WakeupStorm => Way::Always,
            Flaw::WakeupOnlyByRelease => {
                Way::UntilReleased(self.core.notes().name(&request.name).releases)
            }
            Flaw::WaitNotCancelSafe => Way::Once {
                right,
                begun: false,
            },
            _ => return right,
        };
        BrokenPlace::boxed(self.core.clone(), request, way)
    }
}

pub(super) struct BrokenPlace {
    core: Arc<Core>,
    name: LockName,
    way: Way,
}

enum Way {
    Never,
    Always,
    /// Looks this often.
    UntilFree(Duration),
    /// More often than this.
    UntilReleased(u64),
    Once {
        right: Box<dyn Place>,
        begun: bool,
    },
}

impl BrokenPlace {
    pub(super) fn until_free(core: Arc<Core>, request: &AttemptRequest) -> Box<dyn Place> {
        Self::boxed(core, request, Way::UntilFree(OFTEN))
    }

    fn boxed(core: Arc<Core>, request: &AttemptRequest, way: Way) -> Box<dyn Place> {
        Box::new(Self {
            core,
            name: request.name.clone(),
            way,
        })
    }
}

#[async_trait]
impl Place for BrokenPlace {
    async fn wait(&mut self) {
        match &mut self.way {
            Way::Never => std::future::pending().await,
            Way::Always => self.core.runtime.sleep(OFTEN).await,
            Way::UntilFree(pause) => loop {
                self.core.runtime.sleep(*pause).await;
                if matches!(self.core.inner.inspect(&self.name).await, Ok(None)) {
                    return;
                }
            },
            Way::UntilReleased(seen) => {
                while self.core.notes().name(&self.name).releases == *seen {
                    self.core.runtime.sleep(OFTEN).await;
                }
                *seen = self.core.notes().name(&self.name).releases;
            }
            Way::Once { begun: true, .. } => std::future::pending().await,
            Way::Once { right, begun } => {
                *begun = true;
                right.wait().await;
                *begun = false;
            }
        }
    }
}

impl fmt::Debug for BrokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokenPlace")
            .field("name", &self.name)
            .finish()
    }
}
