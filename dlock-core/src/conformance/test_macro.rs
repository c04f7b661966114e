//! From the list of cases to one `#[test]` each.

use super::case::{Case, Outcome};
use super::factory::StoreFactory;

/// Makes one `#[test]` of each conformance case, in one module a theme (`release::…`).
///
/// `real_time: FACTORY` runs each case on a multi-threaded tokio runtime, `virtual_time: FACTORY` on
/// a single thread with tokio's time paused. The expression is evaluated anew inside the runtime of
/// each case and gives a [`StoreFactory`](crate::conformance::StoreFactory). A case that the store's
/// capabilities exclude prints `SKIP(reason)` and passes. See [`crate::conformance`] for an example.
#[macro_export]
macro_rules! conformance_tests {
    ($time:ident: $factory:expr $(,)?) => {
        $crate::__conformance_cases! { [$crate::__conformance_tests] [$time] [$factory] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ([$time:ident] [$factory:expr] $($theme:ident { $($case:ident: $rules:literal,)* })*) => {
        $(
            mod $theme {
                #[allow(unused_imports)]
                use super::*;

                $(
                    #[test]
                    fn $case() {
                        $crate::conformance::$time(stringify!($case), || $factory);
                    }
                )*
            }
        )*
    };
}

/// Runs a case on real time, on several threads. Panics when it fails: the body of a `#[test]`.
pub fn real_time<F: StoreFactory>(case: &str, factory: impl FnOnce() -> F) {
    run(
        case,
        tokio::runtime::Builder::new_multi_thread().worker_threads(2),
        factory,
    );
}

/// Runs a case on paused time. Panics when it fails: the body of a `#[test]`.
pub fn virtual_time<F: StoreFactory>(case: &str, factory: impl FnOnce() -> F) {
    run(
        case,
        tokio::runtime::Builder::new_current_thread().start_paused(true),
        factory,
    );
}

fn run<F: StoreFactory>(
    name: &str,
    builder: &mut tokio::runtime::Builder,
    factory: impl FnOnce() -> F,
) {
    let Some(case) = Case::named(name) else {
        panic!("there is no case `{name}`")
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no tokio runtime: {error}"),
    };
    let outcome = runtime.block_on(async { case.run(&factory()).await });
    match outcome {
        Outcome::Passed => {}
        Outcome::Skipped(reason) => println!("SKIP({reason})"),
        Outcome::Failed(sentence) => panic!("{case:?}: {sentence}"),
    }
}
