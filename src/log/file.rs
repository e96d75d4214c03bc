//! A log file per service. Its path is predictable and its directory may be everybody's, so it is opened
//! without following links, must be a regular file of this user with a single name, and is emptied only after
//! that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};

use super::json::write_out;
use super::{Problem, View, words};
use crate::name::Name;
use crate::record::{Event, Record};

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
pub fn open(path: &Path) -> Result<Flock<File>, LogError> {
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
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(LogError::NoFile(path.to_owned()));
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(LogError::Foreign { path: path.to_owned(), owner: meta.uid() });
    }
    if meta.nlink() != 1 {
        return Err(LogError::HardLinks(path.to_owned()));
    }
    // Two backends may have a service of one name.
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| LogError::InUse(path.to_owned()))
}

/// Writes what concerns each service to its file: its lines as they are, hotwatch's own behind a mark.
pub struct LogFiles {
    dir: PathBuf,
    files: BTreeMap<Name, Open>,
    /// Why a file could not be opened, until that is told.
    problem: Option<LogError>,
    /// Services without a file.
    without: BTreeSet<Name>,
}

/// An open file, and what is still to be written into it.
struct Open {
    path: PathBuf,
    file: Flock<File>,
    buffer: Vec<u8>,
    broken: bool,
}

impl LogFiles {
    /// Opens and empties a file in `dir` for each of `services`. If one of them cannot be used, none is touched.
    pub fn new(dir: &Path, services: impl IntoIterator<Item = Name>) -> Result<LogFiles, LogError> {
        let mut files = BTreeMap::new();
        for name in services {
            let path = path(dir, &name);
            let file = open(&path)?;
            files.insert(name, Open { path, file, buffer: Vec::new(), broken: false });
        }
        files.values().try_for_each(Open::empty)?;
        let (problem, without) = (None, BTreeSet::new());
        Ok(LogFiles { dir: dir.to_owned(), files, problem, without })
    }

    /// The file of `service`; opened and emptied at its first word if it was not there at the start.
    fn of(&mut self, service: &Name) -> Option<&mut Open> {
        if !self.files.contains_key(service) && !self.without.contains(service) {
            let path = path(&self.dir, service);
            let opened = open(&path).map(|file| Open { path, file, buffer: Vec::new(), broken: false });
            match opened.and_then(|open| open.empty().map(|()| open)) {
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
    fn empty(&self) -> Result<(), LogError> {
        self.file.set_len(0).map_err(|error| LogError::Io { path: self.path.clone(), error })
    }

    fn flush(&mut self) -> Result<(), Problem> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let name = format!("`{}`", self.path.display());
        match write_out(&mut *self.file, &mut self.buffer, &mut self.broken, &name) {
            // A log file is never a pipe, so this is no reason to end.
            Err(Problem::Closed) => {
                Err(Problem::Broken(format!("cannot write to {name}: {}", ErrorKind::BrokenPipe)))
            }
            result => result,
        }
    }
}

impl View for LogFiles {
    fn show(&mut self, record: &Record) {
        let Some(open) = record.service.as_ref().and_then(|service| self.of(service)) else { return };
        if let Event::Log { line, .. } = &record.event {
            open.buffer.extend_from_slice(line);
            open.buffer.push(b'\n');
        } else if let Some((_, text)) = words(&record.event) {
            let at = humantime::format_rfc3339_millis(record.at);
            open.buffer.extend_from_slice(format!("[hotwatch {at}] {}\n", text.trim_end()).as_bytes());
        }
    }

    fn flush(&mut self) -> Result<(), Problem> {
        let results: Vec<_> = self.files.values_mut().map(Open::flush).collect();
        if let Some(error) = self.problem.take() {
            return Err(Problem::Broken(error.to_string()));
        }
        results.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_new_file_is_private_and_an_old_one_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let name = Name::parse("api").unwrap();
        let path = path(dir.path(), &name);
        fs::write(&path, "yesterday").unwrap();
        let mut view = LogFiles::new(dir.path(), [name.clone()]).unwrap();
        let event = Event::Started { pid: 7 };
        view.show(&Record { at: std::time::UNIX_EPOCH, event, service: Some(name) });
        view.flush().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "[hotwatch 1970-01-01T00:00:00.000Z] started, PID 7\n"
        );

        // A service that joins later gets its file with its first word.
        let late = Some(Name::parse("late").unwrap());
        view.show(&Record { at: std::time::UNIX_EPOCH, event: Event::Started { pid: 8 }, service: late });
        view.flush().unwrap();
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
