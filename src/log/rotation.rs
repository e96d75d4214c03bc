//! A log file that is not longer than it may be, and copes with a full disk. When it is full it becomes the newest of
//! its old files and a new one takes its place. That is locked before it can be seen, and the path is never without a
//! file, so no other hotwatch can come between.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::Flock;

use super::Remark;
use super::file::{self, LogError};
use crate::record::counted;

/// How much longer than it may be a file becomes before a line that does not end is cut, in bytes.
const SLACK: u64 = 64 * 1024;

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a file may be, in bytes.
    pub size: u64,
    /// How many old files there may be beside it.
    pub keep: usize,
}

/// An open log file, and what is still to be written into it.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    limits: Limits,
    file: Flock<File>,
    /// How long it is.
    length: u64,
    /// Whether it ends in the middle of a line.
    mid_line: bool,
    buffer: Vec<u8>,
    trouble: Option<Trouble>,
    /// Whether it was told that it cannot be rotated.
    told: bool,
    remarks: Vec<Remark>,
}

/// Why not everything can be written, and how many lines were left out for that.
#[derive(Debug)]
struct Trouble {
    why: String,
    left_out: u64,
    /// Those of them that the file itself does not tell of yet.
    untold: u64,
}

impl Rotating {
    /// Opens the log file `path`, and looks at the old ones beside it. Nothing in them is touched.
    pub(super) fn open(path: PathBuf, limits: Limits) -> Result<Rotating, LogError> {
        let file = file::open(&path)?;
        (1..=limits.keep).try_for_each(|number| is_there(&old(&path, number)).map(drop))?;
        let length = file.metadata().map_or(0, |meta| meta.len());
        let (buffer, remarks) = (Vec::new(), Vec::new());
        Ok(Rotating {
            path,
            limits,
            file,
            length,
            mid_line: false,
            buffer,
            trouble: None,
            told: false,
            remarks,
        })
    }

    /// Empties it and removes the old ones.
    pub(super) fn empty(&mut self) -> Result<(), LogError> {
        self.truncate(0)?;
        (1..=self.limits.keep).try_for_each(|number| remove(&old(&self.path, number)))
    }

    /// Adds `bytes`, whole lines or a piece of one; `begins` says whether they begin a line.
    pub(super) fn append(&mut self, bytes: &[u8], begins: bool) {
        let slack = if begins { 0 } else { SLACK };
        if self.planned(bytes) > self.limits.size + slack && bytes != b"\n" {
            if !begins {
                self.buffer.push(b'\n');
            }
            self.write();
            // What could not be written makes it no longer.
            if self.length > 0 && self.planned(bytes) > self.limits.size {
                self.rotate();
            }
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes what was added. Returns what there is to say.
    pub(super) fn flush(&mut self) -> Vec<Remark> {
        self.write();
        std::mem::take(&mut self.remarks)
    }

    fn planned(&self, bytes: &[u8]) -> u64 {
        self.length + (self.buffer.len() + bytes.len()) as u64
    }

    fn write(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let mut text = self.confession();
        let confessed = text.len();
        text.append(&mut self.buffer);
        let (wrote, result) = write_all(&mut self.file, &text);
        let Err(error) = result else {
            self.length += wrote as u64;
            self.mid_line = text.last() != Some(&b'\n');
            if let Some(trouble) = self.trouble.take() {
                let left_out = counted(trouble.left_out, "line");
                let message = format!("`{}` can be written again; {left_out} left out", self.path.display());
                self.remarks.push(Remark::Mended(message));
            }
            // Its memory serves again.
            text.clear();
            self.buffer = text;
            return;
        };
        // Half a line would be taken for a whole one.
        let whole = text[..wrote].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let _ = self.truncate(self.length + whole as u64);
        self.mid_line &= whole == 0;
        let missing = text[whole.max(confessed)..].iter().filter(|&&byte| byte == b'\n').count() as u64;
        if self.trouble.is_none() {
            let message = format!("cannot write to `{}`: {error}; lines are left out", self.path.display());
            self.remarks.push(Remark::Broken(message));
        }
        let (before, before_untold) =
            self.trouble.take().map_or((0, 0), |trouble| (trouble.left_out, trouble.untold));
        // A little room may have been enough for the words, but not for the lines.
        let untold = if whole < confessed { before_untold + missing } else { missing };
        self.trouble = Some(Trouble { why: error.to_string(), left_out: before + missing, untold });
    }

    /// What to write before anything else after trouble.
    fn confession(&self) -> Vec<u8> {
        let Some(trouble) = self.trouble.as_ref().filter(|trouble| trouble.untold > 0) else {
            return Vec::new();
        };
        let end = if self.mid_line { "\n" } else { "" };
        let message = format!("{} left out: {}", counted(trouble.untold, "line"), trouble.why);
        format!("{end}{}", file::marked(SystemTime::now(), &message)).into_bytes()
    }

    /// Begins anew, and keeps what there was as far as that is wanted. What cannot be kept is lost: a log that grows
    /// without end would be worse.
    fn rotate(&mut self) {
        let kept = if self.limits.keep > 0 { self.shift() } else { Ok(()) };
        if let Err(error) = &kept
            && !std::mem::replace(&mut self.told, true)
        {
            let message =
                format!("{error}; until then the log is emptied when it is full, and nothing is kept");
            self.remarks.push(Remark::Broken(message));
        }
        if (kept.is_err() || self.limits.keep == 0)
            && let Err(error) = self.truncate(0)
            && !std::mem::replace(&mut self.told, true)
        {
            self.remarks.push(Remark::Broken(error.to_string()));
        }
        (self.length, self.mid_line) = (0, false);
    }

    /// Makes every old file one older, this one the newest of them, and a new one its successor.
    fn shift(&mut self) -> Result<(), LogError> {
        let fresh = with_suffix(&self.path, "new");
        let result = file::open(&fresh).and_then(|file| self.replace(file, &fresh));
        if result.is_err() {
            // It may be somebody else's; then it is not removed either.
            drop(remove(&fresh));
        }
        result
    }

    fn replace(&mut self, file: Flock<File>, fresh: &Path) -> Result<(), LogError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| LogError::Io { path, error }
        };
        file.set_len(0).map_err(at(fresh))?;
        let numbers: Vec<usize> = (1..=self.limits.keep).collect();
        let there: Vec<bool> =
            numbers.iter().map(|&number| is_there(&old(&self.path, number))).collect::<Result<_, _>>()?;
        for (&number, _) in numbers.iter().zip(there).rev().filter(|(_, there)| *there) {
            let path = old(&self.path, number);
            if number == self.limits.keep {
                remove(&path)?;
            } else {
                fs::rename(&path, old(&self.path, number + 1)).map_err(at(&path))?;
            }
        }
        // If somebody has removed it, there is nothing to keep.
        match self.path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(at(&self.path)(error)),
            Ok(_) if !is_at(&self.file, &self.path) => return Err(LogError::InUse(self.path.clone())),
            Ok(_) => {
                let newest = old(&self.path, 1);
                fs::hard_link(&self.path, &newest).map_err(at(&newest))?;
            }
        }
        fs::rename(fresh, &self.path).map_err(at(&self.path))?;
        self.file = file;
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<(), LogError> {
        self.file.set_len(length).map_err(|error| LogError::Io { path: self.path.clone(), error })?;
        self.length = length;
        Ok(())
    }
}

/// Whether `file` is what `path` names.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let named = path.symlink_metadata().map(identity);
    file.metadata().map(identity).is_ok_and(|open| named.is_ok_and(|named| named == open))
}

/// The old file `number` of the log file `path`; the newest is 1.
fn old(path: &Path, number: usize) -> PathBuf {
    with_suffix(path, &number.to_string())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    path.into()
}

/// Whether `path` is there; an error if it is not what hotwatch makes.
fn is_there(path: &Path) -> Result<bool, LogError> {
    match path.symlink_metadata() {
        Ok(meta) => file::examine(path, &meta).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LogError::Io { path: path.to_owned(), error }),
    }
}

/// Removes `path` if it is there and what hotwatch makes.
fn remove(path: &Path) -> Result<(), LogError> {
    if is_there(path)? {
        fs::remove_file(path).map_err(|error| LogError::Io { path: path.to_owned(), error })?;
    }
    Ok(())
}

/// Writes `text`; how much of it has been written in any case.
fn write_all(file: &mut File, text: &[u8]) -> (usize, io::Result<()>) {
    let mut wrote = 0;
    while wrote < text.len() {
        match file.write(&text[wrote..]) {
            Ok(0) => return (wrote, Err(ErrorKind::WriteZero.into())),
            Ok(count) => wrote += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (wrote, Err(error)),
        }
    }
    (wrote, Ok(()))
}

#[cfg(test)]
mod tests;
