//! What the stores admit is shown: each exception that they declare has a witness, which is played.
#![allow(clippy::unwrap_used)] // Helpers of tests do as tests do.

use dlock_core::store::Property;
use dlock_sim::matrix;

#[test]
fn every_exception_has_a_witness_that_violates_it() {
    let silent: Vec<String> = matrix::exceptions()
        .into_iter()
        .filter_map(|exception| {
            let problem = exception.show(1).err()?;
            Some(format!("{exception:?}: {problem}"))
        })
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn nothing_is_excepted_from_the_fence() {
    for exception in matrix::exceptions() {
        assert_ne!(exception.property, Property::NoStaleEffect, "{exception:?}");
    }
}

#[test]
fn the_table_in_the_readme_is_current() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let current = matrix::put_into(&text).expect("README.md has the marks of the table");
    assert!(
        text == current,
        "write it anew: cargo run -p dlock-sim -- matrix --write README.md"
    );
}
