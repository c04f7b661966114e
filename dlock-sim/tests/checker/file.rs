use dlock_sim::checker::check_file;
use dlock_sim::trace::{Trace, TraceError, Verdict};
use proptest::prelude::*;

use super::story::{Story, good};
use super::strategy::events;

fn bytes(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    trace.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_file_is_checked_and_shown() {
    let path = std::env::temp_dir().join(format!("dlock-trace-{}.jsonl", std::process::id()));
    good().trace().save(&path).unwrap();
    let report = check_file(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(report.verdict, Verdict::Valid);
    let shown = report.to_string();
    assert!(
        shown.starts_with("valid: by hand on redis, seed 7\n  S1 valid    believed intervals"),
        "{shown}"
    );
    let missing = check_file(&path).unwrap_err().to_string();
    assert!(missing.contains("check the path"), "{missing}");
}

#[test]
fn violations_are_shown_with_their_event() {
    let mut story = good();
    let seq = story.at(1500).granted("c3", 9, 99);
    let shown = story.report().to_string();
    assert!(
        shown.starts_with("INVALID: by hand on redis, seed 7\n  S1 INVALID"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!(
            "     at 1.500 s, event {seq}: c3 was given invoice"
        )),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let good = String::from_utf8(bytes(&good().trace())).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let read = |text: String| Trace::read(text.as_bytes()).unwrap_err();
    assert!(matches!(read(String::new()), TraceError::Empty));
    assert!(matches!(read("\n\n".to_owned()), TraceError::Empty));
    assert!(matches!(
        read(lines[1].to_owned()),
        TraceError::Header { number: 1, .. }
    ));
    assert!(matches!(
        read("[1]".to_owned()),
        TraceError::Header { number: 1, .. }
    ));
    let other = lines[0].replace("dlock-trace/1", "dlock-trace/9");
    assert!(
        matches!(read(other), TraceError::Schema { number: 1, found } if found == "dlock-trace/9")
    );
    let cut = format!("{}\n\n{}\n{}", lines[0], lines[1], &lines[2][..20]);
    let error = read(cut);
    assert!(matches!(error, TraceError::Line { number: 4, .. }));
    assert!(
        error
            .to_string()
            .contains("if it is the last one, the recording was cut off"),
        "{error}"
    );
    let unknown = format!(
        "{}\n{}",
        lines[0], r#"{"seq":0,"t_ns":0,"node":"c1","kind":"teleported","data":{}}"#
    );
    assert!(matches!(read(unknown), TraceError::Line { number: 2, .. }));
    let deep = format!("{}\n{}", lines[0], "[".repeat(100_000));
    assert!(matches!(read(deep), TraceError::Line { number: 2, .. }));
    let long = format!("{}\n{}", lines[0], "x".repeat(5 << 20));
    assert!(matches!(read(long), TraceError::TooLong { number: 2 }));
    let mut broken = format!("{}\n", lines[0]).into_bytes();
    broken.extend([0xff, 0xfe, b'\n']);
    assert!(matches!(
        Trace::read(&broken[..]).unwrap_err(),
        TraceError::NotText { number: 2 }
    ));
}

proptest! {
    #[test]
    fn what_was_written_is_read_and_written_the_same(events in events()) {
        let trace = Trace { header: Story::new().header, events };
        let written = bytes(&trace);
        let read = Trace::read(&written[..]).unwrap();
        prop_assert_eq!(&read, &trace);
        prop_assert_eq!(bytes(&read), written);
    }

    #[test]
    fn hostile_files_are_errors(noise in prop::collection::vec(any::<u8>(), 0..300), with_header in any::<bool>()) {
        let mut file = if with_header { bytes(&Trace { events: Vec::new(), ..good().trace() }) } else { Vec::new() };
        file.extend(noise);
        let _ = Trace::read(&file[..]);
    }

    /// A good file with one byte changed is a trace, or an error.
    #[test]
    fn damaged_files_are_errors(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut file = bytes(&good().trace());
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(trace) = Trace::read(&file[..]) {
            let _ = dlock_sim::checker::check(&trace.header, &trace.events);
        }
    }
}
