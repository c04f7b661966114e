//! Results, for xtask to read.

/// A figure of which less is better.
pub fn report(metric: &str, value: f64, unit: &str) {
    println!("FIGURE\t{metric}\t{value}\t{unit}\tless");
}

/// A figure of which more is better.
pub fn report_more(metric: &str, value: f64, unit: &str) {
    println!("FIGURE\t{metric}\t{value}\t{unit}\tmore");
}
