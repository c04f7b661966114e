use std::collections::BTreeSet;

use jsonschema::Validator;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::story::good;
use super::strategy::event;

const SCHEMA: &str = include_str!("../../schema/dlock-trace-1.schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

fn documented() -> BTreeSet<String> {
    let schema = schema();
    let kinds = schema["$defs"]["event"]["oneOf"].as_array().unwrap();
    kinds
        .iter()
        .map(|kind| kind["title"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn accepts(validator: &Validator, line: &Value) {
    if let Err(error) = validator.validate(line) {
        panic!("{error}: {line}");
    }
}

/// Events of every documented kind, with and without their optional fields, are what the schema says; and there is no
/// kind that is not documented.
#[test]
fn events_of_every_kind_are_documented() {
    let (validator, mut seen) = (validator(), BTreeSet::new());
    let mut runner = TestRunner::deterministic();
    for _ in 0..4000 {
        let event = event().new_tree(&mut runner).unwrap().current();
        let line = serde_json::to_value(&event).unwrap();
        accepts(&validator, &line);
        seen.insert(line["kind"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, documented());
    accepts(&validator, &serde_json::to_value(good().header).unwrap());
}

#[test]
fn what_is_not_documented_is_refused() {
    let validator = validator();
    let mut runner = TestRunner::deterministic();
    let mut data_seen = 0;
    for _ in 0..500 {
        let event = event().new_tree(&mut runner).unwrap().current();
        let line = serde_json::to_value(&event).unwrap();
        let mut more = line.clone();
        more["colour"] = json!("red");
        assert!(!validator.is_valid(&more), "{more}");
        let mut other = line.clone();
        other["kind"] = json!("teleported");
        assert!(!validator.is_valid(&other), "{other}");
        let mut more = line.clone();
        if let Some(data) = more.get_mut("data") {
            data["colour"] = json!("red");
            data_seen += 1;
            assert!(!validator.is_valid(&more), "{more}");
        }
    }
    assert!(data_seen > 400);
    let mut header = serde_json::to_value(good().header).unwrap();
    header["schema"] = json!("dlock-trace/2");
    assert!(!validator.is_valid(&header));
    let secret = json!({"seq":0,"t_ns":0,"node":"c1","kind":"belief_ends",
        "data":{"name":"a","attempt":"no hash","token":1,"how":"released"}});
    assert!(!validator.is_valid(&secret));
}
