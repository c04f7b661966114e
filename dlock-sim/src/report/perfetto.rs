use serde_json::{Value, json};

use super::Panel;
use super::story::{Arrow, BarKind, Fate, Story};

pub(super) fn perfetto(panel: &Panel<'_>) -> String {
    let story = panel.story();
    let header = &panel.trace.header;
    let mut events = names(&story);
    events.extend(slices(&story));
    events.extend(instants(&story));
    for (id, arrow) in story.arrows.iter().enumerate() {
        events.extend(flow(id, arrow));
    }
    let trace = json!({
        "displayTimeUnit": "ms",
        "otherData": {
            "run": header.title,
            "way": panel.heading,
            "store": header.store,
            "seed": header.seed.map(|seed| seed.to_string()),
        },
        "traceEvents": events,
    });
    trace.to_string() + "\n"
}

const BELIEVED: u64 = 1;
const ACTING: u64 = 2;
const AUTHORITY: u64 = 3;
const MACHINE: u64 = 4;
const MESSAGES: u64 = 5;
/// The first of the faults' tracks.
const FAULTS: u64 = 10;

/// The process of a lane. Faults are nobody's.
fn process(lane: usize) -> u64 {
    lane as u64 + 1
}

fn names(story: &Story) -> Vec<Value> {
    let mut events = vec![json!({
        "ph": "M", "name": "process_name", "pid": 0, "tid": 0, "args": { "name": "faults" },
    })];
    events.push(json!({
        "ph": "M", "name": "thread_name", "pid": 0, "tid": MACHINE, "args": { "name": "what happens" },
    }));
    for (fault, tid) in story.faults.iter().zip(FAULTS..) {
        events.push(json!({
            "ph": "M", "name": "thread_name", "pid": 0, "tid": tid, "args": { "name": fault.text },
        }));
    }
    for (lane, machine) in story.lanes.iter().enumerate() {
        let pid = process(lane);
        events.push(json!({
            "ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": { "name": machine.title },
        }));
        let tracks = [
            (BELIEVED, "believes"),
            (ACTING, "acts on"),
            (AUTHORITY, "the store says"),
            (MACHINE, "the machine"),
            (MESSAGES, "messages"),
        ];
        for (tid, name) in tracks {
            events.push(json!({
                "ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": { "name": name },
            }));
        }
    }
    events
}

fn slices(story: &Story) -> Vec<Value> {
    let slice = |name: &str, pid: u64, tid: u64, from_ns: u64, to_ns: u64, args: Value| {
        json!({
            "ph": "X", "name": name, "cat": "dlock", "pid": pid, "tid": tid,
            "ts": micros(from_ns), "dur": micros(to_ns.saturating_sub(from_ns)), "args": args,
        })
    };
    let bars = story.bars.iter().map(|bar| {
        let (name, tid) = match bar.kind {
            BarKind::Believed => ("believes", BELIEVED),
            BarKind::Acting => ("acts on", ACTING),
            BarKind::Authority => ("lease", AUTHORITY),
        };
        let args = json!({ "token": bar.token.map(|token| token.to_string()), "what": bar.title });
        slice(name, process(bar.lane), tid, bar.from_ns, bar.to_ns, args)
    });
    let bands = story.bands.iter().map(|band| {
        let pid = process(band.lane);
        slice(
            &band.text,
            pid,
            MACHINE,
            band.from_ns,
            band.to_ns,
            json!({}),
        )
    });
    // Faults overlap as they like: each has a track.
    let faults = story
        .faults
        .iter()
        .zip(FAULTS..)
        .map(|(fault, tid)| slice(&fault.text, 0, tid, fault.from_ns, fault.to_ns, json!({})));
    bars.chain(bands).chain(faults).collect()
}

fn instants(story: &Story) -> Vec<Value> {
    let told = story.moments.iter().filter(|moment| moment.told);
    told.map(|moment| {
        let violates: Vec<&str> = moment
            .violates
            .iter()
            .map(|(property, _)| property.as_str())
            .collect();
        json!({
            "ph": "i", "s": "p", "name": moment.text, "cat": "dlock", "ts": micros(moment.t_ns),
            "pid": moment.lane.map_or(0, process), "tid": MACHINE,
            "args": { "event": moment.seq, "violates": violates },
        })
    })
    .collect()
}

/// A message: a moment of sending, one of receiving, and an arrow between them.
fn flow(id: usize, arrow: &Arrow) -> Vec<Value> {
    let end = |lane: usize, t_ns: u64, what: &str| {
        json!({
            "ph": "X", "name": format!("{what}: {}", arrow.title), "cat": "message", "pid": process(lane),
            "tid": MESSAGES, "ts": micros(t_ns), "dur": 1.0, "args": {},
        })
    };
    let bind = |phase: &str, lane: usize, t_ns: u64| {
        json!({
            "ph": phase, "bp": "e", "id": id, "name": "message", "cat": "message", "pid": process(lane),
            "tid": MESSAGES, "ts": micros(t_ns),
        })
    };
    if arrow.fate == Fate::Lost {
        return vec![end(arrow.from, arrow.sent_ns, "lost")];
    }
    vec![
        end(arrow.from, arrow.sent_ns, "sent"),
        bind("s", arrow.from, arrow.sent_ns),
        end(arrow.to, arrow.received_ns, "received"),
        bind("f", arrow.to, arrow.received_ns),
    ]
}

/// The format's unit.
fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}
