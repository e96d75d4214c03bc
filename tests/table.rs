//! Touch this, and exactly these services rebuild, restart or do nothing: every kind of file in the fixture
//! `workspace`, and every way to edit it.

mod assets;
mod branches;
mod course;
mod modules;
pub mod oracle;
mod sources;

use crate::support::Project;
use course::{Course, Row, Then};

/// Not a word.
const QUIET: Then = Then::Silence;
const COMMENTS: Then = Then::Nothing("only comments or formatting changed");
const EXCLUDED: Then = Then::Nothing("left out by build constraints");
const TESTS: Then = Then::Nothing("no service is built from tests");
const AS_IT_WAS: Then = Then::Nothing("saved with the same content");

/// A row: for users, orders and gateway.
fn row(name: &'static str, then: [Then; 3], edit: fn(&Project)) -> Row {
    Row { name, edit, then, generates: 0, unknown: None }
}

impl Row {
    /// The go command compares bytes, and hotwatch what they mean.
    fn unknown(self, why: &'static str) -> Row {
        Row { unknown: Some(why), ..self }
    }

    fn generates(self, times: usize) -> Row {
        Row { generates: times, ..self }
    }
}

fn run(rows: &[Row]) {
    run_with(|_| {}, rows);
}

/// Runs `rows` on a copy of the fixture that was prepared first.
fn run_with(prepare: fn(&Project), rows: &[Row]) {
    let mut course = Course::start(prepare);
    let faults: Vec<String> = rows.iter().flat_map(|row| course.run(row)).collect();
    course.stop();
    assert!(faults.is_empty(), "{} faults in {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

const BYTES: &str = "it compares bytes, and these mean the same";
