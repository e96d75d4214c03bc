//! A target that is changed for as long as its service is synced, and put back as it was afterwards. What it was like is
//! written down first, so that a hotwatch that was killed is no loss: the next one goes on from there.

mod container;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ending::Ending;
use crate::config::{Restart, Sync, Target};
use container::Container;
use workload::Workload;

/// What was changed.
#[derive(Debug)]
pub struct Takeover {
    file: PathBuf,
    before: Before,
}

/// What it was like before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Before {
    Container(Container),
    Workload(Workload),
}

/// Why a target was not changed, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untaken {
    /// It is not there yet, or does not answer; it was not touched.
    NotYet(String),
    /// It would not work the next time either. If it was touched, it is as it was again, as far as that was possible.
    Failed(String),
}

/// A target that is as its sync needs it.
#[derive(Debug, Default)]
pub struct Taken {
    /// What was changed for that, if something was.
    pub takeover: Option<Takeover>,
    /// What the user should know.
    pub notice: Option<String>,
}

impl Takeover {
    /// Changes the target of `sync` as that needs it; nothing if it needs nothing. What it was like is written to `file`.
    /// What runs there may take as long as `grace` to stop.
    ///
    /// # Errors
    /// It cannot be changed.
    pub fn begin(sync: &Sync, grace: Duration, file: PathBuf, ending: &Ending) -> Result<Taken, Untaken> {
        let known = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Before>(&bytes).ok());
        // By a hotwatch that was killed.
        let known = known.map(|before| Takeover { file: file.clone(), before });
        let keep = |known| Ok(Taken { takeover: Some(known), notice: None });
        match (&sync.to, sync.restart) {
            (Target::Container { engine, name }, Restart::Recreate) if !sync.run_args.is_empty() => {
                let goes_on = |known: &Takeover| match &known.before {
                    Before::Container(before) => before.goes_on(*engine, name, &sync.run_args, ending),
                    Before::Workload(_) => false,
                };
                if known.as_ref().is_some_and(goes_on) {
                    return known.map_or_else(|| Ok(Taken::default()), keep);
                }
                let notice = put_back(known, ending)?;
                let (container, told) = Container::like(*engine, name, &sync.run_args, ending)?;
                let takeover = note(file, Before::Container(container.clone()))?;
                let made = container.recreate(&told, grace, ending);
                takeover.or_put_back(made, ending).map(|takeover| Taken { takeover: Some(takeover), notice })
            }
            (Target::Kubectl(kubectl), Restart::Override) => {
                let now = Workload::read(kubectl, ending).map_err(Untaken::NotYet)?;
                let goes_on =
                    |known: &Takeover| matches!(&known.before, Before::Workload(it) if it.is_same(&now));
                if now.waits() && known.as_ref().is_some_and(goes_on) {
                    return known.map_or_else(|| Ok(Taken::default()), keep);
                }
                let notice = put_back(known.filter(|known| !goes_on(known)), ending)?;
                now.can_wait(sync.run.is_empty()).map_err(Untaken::Failed)?;
                let takeover = note(file, Before::Workload(now.clone()))?;
                let waits = now.wait(ending);
                takeover.or_put_back(waits, ending).map(|takeover| Taken { takeover: Some(takeover), notice })
            }
            _ => Ok(Taken { takeover: None, notice: put_back(known, ending)? }),
        }
    }

    /// The command that the target has by itself, and its arguments; where that is known.
    pub fn command(&self) -> Option<(&[String], &[String])> {
        match &self.before {
            Before::Workload(before) => Some(before.command()),
            Before::Container(_) => None,
        }
    }

    /// Puts the target back as it was; what the user should know of that, in words.
    pub fn end(self, ending: &Ending) -> Option<String> {
        self.put_back(ending).unwrap_or_else(Some)
    }

    fn put_back(self, ending: &Ending) -> Result<Option<String>, String> {
        let notice = match &self.before {
            Before::Container(before) => before.put_back(ending),
            Before::Workload(before) => before.put_back(ending),
        }?;
        drop(fs::remove_file(&self.file));
        Ok(notice)
    }

    /// Itself, if the target was `changed`.
    fn or_put_back(self, changed: Result<(), String>, ending: &Ending) -> Result<Takeover, Untaken> {
        let Err(why) = changed else { return Ok(self) };
        Err(Untaken::Failed(match self.end(ending) {
            Some(more) => format!("{why}; and {more}"),
            None => format!("{why}; it is as it was before"),
        }))
    }
}

/// Puts back what a hotwatch that was killed has left changed, and nobody wants changed any more.
fn put_back(known: Option<Takeover>, ending: &Ending) -> Result<Option<String>, Untaken> {
    known.map_or(Ok(None), |known| known.put_back(ending)).map_err(Untaken::NotYet)
}

/// Writes down what it was like.
fn note(file: PathBuf, before: Before) -> Result<Takeover, Untaken> {
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
        fs::write(&file, serde_json::to_vec(&before)?)
    };
    write().map_err(|error: std::io::Error| {
        Untaken::Failed(format!("cannot write `{}`: {error}", file.display()))
    })?;
    Ok(Takeover { file, before })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The strings of a list.
fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
