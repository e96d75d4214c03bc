//! A log file per service. Its path is predictable and its directory may be everybody's, so it is opened
//! without following links, must be a regular file of this user with a single name, and is emptied only after
//! that is known. The same holds for the old ones that it leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::{Flock, FlockArg, OFlag};

pub use super::rotation::Limits;
use super::rotation::{Rotating, is_at};
use super::seam::{Piece, Seam};
use super::{Remark, View, words};
use crate::ansi::{Filter, Keep};
use crate::name::Name;
use crate::record::{Event, Record, Stream};

/// Why a log file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It is a symbolic link.
    #[error("the log file `{}` is a symbolic link; remove it, or set another `log_dir`", .0.display())]
    Link(PathBuf),
    /// It has more than one name, so emptying it would empty something else.
    #[error("the log file `{}` has several hard links; remove it, or set another `log_dir`", .0.display())]
    HardLinks(PathBuf),
    /// It is a directory, a pipe or a device.
    #[error("the log file `{}` is no regular file; remove it, or set another `log_dir`", .0.display())]
    NoFile(PathBuf),
    /// It belongs to somebody else.
    #[error("the log file `{}` belongs to another user (uid {owner}); set another `log_dir`", path.display())]
    Foreign { path: PathBuf, owner: u32 },
    /// Another hotwatch writes to it.
    #[error("the log file `{}` is in use by another hotwatch; rename the service, or set another `log_dir`", .0.display())]
    InUse(PathBuf),
    /// The operating system says no.
    #[error("the log file `{}` cannot be opened: {error}; set another `log_dir`", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Where `service` logs to.
pub fn path(log_dir: &Path, service: &Name) -> PathBuf {
    log_dir.join(format!("{service}.log"))
}

/// Opens a log file for appending, made if need be and readable by nobody else. Nothing in it is touched.
pub(super) fn open(path: &Path) -> Result<Flock<File>, LogError> {
    let io = |error| LogError::Io { path: path.to_owned(), error };
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let options =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags.bits()).to_owned();
    let file = options.open(path).map_err(|error| match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => LogError::Link(path.to_owned()),
        Ok(meta) if !meta.is_file() => LogError::NoFile(path.to_owned()),
        Ok(meta) if meta.uid() != nix::unistd::geteuid().as_raw() => {
            LogError::Foreign { path: path.to_owned(), owner: meta.uid() }
        }
        _ => io(error),
    })?;
    examine(path, &file.metadata().map_err(io)?)?;
    // Two backends may have a service of one name.
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    // Another hotwatch may have put a new file there meanwhile.
    locked.ok().filter(|file| is_at(file, path)).ok_or_else(|| LogError::InUse(path.to_owned()))
}

/// Finds out whether the log file `path` and the old ones beside it could be used. One that is not there is made.
///
/// # Errors
/// One of them could not.
pub fn examine_all(path: &Path, limits: Limits) -> Result<(), LogError> {
    Rotating::open(path.to_owned(), limits).map(drop)
}

/// Whether what `meta` says of `path` is what it says of a file that hotwatch makes.
pub(super) fn examine(path: &Path, meta: &Metadata) -> Result<(), LogError> {
    let path = path.to_owned();
    match meta {
        _ if meta.is_symlink() => Err(LogError::Link(path)),
        _ if !meta.is_file() => Err(LogError::NoFile(path)),
        _ if meta.uid() != nix::unistd::geteuid().as_raw() => {
            Err(LogError::Foreign { path, owner: meta.uid() })
        }
        _ if meta.nlink() != 1 => Err(LogError::HardLinks(path)),
        _ => Ok(()),
    }
}

/// A line of hotwatch's own in a log file.
pub(super) fn marked(at: SystemTime, text: &str) -> String {
    format!("[hotwatch {}] {}\n", humantime::format_rfc3339_millis(at), text.trim_end())
}

/// Writes what concerns each service to its file: its lines as they are, hotwatch's own behind a mark.
pub struct LogFiles {
    dir: PathBuf,
    limits: Limits,
    /// Whether escape sequences are left out.
    strip: bool,
    files: BTreeMap<Name, Open>,
    /// Why a file could not be opened, until that is told.
    problem: Option<LogError>,
    /// Services without a file.
    without: BTreeSet<Name>,
}

/// The file of a service.
struct Open {
    file: Rotating,
    seam: Seam<Stream>,
    /// What is left of escape sequences, if they are left out.
    filters: BTreeMap<Stream, Filter>,
}

impl LogFiles {
    /// Opens and empties a file in `dir` for each of `services`; with `strip`, escape sequences are left out of them.
    /// If one of them cannot be used, none is touched.
    pub fn new(
        dir: &Path,
        limits: Limits,
        strip: bool,
        services: impl IntoIterator<Item = Name>,
    ) -> Result<LogFiles, LogError> {
        let mut files = BTreeMap::new();
        for name in services {
            let open = Open::new(&path(dir, &name), limits)?;
            files.insert(name, open);
        }
        files.values_mut().try_for_each(|open| open.file.empty())?;
        let (problem, without) = (None, BTreeSet::new());
        Ok(LogFiles { dir: dir.to_owned(), limits, strip, files, problem, without })
    }

    /// The file of `service`; opened and emptied at its first word if it was not there at the start.
    fn of(&mut self, service: &Name) -> Option<&mut Open> {
        if !self.files.contains_key(service) && !self.without.contains(service) {
            let opened = Open::new(&path(&self.dir, service), self.limits);
            match opened.and_then(|mut open| open.file.empty().map(|()| open)) {
                Ok(open) => drop(self.files.insert(service.clone(), open)),
                Err(error) => {
                    self.without.insert(service.clone());
                    self.problem = Some(error);
                }
            }
        }
        self.files.get_mut(service)
    }
}

impl Open {
    fn new(path: &Path, limits: Limits) -> Result<Open, LogError> {
        let file = Rotating::open(path.to_owned(), limits)?;
        Ok(Open { file, seam: Seam::new(), filters: BTreeMap::new() })
    }

    /// Writes a piece of a line.
    fn piece(&mut self, stream: Stream, text: &[u8], partial: bool, strip: bool) {
        let piece = self.seam.piece(&stream, partial, text.is_empty());
        if piece == Piece::Nothing {
            return;
        }
        if piece == Piece::Begins {
            self.close();
        }
        let mut bytes = Vec::with_capacity(text.len() + 1);
        if strip {
            let filter = self.filters.entry(stream).or_insert_with(|| Filter::new(Keep::Text));
            filter.pass(text, &mut bytes);
            if !partial {
                filter.end_line();
            }
        } else {
            bytes.extend_from_slice(text);
        }
        if partial {
            self.seam.leave_open(&stream);
        } else {
            bytes.push(b'\n');
        }
        self.file.append(&bytes, piece == Piece::Begins);
    }

    /// Ends the line that is open, if there is one.
    fn close(&mut self) {
        if self.seam.close() {
            self.file.append(b"\n", false);
        }
    }
}

impl View for LogFiles {
    fn show(&mut self, record: &Record) {
        let strip = self.strip;
        let Some(open) = record.service.as_ref().and_then(|service| self.of(service)) else { return };
        if let Event::Log { stream, line, partial } = &record.event {
            open.piece(*stream, line, *partial, strip);
        } else if let Some((_, text)) = words(&record.event) {
            open.close();
            open.file.append(marked(record.at, &text).as_bytes(), true);
        }
    }

    fn flush(&mut self) -> Vec<Remark> {
        let mut remarks: Vec<Remark> = self.files.values_mut().flat_map(|open| open.file.flush()).collect();
        remarks.extend(self.problem.take().map(|error| Remark::Broken(error.to_string())));
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const LIMITS: Limits = Limits { size: 1_000_000, keep: 1 };

    #[test]
    fn lines_are_joined_and_escape_sequences_left_out_on_request() {
        let table =
            [(false, "name? \x1b[31mBob\nhalf\n\x1b[mwhole\nend\n"), (true, "name? Bob\nhalf\nwhole\nend\n")];
        for (strip, expected) in table {
            let dir = tempfile::tempdir().unwrap();
            let name = Name::parse("api").unwrap();
            let mut view = LogFiles::new(dir.path(), LIMITS, strip, [name.clone()]).unwrap();
            let mut show = |stream, text: &[u8], partial| {
                let event = Event::Log { stream, line: text.to_vec(), partial };
                view.show(&Record { at: std::time::UNIX_EPOCH, event, service: Some(name.clone()) });
            };
            show(Stream::Stdout, b"name? \x1b[3", true);
            show(Stream::Stdout, b"1mBob", false);
            show(Stream::Stdout, b"half", true);
            show(Stream::Stderr, b"\x1b[mwhole", false);
            show(Stream::Stdout, b"end", false);
            assert_eq!(view.flush(), []);
            assert_eq!(fs::read_to_string(dir.path().join("api.log")).unwrap(), expected);
        }
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let name = Name::parse("api").unwrap();
        let path = path(dir.path(), &name);
        fs::write(&path, "yesterday").unwrap();
        let mut view = LogFiles::new(dir.path(), LIMITS, false, [name.clone()]).unwrap();
        let event = Event::Started { pid: 7 };
        view.show(&Record { at: std::time::UNIX_EPOCH, event, service: Some(name) });
        assert_eq!(view.flush(), []);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "[hotwatch 1970-01-01T00:00:00.000Z] started, PID 7\n"
        );

        // A service that joins later gets its file with its first word.
        let late = Some(Name::parse("late").unwrap());
        view.show(&Record { at: std::time::UNIX_EPOCH, event: Event::Started { pid: 8 }, service: late });
        assert_eq!(view.flush(), []);
        assert!(fs::read_to_string(dir.path().join("late.log")).unwrap().ends_with("started, PID 8\n"));

        let other = dir.path().join("new.log");
        let held = open(&other).unwrap();
        assert!(matches!(open(&other), Err(LogError::InUse(_))));
        drop(held);
        assert_eq!(other.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn planted_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("precious"), "precious").unwrap();
        symlink(at("precious"), at("link.log")).unwrap();
        fs::hard_link(at("precious"), at("hard.log")).unwrap();
        fs::create_dir(at("dir.log")).unwrap();
        nix::unistd::mkfifo(&at("fifo.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();

        assert!(matches!(open(&at("link.log")), Err(LogError::Link(_))));
        assert!(matches!(open(&at("hard.log")), Err(LogError::HardLinks(_))));
        assert!(matches!(open(&at("dir.log")), Err(LogError::NoFile(_))));
        assert!(matches!(open(&at("fifo.log")), Err(LogError::NoFile(_))));
        assert!(matches!(open(&at("no/such.log")), Err(LogError::Io { .. })));
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
        if nix::unistd::geteuid().is_root() {
            fs::write(at("foreign.log"), "theirs").unwrap();
            std::os::unix::fs::chown(at("foreign.log"), Some(65534), None).unwrap();
            assert!(matches!(open(&at("foreign.log")), Err(LogError::Foreign { owner: 65534, .. })));
        } else {
            eprintln!("NOT CHECKED: only root can make a file of another user");
        }
    }
}
