use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::process;

/// Prints a line, as `println!`; where nobody reads on (`dlock-sim list | head`), that is the end.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

pub fn line(text: Arguments<'_>) {
    let written = writeln!(std::io::stdout().lock(), "{text}");
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        _ => {}
    }
}
