//! The memory store passes the conformance kit, in virtual and in real time.
#![allow(clippy::unwrap_used)] // A factory or helper of tests may unwrap as tests do.

use std::collections::BTreeSet;
use std::sync::Arc;

use dlock_core::MemoryStore;
use dlock_core::conformance::{CASES, SameStore, VirtualRuntime};
use dlock_core::runtime::{Runtime, TokioRuntime};

fn memory(runtime: impl Runtime) -> SameStore {
    let runtime = Arc::new(runtime);
    SameStore::new(MemoryStore::with_runtime(runtime.clone()), runtime)
}

mod in_virtual_time {
    use super::*;

    dlock_core::conformance_tests!(virtual_time: memory(VirtualRuntime::new(7)));
}

/// On several threads.
mod in_real_time {
    use super::*;

    dlock_core::conformance_tests!(real_time: memory(TokioRuntime::new()));
}

macro_rules! names_of {
    ($($theme:ident { $($case:ident: $rules:literal,)* })*) => { [$($((stringify!($theme), stringify!($case)),)*)*] };
}

#[test]
fn the_tests_and_the_table_of_cases_agree() {
    let tests = dlock_core::__conformance_cases!([names_of]);
    let table: Vec<_> = CASES.iter().map(|case| (case.theme, case.name)).collect();
    assert_eq!(tests.as_slice(), table);
    let unique: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(unique.len(), CASES.len(), "two cases have one name");
}

/// What a third party's first store may be: it polls, keeps no order, and its tokens do not rise.
mod of_the_plainest_store {
    use async_trait::async_trait;

    use super::*;
    use dlock_core::conformance::{Connected, StoreFactory};
    use dlock_core::store::*;
    use dlock_core::{FencingToken, Grant, LockName};

    dlock_core::conformance_tests!(virtual_time: Plain::new());

    /// The memory store without all that a store may leave out.
    #[derive(Clone)]
    struct Plain {
        inner: MemoryStore,
        runtime: Arc<VirtualRuntime>,
    }

    impl Plain {
        fn new() -> Self {
            let runtime = Arc::new(VirtualRuntime::new(7));
            Self {
                inner: MemoryStore::with_runtime(runtime.clone()),
                runtime,
            }
        }
    }

    /// Falls where memory's rises; its own inverse.
    fn falling(token: FencingToken) -> FencingToken {
        FencingToken::new(FencingToken::MAX.value() - token.value()).unwrap()
    }

    fn translated(grant: Grant) -> Grant {
        Grant {
            token: falling(grant.token),
            ..grant
        }
    }

    #[async_trait]
    impl LockStore for Plain {
        fn capabilities(&self) -> Capabilities {
            Capabilities::plain("plain").with_renewal_batch(0)
        }

        async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
            let mut request = request.clone();
            (request.mode, request.loss) = (Mode::Try, LossSignal::unheard());
            Ok(match self.inner.attempt(&request).await? {
                Attempt::Granted(granted) => Attempt::Granted(Granted {
                    grant: translated(granted.grant),
                    ..granted
                }),
                Attempt::Busy { held_by, .. } => Attempt::Busy {
                    held_by,
                    place: None,
                },
                other => other,
            })
        }

        async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
            let mut batch = batch.to_vec();
            batch
                .iter_mut()
                .for_each(|renewal| renewal.grant = translated(renewal.grant));
            self.inner.renew(&batch).await
        }

        async fn release(
            &self,
            name: &LockName,
            release: &Release,
        ) -> Result<Released, StoreError> {
            let release = match release.clone() {
                Release::Grant(grant, trail) => Release::Grant(translated(grant), trail),
                other => other,
            };
            self.inner.release(name, &release).await
        }

        async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
            Ok(self.inner.inspect(name).await?.map(|mut seen| {
                (seen.token, seen.waiters) = (seen.token.map(falling), None);
                seen
            }))
        }

        async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
            self.inner.force_release(name).await
        }
    }

    #[async_trait]
    impl StoreFactory for Plain {
        async fn connect(&self) -> Connected {
            Ok(Arc::new(self.clone()))
        }

        fn runtime(&self) -> Arc<dyn Runtime> {
            self.runtime.clone()
        }
    }
}
