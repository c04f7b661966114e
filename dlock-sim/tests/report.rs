//! What a run looks like: the same bytes for one seed, nothing that breaks out of a page, no more than fits.
#![allow(clippy::unwrap_used)] // Helpers of tests do as tests do.

use std::collections::BTreeMap;
use std::{env, fs};

use dlock_sim::report::{self, Panel, Played};
use dlock_sim::scenario::{self, Way};
use dlock_sim::trace::{Event, Kind};
use serde_json::Value;

fn played(name: &str) -> Played {
    let scenario = scenario::find(name).unwrap();
    Played::of(scenario, scenario.stores[0], 1).unwrap()
}

/// What a page's script goes through, way by way.
fn data(page: &str) -> Vec<Value> {
    let scripts = page.split(r#"<script type="application/json""#).skip(1);
    let json = scripts.map(|rest| {
        rest.split_once('>')
            .unwrap()
            .1
            .split_once("</script>")
            .unwrap()
            .0
    });
    json.map(|json| serde_json::from_str(json).unwrap())
        .collect()
}

#[test]
fn three_pages_are_as_they_were_byte_by_byte() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut changed = Vec::new();
    for name in ["gc-pause", "replica-loss", "stale-release"] {
        let page = played(name).page();
        let path = format!("{folder}/{name}.html");
        if env::var_os("DLOCK_SIM_WRITE_GOLDEN").is_some() {
            fs::write(&path, &page).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != page {
            changed.push(path);
        }
    }
    assert!(
        changed.is_empty(),
        "{changed:?}: look at them, and if they are as they should be: DLOCK_SIM_WRITE_GOLDEN=1 cargo test -p dlock-sim --test report"
    );
}

#[test]
fn the_picture_in_the_readme_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pictures/gc-pause.svg");
    let played = played("gc-pause");
    let fenced = played
        .takes
        .iter()
        .find(|shown| shown.way == Way::Fenced)
        .unwrap();
    let picture = Panel::of_take(fenced).svg();
    if env::var_os("DLOCK_SIM_WRITE_GOLDEN").is_some() {
        fs::write(path, &picture).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap_or_default() == picture,
        "write it anew: cargo run -p dlock-sim -- run gc-pause --way fenced --svg {path}"
    );
}

#[test]
fn every_view_is_the_same_for_one_seed() {
    let (one, other) = (played("gc-pause"), played("gc-pause"));
    assert_eq!(one.page(), other.page());
    let [panel, again] = [&one, &other].map(|played| Panel::of_take(&played.takes[0]));
    assert_eq!(panel.svg(), again.svg());
    assert_eq!(panel.text(), again.text());
    assert_eq!(panel.perfetto(), again.perfetto());
    assert_eq!(report::index(&[one]), report::index(&[other]));
}

#[test]
fn no_text_of_a_trace_breaks_out_of_the_page() {
    const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" '&";
    let mut played = played("gc-pause");
    let shown = &mut played.takes[0];
    shown.outcome = Some(HOSTILE.to_owned());
    let seq = shown.trace.events.len() as u64;
    shown.trace.events.push(Event {
        seq,
        t_ns: 1_000_000_000,
        node: "c1".to_owned(),
        local_ns: None,
        cause: None,
        kind: Kind::Note {
            text: HOSTILE.to_owned(),
            more: BTreeMap::new(),
        },
    });
    let page = played.page();
    assert!(!page.contains("<script>alert"), "a script got in");
    assert!(!page.contains("<img"), "an element got in");
    let told = data(&page)[0].to_string();
    assert!(
        told.contains("onerror=alert(2)"),
        "the note is there as text"
    );
    let index = report::index(&[played]);
    assert!(!index.contains("<img") && index.contains("onerror=alert(2)"));
}

#[test]
fn the_index_has_a_row_for_each_scenario() {
    let all = [played("gc-pause"), played("stale-release")];
    let index = report::index(&all);
    for played in &all {
        assert!(index.contains(&format!(r#"href="{}""#, played.file())));
    }
    for (name, _) in scenario::PENDING {
        assert!(index.contains(&format!(r#"data-pending="{name}""#)));
    }
}

#[test]
fn a_page_shows_no_more_stops_than_one_can_look_at_and_says_so() {
    let mut played = played("gc-pause");
    let events = &mut played.takes[0].trace.events;
    let renewals: Vec<Event> = (0..5000)
        .map(|index| Event {
            seq: 1000 + index,
            t_ns: 1_000_000 * index,
            node: "c1".to_owned(),
            local_ns: None,
            cause: None,
            kind: Kind::DeadlineMoved {
                name: "invoice".to_owned(),
                attempt: "unknown".to_owned(),
                token: 1,
                deadline_local_ns: 0,
            },
        })
        .collect();
    events.extend(renewals);
    let page = played.page();
    let stops = data(&page)[0]["stops"].as_array().unwrap().len();
    assert!(stops <= 250, "{stops} stops");
    let violated = |stop: &Value| !stop["v"].as_array().unwrap().is_empty();
    assert!(
        data(&page)[0]["stops"]
            .as_array()
            .unwrap()
            .iter()
            .any(violated)
    );
    assert!(page.contains("small steps are left out"));
}

#[test]
fn the_view_for_terminals_fits_into_100_columns() {
    for scenario in scenario::ALL {
        let played = Played::of(scenario, scenario.stores[0], 1).unwrap();
        for shown in &played.takes {
            let text = Panel::of_take(shown).text();
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= 100, "{}: {widest} columns", scenario.name);
        }
    }
}

#[test]
fn a_trace_for_perfetto_has_what_the_format_asks_for() {
    let played = played("stale-release");
    let trace: Value = serde_json::from_str(&Panel::of_take(&played.takes[0]).perfetto()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let phase = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
    assert!(phase("X") > 20 && phase("i") > 10);
    // An arrow has two ends.
    assert!(phase("s") > 10 && phase("s") == phase("f"));
    for event in events {
        assert!(event["name"].is_string() && event["pid"].is_u64() && event["tid"].is_u64());
        assert_eq!(event["ts"].is_number(), event["ph"] != "M", "{event}");
        assert_eq!(event["dur"].is_number(), event["ph"] == "X", "{event}");
    }
}

#[test]
fn a_picture_is_a_file_of_its_own() {
    let picture = Panel::of_take(&played("gc-pause").takes[0]).svg();
    assert!(picture.starts_with("<svg ") && picture.contains("xmlns="));
    assert!(!picture.contains("http://") || picture.matches("http://").count() == 1);
    assert_eq!(played("gc-pause").takes[0].way, Way::Unfenced);
}
