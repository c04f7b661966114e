//! The checker: for each property a good trace, a bad one and one that does not put it to the test; and what keeps
//! files of traces honest.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests fail as tests do.

mod file;
mod l1;
mod l2;
mod l3;
mod l4;
mod s1;
mod s2;
mod s3;
mod s4;
mod s5;
mod s6;
mod s7;
mod s8;
mod schema;
mod soup;
mod story;
mod strategy;
